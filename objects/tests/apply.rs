//! Stories of server-side apply and of ownership by other writes, told to a kube-apiserver 1.36 and held against what it answered.

use std::path::Path;

use objects::catalog::{Catalog, split_api_version};
use objects::patch::apply::{
    Context, Ignored, OnlyVersion, Set, apply, empty, is_same_but_times, update,
};
use objects::schema::{At, NodeId, Schema};
use objects::{Value, meta};
use serde_json::json;

#[path = "apply/types.rs"]
mod types;

/// The kind of a story's object, and what holds for it.
struct Kind<'a> {
    at: At<'a>,
    built_in: bool,
    api_version: &'a str,
    kind: &'a str,
    empty: Value,
}

fn stories() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apply/stories");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of stories")
        .map(|entry| entry.expect("a story").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("a story");
            serde_json::from_str(&text).expect("a story is JSON")
        })
        .collect()
}

#[test]
fn every_story_ends_as_upstream_ends_it() {
    let gadget: Value =
        serde_json::from_str(include_str!("apply/gadget.json")).expect("a schema of a CRD");
    let mut schema = Schema::new();
    let gadget: NodeId = types::build(&mut schema, &gadget);
    let mut faults = Vec::new();
    let mut steps = 0;
    for story in stories() {
        let (api_version, kind) = (text(&story, "apiVersion"), text(&story, "objectKind"));
        let built_in = kind != "Gadget";
        let (group, version) = split_api_version(api_version);
        let at = if built_in {
            Catalog::builtin()
                .kind(group, version, kind)
                .expect("a built-in kind")
        } else {
            schema.at(gadget)
        };
        let kind = Kind {
            at,
            built_in,
            api_version,
            kind,
            empty: if built_in { empty(at) } else { json!({}) },
        };
        let mut live = None;
        for (index, step) in story["steps"].as_array().expect("steps").iter().enumerate() {
            if let Some(object) = step.get("live") {
                live = Some(object);
            }
            let said = tell(&kind, live, step);
            faults.extend(
                said.into_iter()
                    .map(|fault| format!("{}, step {index}: {fault}", text(&story, "name"))),
            );
            live = step.get("object").or(live);
            steps += 1;
        }
    }
    assert!(steps > 100, "only {steps} steps were told");
    assert!(
        faults.is_empty(),
        "{} of {steps} steps:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// The fields that a write to a subresource leaves as they are, as upstream's strategies say.
fn reset_fields(kind: &Kind<'_>, subresource: &str) -> &'static [&'static [&'static str]] {
    match (subresource, kind.kind) {
        (_, "ConfigMap") => &[],
        ("", _) => &[&["status"]],
        (_, "Deployment") => &[&["spec"], &["metadata", "labels"]],
        (_, "Pod") => &[
            &["spec"],
            &["metadata", "deletionTimestamp"],
            &["metadata", "ownerReferences"],
        ],
        (_, "Service") => &[&["spec"]],
        _ => &[&["metadata"], &["spec"]],
    }
}

/// Tells one step, and says what is not as upstream had it.
fn tell(kind: &Kind<'_>, live: Option<&Value>, step: &Value) -> Vec<String> {
    let subresource = text(step, "subresource");
    let context = Context {
        at: kind.at,
        built_in: kind.built_in,
        api_version: kind.api_version,
        kind: kind.kind,
        subresource,
        ignored: &Ignored::Fields(Set::of(reset_fields(kind, subresource))),
        empty: &kind.empty,
        versions: &OnlyVersion,
        now: text(step, "now"),
    };
    let manager = text(step, "manager");
    if text(step, "verb") == "update" {
        let mut new = step["object"].clone();
        // What the server gives after ownership is kept.
        for name in meta::list(step, &["late"]) {
            meta::fields_mut(&mut new, "spec").remove(name.as_str().unwrap_or_default());
        }
        let metadata = meta::metadata_mut(&mut new);
        metadata.remove("managedFields");
        if let Some(sent) = step.get("managedFields") {
            metadata.insert("managedFields".to_owned(), sent.clone());
        }
        update(&context, live, &mut new, manager);
        return differences(&managed(&step["object"]), &managed(&new));
    }
    let force = step.get("force").is_some();
    let outcome = apply(&context, live, &step["body"], manager, force);
    match (outcome, step.get("error")) {
        // Rules of the kind are looked at after the merge.
        (Ok(_), Some(error)) if error["reason"] == "Invalid" => Vec::new(),
        (Err(status), Some(error)) => differences(error, &status.to_value()),
        (Err(status), None) => vec![format!("failed: {}", status.message)],
        (Ok(_), Some(error)) => vec![format!("should have failed: {}", error["message"])],
        (Ok(object), None) => {
            let same = live.is_some_and(|live| is_same_but_times(live, &object));
            let object = if same {
                live.expect("it is the same")
            } else {
                &object
            };
            let mut faults = differences(&managed(&step["object"]), &managed(object));
            let reset = reset_fields(kind, subresource);
            let faulty = misfits(&step["object"], object, live.unwrap_or(&Value::Null), "");
            faults.extend(faulty.into_iter().filter(|fault| {
                let pruned = text(step, "pruned");
                (pruned.is_empty() || !fault.starts_with(pruned))
                    && !reset
                        .iter()
                        .any(|field| fault.starts_with(&format!(".{}", field.join("."))))
            }));
            faults
        }
    }
}

fn managed(object: &Value) -> Value {
    meta::at(object, &["metadata", "managedFields"])
        .cloned()
        .unwrap_or_default()
}

fn differences(expected: &Value, found: &Value) -> Vec<String> {
    if expected == found {
        return Vec::new();
    }
    vec![format!("\n  upstream: {expected}\n  here:     {found}")]
}

/// What of an applied object is not in upstream's, which has defaults as well; and what should have gone and is there.
fn misfits(expected: &Value, found: &Value, live: &Value, path: &str) -> Vec<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let mut faults = Vec::new();
            for name in expected
                .keys()
                .chain(found.keys().filter(|name| !expected.contains_key(*name)))
            {
                if path == ".metadata" && KEPT_BY_SERVER.contains(&name.as_str()) {
                    continue;
                }
                let path = format!("{path}.{name}");
                let live = live.get(name).unwrap_or(&Value::Null);
                match (expected.get(name), found.get(name)) {
                    (Some(expected), Some(found)) => {
                        faults.extend(misfits(expected, found, live, &path))
                    }
                    (None, Some(found)) if !is_nothing(found) => {
                        faults.push(format!("{path} should be gone"));
                    }
                    (Some(expected), None) if expected == live && !is_nothing(expected) => {
                        faults.push(format!("{path} should be there"));
                    }
                    _ => {}
                }
            }
            faults
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => expected
            .iter()
            .zip(found)
            .enumerate()
            .flat_map(|(index, (expected, found))| {
                misfits(expected, found, &Value::Null, &format!("{path}[{index}]"))
            })
            .collect(),
        (_, Value::Null) => Vec::new(),
        _ if expected == found => Vec::new(),
        _ => vec![format!("{path} is {found} and should be {expected}")],
    }
}

const KEPT_BY_SERVER: [&str; 7] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "namespace",
    "deletionTimestamp",
];

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    meta::text(value, &[field])
}
