//! Stories of server-side apply and of ownership by other writes, told to a kube-apiserver 1.36 and held against what it answered.

use std::path::Path;

use objects::catalog::{Catalog, Resource, split_api_version};
use objects::patch::apply::{
    Context, Ignored, InVersion, Set, Versions, apply, empty, is_same_but_times, path_text, update,
};
use objects::schema::{At, Schema};
use objects::{Value, meta};
use serde_json::json;

mod scaled;
mod types;
mod versions;

#[test]
fn sets_are_written_with_the_fields_in_upstreams_order() {
    const MARK: &str = r#""fieldsV1":"#;
    let mut count = 0;
    for text in story_texts() {
        let custom = text.contains("apply-room.example/v1");
        for (at, _) in text.match_indices(MARK) {
            let rest = &text[at + MARK.len()..];
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let value = values.next().expect("a set").expect("a set is JSON");
            let raw = &rest[..values.byte_offset()];
            let Ok(set) = Set::decode(&value) else {
                continue;
            };
            // Upstream keeps the bytes of built-in kinds' sets, and custom resources as maps in the order of their keys.
            let written = if custom {
                set.encode().to_string()
            } else {
                set.to_json()
            };
            assert_eq!(written, raw);
            assert_eq!(set.encode(), value);
            count += 1;
        }
    }
    assert!(count > 1000, "only {count} sets were seen");
}

/// The type of a story's objects in the versions that are served.
struct Kind<'a> {
    kind: &'a str,
    built_in: bool,
    resource: Resource,
    versions: Vec<(&'a str, At<'a>)>,
}

impl<'a> Kind<'a> {
    fn at(&self, api_version: &str) -> At<'a> {
        let version = self
            .versions
            .iter()
            .find(|(version, _)| *version == api_version);
        version.expect("a version that is served").1
    }
}

impl Versions for Kind<'_> {
    /// The versions of the stories' kinds differ in nothing but their types.
    fn convert(&self, object: &Value, api_version: &str) -> InVersion<(Value, At<'_>)> {
        let mut versions = self.versions.iter();
        let Some((_, at)) = versions.find(|(version, _)| *version == api_version) else {
            return InVersion::Absent;
        };
        let mut object = object.clone();
        object["apiVersion"] = Value::from(api_version);
        InVersion::Known((object, *at))
    }
}

fn story_texts() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apply/stories");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of stories")
        .map(|entry| entry.expect("a story").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("a story"))
        .collect()
}

#[test]
fn every_story_ends_as_upstream_ends_it() {
    let mut schema = Schema::new();
    let sources = [
        include_str!("apply/gadget.json"),
        include_str!("apply/gadget_v2.json"),
    ];
    // A type that says nothing but that it keeps everything.
    let source = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let loose = types::build(&mut schema, &source);
    let [first, second] = sources.map(|source| {
        let source = serde_json::from_str(source).expect("a schema of a CRD");
        types::build(&mut schema, &source)
    });
    let (first, second, loose) = (schema.at(first), schema.at(second), schema.at(loose));
    let mut faults = Vec::new();
    let mut steps = 0;
    for story in story_texts() {
        let story: Value = serde_json::from_str(&story).expect("a story is JSON");
        let name = text(&story, "name");
        let mut kind = kind_of(&story, first, second);
        if kind.kind == "Loose" {
            kind.versions[0].1 = loose;
        }
        let mut live = None;
        for (index, step) in story["steps"].as_array().expect("steps").iter().enumerate() {
            if text(step, "verb") == "schema" {
                kind.versions[0].1 = if step["schema"] == "v1" {
                    first
                } else {
                    second
                };
                continue;
            }
            live = step.get("live").or(live);
            let said = tell(&kind, text(&story, "apiVersion"), live, step);
            let said = said.into_iter();
            faults.extend(said.map(|fault| format!("{name}, step {index}: {fault}")));
            live = step.get("object").or(live);
            steps += 1;
        }
    }
    assert!(steps > 400, "only {steps} steps were told");
    assert!(
        faults.is_empty(),
        "{} of {steps} steps:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

fn kind_of<'a>(story: &'a Value, first: At<'a>, second: At<'a>) -> Kind<'a> {
    let (api_version, kind) = (text(story, "apiVersion"), text(story, "objectKind"));
    let (group, version) = split_api_version(api_version);
    let builtin = Catalog::builtin();
    let built_in = builtin.resources.iter().find(|resource| {
        resource.kind == kind && resource.group == group && resource.version == version
    });
    let versions = match builtin.kind(group, version, kind) {
        Some(at) => vec![(api_version, at)],
        None if kind == "Gadget" => {
            vec![(api_version, first), ("apply-room.example/v2", second)]
        }
        None => vec![(api_version, first)],
    };
    Kind {
        kind,
        built_in: built_in.is_some(),
        resource: built_in.cloned().unwrap_or_else(|| custom(kind)),
        versions,
    }
}

