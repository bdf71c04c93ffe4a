//! Deployments, replica sets, daemon sets and replication controllers.

use super::{Owner, Spot, always, matching, pod, rolling, selector, selectors, spec};
use crate::{
    Value,
    invalid::{Faults, Invalid},
};

pub(super) fn deployment(object: &Value, faults: &mut Faults) {
    let spec = spec(object);
    spec.get("replicas").not_negative(faults);
    selector(&spec.get("selector"), "deployment", faults);
    selected_template(&spec, faults);
    deployment_strategy(&spec.get("strategy"), faults);
    let ready = spec.get("minReadySeconds");
    ready.not_negative(faults);
    spec.get("revisionHistoryLimit").not_negative(faults);
    let deadline = spec.get("progressDeadlineSeconds");
    deadline.not_negative(faults);
    let ready_seconds = ready.number().unwrap_or(0);
    if deadline
        .number()
        .is_some_and(|deadline| deadline <= ready_seconds)
    {
        deadline.invalid(faults, "must be greater than minReadySeconds");
    }
}

fn deployment_strategy(strategy: &Spot<'_>, faults: &mut Faults) {
    let update = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "Recreate" if update.is_present() => {
            update.forbidden(
                faults,
                "may not be specified when strategy `type` is 'Recreate'",
            );
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let (unavailable, surge) = (update.get("maxUnavailable"), update.get("maxSurge"));
            rolling::count(&unavailable, faults);
            rolling::count(&surge, faults);
            if rolling::size(unavailable.value) == 0 && rolling::size(surge.value) == 0 {
                unavailable.invalid(faults, "may not be 0 when `maxSurge` is 0");
            }
            rolling::at_most_all(&unavailable, faults);
        }
        _ => strategy_type(strategy, &["Recreate", "RollingUpdate"], faults),
    }
}

/// A strategy of no known type; it is shown whole, in Go's names.
fn strategy_type(strategy: &Spot<'_>, choices: &[&str], faults: &mut Faults) {
    let update = strategy.get("rollingUpdate").value;
    let shown = if update.is_null() {
        serde_json::json!({"RollingUpdate": null, "Type": strategy.get("type").text()})
    } else {
        let field = |name: &str| update.get(name).cloned().unwrap_or(Value::from(0));
        let inner = serde_json::json!({"MaxSurge": field("maxSurge"), "MaxUnavailable": field("maxUnavailable")});
        serde_json::json!({"RollingUpdate": inner, "Type": strategy.get("type").text()})
    };
    faults.push(Invalid::not_supported(&strategy.path, shown, choices));
}

pub(super) fn replica_set(object: &Value, faults: &mut Faults) {
    let spec = spec(object);
    spec.get("replicas").not_negative(faults);
    spec.get("minReadySeconds").not_negative(faults);
    // The word is upstream's: a replica set's text names the deployment.
    selector(&spec.get("selector"), "deployment", faults);
    selected_template(&spec, faults);
}

/// The template of a replica set, which a deployment's is too.
fn selected_template(spec: &Spot<'_>, faults: &mut Faults) {
    let selector = spec.get("selector");
    let template = spec.get("template");
    let labels = template.get("metadata").get("labels");
    match selectors::matches(selector.value, labels.map()) {
        None => {
            selector.invalid(faults, "invalid label selector");
            return;
        }
        Some(false) if !selectors::is_empty(selector.value) || !selector.is_present() => {
            labels.invalid(faults, "`selector` does not match template `labels`");
        }
        Some(_) => {}
    }
    pod::template(&template, &Owner::default(), faults);
    always(&template, "ReplicaSet", faults);
}

pub(super) fn daemon_set(object: &Value, faults: &mut Faults) {
    let spec = spec(object);
    let selector = spec.get("selector");
    selectors::check(&selector, faults);
    matching(&spec, faults);
    if selector.is_present() && selectors::is_empty(selector.value) {
        selector.invalid(faults, "empty selector is invalid for daemonset");
    }
    let template = spec.get("template");
    pod::template(&template, &Owner::default(), faults);
    always(&template, "DaemonSet", faults);
    spec.get("minReadySeconds").not_negative(faults);
    let strategy = spec.get("updateStrategy");
    match strategy.get("type").text() {
        "OnDelete" => {}
        "RollingUpdate" => daemon_update(&strategy.get("rollingUpdate"), faults),
        _ => strategy_type(&strategy, &["RollingUpdate", "OnDelete"], faults),
    }
    spec.get("revisionHistoryLimit").not_negative(faults);
}

fn daemon_update(update: &Spot<'_>, faults: &mut Faults) {
    if !update.is_present() {
        update.required(faults, "");
        return;
    }
    let (unavailable, surge) = (update.get("maxUnavailable"), update.get("maxSurge"));
    rolling::count(&unavailable, faults);
    rolling::count(&surge, faults);
    rolling::at_most_all(&unavailable, faults);
    rolling::at_most_all(&surge, faults);
    match (
        rolling::size(unavailable.value) != 0,
        rolling::size(surge.value) != 0,
    ) {
        (true, true) => surge.invalid(faults, "may not be set when maxUnavailable is non-zero"),
        (false, false) => unavailable.required(faults, "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}

pub(super) fn replication_controller(object: &Value, faults: &mut Faults) {
    let spec = spec(object);
    spec.get("minReadySeconds").not_negative(faults);
    let selector = spec.get("selector");
    let selected = selector.map().filter(|selector| !selector.is_empty());
    if selected.is_none() {
        selector.required(faults, "");
    }
    let replicas = spec.get("replicas");
    replicas.not_negative(faults);
    let template = spec.get("template");
    if !template.is_present() {
        template.required(faults, "");
        return;
    }
    let labels = template.get("metadata").get("labels");
    let matched = selected.is_none_or(|selected| {
        selected
            .iter()
            .all(|(key, value)| labels.map().and_then(|labels| labels.get(key)) == Some(value))
    });
    if !matched {
        labels.invalid(faults, "`selector` does not match template `labels`");
    }
    pod::template(&template, &Owner::default(), faults);
    always(&template, "ReplicationController", faults);
}
