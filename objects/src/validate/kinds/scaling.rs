//! Autoscalers, disruption budgets, classes of priority and runtime, and leases.

use super::{
    amount, resources, rules,
    view::{self, View},
};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
    validate::names,
};

mod metrics;

const STABILIZATION_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;
const USER_PRIORITY_MAX: i64 = 1_000_000_000;
/// Priority classes that the server makes, with their values.
const SYSTEM_PRIORITIES: [(&str, i64); 2] = [
    ("system-node-critical", 2_000_001_000),
    ("system-cluster-critical", 2_000_000_000),
];
const LEASE_STRATEGY: &str = "OldestEmulationVersion";

pub(super) fn autoscaler(new: &Value, faults: &mut Faults) {
    autoscaler_spec(new, true, faults);
}

/// A version of what is scaled that was taken once is taken again.
pub(super) fn autoscaler_update(new: &Value, old: &Value, faults: &mut Faults) {
    let target = |object: &Value| {
        ["apiVersion", "kind"].map(|field| {
            let path = ["spec", "scaleTargetRef", field];
            meta::text(object, &path).to_owned()
        })
    };
    autoscaler_spec(new, target(new) != target(old), faults);
}

fn autoscaler_spec(new: &Value, is_new_target: bool, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    let (min, max) = (spec.at("minReplicas"), spec.at("maxReplicas"));
    if min.is_set() && min.number() < 1 {
        faults.push(min.invalid("must be greater than or equal to 1"));
    }
    if max.number() == 0 {
        faults.push(max.required("must be set and greater than 0"));
    } else if max.number() < 0 {
        faults.push(max.invalid("must be greater than or equal to 1"));
    }
    if min.is_set() && max.number() < min.number() {
        faults.push(max.number_invalid("must be greater than or equal to `minReplicas`"));
    }
    object_reference(&spec.at("scaleTargetRef"), faults);
    if is_new_target {
        target_version(&spec.at("scaleTargetRef"), faults);
    }
    for metric in spec.at("metrics").items() {
        metrics::metric(&metric, faults);
    }
    let cpu = spec.at("targetCPUUtilizationPercentage");
    if cpu.is_set() && cpu.number() < 1 {
        // The first version's one target is a metric to upstream.
        let metric = spec.at("metrics").path.index(0);
        let told = cpu.told_as(metric.child("resource.target.averageUtilization"));
        faults.push(told.invalid("must be greater than 0"));
    }
    let wakes = spec
        .at("metrics")
        .items()
        .any(|metric| matches!(metric.at("type").text(), "Object" | "External"));
    if min.is_set() && min.number() == 0 && !wakes {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        faults.push(spec.at("metrics").forbidden(detail));
    }
    for direction in ["scaleUp", "scaleDown"] {
        scaling_rules(&spec.at("behavior").at(direction), faults);
    }
}

/// Something that is scaled, or that a metric is about.
fn object_reference(reference: &View<'_>, faults: &mut Faults) {
    for field in ["kind", "name"] {
        let field = reference.at(field);
        if field.require("", faults) {
            rules::named(&field, names::path_segment, faults);
        }
    }
}

/// The version of what is scaled, which names a group.
fn target_version(reference: &View<'_>, faults: &mut Faults) {
    let version = reference.at("apiVersion").text();
    if version.matches('/').count() > 1 {
        faults.push(Invalid::value(
            &reference.path.child("apiVersion"),
            version,
            format!("unexpected GroupVersion string: {version}"),
        ));
    } else if crate::catalog::split_api_version(version).0.is_empty()
        && reference.at("kind").text() != "ReplicationController"
    {
        let path = reference.path.child("apiVersion");
        let detail = "apiVersion must specify API group";
        faults.push(Invalid::value(&path, version, detail));
    }
}

fn scaling_rules(rules: &View<'_>, faults: &mut Faults) {
    if !rules.is_set() {
        return;
    }
    let seconds = rules.at("stabilizationWindowSeconds");
    if seconds.number() < 0 {
        faults.push(seconds.invalid("must be greater than or equal to zero"));
    }
    if seconds.number() > STABILIZATION_SECONDS_MAX {
        faults.push(seconds.invalid(format!(
            "must be less than or equal to {STABILIZATION_SECONDS_MAX}"
        )));
    }
    if rules.at("selectPolicy").is_set() {
        rules
            .at("selectPolicy")
            .one_of(&["Disabled", "Max", "Min"], faults);
    }
    let policies = rules.at("policies");
    policies.require("must specify at least one Policy", faults);
    for policy in policies.items() {
        policy.at("type").one_of(&["Percent", "Pods"], faults);
        for field in ["value", "periodSeconds"] {
            let field = policy.at(field);
            if field.number() <= 0 {
                faults.push(field.number_invalid("must be greater than zero"));
            }
        }
        let period = policy.at("periodSeconds");
        if period.number() > PERIOD_SECONDS_MAX {
            faults.push(period.invalid(format!(
                "must be less than or equal to {PERIOD_SECONDS_MAX}"
            )));
        }
    }
    if rules.at("tolerance").is_set() {
        amount::non_negative(&rules.at("tolerance"), faults);
    }
}

pub(super) fn autoscaler_status(new: &Value, _old: &Value, faults: &mut Faults) {
    let status = View::root(new).at("status");
    status.at("currentReplicas").non_negative(faults);
    status.at("desiredReplicas").non_negative(faults);
}

/// The body of the subresource `scale`.
pub(super) fn scale(new: &Value, faults: &mut Faults) {
    View::root(new)
        .at("spec")
        .at("replicas")
        .non_negative(faults);
}

