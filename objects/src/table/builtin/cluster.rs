//! Nodes, namespaces, events, quotas and what holds configuration.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Kind, NAME_AND_AGE, kind};
use crate::table::column::{
    AGE, Column, NAME, Row, boolean, count, given, integer, several, text, with,
};
use crate::table::format;
use crate::{Value, meta};

pub(super) const KINDS: &[Kind] = &[
    kind(
        "",
        "Namespace",
        &[NAME, text("Status", "status.phase"), AGE],
    ),
    kind("", "Node", NODE),
    kind("", "Event", EVENT),
    kind("", "ConfigMap", &[NAME, with("Data", data), AGE]),
    kind(
        "",
        "Secret",
        &[
            NAME,
            text("Type", "type"),
            count("Data", "data").of("string"),
            AGE,
        ],
    ),
    kind("", "ServiceAccount", NAME_AND_AGE),
    kind(
        "",
        "ResourceQuota",
        &[NAME, several("Request", quota), given("Limit"), AGE],
    ),
    kind("", "ComponentStatus", COMPONENT_STATUS),
    kind(
        "coordination.k8s.io",
        "Lease",
        &[NAME, text("Holder", "spec.holderIdentity"), AGE],
    ),
    kind(
        "node.k8s.io",
        "RuntimeClass",
        &[NAME, text("Handler", "handler"), AGE],
    ),
    kind("scheduling.k8s.io", "PriorityClass", PRIORITY_CLASS),
];

const NODE: &[Column] = &[
    NAME,
    with("Status", node_status),
    with("Roles", roles),
    AGE,
    text("Version", "status.nodeInfo.kubeletVersion"),
    with("Internal-IP", |row| address(row, "InternalIP")).wide(),
    with("External-IP", |row| address(row, "ExternalIP")).wide(),
    with("OS-Image", |row| known(row, "status.nodeInfo.osImage")).wide(),
    with("Kernel-Version", kernel).wide(),
    with("Container-Runtime", |row| {
        known(row, "status.nodeInfo.containerRuntimeVersion")
    })
    .wide(),
];

const EVENT: &[Column] = &[
    with("Last Seen", last_seen),
    text("Type", "type"),
    text("Reason", "reason"),
    with("Object", event_object),
    with("Subobject", |row| {
        json!(
            of_event(row, "involvedObject", "regarding")["fieldPath"]
                .as_str()
                .unwrap_or_default()
        )
    })
    .wide(),
    with("Source", event_source).wide(),
    with("Message", |row| {
        json!(row.text_or("message", row.text("note")).trim())
    }),
    with("First Seen", |row| json!(first_seen(row))).wide(),
    with("Count", event_count).wide(),
    text("Name", "metadata.name").formatted("name").wide(),
];

const COMPONENT_STATUS: &[Column] = &[
    NAME,
    with("Status", |row| {
        json!(match healthy(row, "status") {
            "" if row.condition("conditions", "Healthy").is_none() => "Unknown",
            "True" => "Healthy",
            _ => "Unhealthy",
        })
    }),
    with("Message", |row| json!(healthy(row, "message"))),
    with("Error", |row| json!(healthy(row, "error"))),
];

const PRIORITY_CLASS: &[Column] = &[
    NAME,
    integer("Value", "value"),
    boolean("Global-Default", "globalDefault", false),
    AGE,
    text("PreemptionPolicy", "preemptionPolicy"),
];

fn node_status(row: &Row<'_>) -> Value {
    // The last of two conditions of a type counts, as in a map.
    let mut conditions = row.list("status.conditions").iter().rev();
    let ready = conditions.find(|condition| meta::text(condition, &["type"]) == "Ready");
    let mut status = match ready.map(|ready| meta::text(ready, &["status"])) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if row.at("spec.unschedulable").and_then(Value::as_bool) == Some(true) {
        status.push_str(",SchedulingDisabled");
    }
    json!(status)
}

