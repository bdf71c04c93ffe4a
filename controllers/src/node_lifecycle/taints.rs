//! The taints that a node's state gives it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeSpec, Taint};

use crate::conditions::{FALSE, TRUE, UNKNOWN};
use crate::patches;

pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

pub(crate) const NO_EXECUTE: &str = "NoExecute";
const NO_SCHEDULE: &str = "NoSchedule";

/// Which status of which condition keeps new pods away, by which taint.
const OF_CONDITIONS: [(&str, &str, &str); 6] = [
    ("Ready", FALSE, NOT_READY),
    ("Ready", UNKNOWN, UNREACHABLE),
    ("MemoryPressure", TRUE, "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", TRUE, "node.kubernetes.io/disk-pressure"),
    (
        "NetworkUnavailable",
        TRUE,
        "node.kubernetes.io/network-unavailable",
    ),
    ("PIDPressure", TRUE, "node.kubernetes.io/pid-pressure"),
];

fn list(node: &Node) -> &[Taint] {
    let spec = node.spec.as_ref();
    spec.and_then(|spec: &NodeSpec| spec.taints.as_deref())
        .unwrap_or_default()
}

fn taint(key: &str, effect: &str, now: Timestamp) -> Taint {
    Taint {
        effect: effect.to_owned(),
        key: key.to_owned(),
        time_added: Some(patches::time(now)),
        value: None,
    }
}

/// The node's taints that drive pods away.
pub(crate) fn no_execute(node: &Node) -> Vec<Taint> {
    list(node)
        .iter()
        .filter(|taint| taint.effect == NO_EXECUTE)
        .cloned()
        .collect()
}

/// Whether the node has the taint that drives pods away.
pub(crate) fn drives_away(node: &Node, key: &str) -> bool {
    list(node)
        .iter()
        .any(|taint| taint.key == key && taint.effect == NO_EXECUTE)
}

/// The node's taints with one that drives pods away added and others removed; none if that changes nothing.
pub(crate) fn swap(
    node: &Node,
    add: Option<&str>,
    remove: &[&str],
    now: Timestamp,
) -> Option<Vec<Taint>> {
    let mut taints = list(node).to_vec();
    taints.retain(|taint| taint.effect != NO_EXECUTE || !remove.contains(&taint.key.as_str()));
    if let Some(key) = add.filter(|key| !drives_away(node, key)) {
        taints.push(taint(key, NO_EXECUTE, now));
    }
    (taints != list(node)).then_some(taints)
}

/// The node's taints with those that keep new pods away as its conditions ask; none if they do already.
pub(crate) fn keep_away(node: &Node, now: Timestamp) -> Option<Vec<Taint>> {
    let conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut wanted: Vec<&str> = conditions
        .flat_map(|condition| {
            let rows = OF_CONDITIONS.iter();
            rows.filter(|(kind, status, _)| condition.type_ == *kind && condition.status == *status)
                .map(|(_, _, key)| *key)
        })
        .collect();
    if node
        .spec
        .as_ref()
        .is_some_and(|spec| spec.unschedulable == Some(true))
    {
        wanted.push(UNSCHEDULABLE);
    }
    let is_own = |taint: &Taint| {
        let key = taint.key.as_str();
        taint.effect == NO_SCHEDULE
            && (key == UNSCHEDULABLE || OF_CONDITIONS.iter().any(|row| row.2 == key))
    };
    let mut taints = list(node).to_vec();
    taints.retain(|taint| !is_own(taint) || wanted.contains(&taint.key.as_str()));
    for key in wanted {
        if !taints
            .iter()
            .any(|taint| taint.key == key && taint.effect == NO_SCHEDULE)
        {
            taints.push(taint(key, NO_SCHEDULE, now));
        }
    }
    (taints != list(node)).then_some(taints)
}

/// The older names of labels that kubelets set, where they have to follow the newer ones.
pub(crate) fn older_labels(node: &Node) -> Vec<(&'static str, String)> {
    let pairs = [
        ("kubernetes.io/os", "beta.kubernetes.io/os"),
        ("kubernetes.io/arch", "beta.kubernetes.io/arch"),
    ];
    let label = |key: &str| {
        node.metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(key))
    };
    let followed = pairs.into_iter().filter_map(|(newer, older)| {
        let value = label(newer)?;
        (label(older) != Some(value)).then(|| (older, value.clone()))
    });
    followed.collect()
}
