//! Strategies of the kinds that make pods.

use serde_json::json;

use super::{Strategy, raise_generation, reset_metadata};
use crate::{Map, Value, meta, validate::metadata::same};

pub(super) const STRATEGIES: &[Strategy] = &[
    deployment(),
    replicated(Strategy::new("apps", "ReplicaSet")),
    stateful_set(),
    daemon_set(),
    Strategy::plain("apps", "ControllerRevision"),
    orphaning(replicated(Strategy::new("", "ReplicationController"))),
    job(),
    Strategy::new("batch", "CronJob"),
    pod_template(),
];

const fn orphaning(mut strategy: Strategy) -> Strategy {
    strategy.orphans_dependents = true;
    strategy
}

/// A status has the counts that Go shows even where they are 0.
const fn replicated(mut strategy: Strategy) -> Strategy {
    strategy.create = |object| object["status"] = json!({"replicas": 0});
    strategy
}

const fn stateful_set() -> Strategy {
    let mut strategy = Strategy::new("apps", "StatefulSet");
    strategy.create = |object| {
        object["status"] = json!({"replicas": 0, "availableReplicas": 0});
        drop_max_unavailable(object);
    };
    strategy.update = |_, new, old| {
        let path = ["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"];
        if meta::at(old, &path).is_none_or(Value::is_null) {
            drop_max_unavailable(new);
        }
    };
    strategy
}

/// The field is behind a gate that is closed; it is kept only where it is stored already.
fn drop_max_unavailable(object: &mut Value) {
    let update = object.pointer_mut("/spec/updateStrategy/rollingUpdate");
    if let Some(update) = update.and_then(Value::as_object_mut) {
        update.remove("maxUnavailable");
    }
}

const fn deployment() -> Strategy {
    let mut strategy = Strategy::new("apps", "Deployment");
    strategy.update = |subresource, new, old| {
        if subresource == Some("status") {
            reset_metadata(new, "labels", old);
        } else if !same(annotations(new), annotations(old)) {
            // Replica sets get the annotations too, so their change is one of the spec.
            raise_generation(new, old);
        }
    };
    strategy
}

fn annotations(object: &Value) -> Option<&Value> {
    meta::at(object, &["metadata", "annotations"])
}

/// The annotation by which apps/v1 carries a field that it no longer has.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

const fn daemon_set() -> Strategy {
    let mut strategy = Strategy::new("apps", "DaemonSet");
    strategy.create = |object| {
        object["status"] = json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        });
        if template_generation(object) < 1 {
            set_template_generation(object, 1);
        }
    };
    strategy.update = |subresource, new, old| {
        if subresource != Some("status") {
            let template = |object| meta::at(object, &["spec", "template"]);
            let changed = !same(template(new), template(old));
            set_template_generation(new, template_generation(old) + i64::from(changed));
        }
    };
    strategy
}

fn template_generation(object: &Value) -> i64 {
    meta::annotation(object, TEMPLATE_GENERATION)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn set_template_generation(object: &mut Value, generation: i64) {
    let metadata = meta::metadata_mut(object);
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(
            TEMPLATE_GENERATION.to_owned(),
            json!(generation.to_string()),
        );
    }
}

const fn pod_template() -> Strategy {
    let mut strategy = Strategy::plain("", "PodTemplate");
    strategy.has_generation = true;
    strategy.update = |_, new, old| {
        if !same(new.get("template"), old.get("template")) {
            raise_generation(new, old);
        }
    };
    strategy
}

const fn job() -> Strategy {
    let mut strategy = orphaning(Strategy::new("batch", "Job"));
    strategy.create = |object| {
        let inherits = has_no_labels(object);
        let manual = meta::at(object, &["spec", "manualSelector"]);
        if manual != Some(&Value::Bool(true)) {
            job_selector(object);
        }
        if inherits && has_template_labels(object) {
            inherit_labels(object);
        }
    };
    strategy.update = |_, new, _| {
        if has_no_labels(new) && has_template_labels(new) {
            inherit_labels(new);
        }
    };
    strategy
}

fn has_no_labels(object: &Value) -> bool {
    meta::labels(object).is_none_or(Map::is_empty)
}

fn has_template_labels(object: &Value) -> bool {
    let labels = meta::map(object, &["spec", "template", "metadata", "labels"]);
    labels.is_some_and(|labels| !labels.is_empty())
}

/// A job without labels has those of its template, also those that were just generated.
fn inherit_labels(object: &mut Value) {
    let labels = meta::at(object, &["spec", "template", "metadata", "labels"]).cloned();
    if let Some(labels) = labels {
        meta::metadata_mut(object).insert("labels".to_owned(), labels);
    }
}

/// The labels by which the pods of a job are told from those of others, in the template and in the selector.
fn job_selector(object: &mut Value) {
    let (name, uid) = (meta::name(object).to_owned(), meta::uid(object).to_owned());
    let spec = meta::spec_mut(object);
    let template = meta::fields_mut(spec, "template");
    let metadata = template.entry("metadata").or_insert_with(|| json!({}));
    let labels = meta::fields_mut(metadata, "labels");
    for (key, value) in [
        ("job-name", &name),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/controller-uid", &uid),
    ] {
        labels.entry(key).or_insert_with(|| json!(value));
    }
    meta::fields_mut(spec, "selector");
    let matched = meta::fields_mut(&mut spec["selector"], "matchLabels");
    matched
        .entry("batch.kubernetes.io/controller-uid")
        .or_insert_with(|| json!(uid));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::strategy::prepare_create;

    #[test]
    fn a_job_without_labels_has_those_of_its_template_also_where_all_of_them_are_generated() {
        let mut job = json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"template": {"metadata": {}, "spec": {}}}});
        prepare_create("batch", "Job", &mut job);
        let generated = json!({"batch.kubernetes.io/controller-uid": "u", "batch.kubernetes.io/job-name": "a",
            "controller-uid": "u", "job-name": "a"});
        assert_eq!(job["metadata"]["labels"], generated);

        let own = json!({"a": "b"});
        let mut job = json!({"metadata": {"name": "a", "uid": "u", "labels": own}, "spec": {"template": {"spec": {}}}});
        prepare_create("batch", "Job", &mut job);
        assert_eq!(job["metadata"]["labels"], own);
    }
}
