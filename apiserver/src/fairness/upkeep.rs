//! Looks after levels and schemas: those that every cluster has are made, all are read when they change, and schemas are told whether
//! their level is there.

use std::sync::Arc;
use std::time::Duration;

use objects::status::{Reason, Status};
use objects::{Value, meta};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior};

use super::Gate;
use super::bootstrap::{self, API_VERSION, AUTOUPDATE, Expected};
use crate::clock;
use crate::objects_view::ObjectsView;
use crate::registry::{Registry, WriteOptions};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const LEVELS: &str = "prioritylevelconfigurations";
const SCHEMAS: &str = "flowschemas";
/// Upstream's names for who makes the objects and who writes their status.
const PRODUCER: &str = "api-priority-and-fairness-config-producer-v1";
const CONSUMER: &str = "api-priority-and-fairness-config-consumer-v1";
/// How often the gate does what is due, and a failed round is tried again.
const TICK: Duration = Duration::from_secs(1);

/// Does what is due from time to time, and keeps levels and schemas, until it is dropped.
pub(crate) async fn run(registry: Arc<Registry>, view: Arc<dyn ObjectsView>, gate: Arc<Gate>) {
    // A round may wait for the store, and seats that were held too long must not wait with it.
    tokio::join!(tick(&gate), keep(&registry, view.as_ref(), &gate));
}

async fn tick(gate: &Gate) {
    let mut ticks = interval();
    loop {
        ticks.tick().await;
        gate.tick();
    }
}

fn interval() -> Interval {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Runs a round at every change of a level or a schema.
async fn keep(registry: &Registry, view: &dyn ObjectsView, gate: &Gate) {
    let table = registry.resources.table();
    let cache = |plural| {
        let served = table.any_version(GROUP, plural)?;
        registry.feed.cache(&served.resource.storage)
    };
    let (Some(levels), Some(schemas)) = (cache(LEVELS), cache(SCHEMAS)) else {
        return;
    };
    let (mut levels, mut schemas) = (levels.changes(), schemas.changes());
    let mut ticks = interval();
    let mut due = true;
    loop {
        tokio::select! {
            _ = levels.changed() => due = true,
            _ = schemas.changed() => due = true,
            _ = ticks.tick() => {}
        }
        if due && registry.feed.is_loaded() {
            levels.mark_unchanged();
            schemas.mark_unchanged();
            due = match round(registry, view, gate).await {
                Ok(()) => false,
                Err(status) => {
                    tracing::debug!(error = %status, "cannot look after flow schemas; trying again");
                    true
                }
            };
        }
    }
}

/// What there is holds at once. What has to be written comes after it, and nothing of that waits for the rest.
async fn round(registry: &Registry, view: &dyn ObjectsView, gate: &Gate) -> Result<(), Status> {
    let levels = view.list(GROUP, LEVELS, None);
    let schemas = view.list(GROUP, SCHEMAS, None);
    // As long as there is nothing, what the server began with is better.
    if !levels.is_empty() || !schemas.is_empty() {
        gate.configure(
            levels.iter().map(AsRef::as_ref),
            schemas.iter().map(AsRef::as_ref),
        );
    }
    let mut done = Ok(());
    for expected in bootstrap::levels() {
        done = done.and(ensure(registry, view, LEVELS, &expected).await);
    }
    for expected in bootstrap::schemas() {
        done = done.and(ensure(registry, view, SCHEMAS, &expected).await);
    }
    for schema in &schemas {
        let level = meta::text(schema, &["spec", "priorityLevelConfiguration", "name"]);
        let found = levels.iter().any(|one| meta::name(one) == level);
        done = done.and(tell(registry, schema, level, found).await);
    }
    done
}

/// Makes an object that is missing, and one again what it should be that is the server's to keep.
async fn ensure(
    registry: &Registry,
    view: &dyn ObjectsView,
    plural: &str,
    expected: &Expected,
) -> Result<(), Status> {
    let name = meta::name(&expected.object);
    let request = registry.request_of_part((GROUP, plural), ("", name), PRODUCER)?;
    let options = WriteOptions::default();
    let Some(current) = view.get(GROUP, plural, "", name) else {
        let made = registry
            .create(&request, expected.object.clone(), &options)
            .await;
        return match made {
            Err(status) if status.reason != Reason::AlreadyExists => Err(status),
            _ => Ok(()),
        };
    };
    if !is_kept(&current, expected) {
        return Ok(());
    }
    let change = |current: &Value| {
        let mut object = current.clone();
        object["spec"] = expected.object["spec"].clone();
        object["metadata"]["annotations"][AUTOUPDATE] = "true".into();
        Ok(object)
    };
    match registry.patch(&request, &change, &options).await {
        Err(status) if status.reason != Reason::NotFound => Err(status),
        _ => Ok(()),
    }
}

/// Whether the server has to make an object what it should be. One that somebody took over stays as it is.
fn is_kept(current: &Value, expected: &Expected) -> bool {
    let kept = meta::text(current, &["metadata", "annotations", AUTOUPDATE]) == "true";
    if expected.mandatory && !kept {
        return true;
    }
    kept && current["spec"] != expected.object["spec"]
}

/// Writes into the status of a schema whether its level is there.
async fn tell(registry: &Registry, schema: &Value, level: &str, found: bool) -> Result<(), Status> {
    let (status, reason, what) = if found {
        ("False", "Found", "and it exists")
    } else {
        ("True", "NotFound", "but there is no such object")
    };
    let message = format!(
        "This FlowSchema references the PriorityLevelConfiguration object named {level:?} {what}"
    );
    let told = meta::list(schema, &["status", "conditions"])
        .iter()
        .any(|one| {
            one["type"] == "Dangling"
                && one["status"] == status
                && one["reason"] == reason
                && one["message"] == message.as_str()
        });
    if told {
        return Ok(());
    }
    let name = meta::name(schema);
    let mut request = registry.request_of_part((GROUP, SCHEMAS), ("", name), CONSUMER)?;
    "status".clone_into(&mut request.subresource);
    let configuration = json!({
        "apiVersion": API_VERSION,
        "kind": "FlowSchema",
        "metadata": {"name": name},
        "status": {"conditions": [{
            "type": "Dangling",
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": clock::now(),
        }]},
    });
    let options = WriteOptions {
        field_manager: CONSUMER.to_owned(),
        force: true,
        ..WriteOptions::default()
    };
    let body = configuration.to_string();
    match registry
        .apply(&request, body.as_bytes(), &Ok, &options)
        .await
    {
        Err(status) if !matches!(status.reason, Reason::NotFound | Reason::Conflict) => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::bootstrap::{self, AUTOUPDATE};
    use super::is_kept;

    #[test]
    fn what_somebody_took_over_stays_unless_it_is_mandatory() {
        for expected in bootstrap::schemas() {
            let mut current = expected.object.clone();
            assert!(!is_kept(&current, &expected));
            current["spec"]["matchingPrecedence"] = 77.into();
            assert!(is_kept(&current, &expected));
            current["metadata"]["annotations"][AUTOUPDATE] = "false".into();
            assert_eq!(is_kept(&current, &expected), expected.mandatory);
        }
    }
}
