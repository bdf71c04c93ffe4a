//! Which nodes are fit for a DaemonSet's pods.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};

use super::pod;

/// What a node means to a DaemonSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// A pod is to run there.
    Runs,
    /// A pod that runs there may stay, and none is made.
    Stays,
    /// No pod is to be there.
    Unfit,
}

pub(super) fn fit(set: &DaemonSet, node: &Node) -> Fit {
    let Some(spec) = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref())
    else {
        return Fit::Unfit;
    };
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let is_named = spec
        .node_name
        .as_deref()
        .is_none_or(|wanted| wanted.is_empty() || wanted == name);
    if !is_named || !selects(spec, node, name) {
        return Fit::Unfit;
    }
    let tolerations = pod::tolerations(spec);
    let taints = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    let repels = |effects: &[&str]| {
        let mut taints = taints
            .iter()
            .filter(|taint| effects.contains(&taint.effect.as_str()));
        taints.any(|taint| {
            !tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
        })
    };
    match (repels(&["NoExecute", "NoSchedule"]), repels(&["NoExecute"])) {
        (false, _) => Fit::Runs,
        (true, false) => Fit::Stays,
        (true, true) => Fit::Unfit,
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let is_open = |field: &Option<String>| field.as_deref().unwrap_or_default().is_empty();
    let effect = is_open(&toleration.effect) || toleration.effect.as_ref() == Some(&taint.effect);
    let key = is_open(&toleration.key) || toleration.key.as_ref() == Some(&taint.key);
    let value = match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => {
            toleration.value.as_deref().unwrap_or_default()
                == taint.value.as_deref().unwrap_or_default()
        }
        "Exists" => true,
        _ => false,
    };
    effect && key && value
}

/// Whether the template's node selector and required node affinity allow a node.
fn selects(spec: &PodSpec, node: &Node, name: &str) -> bool {
    let none = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&none);
    let by_labels = spec
        .node_selector
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| {
        affinity
            .required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let by_affinity = required.is_none_or(|required| {
        required
            .node_selector_terms
            .iter()
            .any(|term| matches(term, labels, name))
    });
    by_labels && by_affinity
}

/// Whether every requirement of a term holds. An empty term holds nowhere.
fn matches(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, name: &str) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let by_labels = |wanted: &NodeSelectorRequirement| {
        holds(wanted, labels.get(&wanted.key).map(String::as_str))
    };
    let by_fields = |wanted: &NodeSelectorRequirement| {
        wanted.key == "metadata.name" && holds(wanted, Some(name))
    };
    let is_empty = expressions.is_empty() && fields.is_empty();
    !is_empty && expressions.iter().all(by_labels) && fields.iter().all(by_fields)
}

fn holds(wanted: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let listed = value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
    let compared = || -> Option<std::cmp::Ordering> {
        let [limit] = values else { return None };
        Some(value?.parse::<i64>().ok()?.cmp(&limit.parse().ok()?))
    };
    match wanted.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(|order| order.is_gt()),
        "Lt" => compared().is_some_and(|order| order.is_lt()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(pod_spec: &Value, node: &Value) -> Fit {
        let set = json!({"metadata": {}, "spec": {"selector": {}, "template": {"spec": pod_spec}}});
        fit(
            &serde_json::from_value(set).unwrap(),
            &serde_json::from_value(node.clone()).unwrap(),
        )
    }

    fn pod_spec(fields: Value) -> Value {
        let mut spec = json!({"containers": []});
        for (name, value) in fields.as_object().unwrap() {
            spec[name] = value.clone();
        }
        spec
    }

    #[test]
    fn taints_repel_unless_they_are_tolerated() {
        let node = |key: &str, value: &str, effect: &str| json!({"metadata": {"name": "n"}, "spec": {"taints": [{"key": key, "value": value, "effect": effect}]}});
        let exists = json!({"tolerations": [{"operator": "Exists"}]});
        let equal = json!({"tolerations": [{"key": "a", "value": "b", "effect": "NoSchedule"}]});
        let cases = [
            (json!({}), node("a", "b", "NoSchedule"), Fit::Stays),
            (json!({}), node("a", "b", "NoExecute"), Fit::Unfit),
            (json!({}), node("a", "b", "PreferNoSchedule"), Fit::Runs),
            (exists, node("a", "b", "NoExecute"), Fit::Runs),
            (equal.clone(), node("a", "b", "NoSchedule"), Fit::Runs),
            (equal.clone(), node("a", "c", "NoSchedule"), Fit::Stays),
            (equal, node("a", "b", "NoExecute"), Fit::Unfit),
            (
                json!({}),
                node("node.kubernetes.io/not-ready", "", "NoExecute"),
                Fit::Runs,
            ),
            (
                json!({}),
                node("node.kubernetes.io/unreachable", "", "NoExecute"),
                Fit::Runs,
            ),
            (
                json!({}),
                node("node.kubernetes.io/unschedulable", "", "NoSchedule"),
                Fit::Runs,
            ),
            (
                json!({}),
                node("node.kubernetes.io/network-unavailable", "", "NoSchedule"),
                Fit::Stays,
            ),
            (
                json!({"hostNetwork": true}),
                node("node.kubernetes.io/network-unavailable", "", "NoSchedule"),
                Fit::Runs,
            ),
        ];
        for (fields, node, expected) in cases {
            assert_eq!(
                found(&pod_spec(fields.clone()), &node),
                expected,
                "{fields} on {node}"
            );
        }
    }

    #[test]
    fn a_node_must_have_the_name_the_labels_and_one_of_the_required_terms() {
        let node = json!({"metadata": {"name": "n", "labels": {"zone": "a", "cores": "8"}}});
        let requires = |terms: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
        let label = |key: &str, operator: &str, values: &[&str]| {
            requires(
                json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]),
            )
        };
        let cases = [
            (json!({"nodeName": "n"}), true),
            (json!({"nodeName": "m"}), false),
            (json!({"nodeSelector": {"zone": "a"}}), true),
            (json!({"nodeSelector": {"zone": "b"}}), false),
            (label("zone", "In", &["a", "b"]), true),
            (label("zone", "NotIn", &["a"]), false),
            (label("other", "NotIn", &["a"]), true),
            (label("zone", "Exists", &[]), true),
            (label("zone", "DoesNotExist", &[]), false),
            (label("cores", "Gt", &["4"]), true),
            (label("cores", "Lt", &["8"]), false),
            (label("zone", "Gt", &["4"]), false),
            (label("zone", "Near", &["a"]), false),
            (requires(json!([{}])), false),
            (requires(json!([])), false),
            (
                requires(
                    json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]),
                ),
                true,
            ),
            (
                requires(
                    json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["m"]}]}, {
                        "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}],
                    }]),
                ),
                true,
            ),
        ];
        for (fields, runs) in cases {
            assert_eq!(
                found(&pod_spec(fields.clone()), &node) == Fit::Runs,
                runs,
                "{fields}"
            );
        }
    }
}
