//! How many pods a Deployment wants, and how far a rollout may be above and below.

use k8s_openapi::api::apps::v1::{Deployment, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::amounts::{Round, scaled};

pub(super) fn desired(deployment: &Deployment) -> i32 {
    let spec = deployment.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or(1)
}

/// A strategy that is not named is the default one.
pub(super) fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.strategy.as_ref());
    strategy.is_none_or(|strategy| strategy.type_.as_deref() != Some("Recreate"))
}

/// Pods above the number that is wanted; none unless the rollout rolls.
pub(super) fn surge_max(deployment: &Deployment) -> i32 {
    if !is_rolling(deployment) {
        return 0;
    }
    amount(deployment, Round::Up, |update| update.max_surge.as_ref())
}

/// Pods below the number that is wanted; none unless the rollout rolls. A rollout that might do neither may go one below.
pub(super) fn unavailable_max(deployment: &Deployment) -> i32 {
    if !is_rolling(deployment) {
        return 0;
    }
    let unavailable = amount(deployment, Round::Down, |update| {
        update.max_unavailable.as_ref()
    });
    let unavailable = match (unavailable, surge_max(deployment)) {
        (0, 0) => 1,
        (unavailable, _) => unavailable,
    };
    unavailable.min(desired(deployment))
}

/// Pods that there may be in all.
pub(super) fn total_max(deployment: &Deployment) -> i32 {
    desired(deployment).saturating_add(surge_max(deployment))
}

/// Pods that must be available during a rollout.
pub(super) fn available_min(deployment: &Deployment) -> i32 {
    desired(deployment).saturating_sub(unavailable_max(deployment))
}

/// An amount that is no number of pods counts as none.
fn amount(
    deployment: &Deployment,
    round: Round,
    field: fn(&RollingUpdateDeployment) -> Option<&IntOrString>,
) -> i32 {
    let strategy = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.strategy.as_ref());
    let update = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let amount = update.and_then(field);
    amount.map_or(0, |amount| {
        scaled(amount, desired(deployment), round)
            .unwrap_or(0)
            .max(0)
    })
}

/// Seconds after which a rollout that does not move has failed; none if it never does.
pub(super) fn progress_deadline(deployment: &Deployment) -> Option<i32> {
    let deadline = deployment.spec.as_ref()?.progress_deadline_seconds;
    deadline.filter(|seconds| *seconds != i32::MAX)
}

/// Old sets that are kept; none if all are.
pub(super) fn history_max(deployment: &Deployment) -> Option<usize> {
    let limit = deployment.spec.as_ref()?.revision_history_limit;
    limit
        .filter(|limit| *limit != i32::MAX)
        .map(|limit| usize::try_from(limit).unwrap_or(0))
}
