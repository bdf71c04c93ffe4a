//! The constraints of pods that have none of their own: by the services and controllers that they belong to.

use std::{ops::Bound, sync::Arc};

use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use super::{Defaults, HOSTNAME, key};
use crate::{
    cluster::{Name, Objects},
    node::ZONE_LABEL,
    pod::{PodView, SpreadConstraint, WhenUnsatisfiable},
    query::{PodQuery, PodSelector},
    selector::{Condition, Requirement, Selector},
};

/// The constraints of one kind that a pod gets. None for a pod that belongs to nothing.
pub(super) fn defaults(
    defaults: &Defaults,
    pod: &PodView,
    objects: &Objects,
    when: WhenUnsatisfiable,
) -> Vec<SpreadConstraint> {
    let is_soft = when == WhenUnsatisfiable::ScheduleAnyway;
    let wanted =
        |one: &&TopologySpreadConstraint| (one.when_unsatisfiable == "ScheduleAnyway") == is_soft;
    let has_any = match defaults {
        Defaults::System => is_soft,
        Defaults::List(list) => list.iter().any(|one| wanted(&one)),
    };
    if !has_any {
        return Vec::new();
    }
    let selector = selector(pod, objects);
    if selector.is_everything() {
        return Vec::new();
    }
    let template = Template {
        query: query(pod, &selector),
        selector,
        pod,
        when,
    };
    match defaults {
        Defaults::System => {
            vec![
                template.constraint(HOSTNAME, 3),
                template.constraint(ZONE_LABEL, 5),
            ]
        }
        Defaults::List(list) => list
            .iter()
            .filter(wanted)
            .map(|one| template.of(one))
            .collect(),
    }
}

/// What all constraints of a pod have in common.
struct Template<'a> {
    pod: &'a PodView,
    when: WhenUnsatisfiable,
    selector: Selector,
    query: Arc<PodQuery>,
}

impl Template<'_> {
    fn constraint(&self, topology_key: &str, skew_max: i32) -> SpreadConstraint {
        SpreadConstraint {
            topology_key: key(topology_key),
            skew_max,
            when: self.when,
            domains_min: 1,
            honors_affinity: true,
            honors_taints: false,
            selects_itself: self.selector.matches(&self.pod.labels),
            selector: self.selector.clone(),
            query: self.query.clone(),
        }
    }

    fn of(&self, from: &TopologySpreadConstraint) -> SpreadConstraint {
        SpreadConstraint {
            domains_min: from.min_domains.unwrap_or(1),
            honors_affinity: from.node_affinity_policy.as_deref() != Some("Ignore"),
            honors_taints: from.node_taints_policy.as_deref() == Some("Honor"),
            ..self.constraint(&from.topology_key, from.max_skew)
        }
    }
}

fn query(pod: &PodView, selector: &Selector) -> Arc<PodQuery> {
    let pods = PodSelector {
        namespaces: Box::new([pod.namespace.clone()]),
        namespace_selector: None,
        selector: selector.clone(),
    };
    Arc::new(PodQuery {
        all: Box::new([pods]),
        with_terminating: false,
    })
}

/// Selects the pods that belong to the same services and the same controller as this one.
fn selector(pod: &PodView, objects: &Objects) -> Selector {
    let mut requirements: Vec<Requirement> = Vec::new();
    let mut add = |one: Requirement| {
        if !requirements.contains(&one) {
            requirements.push(one);
        }
    };
    let exact = |key: &str, value: &str| Requirement {
        key: key.into(),
        condition: Condition::In(Box::new([value.into()])),
    };
    let first: Name = (pod.namespace.clone(), "".into());
    let services = objects
        .services
        .range((Bound::Included(first), Bound::Unbounded));
    for (_, service) in services.take_while(|(name, _)| name.0 == pod.namespace) {
        let labels = service
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref());
        // A service without a selector is of nobody.
        let Some(labels) = labels else { continue };
        if labels
            .iter()
            .all(|(key, value)| pod.labels.get(key) == Some(value))
        {
            labels
                .iter()
                .for_each(|(key, value)| add(exact(key, value)));
        }
    }
    let Some((kind, name)) = &pod.controller else {
        return Selector::new(requirements);
    };
    let name: Name = (pod.namespace.clone(), name.clone());
    let label_selector = match &**kind {
        "ReplicationController" => {
            let found = objects.replication_controllers.get(&name);
            let spec = found.and_then(|found| found.spec.as_ref());
            let labels = spec.and_then(|spec| spec.selector.as_ref());
            labels
                .into_iter()
                .flatten()
                .for_each(|(key, value)| add(exact(key, value)));
            None
        }
        "ReplicaSet" => objects
            .replica_sets
            .get(&name)
            .and_then(|set| Some(&set.spec.as_ref()?.selector)),
        "StatefulSet" => objects
            .stateful_sets
            .get(&name)
            .and_then(|set| Some(&set.spec.as_ref()?.selector)),
        _ => None,
    };
    if let Some(selector) = label_selector {
        Selector::of(Some(selector))
            .requirements()
            .iter()
            .cloned()
            .for_each(add);
    }
    Selector::new(requirements)
}
