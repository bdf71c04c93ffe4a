//! Pods and claims keep to the limit ranges of their namespace, and containers get their defaults from them.

use std::sync::Arc;

use objects::amounts::{self, Amounts, pod_total};
use objects::invalid::aggregate;
use objects::quantity::Quantity;
use objects::status::Status;
use objects::{Map, Value, meta};
use serde_json::json;

use super::{Operation, Review};
use crate::objects_view::ObjectsView;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";
const PODS: &str = "pods";
const CLAIMS: &str = "persistentvolumeclaims";
/// The greatest amount that is compared in thousandths.
const WHOLE_MAX: i64 = i64::MAX / 1000;

fn ranges(view: &dyn ObjectsView, review: &Review<'_>) -> Vec<Arc<Value>> {
    let ending = review.old.is_some_and(meta::is_deleting);
    let new = review.operation == Operation::Create && review.is_of("", PODS);
    let resized = review.is_of_part("", PODS, "resize");
    if ending || !(new || resized || review.is_of("", CLAIMS)) {
        return Vec::new();
    }
    view.list("", "limitranges", Some(&review.attributes.namespace))
}

pub(super) fn mutate(view: &dyn ObjectsView, review: &Review<'_>, object: &mut Value) {
    if review.attributes.resource == PODS {
        for range in ranges(view, review) {
            set_defaults(&range, object);
        }
    }
}

pub(super) fn validate(
    view: &dyn ObjectsView,
    review: &Review<'_>,
    object: &Value,
) -> Result<(), Status> {
    for range in ranges(view, review) {
        let faults = if review.attributes.resource == PODS {
            judge_pod(&range, object)
        } else {
            judge_claim(&range, object)
        };
        if !faults.is_empty() {
            return Err(review.forbidden(Some(object), aggregate(&faults)));
        }
    }
    Ok(())
}

fn set_defaults(range: &Value, pod: &mut Value) {
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for limit in meta::list(range, &["spec", "limits"]) {
        if limit["type"] == "Container" {
            let of = |field| meta::map(limit, &[field]).cloned().unwrap_or_default();
            requests.extend(of("defaultRequest"));
            limits.extend(of("default"));
        }
    }
    let mut told = Vec::new();
    for (field, name) in [
        ("containers", "container"),
        ("initContainers", "init container"),
    ] {
        let containers = pod["spec"].get_mut(field).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let container_name = meta::text(container, &["name"]).to_owned();
            for (part, defaults, kind) in [
                ("requests", &requests, "request"),
                ("limits", &limits, "limit"),
            ] {
                let set = fill(container, part, defaults);
                if !set.is_empty() {
                    told.push(format!(
                        "{} {kind} for {name} {container_name}",
                        set.join(", ")
                    ));
                }
            }
        }
    }
    if !told.is_empty() {
        let text = format!("LimitRanger plugin set: {}", told.join("; "));
        let metadata = meta::metadata_mut(pod);
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        annotations[ANNOTATION] = text.into();
    }
}

/// Sets what a container does not say, and names it.
fn fill(container: &mut Value, part: &str, defaults: &Map) -> Vec<String> {
    let mut set = Vec::new();
    for (name, amount) in defaults {
        if meta::at(container, &["resources", part, name]).is_some() {
            continue;
        }
        if !container["resources"].is_object() {
            container["resources"] = json!({});
        }
        if !container["resources"][part].is_object() {
            container["resources"][part] = json!({});
        }
        container["resources"][part][name] = amount.clone();
        set.push(name.clone());
    }
    set
}

fn judge_claim(range: &Value, claim: &Value) -> Vec<String> {
    let requests = amounts::at(claim, &["spec", "resources", "requests"]);
    let mut faults = Vec::new();
    for limit in meta::list(range, &["spec", "limits"]) {
        if limit["type"] != "PersistentVolumeClaim" {
            continue;
        }
        let judged = Judged {
            kind: "PersistentVolumeClaim",
            requests: requests.clone(),
            limits: Amounts::new(),
        };
        for (name, bound) in amounts::at(limit, &["min"]) {
            faults.extend(judged.least(&name, &bound));
        }
        for (name, bound) in amounts::at(limit, &["max"]) {
            faults.extend(judged.most_requested(&name, &bound));
        }
    }
    faults
}

