//! What a Deployment does when its new ReplicaSet cannot be created.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::{Action, limits, progress};
use crate::conditions::{self, FALSE};
use crate::events::Event;
use crate::{hash, owners};

/// What the ReplicaSet that already has the name is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Existing {
    /// It is the one that was to be made.
    Ours,
    /// It is another; the count makes the next name a different one.
    Collision(Action),
}

/// Judges the ReplicaSet that was found under the name of a new one.
pub(crate) fn existing(deployment: &Deployment, found: &ReplicaSet) -> Existing {
    let wanted = deployment.spec.as_ref().map(|spec| &spec.template);
    let template = found.spec.as_ref().and_then(|spec| spec.template.as_ref());
    let is_same = match (wanted, template) {
        (Some(wanted), Some(template)) => hash::is_same_template(wanted, template),
        _ => false,
    };
    if is_same && owners::is_controlled_by(&found.metadata, &deployment.metadata) {
        return Existing::Ours;
    }
    let mut status = deployment.status.clone().unwrap_or_default();
    status.collision_count = Some(status.collision_count.unwrap_or(0).saturating_add(1));
    Existing::Collision(Action::Status {
        status: Box::new(status),
        revision: None,
    })
}

/// What is told of a ReplicaSet that could not be created.
pub(crate) fn after_failure(
    deployment: &Deployment,
    name: &str,
    error: &str,
    now: Timestamp,
) -> (Option<Action>, Event) {
    let reason = "ReplicaSetCreateError";
    let message = format!("Failed to create new replica set {name:?}: {error}");
    let action = limits::progress_deadline(deployment).and_then(|_| {
        let mut status = deployment.status.clone().unwrap_or_default();
        let condition = progress::progressing(FALSE, reason, message.clone(), now);
        let is_news = conditions::replace(status.conditions.get_or_insert_default(), condition);
        is_news.then(|| Action::Status {
            status: Box::new(status),
            revision: None,
        })
    });
    (action, Event::warning(reason, message))
}
