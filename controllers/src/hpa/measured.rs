//! What the metrics API tells of pods.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::MetricSpec;
use objects::quantity::Quantity;
use serde_json::Value;

use super::{Sample, Samples};

/// What is measured over so long if nothing is said of it.
const WINDOW: Duration = Duration::from_secs(60);

/// A resource of pods, or of one container of each, which the metric looks at; none if it looks at something else.
pub(super) fn asked(spec: &MetricSpec) -> Option<(&str, Option<&str>)> {
    if let Some(source) = &spec.resource {
        return Some((&source.name, None));
    }
    let source = spec.container_resource.as_ref()?;
    Some((&source.name, Some(&source.container)))
}

/// What the pods of a list of `PodMetrics` used. Pods of which a container does not tell it are left out.
pub(super) fn samples<'a>(
    list: impl IntoIterator<Item = &'a Value>,
    resource: &str,
    container: Option<&str>,
) -> Samples {
    let each = list.into_iter().filter_map(|metrics| {
        let name = metrics.pointer("/metadata/name")?.as_str()?;
        let value = used(metrics, resource, container)?;
        let at = metrics["timestamp"]
            .as_str()
            .and_then(|text| text.parse().ok());
        let window = metrics["window"]
            .as_str()
            .and_then(|text| text.parse().ok());
        let window = window.and_then(|window: SignedDuration| Duration::try_from(window).ok());
        let sample = Sample {
            at: at.unwrap_or(Timestamp::UNIX_EPOCH),
            window: window.unwrap_or(WINDOW),
            value,
        };
        Some((name.to_owned(), sample))
    });
    each.collect()
}

/// What pods report themselves, of a list of `MetricValue`.
pub(super) fn reported(list: &Value) -> Samples {
    let each = items(list).iter().filter_map(|metric| {
        let name = metric.pointer("/describedObject/name")?.as_str()?;
        let at = metric["timestamp"]
            .as_str()
            .and_then(|text| text.parse().ok());
        let sample = Sample {
            at: at.unwrap_or(Timestamp::UNIX_EPOCH),
            window: metric["windowSeconds"]
                .as_u64()
                .map_or(WINDOW, Duration::from_secs),
            value: milli(&metric["value"])?,
        };
        Some((name.to_owned(), sample))
    });
    each.collect()
}

/// The values of a list, in thousandths.
pub(super) fn values(list: &Value) -> Vec<i64> {
    let values = items(list).iter();
    values.filter_map(|one| milli(&one["value"])).collect()
}

fn items(list: &Value) -> &[Value] {
    list["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn milli(value: &Value) -> Option<i64> {
    let quantity = Quantity::from_value(value).ok()?;
    Some(quantity.milli_value())
}

/// Thousandths that the pod used, or one of its containers.
fn used(metrics: &Value, resource: &str, container: Option<&str>) -> Option<i64> {
    let containers = metrics["containers"].as_array()?;
    let mut sum = None;
    for one in containers {
        if container.is_some_and(|container| one["name"] != container) {
            continue;
        }
        let amount = Quantity::parse(one["usage"][resource].as_str()?).ok()?;
        sum = Some(sum.unwrap_or(0_i64).saturating_add(amount.milli_value()));
    }
    sum
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_report_is_read() {
        let list = json!({"items": [
            {"describedObject": {"kind": "Pod", "name": "a"}, "timestamp": "2026-01-01T00:00:10Z", "windowSeconds": 30, "value": "1500m"},
            {"describedObject": {"kind": "Pod", "name": "b"}, "timestamp": "2026-01-01T00:00:10Z", "value": "2k"},
            {"describedObject": {"kind": "Pod", "name": "c"}, "value": "much"},
        ]});
        let samples = reported(&list);
        assert_eq!(samples.len(), 2);
        assert_eq!(
            (samples["a"].value, samples["a"].window),
            (1500, Duration::from_secs(30))
        );
        assert_eq!(
            (samples["b"].value, samples["b"].window),
            (2_000_000, WINDOW)
        );
        assert_eq!(values(&list), [1500, 2_000_000]);
        assert!(values(&json!({})).is_empty());
    }

    #[test]
    fn the_use_of_all_containers_or_of_one_is_told() {
        let metrics = |name: &str, containers: Value| {
            json!({
                "metadata": {"name": name}, "timestamp": "2026-01-01T00:00:10Z", "window": "1m5.5s",
                "containers": containers,
            })
        };
        let list = [
            metrics(
                "both",
                json!([
                    {"name": "a", "usage": {"cpu": "100m", "memory": "1Mi"}}, {"name": "b", "usage": {"cpu": "1"}},
                ]),
            ),
            metrics("none", json!([])),
        ];
        let all = samples(&list, "cpu", None);
        assert_eq!(all.len(), 1);
        assert_eq!(
            all["both"],
            Sample {
                at: "2026-01-01T00:00:10Z".parse().unwrap(),
                window: Duration::from_millis(65_500),
                value: 1100,
            }
        );
        assert_eq!(samples(&list, "cpu", Some("b"))["both"].value, 1000);
        assert!(samples(&list, "cpu", Some("c")).is_empty());
        assert!(
            samples(&list, "memory", None).is_empty(),
            "one container does not tell it"
        );
    }
}
