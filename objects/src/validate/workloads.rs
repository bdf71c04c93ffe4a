//! Rules of the kinds that make pods.

use super::{
    Rules, metadata, names,
    pod::{self, Owner},
    selectors,
    spot::Spot,
};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
};

mod batch;
mod controllers;
mod rolling;
mod stateful;
mod status;

pub(super) const RULES: &[Rules] = &[
    Rules {
        create: controllers::deployment,
        update: |new, old, faults| {
            controllers::deployment(new, faults);
            immutable(new, old, "selector", faults);
        },
        status: status::deployment,
        warnings: |new, old| warnings(new, old, true),
        ..Rules::new("apps", "Deployment", true, names::subdomain)
    },
    Rules {
        create: controllers::replica_set,
        update: |new, old, faults| {
            controllers::replica_set(new, faults);
            immutable(new, old, "selector", faults);
        },
        status: status::replica_set,
        warnings: |new, old| warnings(new, old, true),
        ..Rules::new("apps", "ReplicaSet", true, names::subdomain)
    },
    Rules {
        create: stateful::create,
        update: stateful::update,
        status: status::stateful_set,
        warnings: stateful::warnings,
        ..Rules::new("apps", "StatefulSet", true, names::label)
    },
    Rules {
        create: controllers::daemon_set,
        update: |new, old, faults| {
            immutable(new, old, "selector", faults);
            controllers::daemon_set(new, faults);
        },
        status: status::daemon_set,
        warnings: |new, old| warnings(new, old, false),
        ..Rules::new("apps", "DaemonSet", true, names::subdomain)
    },
    Rules {
        create: |object, faults| {
            Spot::root(object).get("revision").not_negative(faults);
            let data = object.get("data").unwrap_or(&Value::Null);
            if data.is_null() {
                faults.push(Invalid::required(&Path::new("data"), "data is mandatory"));
            } else if !data.is_object() {
                let words = "data must be a valid JSON object";
                faults.push(Invalid::required(&Path::new("data"), words));
            }
        },
        update: |new, old, faults| {
            metadata::create(new, true, names::subdomain, faults);
            Spot::root(new).get("revision").not_negative(faults);
            metadata::immutable(new.get("data"), old.get("data"), &Path::new("data"), faults);
        },
        ..Rules::new("apps", "ControllerRevision", true, names::subdomain)
    },
    Rules {
        create: controllers::replication_controller,
        update: |new, _, faults| controllers::replication_controller(new, faults),
        status: status::replication_controller,
        warnings: |new, old| warnings(new, old, true),
        ..Rules::new("", "ReplicationController", true, names::subdomain)
    },
    Rules {
        create: batch::job,
        update: batch::job_update,
        status: status::job,
        warnings: |new, old| warnings(new, old, true),
        ..Rules::new("batch", "Job", true, names::subdomain)
    },
    Rules {
        create: batch::cron_job,
        update: batch::cron_job_update,
        warnings: batch::cron_job_warnings,
        ..Rules::new("batch", "CronJob", true, names::subdomain)
    },
    Rules {
        create: |object, faults| {
            let template = Spot::root(object).get("template");
            pod::template(&template, &Owner::default(), faults);
        },
        update: |new, _, faults| {
            let template = Spot::root(new).get("template");
            pod::template(&template, &Owner::default(), faults);
        },
        ..Rules::new("", "PodTemplate", true, names::subdomain)
    },
];

fn spec(object: &Value) -> Spot<'_> {
    Spot::root(object).get("spec")
}

/// A field of the spec that no update changes.
fn immutable(new: &Value, old: &Value, field: &str, faults: &mut Faults) {
    let path = Path::new("spec").child(field);
    let at = |object| meta::at(object, &["spec", field]);
    metadata::immutable(at(new), at(old), &path, faults);
}

/// A selector that has to be there and to say something.
fn selector(selector: &Spot<'_>, kind: &str, faults: &mut Faults) {
    if !selector.is_present() {
        selector.required(faults, "");
        return;
    }
    selectors::check(selector, faults);
    if selectors::is_empty(selector.value) {
        selector.invalid(faults, format!("empty selector is invalid for {kind}"));
    }
}

/// The labels of a template, which the selector beside it has to match.
fn matching(spec: &Spot<'_>, faults: &mut Faults) {
    let labels = spec.get("template").get("metadata").get("labels");
    if selectors::matches(spec.get("selector").value, labels.map()) == Some(false) {
        labels.invalid(faults, "`selector` does not match template `labels`");
    }
}

/// Pods of a controller are started again and again.
fn always(template: &Spot<'_>, kind: &str, faults: &mut Faults) {
    let spec = template.get("spec");
    spec.get("restartPolicy").one_of(faults, &["Always"]);
    if let Some(deadline) = spec.find("activeDeadlineSeconds") {
        let words = format!("activeDeadlineSeconds in {kind} is not Supported");
        deadline.forbidden(faults, words);
    }
}

/// What is told of a name that is no label, and of the template.
fn warnings(new: &Value, old: Option<&Value>, named: bool) -> Vec<String> {
    let mut all = Vec::new();
    if old.is_none() && named {
        all.extend(name_warning(meta::name(new), "Pod names and hostnames"));
    }
    let generation = |object| meta::at(object, &["metadata", "generation"]);
    if old.is_none_or(|old| generation(old) != generation(new)) {
        let path = Path::new("spec").child("template");
        if let Some(template) = meta::at(new, &["spec", "template"]) {
            let before = old.and_then(|old| meta::at(old, &["spec", "template"]));
            all.extend(pod::template_warnings(template, before, &path));
        }
    }
    all
}

/// What is told of a name that pods' hostnames are made from.
pub(super) fn name_warning(name: &str, what: &str) -> Option<String> {
    let faults = names::label(name);
    (!faults.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in {what}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            faults.join(" ")
        )
    })
}
