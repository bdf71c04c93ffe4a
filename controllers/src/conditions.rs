//! Conditions of a status: found, set and removed by their type, with the time at which their status last changed.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    DaemonSetCondition, DeploymentCondition, ReplicaSetCondition, StatefulSetCondition,
};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerCondition;
use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::api::core::v1::{
    NamespaceCondition, NodeCondition, PodCondition, ReplicationControllerCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as MetaCondition, Time};

pub(crate) const TRUE: &str = "True";
pub(crate) const FALSE: &str = "False";
pub(crate) const UNKNOWN: &str = "Unknown";

/// What the conditions of all kinds have in common.
pub(crate) trait Condition {
    fn kind(&self) -> &str;
    fn status(&self) -> &str;
    fn reason(&self) -> &str;
    fn message(&self) -> &str;
    /// When the status last changed.
    fn changed_at(&self) -> Option<Timestamp>;
    fn set_changed_at(&mut self, at: Option<Timestamp>);
}

macro_rules! conditions {
    ($($kind:ty),* $(,)?) => {$(
        impl Condition for $kind {
            fn kind(&self) -> &str {
                &self.type_
            }

            fn status(&self) -> &str {
                &self.status
            }

            fn reason(&self) -> &str {
                self.reason.as_deref().unwrap_or_default()
            }

            fn message(&self) -> &str {
                self.message.as_deref().unwrap_or_default()
            }

            fn changed_at(&self) -> Option<Timestamp> {
                self.last_transition_time.as_ref().map(|time| time.0)
            }

            fn set_changed_at(&mut self, at: Option<Timestamp>) {
                self.last_transition_time = at.map(Time);
            }
        }
    )*};
}

conditions!(
    DaemonSetCondition,
    DeploymentCondition,
    HorizontalPodAutoscalerCondition,
    JobCondition,
    NamespaceCondition,
    NodeCondition,
    PodCondition,
    ReplicaSetCondition,
    ReplicationControllerCondition,
    StatefulSetCondition,
);

impl Condition for MetaCondition {
    fn kind(&self) -> &str {
        &self.type_
    }

    fn status(&self) -> &str {
        &self.status
    }

    fn reason(&self) -> &str {
        &self.reason
    }

    fn message(&self) -> &str {
        &self.message
    }

    fn changed_at(&self) -> Option<Timestamp> {
        Some(self.last_transition_time.0)
    }

    fn set_changed_at(&mut self, at: Option<Timestamp>) {
        self.last_transition_time = Time(at.unwrap_or(Timestamp::UNIX_EPOCH));
    }
}

/// The condition of this type.
pub(crate) fn find<'a, C: Condition>(conditions: &'a [C], kind: &str) -> Option<&'a C> {
    conditions.iter().find(|condition| condition.kind() == kind)
}

/// Sets a condition where it stands, or adds it. While the status stays, so does the time of its change.
/// A change of nothing but times is none.
pub(crate) fn set<C: Condition>(conditions: &mut Vec<C>, mut condition: C) -> bool {
    let Some(place) = conditions
        .iter_mut()
        .find(|place| place.kind() == condition.kind())
    else {
        conditions.push(condition);
        return true;
    };
    let is_same_status = place.status() == condition.status();
    if is_same_status
        && place.reason() == condition.reason()
        && place.message() == condition.message()
    {
        return false;
    }
    if is_same_status {
        condition.set_changed_at(place.changed_at());
    }
    *place = condition;
    true
}

/// Puts a condition at the end in place of the one of its type, unless that has the same status and reason,
/// whatever their messages are. While the status stays, so does the time of its change.
pub(crate) fn replace<C: Condition>(conditions: &mut Vec<C>, mut condition: C) -> bool {
    if let Some(old) = find(conditions, condition.kind())
        && old.status() == condition.status()
    {
        if old.reason() == condition.reason() {
            return false;
        }
        condition.set_changed_at(old.changed_at());
    }
    remove(conditions, condition.kind());
    conditions.push(condition);
    true
}

/// Takes the condition of this type away.
pub(crate) fn remove<C: Condition>(conditions: &mut Vec<C>, kind: &str) {
    conditions.retain(|condition| condition.kind() != kind);
}

#[cfg(test)]
mod tests;
