//! How much is asked of the server: the counts that `/metrics` shows.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use parking_lot::Mutex;

use crate::attributes::Attributes;
use crate::attributes::is_stream;

/// The most combinations of labels that are counted; requests with others are counted as one.
const SERIES_MAX: usize = 10_000;
/// Upper ends of the buckets of durations, in seconds.
const BUCKETS_SECONDS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
];

/// The requests of one server.
#[derive(Debug, Default)]
pub struct Load {
    counts: Mutex<BTreeMap<Labels, Count>>,
    calls: Mutex<BTreeMap<CallLabels, (u64, f64)>>,
}

/// Calls of gRPC are told apart by their method and the code that they were answered with, and counted with the seconds that they
/// took.
type CallLabels = (&'static str, &'static str);

/// What tells requests apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
}

#[derive(Debug, Default)]
struct Count {
    by_code: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS_SECONDS.len()],
    timed: u64,
    seconds: f64,
}

impl Load {
    /// Counts an answer.
    pub(super) fn count(&self, attributes: &Attributes, code: u16, took: Duration) {
        let mut counts = self.counts.lock();
        let labels = labels(attributes);
        let known = counts.len() < SERIES_MAX || counts.contains_key(&labels);
        let count = counts
            .entry(if known { labels } else { Labels::default() })
            .or_default();
        *count.by_code.entry(code).or_default() += 1;
        if attributes.verb == "watch" || is_stream(&attributes.subresource) {
            return;
        }
        let seconds = took.as_secs_f64();
        count.timed += 1;
        count.seconds += seconds;
        for (bucket, end) in count.buckets.iter_mut().zip(BUCKETS_SECONDS) {
            *bucket += u64::from(seconds <= end);
        }
    }

    /// Counts a call of gRPC; a stream counts when it begins.
    pub(crate) fn count_call(&self, method: &'static str, code: &'static str, took: Duration) {
        let mut calls = self.calls.lock();
        let (count, seconds) = calls.entry((method, code)).or_default();
        *count += 1;
        *seconds += took.as_secs_f64();
    }

    /// The counts in Prometheus' text form.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let counts = self.counts.lock();
        out.push_str("# TYPE apiserver_request_total counter\n");
        for (labels, count) in counts.iter() {
            for (code, number) in &count.by_code {
                let own = shown(labels);
                line(
                    &mut out,
                    &format!("apiserver_request_total{{code=\"{code}\",{own}}} {number}"),
                );
            }
        }
        out.push_str("# TYPE apiserver_request_duration_seconds histogram\n");
        let name = "apiserver_request_duration_seconds";
        for (labels, count) in counts.iter().filter(|(_, count)| count.timed > 0) {
            let (own, timed, seconds) = (shown(labels), count.timed, count.seconds);
            for (end, number) in BUCKETS_SECONDS.iter().zip(count.buckets) {
                line(
                    &mut out,
                    &format!("{name}_bucket{{{own},le=\"{end}\"}} {number}"),
                );
            }
            line(
                &mut out,
                &format!("{name}_bucket{{{own},le=\"+Inf\"}} {timed}"),
            );
            line(&mut out, &format!("{name}_sum{{{own}}} {seconds}"));
            line(&mut out, &format!("{name}_count{{{own}}} {timed}"));
        }
        self.write_calls(&mut out);
        out
    }
}

impl Load {
    fn write_calls(&self, out: &mut String) {
        let calls = self.calls.lock();
        let service = "mainstay.api.v1.Objects";
        for (name, seconds_too) in [
            ("grpc_server_handled_total", false),
            ("grpc_server_handling_seconds_total", true),
        ] {
            line(out, &format!("# TYPE {name} counter"));
            for ((method, code), (count, seconds)) in calls.iter() {
                let value = if seconds_too {
                    seconds.to_string()
                } else {
                    count.to_string()
                };
                let labels = format!(
                    "grpc_code=\"{code}\",grpc_method=\"{method}\",grpc_service=\"{service}\""
                );
                line(out, &format!("{name}{{{labels}}} {value}"));
            }
        }
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("memory takes what is written to it");
}

fn labels(attributes: &Attributes) -> Labels {
    let verb = match attributes.verb.as_str() {
        _ if is_stream(&attributes.subresource) => "CONNECT",
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    };
    let scope = match (attributes.is_resource(), attributes.name.is_empty()) {
        (false, _) => "",
        (true, false) => "resource",
        (true, true) if attributes.namespace.is_empty() => "cluster",
        (true, true) => "namespace",
    };
    Labels {
        verb,
        group: attributes.group.clone(),
        version: attributes.version.clone(),
        resource: attributes.resource.clone(),
        subresource: attributes.subresource.clone(),
        scope,
    }
}

fn shown(labels: &Labels) -> String {
    let quoted = |text: &str| {
        let clean: String = text
            .chars()
            .filter(|letter| !matches!(letter, '"' | '\\') && !letter.is_control())
            .collect();
        clean
    };
    format!(
        "component=\"apiserver\",dry_run=\"\",group=\"{}\",resource=\"{}\",scope=\"{}\",subresource=\"{}\",verb=\"{}\",version=\"{}\"",
        quoted(&labels.group),
        quoted(&labels.resource),
        labels.scope,
        quoted(&labels.subresource),
        labels.verb,
        quoted(&labels.version)
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Load;
    use crate::attributes::Attributes;

    fn listing() -> Attributes {
        Attributes {
            verb: "list".to_owned(),
            version: "v1".to_owned(),
            resource: "pods".to_owned(),
            ..Attributes::default()
        }
    }

    #[test]
    fn answers_are_counted_by_code_and_time() {
        let load = Load::default();
        load.count(&listing(), 200, Duration::from_millis(30));
        load.count(&listing(), 403, Duration::from_secs(70));
        let text = load.text();
        assert!(text.contains("apiserver_request_total{code=\"403\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"cluster\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 1\n"), "{text}");
        assert!(text.contains("le=\"0.025\"} 0\n") && text.contains("le=\"0.05\"} 1\n"));
        assert!(text.contains("le=\"+Inf\"} 2\n"));
    }
}
