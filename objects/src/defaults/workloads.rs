//! Defaults of the kinds that make pods.

use serde_json::json;

use super::{Defaults, amounts, child, items, pod, set, set_text};
use crate::{Value, meta};

/// How many old revisions are kept for a rollback.
const REVISION_HISTORY_LIMIT: i64 = 10;
const PROGRESS_DEADLINE_SECONDS: i64 = 600;
const BACKOFF_LIMIT: i64 = 6;
/// Where a job counts failures for each index, there is no limit for all of them.
const BACKOFF_LIMIT_NONE: i64 = i32::MAX as i64;
const SUCCESSFUL_JOBS_HISTORY_LIMIT: i64 = 3;
const FAILED_JOBS_HISTORY_LIMIT: i64 = 1;

const fn row(group: &'static str, kind: &'static str, apply: fn(&mut Value)) -> Defaults {
    Defaults { group, kind, apply }
}

pub(super) const DEFAULTS: &[Defaults] = &[
    row("apps", "Deployment", deployment),
    row("apps", "ReplicaSet", replica_set),
    row("apps", "StatefulSet", stateful_set),
    row("apps", "DaemonSet", daemon_set),
    row("", "ReplicationController", replication_controller),
    row("batch", "Job", job),
    row("batch", "CronJob", cron_job),
];

fn deployment(object: &mut Value) {
    let spec = meta::spec_mut(object);
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", REVISION_HISTORY_LIMIT);
    set(spec, "progressDeadlineSeconds", PROGRESS_DEADLINE_SECONDS);
    rolling(spec, "strategy", json!("25%"), json!("25%"));
    pod::template(spec, "template");
}

/// A strategy that rolls, and by how many pods at once.
fn rolling(spec: &mut Value, field: &str, unavailable: Value, surge: Value) {
    set(spec, field, json!({}));
    let strategy = &mut spec[field];
    set_text(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        set(strategy, "rollingUpdate", json!({}));
        let update = &mut strategy["rollingUpdate"];
        set(update, "maxUnavailable", unavailable);
        set(update, "maxSurge", surge);
    }
}

fn replica_set(object: &mut Value) {
    let spec = meta::spec_mut(object);
    set(spec, "replicas", 1);
    pod::template(spec, "template");
}

fn daemon_set(object: &mut Value) {
    let spec = meta::spec_mut(object);
    set(spec, "revisionHistoryLimit", REVISION_HISTORY_LIMIT);
    rolling(spec, "updateStrategy", json!(1), json!(0));
    pod::template(spec, "template");
}

fn stateful_set(object: &mut Value) {
    let spec = meta::spec_mut(object);
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", REVISION_HISTORY_LIMIT);
    set_text(spec, "podManagementPolicy", "OrderedReady");
    set(spec, "updateStrategy", json!({}));
    let strategy = &mut spec["updateStrategy"];
    if meta::text(strategy, &["type"]).is_empty() {
        set_text(strategy, "type", "RollingUpdate");
        set(strategy, "rollingUpdate", json!({}));
    }
    if strategy["type"] == "RollingUpdate"
        && let Some(update) = child(strategy, "rollingUpdate")
    {
        set(update, "partition", 0);
    }
    set(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    let retention = &mut spec["persistentVolumeClaimRetentionPolicy"];
    set_text(retention, "whenDeleted", "Retain");
    set_text(retention, "whenScaled", "Retain");
    pod::template(spec, "template");
    for claim in items(spec, "volumeClaimTemplates") {
        set_text(claim, "apiVersion", "v1");
        set_text(claim, "kind", "PersistentVolumeClaim");
        set(meta::spec_mut(claim), "volumeMode", "Filesystem");
        set(claim, "status", json!({}));
        set_text(&mut claim["status"], "phase", "Pending");
        amounts::round_claim(claim);
    }
}

fn replication_controller(object: &mut Value) {
    let labels = meta::map(object, &["spec", "template", "metadata", "labels"]).cloned();
    if let Some(labels) = labels.filter(|labels| !labels.is_empty()) {
        if meta::map(object, &["spec", "selector"]).is_none_or(serde_json::Map::is_empty) {
            meta::spec_mut(object)["selector"] = Value::Object(labels.clone());
        }
        if meta::labels(object).is_none_or(serde_json::Map::is_empty) {
            meta::metadata_mut(object).insert("labels".to_owned(), Value::Object(labels));
        }
    }
    let spec = meta::spec_mut(object);
    set(spec, "replicas", 1);
    pod::template(spec, "template");
}

fn job(object: &mut Value) {
    let spec = meta::spec_mut(object);
    let absent = |field: &str| spec.get(field).is_none_or(Value::is_null);
    let backoff_limit = if absent("backoffLimitPerIndex") {
        BACKOFF_LIMIT
    } else {
        BACKOFF_LIMIT_NONE
    };
    let replacement = if absent("podFailurePolicy") {
        "TerminatingOrFailed"
    } else {
        "Failed"
    };
    if absent("completions") && absent("parallelism") {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    set(spec, "backoffLimit", backoff_limit);
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    set(spec, "podReplacementPolicy", replacement);
    set(spec, "manualSelector", false);
    job_spec(spec);
}

/// What holds for a job and for the template of jobs.
fn job_spec(spec: &mut Value) {
    pod::template(spec, "template");
    if let Some(policy) = child(spec, "podFailurePolicy") {
        for rule in items(policy, "rules") {
            for pattern in items(rule, "onPodConditions") {
                set_text(pattern, "status", "True");
            }
        }
    }
}

fn cron_job(object: &mut Value) {
    let spec = meta::spec_mut(object);
    set_text(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(
        spec,
        "successfulJobsHistoryLimit",
        SUCCESSFUL_JOBS_HISTORY_LIMIT,
    );
    set(spec, "failedJobsHistoryLimit", FAILED_JOBS_HISTORY_LIMIT);
    if let Some(template) = child(spec, "jobTemplate") {
        set(template, "metadata", json!({}));
        job_spec(meta::spec_mut(template));
    }
}