pub(super) fn budget(new: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    let (min, max) = (spec.at("minAvailable"), spec.at("maxUnavailable"));
    if min.is_set() && max.is_set() {
        let fault = spec.invalid("minAvailable and maxUnavailable cannot be both set");
        faults.push(fault.showing(view::shown(&[
            ("MinAvailable", min.value.clone()),
            ("Selector", spec.at("selector").value.clone()),
            ("MaxUnavailable", max.value.clone()),
            (
                "UnhealthyPodEvictionPolicy",
                spec.at("unhealthyPodEvictionPolicy").value.clone(),
            ),
        ])));
    }
    for share in [min, max] {
        if share.is_set() {
            count_or_percent(&share, faults);
        }
    }
    rules::selector(&spec.at("selector"), faults);
    let policy = spec.at("unhealthyPodEvictionPolicy");
    if policy.is_set() {
        policy.one_of(&["AlwaysAllow", "IfHealthyBudget"], faults);
    }
}

/// A count that is not below zero, or a share of no more than all.
fn count_or_percent(share: &View<'_>, faults: &mut Faults) {
    let Some(text) = share.value.as_str() else {
        share.non_negative(faults);
        return;
    };
    share.tell(names::percent(text), faults);
    let percent = text
        .strip_suffix('%')
        .and_then(|text| text.parse::<i64>().ok());
    if percent.is_some_and(|percent| percent > 100) {
        faults.push(share.invalid("must not be greater than 100%"));
    }
}

pub(super) fn budget_update(new: &Value, _old: &Value, faults: &mut Faults) {
    budget(new, faults);
}

pub(super) fn budget_status(new: &Value, _old: &Value, faults: &mut Faults) {
    let status = View::root(new).at("status");
    for field in [
        "disruptionsAllowed",
        "currentHealthy",
        "desiredHealthy",
        "expectedPods",
    ] {
        status.at(field).non_negative(faults);
    }
}

pub(super) fn priority_class(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    let (name, value) = (meta::name(new), root.at("value"));
    if name.starts_with("system-") {
        if let Err(why) = system_priority(name, value.number(), root.at("globalDefault").flag()) {
            let path = Path::new("metadata").child("name");
            faults.push(Invalid::forbidden(
                &path,
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}"),
            ));
        }
    } else if value.number() > USER_PRIORITY_MAX {
        faults.push(value.forbidden(format!(
            "maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}"
        )));
    }
    let policy = root.at("preemptionPolicy");
    if policy.is_set() && policy.is_empty() {
        faults.push(policy.required(""));
    } else if policy.is_set() {
        policy.one_of(&["PreemptLowerPriority", "Never"], faults);
    }
}

fn system_priority(name: &str, value: i64, default: bool) -> Result<(), String> {
    let Some((_, known)) = SYSTEM_PRIORITIES.iter().find(|row| row.0 == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value != *known {
        return Err(format!("value of {name} PriorityClass must be {known}"));
    }
    if default {
        return Err(format!(
            "globalDefault of {name} PriorityClass must be false"
        ));
    }
    Ok(())
}

pub(super) fn priority_class_update(new: &Value, old: &Value, faults: &mut Faults) {
    let (root, before) = (View::root(new), View::root(old));
    if root.at("value").number() != before.at("value").number() {
        faults.push(
            root.at("value")
                .forbidden("may not be changed in an update."),
        );
    }
    let policy = root.at("preemptionPolicy");
    policy.immutable(&before.at("preemptionPolicy"), faults);
}

pub(super) fn runtime_class(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    let handler = root.at("handler");
    if handler.require("", faults) {
        rules::label(&handler, faults);
    }
    let overhead = root.at("overhead").at("podFixed");
    for (name, amount) in overhead.entries() {
        let told = amount.told_as(Path::new("overhead").child("limits").key(name));
        resources::container_resource(name, &told, faults);
    }
    let scheduling = root.at("scheduling");
    rules::labels(&scheduling.at("nodeSelector"), faults);
    let mut seen = Vec::new();
    for toleration in scheduling.at("tolerations").items() {
        let listed =
            ["key", "operator", "value", "effect"].map(|field| toleration.at(field).text());
        if seen.contains(&listed) {
            faults.push(toleration.duplicate());
        }
        seen.push(listed);
    }
}

pub(super) fn runtime_class_update(new: &Value, old: &Value, faults: &mut Faults) {
    let handler = View::root(new).at("handler");
    handler.immutable(&View::root(old).at("handler"), faults);
}

pub(super) fn lease(new: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    let (seconds, transitions) = (spec.at("leaseDurationSeconds"), spec.at("leaseTransitions"));
    if seconds.is_set() && seconds.number() <= 0 {
        faults.push(seconds.invalid("must be greater than 0"));
    }
    transitions.non_negative(faults);
    let strategy = spec.at("strategy");
    if strategy.is_set() {
        let told = strategy.told_as(strategy.path.child("strategy"));
        if strategy.text().contains('/') {
            rules::qualified_name(&told, faults);
        } else {
            told.one_of(&[LEASE_STRATEGY], faults);
        }
    }
    if !spec.at("preferredHolder").is_empty() && strategy.is_empty() {
        let holder = spec.at("preferredHolder");
        faults.push(holder.forbidden("may only be specified if `strategy` is defined"));
    }
}

/// The update of a kind whose rules are those of its creation.
pub(super) fn lease_update(new: &Value, _old: &Value, faults: &mut Faults) {
    lease(new, faults);
}
