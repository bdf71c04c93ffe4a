//! What runs pods: deployments, sets, jobs.

use serde_json::json;

use super::{Kind, kind};
use crate::table::column::{
    AGE, Column, NAME, Row, at, count, given, integer, several, text, text_or, with,
};
use crate::table::format;
use crate::{Value, meta};

pub(super) const KINDS: &[Kind] = &[
    kind("apps", "Deployment", DEPLOYMENT),
    kind("apps", "ReplicaSet", REPLICA_SET),
    kind("apps", "StatefulSet", STATEFUL_SET),
    kind("apps", "DaemonSet", DAEMON_SET),
    kind("apps", "ControllerRevision", CONTROLLER_REVISION),
    kind("", "ReplicationController", REPLICATION_CONTROLLER),
    kind("", "PodTemplate", POD_TEMPLATE),
    kind("batch", "Job", JOB),
    kind("batch", "CronJob", CRON_JOB),
];

const CONTAINERS: Column = several("Containers", containers).wide();
const IMAGES: Column = given("Images").wide();

const DEPLOYMENT: &[Column] = &[
    NAME,
    with("Ready", ready),
    integer("Up-to-date", "status.updatedReplicas").of("string"),
    integer("Available", "status.availableReplicas").of("string"),
    AGE,
    CONTAINERS,
    IMAGES,
    with("Selector", deployment_selector).wide(),
];

const DESIRED: Column = integer("Desired", "spec.replicas");
const CURRENT: Column = integer("Current", "status.replicas");
const READY: Column = integer("Ready", "status.readyReplicas");

const REPLICA_SET: &[Column] = &[
    NAME,
    DESIRED,
    CURRENT,
    READY,
    AGE,
    CONTAINERS,
    IMAGES,
    with("Selector", selector).wide(),
];

const REPLICATION_CONTROLLER: &[Column] = &[
    NAME,
    DESIRED,
    CURRENT,
    READY,
    AGE,
    CONTAINERS,
    IMAGES,
    with("Selector", |row| {
        json!(format::labels(row.map("spec.selector")))
    })
    .wide(),
];

const STATEFUL_SET: &[Column] = &[NAME, with("Ready", ready), AGE, CONTAINERS, IMAGES];

const DAEMON_SET: &[Column] = &[
    NAME,
    integer("Desired", "status.desiredNumberScheduled"),
    integer("Current", "status.currentNumberScheduled"),
    integer("Ready", "status.numberReady"),
    integer("Up-to-date", "status.updatedNumberScheduled"),
    integer("Available", "status.numberAvailable"),
    with("Node Selector", |row| {
        json!(format::labels(row.map("spec.template.spec.nodeSelector")))
    }),
    AGE,
    CONTAINERS,
    IMAGES,
    with("Selector", selector).wide(),
];

const CONTROLLER_REVISION: &[Column] = &[
    NAME,
    with("Controller", controller),
    integer("Revision", "revision").of("string"),
    AGE,
];

const POD_TEMPLATE: &[Column] = &[
    NAME,
    several("Containers", |row| {
        names_and_images(row, "template.spec.containers")
    }),
    given("Images"),
    with("Pod Labels", |row| {
        json!(format::labels(row.map("template.metadata.labels")))
    }),
];

const JOB: &[Column] = &[
    NAME,
    with("Status", job_status),
    with("Completions", completions),
    with("Duration", job_duration),
    AGE,
    CONTAINERS,
    IMAGES,
    with("Selector", selector).wide(),
];

const CRON_JOB: &[Column] = &[
    NAME,
    text("Schedule", "spec.schedule"),
    text_or("Timezone", "spec.timeZone", "<none>"),
    with("Suspend", suspended).of("boolean"),
    count("Active", "status.active"),
    with("Last Schedule", last_schedule),
    AGE,
    several("Containers", |row| {
        names_and_images(row, "spec.jobTemplate.spec.template.spec.containers")
    })
    .wide(),
    IMAGES,
    with("Selector", |row| {
        json!(selector_at(row, "spec.jobTemplate.spec.selector"))
    })
    .wide(),
];

fn containers(row: &Row<'_>) -> Vec<Value> {
    names_and_images(row, "spec.template.spec.containers")
}

fn names_and_images(row: &Row<'_>, path: &str) -> Vec<Value> {
    let (names, images) = format::containers(row.list(path));
    vec![json!(names), json!(images)]
}

fn selector(row: &Row<'_>) -> Value {
    json!(selector_at(row, "spec.selector"))
}

fn selector_at(row: &Row<'_>, path: &str) -> String {
    format::selector_or_none(row.at(path))
}

/// An empty selector is empty here, where other kinds say that there is none.
fn deployment_selector(row: &Row<'_>) -> Value {
    let selector = row
        .at("spec.selector")
        .map_or_else(|| Some(String::new()), format::selector);
    json!(selector.as_deref().unwrap_or("<invalid>"))
}

fn ready(row: &Row<'_>) -> Value {
    json!(format!(
        "{}/{}",
        row.integer("status.readyReplicas"),
        row.integer("spec.replicas")
    ))
}

/// The owner that controls the object, with its kind and group.
fn controller(row: &Row<'_>) -> Value {
    let mut owners = row.list("metadata.ownerReferences").iter();
    let Some(owner) = owners.find(|owner| owner["controller"] == true) else {
        return json!("<none>");
    };
    let (group, _) = crate::catalog::split_api_version(meta::text(owner, &["apiVersion"]));
    let kind = crate::status::qualified(group, meta::text(owner, &["kind"]));
    json!(format!(
        "{}/{}",
        kind.to_lowercase(),
        meta::text(owner, &["name"])
    ))
}

fn completions(row: &Row<'_>) -> Value {
    let succeeded = row.integer("status.succeeded");
    let parallel = row.integer("spec.parallelism");
    json!(
        match at(row.object, "spec.completions").and_then(Value::as_i64) {
            Some(completions) => format!("{succeeded}/{completions}"),
            None if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
            None => format!("{succeeded}/1"),
        }
    )
}

fn job_duration(row: &Row<'_>) -> Value {
    let Some(start) = format::micros(row.text("status.startTime")) else {
        return json!("");
    };
    let end = format::micros(row.text("status.completionTime")).unwrap_or(row.now_micros);
    json!(format::duration(end.saturating_sub(start)))
}

fn job_status(row: &Row<'_>) -> Value {
    let is_deleting = || meta::is_deleting(row.object);
    json!(match () {
        () if row.is_true("Complete") => "Complete",
        () if row.is_true("Failed") => "Failed",
        () if is_deleting() => "Terminating",
        () if row.is_true("Suspended") => "Suspended",
        () if row.is_true("FailureTarget") => "FailureTarget",
        () if row.is_true("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    })
}

fn suspended(row: &Row<'_>) -> Value {
    json!(match row.at("spec.suspend").and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    })
}

fn last_schedule(row: &Row<'_>) -> Value {
    match row.at("status.lastScheduleTime") {
        Some(_) => json!(row.since("status.lastScheduleTime")),
        None => json!("<none>"),
    }
}
