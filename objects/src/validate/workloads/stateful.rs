//! Stateful sets.

use serde_json::json;

use super::{Owner, Spot, always, names, pod, rolling, selector, selectors, spec};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
    validate::kinds::volumes::claims,
};

/// What an update of a stateful set may change.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// Which parts of a spec are checked.
#[derive(Clone, Copy)]
struct Parts {
    /// The name of the service and the templates of claims, which no update changes.
    fixed: bool,
    template: bool,
}

pub(super) fn create(object: &Value, faults: &mut Faults) {
    let parts = Parts {
        fixed: true,
        template: true,
    };
    check(&spec(object), parts, faults);
}

pub(super) fn update(new: &Value, old: &Value, faults: &mut Faults) {
    let mut parts = Parts {
        fixed: false,
        template: true,
    };
    let mut before = Faults::new();
    check(&spec(old), parts, &mut before);
    parts.template = before.is_empty();
    check(&spec(new), parts, faults);
    let fixed = |object: &Value| {
        let mut fields = meta::map(object, &["spec"]).cloned().unwrap_or_default();
        fields.retain(|field, value| !MUTABLE.contains(&field.as_str()) && !value.is_null());
        fields
    };
    if fixed(new) != fixed(old) {
        let words = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        faults.push(Invalid::forbidden(&Path::new("spec"), words));
    }
}

fn check(spec: &Spot<'_>, parts: Parts, faults: &mut Faults) {
    let management = spec.get("podManagementPolicy");
    match management.text() {
        "" => management.required(faults, ""),
        "OrderedReady" | "Parallel" => {}
        _ => management.invalid(faults, "must be 'OrderedReady' or 'Parallel'"),
    }
    update_strategy(&spec.get("updateStrategy"), faults);
    if let Some(retention) = spec.find("persistentVolumeClaimRetentionPolicy") {
        retention
            .get("whenDeleted")
            .one_of(faults, &["Retain", "Delete"]);
        retention
            .get("whenScaled")
            .one_of(faults, &["Retain", "Delete"]);
    }
    if parts.fixed {
        for template in spec.get("volumeClaimTemplates").each() {
            claims::spec(&template.get("spec").view(), faults);
        }
    }
    spec.get("replicas").not_negative(faults);
    spec.get("minReadySeconds").not_negative(faults);
    spec.get("ordinals").get("start").not_negative(faults);
    let service = spec.get("serviceName");
    if parts.fixed && !service.text().is_empty() {
        service.named(faults, names::label);
    }
    let selected = spec.get("selector");
    selector(&selected, "statefulset", faults);
    let template = spec.get("template");
    let labels = template.get("metadata").get("labels");
    match selectors::matches(selected.value, labels.map()) {
        None => selected.invalid(faults, ""),
        Some(matched) => {
            let everything = selected.is_present() && selectors::is_empty(selected.value);
            if !matched && !everything {
                labels.invalid(faults, "`selector` does not match template `labels`");
            }
            if parts.template {
                let filled = with_claims(spec);
                let owner = Owner::default();
                let template = Spot {
                    value: &filled,
                    path: template.path.clone(),
                };
                pod::template(&template, &owner, faults);
            }
            // Upstream checks the template's metadata a second time.
            pod::template_metadata(&template, faults);
        }
    }
    always(&template, "StatefulSet", faults);
}

fn update_strategy(strategy: &Spot<'_>, faults: &mut Faults) {
    let update = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "" => strategy.required(faults, ""),
        "OnDelete" if update.is_present() => {
            let field = |name: &str| update.get(name).value.clone();
            let partition = update.get("partition").number().unwrap_or(0);
            let shown = json!({"MaxUnavailable": field("maxUnavailable"), "Partition": partition});
            let words = "only allowed for updateStrategy 'RollingUpdate'";
            faults.push(Invalid::value(&update.path, shown, words));
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            update.get("partition").not_negative(faults);
            if let Some(unavailable) = update.find("maxUnavailable") {
                rolling::count(&unavailable, faults);
                if rolling::size(unavailable.value) == 0 {
                    unavailable.invalid(faults, "cannot be 0");
                }
                rolling::at_most_all(&unavailable, faults);
            }
        }
        kind => {
            let shown = json!({"RollingUpdate": update.value, "Type": kind});
            let words = "must be 'RollingUpdate' or 'OnDelete'";
            faults.push(Invalid::value(&strategy.path, shown, words));
        }
    }
}

/// The template as the pods will be: with the volumes that the set adds, and names that it gives.
fn with_claims(spec: &Spot<'_>) -> Value {
    let mut template = spec.get("template").value.clone();
    let names: Vec<&str> = spec
        .value
        .get("volumeClaimTemplates")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(meta::name)
        .collect();
    let inner = meta::fields_mut(&mut template, "spec");
    inner.remove("subdomain");
    inner.remove("hostname");
    if names.is_empty() {
        return template;
    }
    let mut volumes: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}))
        .collect();
    let own = inner.get("volumes").and_then(Value::as_array).cloned();
    let rest = own.unwrap_or_default().into_iter();
    volumes.extend(rest.filter(|volume| !names.contains(&meta::text(volume, &["name"]))));
    inner.insert("volumes".to_owned(), Value::Array(volumes));
    template
}

pub(super) fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut all = super::warnings(new, old, false);
    let limit = spec(new).get("revisionHistoryLimit").number();
    if limit.is_some_and(|limit| limit < 0) {
        all.push("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended".to_owned());
    }
    all
}