/// The resource of a story's CRD, which has a status of its own.
fn custom(kind: &str) -> Resource {
    let deployments = Catalog::builtin().resource("apps", "v1", "deployments");
    Resource {
        group: "apply-room.example".to_owned(),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
        ..deployments.expect("a built-in resource").clone()
    }
}

/// Tells one step, and says what is not as upstream had it.
fn tell(kind: &Kind<'_>, api_version: &str, live: Option<&Value>, step: &Value) -> Vec<String> {
    let subresource = text(step, "subresource");
    if subresource == "scale" {
        return scaled::tell(api_version, live.expect("an object"), step);
    }
    let api_version = match text(step, "apiVersion") {
        "" => api_version,
        other => other,
    };
    let at = kind.at(api_version);
    let ignored = Ignored::of(&kind.resource, subresource);
    let context = Context {
        at,
        built_in: kind.built_in,
        api_version,
        kind: kind.kind,
        subresource,
        ignored: &ignored,
        empty: &if kind.built_in { empty(at) } else { json!({}) },
        versions: kind,
        now: text(step, "now"),
    };
    if text(step, "verb") == "update" {
        let new = updated(&context, live, step);
        return differences(&managed(&step["object"]), &managed(&new));
    }
    let force = step.get("force").is_some();
    let outcome = apply(&context, live, &step["body"], text(step, "manager"), force);
    let object = match (outcome, step.get("error")) {
        // Rules of the kind are looked at after the merge.
        (Ok(_), Some(error)) if error["reason"] == "Invalid" => return Vec::new(),
        (Err(status), Some(error)) => {
            return differences(&ordered(error), &ordered(&status.to_value()));
        }
        (Err(status), None) => return vec![format!("failed: {}", status.message)],
        (Ok(_), Some(error)) => {
            return vec![format!("should have failed: {}", error["message"])];
        }
        (Ok(object), None) => object,
    };
    let object = unless_same(live, object);
    let mut faults = differences(&managed(&step["object"]), &managed(&object));
    let faulty = misfits(&step["object"], &object, live.unwrap_or(&Value::Null), "");
    let mut elsewhere: Vec<String> = meta::list(step, &["pruned"])
        .iter()
        .map(|path| path.as_str().expect("a path").to_owned())
        .collect();
    if let Ignored::Fields(set) = &ignored {
        elsewhere.extend(set.paths().iter().map(|path| path_text(path)));
    }
    faults.extend(
        faulty
            .into_iter()
            .filter(|fault| !elsewhere.iter().any(|path| fault.starts_with(path))),
    );
    faults
}

/// What upstream stored, with ownership as it is kept here.
fn updated(context: &Context<'_>, live: Option<&Value>, step: &Value) -> Value {
    let mut new = step["object"].clone();
    // What the server gives after ownership is kept.
    for late in meta::list(step, &["late"]).iter().filter_map(Value::as_str) {
        let (parent, field) = late.rsplit_once('/').expect("a path of fields");
        let parent = new.pointer_mut(parent).and_then(Value::as_object_mut);
        parent.expect("an object").remove(field);
    }
    let metadata = meta::metadata_mut(&mut new);
    metadata.remove("managedFields");
    if let Some(sent) = step.get("managedFields") {
        metadata.insert("managedFields".to_owned(), sent.clone());
    }
    update(context, live, &mut new, text(step, "manager"));
    unless_same(live, new)
}

/// The stored object where nothing but times would change.
fn unless_same(live: Option<&Value>, new: Value) -> Value {
    match live {
        Some(live) if is_same_but_times(live, &new) => live.clone(),
        _ => new,
    }
}

/// A failure with the causes in the order of the managers. Upstream's order of managers is by chance.
fn ordered(error: &Value) -> Value {
    let mut error = error.clone();
    if let Some(causes) = error
        .pointer_mut("/details/causes")
        .and_then(Value::as_array_mut)
    {
        causes.sort_by_key(|cause| text(cause, "message").to_owned());
    }
    error
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
