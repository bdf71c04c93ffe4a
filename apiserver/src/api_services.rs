//! The `APIService` objects of what this server serves itself: one for every version of a group, and all of them available.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use objects::status::{Reason, Status};
use objects::{Value, meta};
use serde_json::json;

use crate::clock;
use crate::objects_view::ObjectsView;
use crate::registry::{DeleteOptions, Registry, Request, WriteOptions};
use crate::served::Table;

const GROUP: &str = "apiregistration.k8s.io";
const PLURAL: &str = "apiservices";
/// Where custom resources are defined.
const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");
const API_VERSION: &str = "apiregistration.k8s.io/v1";
/// Who keeps an object: the server from its start on, or as long as a custom resource definition says so.
const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
const ON_START: &str = "onstart";
const BY_DEFINITION: &str = "true";
const AGENT: &str = "kube-apiserver";
/// Pause between looks at whether something is served that was not before.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The priorities of built-in groups: of the group, and of a version where it is not 15.
const PRIORITIES: [(&str, i64); 20] = [
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("admissionregistration.k8s.io", 16_700),
    ("apiextensions.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("resource.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
];
const VERSION_PRIORITIES: [(&str, &str, i64); 4] = [
    ("", "v1", 1),
    ("autoscaling", "v2", 30),
    ("resource.k8s.io", "v1", 21),
    ("flowcontrol.apiserver.k8s.io", "v1", 21),
];
const VERSION_PRIORITY: i64 = 15;
/// Those of a custom resource definition.
const CUSTOM_PRIORITIES: (i64, i64) = (1_000, 100);

/// Keeps the objects as what is served changes, until it is dropped.
pub(crate) async fn run(registry: Arc<Registry>, view: Arc<dyn ObjectsView>) {
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    let mut done = (0, 0, 0);
    loop {
        ticks.tick().await;
        let table = registry.resources.table();
        let state = (
            table.generation,
            view.generation(GROUP, PLURAL),
            view.generation(DEFINITIONS.0, DEFINITIONS.1),
        );
        if state == done || !table.is_whole || !registry.feed.is_loaded() {
            continue;
        }
        let is_start = done == (0, 0, 0);
        match round(&registry, view.as_ref(), &table, is_start).await {
            Ok(()) => done = state,
            Err(status) => {
                tracing::debug!(error = %status, "cannot keep API services; trying again");
            }
        }
    }
}

async fn round(
    registry: &Registry,
    view: &dyn ObjectsView,
    table: &Table,
    is_start: bool,
) -> Result<(), Status> {
    let expected = expected(table);
    for (name, object) in &expected {
        let current = view.get(GROUP, PLURAL, "", name);
        if let Some(current) = &current {
            if is_changed(current, object, is_start) {
                restore(registry, name, object).await?;
            }
        } else {
            let request = request(registry, name)?;
            let options = WriteOptions::default();
            match registry.create(&request, object.clone(), &options).await {
                Err(status) if status.reason != Reason::AlreadyExists => return Err(status),
                _ => {}
            }
        }
    }
    let definitions = view.list(DEFINITIONS.0, DEFINITIONS.1, None);
    for object in view.list(GROUP, PLURAL, None) {
        let name = meta::name(&object);
        let managed = meta::text(&object, &["metadata", "labels", MANAGED]);
        if managed == BY_DEFINITION && !expected.contains_key(name) {
            // Another server may serve already what this one will serve soon.
            if is_defined(&definitions, &object) {
                continue;
            }
            let request = request(registry, name)?;
            match registry.delete(&request, &DeleteOptions::default()).await {
                Err(status) if status.reason != Reason::NotFound => return Err(status),
                _ => {}
            }
            continue;
        }
        if object["spec"]["service"].is_null() && !is_available(&object) {
            tell(registry, name).await?;
        }
    }
    Ok(())
}

/// Whether somebody changed an object that this server keeps. What it makes on its start is kept no longer.
fn is_changed(current: &Value, expected: &Value, is_start: bool) -> bool {
    let managed = |object: &Value| meta::text(object, &["metadata", "labels", MANAGED]).to_owned();
    let is_kept = match managed(current).as_str() {
        BY_DEFINITION => managed(expected) == BY_DEFINITION || is_start,
        ON_START => is_start,
        _ => false,
    };
    is_kept && current["spec"] != expected["spec"]
}

/// Writes an object's fields as this server makes them.
async fn restore(registry: &Registry, name: &str, expected: &Value) -> Result<(), Status> {
    let request = request(registry, name)?;
    let change = |current: &Value| {
        let mut object = current.clone();
        object["spec"] = expected["spec"].clone();
        Ok(object)
    };
    let options = WriteOptions::default();
    match registry.patch(&request, &change, &options).await {
        Err(status) if status.reason != Reason::NotFound => Err(status),
        _ => Ok(()),
    }
}

fn request(registry: &Registry, name: &str) -> Result<Request, Status> {
    registry.request_of_part((GROUP, PLURAL), ("", name), AGENT)
}

/// The objects that there have to be, by their names.
fn expected(table: &Table) -> BTreeMap<String, Value> {
    let versions: BTreeSet<(&str, &str, bool)> = table
        .all
        .iter()
        // What is measured is another server's as soon as one is installed for it: that brings the object.
        .filter(|served| !served.is_measured())
        .map(|served| {
            let resource = &served.resource;
            (
                resource.group.as_str(),
                resource.version.as_str(),
                served.is_custom(),
            )
        })
        // The group of these objects themselves is served beside the others.
        .filter(|(group, ..)| *group != GROUP)
        .collect();
    let object = |(group, version, custom)| {
        let name = format!("{version}.{group}");
        (name.clone(), api_service(&name, (group, version), custom))
    };
    versions.into_iter().map(object).collect()
}

fn api_service(name: &str, (group, version): (&str, &str), custom: bool) -> Value {
    let (of_group, of_version) = if custom {
        CUSTOM_PRIORITIES
    } else {
        priorities(group, version)
    };
    let mut object = json!({
        "apiVersion": API_VERSION,
        "kind": "APIService",
        "metadata": {
            "name": name,
            "labels": {MANAGED: if custom { BY_DEFINITION } else { ON_START }},
        },
        "spec": {
            "version": version,
            "groupPriorityMinimum": of_group,
            "versionPriority": of_version,
        },
    });
    if !group.is_empty() {
        object["spec"]["group"] = group.into();
    }
    object
}

fn priorities(group: &str, version: &str) -> (i64, i64) {
    let of_group = PRIORITIES.iter().find(|(name, _)| *name == group);
    let of_version = VERSION_PRIORITIES
        .iter()
        .find(|(name, of, _)| *name == group && *of == version);
    (
        of_group.map_or(CUSTOM_PRIORITIES.0, |(_, priority)| *priority),
        of_version.map_or(VERSION_PRIORITY, |(_, _, priority)| *priority),
    )
}

/// Whether a definition says that the version of an API service is served.
fn is_defined(definitions: &[Arc<Value>], service: &Value) -> bool {
    let spec = &service["spec"];
    definitions.iter().any(|definition| {
        definition["spec"]["group"] == spec["group"]
            && meta::list(definition, &["spec", "versions"])
                .iter()
                .any(|version| version["name"] == spec["version"] && version["served"] == true)
    })
}

fn is_available(object: &Value) -> bool {
    let mut conditions = meta::list(object, &["status", "conditions"]).iter();
    conditions.any(|one| {
        one["type"] == "Available" && one["status"] == "True" && one["reason"] == "Local"
    })
}

/// Writes into a status that its version is served here.
async fn tell(registry: &Registry, name: &str) -> Result<(), Status> {
    let mut request = request(registry, name)?;
    "status".clone_into(&mut request.subresource);
    let change = |current: &Value| {
        let mut object = current.clone();
        object["status"]["conditions"] = json!([{
            "type": "Available",
            "status": "True",
            "reason": "Local",
            "message": "Local APIServices are always available",
            "lastTransitionTime": clock::now(),
        }]);
        Ok(object)
    };
    let options = WriteOptions::default();
    match registry.patch(&request, &change, &options).await {
        Err(status) if status.reason != Reason::NotFound => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use objects::Value;
    use serde_json::json;

    use super::{
        BY_DEFINITION, MANAGED, ON_START, PRIORITIES, api_service, expected, is_changed, is_defined,
    };
    use crate::served::Resources;

    #[test]
    fn what_a_definition_says_is_served_is_kept_before_it_is_served_here() {
        let definitions = [Arc::new(json!({"spec": {"group": "a.test", "versions": [
            {"name": "v1", "served": true},
            {"name": "v2", "served": false},
        ]}}))];
        for (group, version, defined) in [
            ("a.test", "v1", true),
            ("a.test", "v2", false),
            ("a.test", "v3", false),
            ("b.test", "v1", false),
        ] {
            let service = api_service("", (group, version), true);
            assert_eq!(
                is_defined(&definitions, &service),
                defined,
                "{group}/{version}"
            );
        }
    }

    #[test]
    fn what_somebody_changed_is_made_as_it_was_by_who_keeps_it() {
        for (custom, label, is_start, is_restored) in [
            (true, BY_DEFINITION, false, true),
            (true, "false", true, false),
            (false, ON_START, false, false),
            (false, ON_START, true, true),
            (false, "", true, false),
        ] {
            let own = api_service("v1.x.test", ("x.test", "v1"), custom);
            let mut current = own.clone();
            current["metadata"]["labels"][MANAGED] = Value::from(label);
            assert!(!is_changed(&current, &own, is_start), "{label}");
            current["spec"]["service"] = serde_json::json!({"name": "other"});
            let found = is_changed(&current, &own, is_start);
            assert_eq!(found, is_restored, "{label} {is_start}");
        }
    }

    #[test]
    fn every_built_in_version_has_an_object_with_upstreams_priority() {
        let expected = expected(&Resources::default().table());
        assert_eq!(expected["v1."]["spec"]["versionPriority"], 1);
        assert!(expected["v1."]["spec"].get("group").is_none());
        assert_eq!(expected["v2.autoscaling"]["spec"]["versionPriority"], 30);
        assert!(!expected.contains_key("v1.apiregistration.k8s.io"));
        for (name, object) in &expected {
            let group = object["spec"]["group"].as_str().unwrap_or_default();
            assert!(
                PRIORITIES.iter().any(|(known, _)| *known == group),
                "{name}"
            );
        }
    }
}