/// The roles that labels give a node.
fn roles(row: &Row<'_>) -> Value {
    let mut roles = BTreeSet::new();
    for (key, value) in meta::labels(row.object).into_iter().flatten() {
        match (key.strip_prefix("node-role.kubernetes.io/"), value.as_str()) {
            (Some(role), _) if !role.is_empty() => roles.insert(role),
            (None, Some(role)) if key == "kubernetes.io/role" && !role.is_empty() => {
                roles.insert(role)
            }
            _ => false,
        };
    }
    let roles: Vec<&str> = roles.into_iter().collect();
    json!(format::none_if_empty(roles.join(",")))
}

fn address(row: &Row<'_>, r#type: &str) -> Value {
    match row.condition("status.addresses", r#type) {
        Some(address) => json!(meta::text(address, &["address"])),
        None => json!("<none>"),
    }
}

fn known(row: &Row<'_>, path: &str) -> Value {
    json!(row.text_or(path, "<unknown>"))
}

fn kernel(row: &Row<'_>) -> Value {
    let version = row.text_or("status.nodeInfo.kernelVersion", "<unknown>");
    match row.text("status.nodeInfo.architecture") {
        "" => json!(version),
        architecture => json!(format!("{version} ({architecture})")),
    }
}

fn data(row: &Row<'_>) -> Value {
    json!(row.count("data") + row.count("binaryData"))
}

/// A field of an event by its name in the core group, or by that in `events.k8s.io`.
fn of_event<'a>(row: &Row<'a>, core: &str, newer: &str) -> &'a Value {
    row.at(core)
        .or_else(|| row.at(newer))
        .unwrap_or(&Value::Null)
}

fn event_time(row: &Row<'_>, core: &str, newer: &str) -> Option<String> {
    let time = of_event(row, core, newer).as_str()?;
    Some(format::since(time, row.now_micros))
}

fn first_seen(row: &Row<'_>) -> String {
    event_time(row, "firstTimestamp", "deprecatedFirstTimestamp")
        .unwrap_or_else(|| row.since("eventTime"))
}

fn last_seen(row: &Row<'_>) -> Value {
    if row.at("series").is_some() {
        return json!(row.since("series.lastObservedTime"));
    }
    json!(
        event_time(row, "lastTimestamp", "deprecatedLastTimestamp")
            .unwrap_or_else(|| first_seen(row))
    )
}

fn event_count(row: &Row<'_>) -> Value {
    if row.at("series").is_some() {
        return json!(row.integer("series.count"));
    }
    let count = of_event(row, "count", "deprecatedCount").as_i64();
    json!(count.filter(|count| *count != 0).unwrap_or(1))
}

fn event_object(row: &Row<'_>) -> Value {
    let object = of_event(row, "involvedObject", "regarding");
    let kind = meta::text(object, &["kind"]).to_lowercase();
    json!(match meta::text(object, &["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    })
}

fn event_source(row: &Row<'_>) -> Value {
    let source = of_event(row, "source", "deprecatedSource");
    let either = |field: &str, others: [&str; 2]| match meta::text(source, &[field]) {
        "" => row.text_or(others[0], row.text(others[1])).to_owned(),
        text => text.to_owned(),
    };
    let component = either("component", ["reportingComponent", "reportingController"]);
    let instance = either("host", ["reportingInstance", "reportingInstance"]);
    json!(if instance.is_empty() {
        component
    } else {
        format!("{component}, {instance}")
    })
}

/// What is used of what a quota gives, requests and limits apart.
fn quota(row: &Row<'_>) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    let used = row.map("status.used");
    for (resource, hard) in row.map("status.hard").into_iter().flatten() {
        let quantity = |value| format::scalar(value).unwrap_or_else(|| "0".to_owned());
        let used = quantity(used.and_then(|used| used.get(resource)));
        let text = format!("{resource}: {used}/{}", quantity(Some(hard)));
        if resource.starts_with("limits.") {
            limits.push(text);
        } else {
            requests.push(text);
        }
    }
    vec![json!(requests.join(", ")), json!(limits.join(", "))]
}

fn healthy<'a>(row: &Row<'a>, field: &str) -> &'a str {
    row.condition("conditions", "Healthy")
        .map_or("", |condition| meta::text(condition, &[field]))
}
