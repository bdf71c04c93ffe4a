//! What pods are given whatever they are: tolerations, and images that are always pulled.

use objects::{Value, meta};
use serde_json::{Map, json};

use super::{Operation, Review};

/// Seconds that a pod stays on a node that is not ready or not reached.
const TOLERATION_SECONDS: u32 = 300;
const TAINTS: [&str; 2] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];

/// Whether a kubelet made a pod from a file of its own.
pub(super) fn is_mirror(pod: &Value) -> bool {
    meta::annotation(pod, "kubernetes.io/config.mirror").is_some()
}

/// Appends to a list that may not be there.
pub(super) fn push(parent: &mut Value, field: &str, element: Value) {
    if !parent.is_object() {
        *parent = Value::Object(Map::new());
    }
    match &mut parent[field] {
        Value::Array(list) => list.push(element),
        other => *other = Value::Array(vec![element]),
    }
}

/// Pods stay for a while on a node that fails.
pub(super) fn tolerate(review: &Review<'_>, pod: &mut Value) {
    if review.is_of("", "pods") {
        add_tolerations(pod);
    }
}

fn add_tolerations(pod: &mut Value) {
    let own = meta::list(pod, &["spec", "tolerations"]).to_vec();
    for taint in TAINTS {
        let tolerates = own.iter().any(|toleration| {
            let key = meta::text(toleration, &["key"]);
            let effect = meta::text(toleration, &["effect"]);
            (key.is_empty() || key == taint) && matches!(effect, "" | "NoExecute")
        });
        if !tolerates {
            let toleration = json!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS});
            push(&mut pod["spec"], "tolerations", toleration);
        }
    }
}

/// Images are pulled anew, so that whoever runs them may read them.
pub(super) fn always_pull(review: &Review<'_>, pod: &mut Value) {
    let asked = matches!(review.operation, Operation::Create | Operation::Update);
    if !asked || !review.is_of("", "pods") {
        return;
    }
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = pod["spec"].get_mut(field).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            container["imagePullPolicy"] = json!("Always");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_tolerates_failing_nodes_unless_it_says_for_itself() {
        let mut pod = json!({"spec": {}});
        add_tolerations(&mut pod);
        assert_eq!(pod["spec"]["tolerations"][1]["key"], TAINTS[1]);
        let spec = json!({"tolerations": [{"operator": "Exists"}]});
        let mut pod = json!({"spec": spec});
        add_tolerations(&mut pod);
        assert_eq!(pod["spec"], spec);
    }
}
