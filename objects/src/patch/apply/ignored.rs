//! The fields that a write by a subresource does not own, whatever it says about them.

use super::element::Element;
use super::set::{Node, Set};
use crate::catalog::Resource;

/// Which fields a write leaves as they are, and so does not own.
#[derive(Debug, Clone)]
pub enum Ignored {
    /// These and all below them: the status of a write to the object itself, the spec of one to its status.
    Fields(Set),
    /// All but what is on the way to, at or below these.
    AllBut(Vec<Pattern>),
}

/// A path of fields; none stands for any step, as to the elements of a list.
pub type Pattern = Vec<Option<Box<str>>>;

/// The resources whose status may be written with metadata; those of all others, CRDs' included, leave metadata as it is.
const STATUS_WITH_METADATA: [(&str, &[&str]); 7] = [
    (
        "",
        &[
            "namespaces",
            "nodes",
            "persistentvolumeclaims",
            "persistentvolumes",
            "replicationcontrollers",
            "resourcequotas",
            "services",
        ],
    ),
    ("apps", &["daemonsets", "replicasets", "statefulsets"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("networking.k8s.io", &["ingresses"]),
    ("policy", &["poddisruptionbudgets"]),
    ("certificates.k8s.io", &["podcertificaterequests"]),
];

impl Ignored {
    /// What a write to a resource or to one of its subresources ignores, as upstream's strategies have it.
    #[must_use]
    pub fn of(resource: &Resource, subresource: &str) -> Ignored {
        let (group, plural) = (resource.group.as_str(), resource.plural.as_str());
        let fields: &[&[&str]] = match (group, plural, subresource) {
            ("certificates.k8s.io", "certificatesigningrequests", "") => &[&["spec"], &["status"]],
            ("certificates.k8s.io", "certificatesigningrequests", "status") => {
                &[&["spec"], &["status", "conditions"]]
            }
            ("certificates.k8s.io", "certificatesigningrequests", "approval") => {
                &[&["spec"], &["status", "certificate"]]
            }
            ("certificates.k8s.io", "podcertificaterequests", "") => &[],
            ("", "namespaces", "finalize") => &[&["status"]],
            ("", "pods", "status") => &[
                &["spec"],
                &["metadata", "deletionTimestamp"],
                &["metadata", "ownerReferences"],
            ],
            ("", "pods", "ephemeralcontainers") => {
                return Ignored::AllBut(vec![pattern(&["spec", "ephemeralContainers"])]);
            }
            ("", "pods", "resize") => {
                return Ignored::AllBut(vec![
                    pattern(&["spec", "containers", ANY, "resources"]),
                    pattern(&["spec", "containers", ANY, "resizePolicy"]),
                    pattern(&["spec", "initContainers", ANY, "resources"]),
                    pattern(&["spec", "initContainers", ANY, "resizePolicy"]),
                ]);
            }
            ("apps", "deployments", "status") => &[&["spec"], &["metadata", "labels"]],
            (_, _, "") if resource.subresource("status").is_some() => &[&["status"]],
            (_, _, "status") if status_with_metadata(group, plural) => &[&["spec"]],
            (_, _, "status") => &[&["metadata"], &["spec"]],
            _ => &[],
        };
        Ignored::Fields(Set::of(fields))
    }

    /// Nothing is ignored.
    #[must_use]
    pub fn nothing() -> Ignored {
        Ignored::Fields(Set::default())
    }

    /// The set without what is ignored.
    #[must_use]
    pub fn filter(&self, set: &Set) -> Set {
        match self {
            Ignored::Fields(fields) => set.without(fields),
            Ignored::AllBut(patterns) => {
                let patterns: Vec<&[Option<Box<str>>]> =
                    patterns.iter().map(Vec::as_slice).collect();
                matching(set, &patterns)
            }
        }
    }
}

/// Any step, in a path that is written as texts.
const ANY: &str = "*";

fn pattern(steps: &[&str]) -> Pattern {
    steps
        .iter()
        .map(|step| (*step != ANY).then(|| (*step).into()))
        .collect()
}

fn status_with_metadata(group: &str, plural: &str) -> bool {
    STATUS_WITH_METADATA
        .iter()
        .any(|(of, plurals)| *of == group && plurals.contains(&plural))
}

fn matching(set: &Set, patterns: &[&[Option<Box<str>>]]) -> Set {
    if patterns.iter().any(|pattern| pattern.is_empty()) {
        return set.clone();
    }
    let nodes = set.nodes().iter().filter_map(|node| {
        let rest: Vec<&[Option<Box<str>>]> = patterns
            .iter()
            .filter_map(|pattern| pattern.split_first())
            .filter(|(first, _)| matches(first.as_deref(), &node.element))
            .map(|(_, rest)| rest)
            .collect();
        if rest.is_empty() {
            return None;
        }
        Node::kept(&node.element, node.member, matching(&node.below, &rest))
    });
    Set::from_nodes(nodes.collect())
}

fn matches(step: Option<&str>, element: &Element) -> bool {
    step.is_none_or(|name| element.cmp_field(name).is_eq())
}
