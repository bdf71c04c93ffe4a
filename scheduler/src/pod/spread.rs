//! Topology spread constraints, parsed.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PodSpec, TopologySpreadConstraint};

use crate::{
    query::{PodQuery, PodSelector},
    selector::{Condition, Labels, Requirement, Selector},
};

/// What becomes of a pod that would break a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhenUnsatisfiable {
    /// It is not scheduled there.
    DoNotSchedule,
    /// It counts in the score.
    ScheduleAnyway,
}

/// One constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadConstraint {
    pub topology_key: Arc<str>,
    pub skew_max: i32,
    pub when: WhenUnsatisfiable,
    /// 1 where none was given.
    pub domains_min: i32,
    /// `nodeAffinityPolicy: Honor` (the default): only nodes that the pod's node query matches count.
    pub honors_affinity: bool,
    /// `nodeTaintsPolicy: Honor` (not the default): only nodes count whose taints the pod tolerates.
    pub honors_taints: bool,
    /// With the values of `matchLabelKeys` taken from the pod.
    pub selector: Selector,
    /// Asks for the pods that count: of the pod's namespace, selected, not terminating.
    pub query: Arc<PodQuery>,
    /// Whether the pod itself is selected.
    pub selects_itself: bool,
}

pub(super) fn constraints(
    spec: &PodSpec,
    namespace: &Arc<str>,
    labels: &Labels,
) -> Box<[SpreadConstraint]> {
    let all = spec.topology_spread_constraints.iter().flatten();
    all.map(|from| constraint(from, namespace, labels))
        .collect()
}

fn constraint(
    from: &TopologySpreadConstraint,
    namespace: &Arc<str>,
    labels: &Labels,
) -> SpreadConstraint {
    let more = from.match_label_keys.iter().flatten().filter_map(|key| {
        let value = labels.get(key)?;
        let condition = Condition::In(Box::new([value.into()]));
        Some(Requirement {
            key: key.as_str().into(),
            condition,
        })
    });
    let selector = Selector::of(from.label_selector.as_ref()).and(more);
    SpreadConstraint {
        topology_key: from.topology_key.as_str().into(),
        skew_max: from.max_skew,
        when: if from.when_unsatisfiable == "ScheduleAnyway" {
            WhenUnsatisfiable::ScheduleAnyway
        } else {
            WhenUnsatisfiable::DoNotSchedule
        },
        domains_min: from.min_domains.unwrap_or(1),
        honors_affinity: from.node_affinity_policy.as_deref() != Some("Ignore"),
        honors_taints: from.node_taints_policy.as_deref() == Some("Honor"),
        query: spread_query(namespace, &selector),
        selects_itself: selector.matches(labels),
        selector,
    }
}

/// The query for the pods that a constraint with this selector counts.
pub(crate) fn spread_query(namespace: &Arc<str>, selector: &Selector) -> Arc<PodQuery> {
    let selector = PodSelector {
        namespaces: Box::new([namespace.clone()]),
        namespace_selector: None,
        selector: selector.clone(),
    };
    Arc::new(PodQuery {
        all: Box::new([selector]),
        with_terminating: false,
    })
}