fn judge_pod(range: &Value, pod: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for limit in meta::list(range, &["spec", "limits"]) {
        let judged: Vec<Judged> = match meta::text(limit, &["type"]) {
            "Container" => ["containers", "initContainers"]
                .iter()
                .flat_map(|field| meta::list(pod, &["spec", field]))
                .map(|container| Judged {
                    kind: "Container",
                    requests: amounts::at(container, &["resources", "requests"]),
                    limits: amounts::at(container, &["resources", "limits"]),
                })
                .collect(),
            "Pod" => vec![Judged {
                kind: "Pod",
                requests: pod_total(pod, "requests"),
                limits: pod_total(pod, "limits"),
            }],
            _ => continue,
        };
        for one in judged {
            for (name, bound) in amounts::at(limit, &["min"]) {
                faults.extend(one.least(&name, &bound));
            }
            for (name, bound) in amounts::at(limit, &["max"]) {
                faults.extend(one.most(&name, &bound));
            }
            for (name, bound) in amounts::at(limit, &["maxLimitRequestRatio"]) {
                faults.extend(one.ratio(&name, &bound));
            }
        }
    }
    faults
}

/// What something asks for, to be held against a range.
struct Judged {
    kind: &'static str,
    requests: Amounts,
    limits: Amounts,
}

impl Judged {
    fn least(&self, name: &str, bound: &Quantity) -> Option<String> {
        let rule = format!("minimum {name} usage per {} is {bound}", self.kind);
        match (self.requests.get(name), self.limits.get(name)) {
            (None, _) => Some(format!("{rule}.  No request is specified")),
            (Some(request), _) if request < bound => {
                Some(format!("{rule}, but request is {request}"))
            }
            (_, Some(limit)) if limit < bound => Some(format!("{rule}, but limit is {limit}")),
            _ => None,
        }
    }

    fn most(&self, name: &str, bound: &Quantity) -> Option<String> {
        let rule = format!("maximum {name} usage per {} is {bound}", self.kind);
        match (self.requests.get(name), self.limits.get(name)) {
            (_, None) => Some(format!("{rule}.  No limit is specified")),
            (_, Some(limit)) if limit > bound => Some(format!("{rule}, but limit is {limit}")),
            (Some(request), _) if request > bound => {
                Some(format!("{rule}, but request is {request}"))
            }
            _ => None,
        }
    }

    fn most_requested(&self, name: &str, bound: &Quantity) -> Option<String> {
        let rule = format!("maximum {name} usage per {} is {bound}", self.kind);
        match self.requests.get(name) {
            None => Some(format!("{rule}.  No request is specified")),
            Some(request) if request > bound => Some(format!("{rule}, but request is {request}")),
            Some(_) => None,
        }
    }

    fn ratio(&self, name: &str, bound: &Quantity) -> Option<String> {
        let rule = format!(
            "{name} max limit to request ratio per {} is {bound}",
            self.kind
        );
        let given = |amounts: &Amounts| amounts.get(name).filter(|one| !one.is_zero()).cloned();
        let Some(request) = given(&self.requests) else {
            return Some(format!(
                "{rule}, but no request is specified or request is 0"
            ));
        };
        let Some(limit) = given(&self.limits) else {
            return Some(format!("{rule}, but no limit is specified or limit is 0"));
        };
        let in_thousandths = request.value() <= WHOLE_MAX && limit.value() <= WHOLE_MAX;
        let number = |amount: &Quantity| {
            if in_thousandths {
                amount.milli_value()
            } else {
                amount.value()
            }
        };
        #[allow(
            clippy::cast_precision_loss,
            reason = "upstream shows and compares the ratio as a float"
        )]
        let (ratio, most) = (
            number(&limit) as f64 / number(&request) as f64,
            bound.milli_value() as f64,
        );
        (ratio * 1000.0 > most).then(|| format!("{rule}, but provided ratio is {ratio:.6}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(limit: Value) -> Value {
        json!({"spec": {"limits": [limit]}})
    }

    #[test]
    fn containers_get_the_defaults_of_the_range_and_the_pod_says_so() {
        let limits = json!({"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}});
        let mut pod =
            json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "2"}}}]}});
        set_defaults(&range(limits), &mut pod);
        let expected =
            json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "100m"}});
        assert_eq!(pod["spec"]["containers"][0]["resources"], expected);
        assert_eq!(
            pod["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu request for container a; memory limit for container a"
        );
    }

    #[test]
    fn what_breaks_a_bound_is_named() {
        let pod = json!({"spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "500m"}}}]}});
        for (limit, expected) in [
            (
                json!({"max": {"cpu": "1"}}),
                "maximum cpu usage per Container is 1, but limit is 2",
            ),
            (
                json!({"min": {"cpu": "1"}}),
                "minimum cpu usage per Container is 1, but request is 500m",
            ),
            (
                json!({"max": {"memory": "1Gi"}}),
                "maximum memory usage per Container is 1Gi.  No limit is specified",
            ),
            (
                json!({"maxLimitRequestRatio": {"cpu": "2"}}),
                "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
            ),
        ] {
            let mut limit = limit;
            limit["type"] = json!("Container");
            assert_eq!(judge_pod(&range(limit), &pod), [expected]);
        }
    }
}
