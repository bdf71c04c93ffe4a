//! How fast a workload may grow and shrink, and for how long what was recommended before still counts.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior,
};

use super::{Rescale, State, bounds};
use crate::conditions::{FALSE, TRUE};

/// Without rules, a workload grows to so many times its size at once, and to so many pods at least.
const GROWTH_FACTOR: i32 = 2;
const GROWTH_MIN: i32 = 4;

/// A day: longer than any window or period may be.
const MEMORY: SignedDuration = SignedDuration::from_hours(24);

/// Recommendations and changes that are remembered of one autoscaler.
const MEMORY_MAX: usize = 10_000;

const WITHIN: Limit = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const TOO_MANY: Limit = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const TOO_FEW: Limit = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);
const TOO_FAST_UP: Limit = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const TOO_FAST_DOWN: Limit = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);

/// A reason and a message.
type Limit = (&'static str, &'static str);

/// A condition's status, reason and message.
type Told = (&'static str, &'static str, &'static str);

/// What an autoscaler has recommended and done.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct History {
    recommended: Vec<(Timestamp, i32)>,
    /// Pods that were added, and that were taken away.
    added: Vec<(Timestamp, i32)>,
    taken: Vec<(Timestamp, i32)>,
}

fn remember(all: &mut Vec<(Timestamp, i32)>, now: Timestamp, number: i32) {
    all.retain(|(at, _)| now.duration_since(*at) <= MEMORY);
    if all.len() >= MEMORY_MAX {
        all.remove(0);
    }
    all.push((now, number));
}

/// The numbers of the last so many seconds.
fn since(all: &[(Timestamp, i32)], now: Timestamp, seconds: i64) -> impl Iterator<Item = i32> + '_ {
    let window = SignedDuration::from_secs(seconds);
    all.iter()
        .filter(move |(at, _)| now.duration_since(*at) < window)
        .map(|(_, number)| *number)
}

impl History {
    /// The size that was found first counts as recommended.
    pub(super) fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommended.is_empty() {
            self.recommended.push((now, current));
        }
    }

    /// The size was changed.
    pub(crate) fn rescaled(&mut self, rescale: &Rescale, now: Timestamp) {
        let by = rescale.to.saturating_sub(rescale.from);
        let all = if by > 0 {
            &mut self.added
        } else {
            &mut self.taken
        };
        remember(all, now, by.saturating_abs());
    }
}

/// A size within the rules, and what is told of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Normal {
    pub(super) replicas: i32,
    pub(super) able: Told,
    pub(super) limited: Told,
}

/// Holds a wanted size to what was recommended of late, to the rules, and to the bounds.
pub(super) fn normalize(state: State<'_>, history: &mut History, wanted: i32) -> Normal {
    let behavior = state.hpa.spec.behavior.as_ref();
    let (stable, told) = stabilize(state, behavior, history, wanted);
    remember(&mut history.recommended, state.now, wanted);
    let able = if stable == wanted {
        (
            TRUE,
            "ReadyForNewScale",
            "recommended size matches current size",
        )
    } else {
        (TRUE, told.0, told.1)
    };
    let (replicas, limit) = match behavior {
        None => within_bounds(state, stable),
        Some(behavior) => within_rules(state, behavior, history, stable),
    };
    let is_limited = if replicas == stable { FALSE } else { TRUE };
    Normal {
        replicas,
        able,
        limited: (is_limited, limit.0, limit.1),
    }
}

fn stabilize(
    state: State<'_>,
    behavior: Option<&HorizontalPodAutoscalerBehavior>,
    history: &History,
    wanted: i32,
) -> (i32, Limit) {
    let higher = (
        "ScaleDownStabilized",
        "recent recommendations were higher than current one, applying the highest recent recommendation",
    );
    let lower = (
        "ScaleUpStabilized",
        "recent recommendations were lower than current one, applying the lowest recent recommendation",
    );
    let window = |rules: Option<&HPAScalingRules>| {
        rules
            .and_then(|rules| rules.stabilization_window_seconds)
            .map(i64::from)
    };
    let default_down =
        i64::try_from(state.rules.downscale_stabilization.as_secs()).unwrap_or(i64::MAX);
    let Some(behavior) = behavior else {
        // One more second: what is exactly as old as the window counts.
        let recent = since(
            &history.recommended,
            state.now,
            default_down.saturating_add(1),
        );
        return (recent.fold(wanted, i32::max), higher);
    };
    let current = state.scale.replicas;
    let up = window(behavior.scale_up.as_ref()).unwrap_or(0);
    let down = window(behavior.scale_down.as_ref()).unwrap_or(default_down);
    let least = since(&history.recommended, state.now, up).fold(wanted, i32::min);
    let most = since(&history.recommended, state.now, down).fold(wanted, i32::max);
    let stable = current.max(least).min(most);
    (stable, if wanted >= current { lower } else { higher })
}

