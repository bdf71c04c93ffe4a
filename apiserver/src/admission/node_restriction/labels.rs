//! Labels of a node that it may not give itself, for they would steer other people's pods to it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Labels of Kubernetes' own that a node sets.
const OWN: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
/// Prefixes of labels that nodes may set, with everything inside of them.
const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Prefixes of labels that are Kubernetes' own.
const DOMAINS: [&str; 2] = ["kubernetes.io", "k8s.io"];
/// Labels by which others keep pods away from nodes that might lie.
const RESTRICTED: &str = "node-restriction.kubernetes.io";

/// The labels that are different and not the node's to change, in order.
pub(super) fn forbidden<'a>(
    new: Option<&'a Map<String, Value>>,
    old: Option<&'a Map<String, Value>>,
) -> Vec<&'a str> {
    let keys: BTreeSet<&str> = new
        .into_iter()
        .chain(old)
        .flat_map(|labels| labels.keys().map(String::as_str))
        .collect();
    let value =
        |labels: Option<&'a Map<String, Value>>, key: &str| labels.and_then(|all| all.get(key));
    keys.into_iter()
        .filter(|key| value(new, key) != value(old, key) && is_forbidden(key))
        .collect()
}

fn is_forbidden(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_in = |outer: &str| {
        domain
            .strip_suffix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let own = OWN.contains(&key) || OWN_DOMAINS.iter().any(|own| is_in(own));
    is_in(RESTRICTED) || (DOMAINS.iter().any(|domain| is_in(domain)) && !own)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::forbidden;

    #[test]
    fn a_node_sets_labels_of_its_own_and_of_strangers_alone() {
        let labels = json!({
            "mine": "1", "example.com/mine": "1", "kubernetes.io/hostname": "n", "beta.kubernetes.io/arch": "amd64",
            "node.kubernetes.io/x": "1", "a.kubelet.kubernetes.io/x": "1", "notkubernetes.io/x": "1",
            "node-role.kubernetes.io/control-plane": "", "kubernetes.io/x": "1", "a.k8s.io/x": "1",
            "node-restriction.kubernetes.io/x": "1", "b.node-restriction.kubernetes.io/x": "1",
        });
        let wanted = [
            "a.k8s.io/x",
            "b.node-restriction.kubernetes.io/x",
            "kubernetes.io/x",
            "node-restriction.kubernetes.io/x",
            "node-role.kubernetes.io/control-plane",
        ];
        assert_eq!(forbidden(labels.as_object(), None), wanted);
        assert_eq!(forbidden(None, labels.as_object()), wanted);
        assert!(forbidden(labels.as_object(), labels.as_object()).is_empty());
    }
}
