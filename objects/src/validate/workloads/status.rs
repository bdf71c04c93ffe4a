//! The status of the kinds that make pods: counts that fit one another.

use super::{Spot, batch};
use crate::{
    Value,
    invalid::{Faults, Invalid},
};

/// How the counts of a status are held against each other: no count is negative, some are at most `replicas`.
struct Counts {
    counts: &'static [&'static str],
    at_most_replicas: &'static [&'static str],
    /// How the ready replicas are called where fewer of them are than available.
    ready: &'static str,
}

const AT_MOST: &str = "cannot be greater than status.replicas";

fn check(object: &Value, rules: &Counts, faults: &mut Faults) {
    let status = Spot::root(object).get("status");
    for field in rules.counts {
        status.get(field).not_negative(faults);
    }
    let number = |field: &str| status.get(field).number().unwrap_or(0);
    for field in rules.at_most_replicas {
        if number(field) > number("replicas") {
            let path = status.get(field).path;
            faults.push(Invalid::value(&path, number(field), AT_MOST));
        }
    }
    if !rules.ready.is_empty() && number("availableReplicas") > number("readyReplicas") {
        let words = format!("cannot be greater than {}", rules.ready);
        let path = status.get("availableReplicas").path;
        faults.push(Invalid::value(&path, number("availableReplicas"), words));
    }
}

fn collisions(new: &Value, old: &Value, faults: &mut Faults) {
    let count = |object| {
        Spot::root(object)
            .get("status")
            .get("collisionCount")
            .number()
    };
    let after = Spot::root(new).get("status").get("collisionCount");
    let before = count(old);
    if before.is_some_and(|before| after.number().is_none_or(|after| after < before)) {
        let shown = Value::from(after.number().unwrap_or(0));
        let spot = Spot {
            value: &shown,
            path: after.path,
        };
        spot.invalid(faults, "cannot be decremented");
    }
}

pub(super) fn deployment(new: &Value, old: &Value, faults: &mut Faults) {
    let rules = Counts {
        counts: &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "terminatingReplicas",
            "collisionCount",
        ],
        at_most_replicas: &["updatedReplicas", "readyReplicas", "availableReplicas"],
        ready: "readyReplicas",
    };
    check(new, &rules, faults);
    collisions(new, old, faults);
}

pub(super) fn replica_set(new: &Value, _: &Value, faults: &mut Faults) {
    let rules = Counts {
        counts: &[
            "replicas",
            "fullyLabeledReplicas",
            "readyReplicas",
            "availableReplicas",
            "observedGeneration",
            "terminatingReplicas",
        ],
        at_most_replicas: &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
        ready: "readyReplicas",
    };
    check(new, &rules, faults);
}

pub(super) fn replication_controller(new: &Value, old: &Value, faults: &mut Faults) {
    replica_set(new, old, faults);
}

pub(super) fn stateful_set(new: &Value, old: &Value, faults: &mut Faults) {
    let rules = Counts {
        counts: &[
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
            "observedGeneration",
            "collisionCount",
        ],
        at_most_replicas: &[
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
        ],
        ready: "status.readyReplicas",
    };
    check(new, &rules, faults);
    collisions(new, old, faults);
}

pub(super) fn daemon_set(new: &Value, old: &Value, faults: &mut Faults) {
    let rules = Counts {
        counts: &[
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ],
        at_most_replicas: &[],
        ready: "",
    };
    check(new, &rules, faults);
    collisions(new, old, faults);
}

/// Counts that are not negative and go up, and conditions that are the end.
pub(super) fn job(new: &Value, old: &Value, faults: &mut Faults) {
    let status = Spot::root(new).get("status");
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        status.get(field).not_negative(faults);
    }
    batch::finished(&status, faults);
    let before = Spot::root(old).get("status");
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if batch::has_condition(&before, kind) && !batch::has_condition(&status, kind) {
            let words = format!("cannot disable the terminal {kind}=True condition");
            batch::conditions_fault(&status, faults, words);
        }
    }
    for field in ["failed", "succeeded"] {
        let count = |status: &Spot<'_>| status.get(field).number().unwrap_or(0);
        if count(&status) < count(&before) {
            let words = format!("cannot decrease the {field} counter");
            let shown = Value::from(count(&status));
            let path = status.get(field).path;
            Spot {
                value: &shown,
                path,
            }
            .invalid(faults, words);
        }
    }
}