/// Without rules: no more than twice the size at once.
fn within_bounds(state: State<'_>, wanted: i32) -> (i32, Limit) {
    let (min, max) = bounds(state.hpa);
    let fastest = state
        .scale
        .replicas
        .saturating_mul(GROWTH_FACTOR)
        .max(GROWTH_MIN);
    let (most, limit) = if max > fastest {
        (fastest, TOO_FAST_UP)
    } else {
        (max, TOO_MANY)
    };
    if wanted < min {
        (min, TOO_FEW)
    } else if wanted > most {
        (most, limit)
    } else {
        (wanted, WITHIN)
    }
}

fn within_rules(
    state: State<'_>,
    behavior: &HorizontalPodAutoscalerBehavior,
    history: &History,
    wanted: i32,
) -> (i32, Limit) {
    let (min, max) = bounds(state.hpa);
    let current = state.scale.replicas;
    if wanted > current {
        let fastest = fastest_up(state, behavior.scale_up.as_ref(), history).max(current);
        let (most, limit) = if max > fastest {
            (fastest, TOO_FAST_UP)
        } else {
            (max, TOO_MANY)
        };
        if wanted > most {
            return (most, limit);
        }
    } else if wanted < current {
        let fastest = fastest_down(state, behavior.scale_down.as_ref(), history).min(current);
        let (least, limit) = if min < fastest {
            (fastest, TOO_FAST_DOWN)
        } else {
            (min, TOO_FEW)
        };
        if wanted < least {
            return (least, limit);
        }
    }
    (wanted, WITHIN)
}

fn policy(kind: &str, value: i32) -> HPAScalingPolicy {
    HPAScalingPolicy {
        type_: kind.to_owned(),
        value,
        period_seconds: 15,
    }
}

/// The size at the beginning of a policy's period.
fn size_before(state: State<'_>, history: &History, policy: &HPAScalingPolicy) -> i32 {
    let period = i64::from(policy.period_seconds);
    let added = since(&history.added, state.now, period).fold(0, i32::saturating_add);
    let taken = since(&history.taken, state.now, period).fold(0, i32::saturating_add);
    state
        .scale
        .replicas
        .saturating_sub(added)
        .saturating_add(taken)
}

/// The policies, and how one of them is chosen; a change may be forbidden altogether.
fn policies(
    rules: Option<&HPAScalingRules>,
    default: Vec<HPAScalingPolicy>,
) -> (Vec<HPAScalingPolicy>, &str) {
    let own = rules.and_then(|rules| rules.policies.clone());
    let chosen = rules.and_then(|rules| rules.select_policy.as_deref());
    (
        own.filter(|own| !own.is_empty()).unwrap_or(default),
        chosen.unwrap_or("Max"),
    )
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a size beyond 32 bits is the largest"
)]
fn fastest_up(state: State<'_>, rules: Option<&HPAScalingRules>, history: &History) -> i32 {
    let default = vec![policy("Pods", 4), policy("Percent", 100)];
    let (policies, chosen) = policies(rules, default);
    let allowed = policies.iter().map(|policy| {
        let before = size_before(state, history, policy);
        match policy.type_.as_str() {
            "Pods" => before.saturating_add(policy.value),
            // Rounded up, so that a small workload can grow at all.
            _ => (f64::from(before) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32,
        }
    });
    let current = state.scale.replicas;
    match chosen {
        "Disabled" => current,
        "Min" => allowed.min().unwrap_or(current),
        _ => allowed.max().unwrap_or(current),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a part of a size is rounded down"
)]
fn fastest_down(state: State<'_>, rules: Option<&HPAScalingRules>, history: &History) -> i32 {
    let (policies, chosen) = policies(rules, vec![policy("Percent", 100)]);
    let allowed = policies.iter().map(|policy| {
        let before = size_before(state, history, policy);
        match policy.type_.as_str() {
            "Pods" => before.saturating_sub(policy.value),
            _ => (f64::from(before) * (1.0 - f64::from(policy.value) / 100.0)) as i32,
        }
    });
    let current = state.scale.replicas;
    match chosen {
        "Disabled" => current,
        "Min" => allowed.max().unwrap_or(current),
        _ => allowed.min().unwrap_or(current),
    }
}

#[cfg(test)]
mod tests;
