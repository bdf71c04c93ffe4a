//! The kinds that keep a number of pods of one template, seen as one.

use client::Kind;
use k8s_openapi::api::apps::v1::{
    ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus,
};
use k8s_openapi::api::core::v1::{ReplicationController, ReplicationControllerCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use objects::selector::label::Selector;

use crate::selectors;

/// A kind that keeps a number of pods of one template. The statuses of all such kinds have the same fields.
pub(super) trait Replicator: Kind {
    /// In whose name users are told.
    const COMPONENT: &str;
    /// Whether the status tells how many pods are going.
    const COUNTS_TERMINATING: bool;

    fn as_set(&self) -> ReplicaSet;

    /// Which pods it may have. The fault is upstream's text.
    fn selector(&self) -> Result<Selector, String>;
}

impl Replicator for ReplicaSet {
    const COMPONENT: &str = "replicaset-controller";
    const COUNTS_TERMINATING: bool = true;

    fn as_set(&self) -> ReplicaSet {
        self.clone()
    }

    fn selector(&self) -> Result<Selector, String> {
        selectors::read(self.spec.as_ref().map(|spec| &spec.selector))
    }
}

impl Replicator for ReplicationController {
    const COMPONENT: &str = "replication-controller";
    const COUNTS_TERMINATING: bool = false;

    fn as_set(&self) -> ReplicaSet {
        let spec = self.spec.clone().unwrap_or_default();
        let status = self.status.clone().map(|status| ReplicaSetStatus {
            available_replicas: status.available_replicas,
            conditions: status
                .conditions
                .map(|all| all.into_iter().map(condition).collect()),
            fully_labeled_replicas: status.fully_labeled_replicas,
            observed_generation: status.observed_generation,
            ready_replicas: status.ready_replicas,
            replicas: status.replicas,
            terminating_replicas: None,
        });
        ReplicaSet {
            metadata: self.metadata.clone(),
            spec: Some(ReplicaSetSpec {
                min_ready_seconds: spec.min_ready_seconds,
                replicas: spec.replicas,
                selector: LabelSelector {
                    match_labels: spec.selector,
                    match_expressions: None,
                },
                template: spec.template,
            }),
            status,
        }
    }

    fn selector(&self) -> Result<Selector, String> {
        selectors::read_map(self.spec.as_ref().and_then(|spec| spec.selector.as_ref()))
    }
}

fn condition(condition: ReplicationControllerCondition) -> ReplicaSetCondition {
    ReplicaSetCondition {
        last_transition_time: condition.last_transition_time,
        message: condition.message,
        reason: condition.reason,
        status: condition.status,
        type_: condition.type_,
    }
}
