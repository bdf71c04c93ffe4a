//! Pods and the kinds that make them are filled in and judged as a kube-apiserver does it; the tables were answered by one.

use objects::{Value, defaults, invalid::Faults, meta, strategy, validate};

const BASES: &str = include_str!("validation/bases.yaml");
const CREATED: &str = "2026-01-01T00:00:00Z";

/// A base with a merge patch on it.
fn changed(case: &Value) -> (String, Value) {
    let bases: Value = serde_yaml_ng::from_str(BASES).expect("the bases are YAML");
    let kind = meta::text(case, &["kind"]).to_owned();
    let mut object = bases[&kind].clone();
    merge(&mut object, &case["change"]);
    meta::metadata_mut(&mut object).insert("creationTimestamp".into(), CREATED.into());
    (kind, object)
}

fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(objects::Map::new());
    }
    let fields = object.as_object_mut().expect("it was made an object");
    for (field, value) in patch {
        if value.is_null() {
            fields.remove(field);
        } else {
            merge(fields.entry(field.as_str()).or_insert(Value::Null), value);
        }
    }
}

fn group(kind: &str) -> &'static str {
    match kind {
        "Pod" | "PodTemplate" | "ReplicationController" => "",
        "Job" | "CronJob" => "batch",
        _ => "apps",
    }
}

/// The object as it is stored if it is well.
fn prepared(case: &Value) -> (String, Value) {
    let (kind, mut object) = changed(case);
    defaults::apply(group(&kind), &kind, &mut object);
    strategy::prepare_create(group(&kind), &kind, &mut object);
    (kind, object)
}

fn texts(faults: &Faults) -> Vec<String> {
    let mut texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

fn cases(table: &str) -> Vec<Value> {
    serde_yaml_ng::from_str(table).expect("the tables are YAML")
}

fn check_creations(table: &str) {
    let cases = cases(table);
    assert!(cases.len() > 50);
    for case in cases {
        let (kind, object) = prepared(&case);
        let found = texts(&validate::create(group(&kind), &kind, &object));
        let faults = meta::list(&case, &["faults"]);
        let mut expected: Vec<&str> = faults.iter().filter_map(Value::as_str).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "{}", case["name"]);
    }
}

#[test]
fn pods_that_are_not_well_are_refused_with_upstreams_faults() {
    check_creations(include_str!("validation/pods.yaml"));
}

#[test]
fn workloads_that_are_not_well_are_refused_with_upstreams_faults() {
    check_creations(include_str!("validation/workloads.yaml"));
}

#[test]
fn objects_are_stored_with_upstreams_defaults() {
    for case in cases(include_str!("validation/defaults.yaml")) {
        let (kind, mut object) = prepared(&case);
        let faults = validate::create(group(&kind), &kind, &object);
        assert_eq!(texts(&faults), Vec::<String>::new(), "{}", case["name"]);
        let metadata = meta::metadata_mut(&mut object);
        for field in ["uid", "creationTimestamp", "namespace"] {
            metadata.remove(field);
        }
        assert_eq!(object, case["result"], "{}", case["name"]);
    }
}

#[test]
fn annotations_have_a_size_together() {
    let mut case = serde_json::json!({"kind": "Pod", "change": {}});
    let text = "x".repeat(validate::metadata::ANNOTATIONS_BYTES_MAX);
    case["change"]["metadata"]["annotations"]["a"] = text.into();
    let (_, pod) = prepared(&case);
    let expected = "metadata.annotations: Too long: may not be more than 262144 bytes";
    assert_eq!(texts(&validate::create("", "Pod", &pod)), [expected]);
}

#[test]
fn updates_are_judged_by_what_was_there() {
    for case in cases(include_str!("validation/updates.yaml")) {
        let kind = meta::text(&case, &["kind"]);
        let (group, old, mut new) = (group(kind), &case["old"], case["new"].clone());
        let subresource = Some(meta::text(&case, &["subresource"])).filter(|name| !name.is_empty());
        defaults::apply(group, kind, &mut new);
        strategy::prepare_update(group, kind, subresource, &mut new, old);
        let faults = match subresource {
            None => validate::update(group, kind, &new, old),
            Some("status") => validate::status_update(group, kind, &new, old),
            Some(name) => validate::subresource_update(group, kind, name, &new, old),
        };
        let expected = meta::list(&case, &["faults"]);
        let mut expected: Vec<&str> = expected.iter().filter_map(Value::as_str).collect();
        expected.sort_unstable();
        assert_eq!(texts(&faults), expected, "{}", case["name"]);
        if expected.is_empty() {
            assert_eq!(
                new["metadata"]["generation"], case["generation"],
                "{}",
                case["name"]
            );
        }
    }
}

#[test]
fn what_may_not_be_meant_is_told_beside_success() {
    for case in cases(include_str!("validation/warnings.yaml")) {
        let (kind, object) = prepared(&case);
        let found = validate::warnings(group(&kind), &kind, &object, None);
        let expected = meta::list(&case, &["warnings"]);
        let expected: Vec<&str> = expected.iter().filter_map(Value::as_str).collect();
        assert!(!expected.is_empty(), "{}", case["change"]);
        assert_eq!(found, expected, "{}", case["change"]);
    }
}

/// The places in a value, as JSON pointers.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let field = field.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{at}/{field}"), all);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), all);
            }
        }
        _ => {}
    }
}

#[test]
fn objects_of_any_shape_are_judged_without_a_panic() {
    let strange = serde_json::json!([null, true, -1, "\u{e4}'", [], {}, [null], [""], [{"a": 1}]]);
    for case in cases(include_str!("validation/defaults.yaml")) {
        let (kind, object) = prepared(&case);
        let group = group(&kind);
        let mut all = Vec::new();
        places(&object, "", &mut all);
        for place in all.iter().filter(|place| !place.is_empty()) {
            for value in meta::list(&strange, &[]) {
                let mut broken = object.clone();
                let spot = broken.pointer_mut(place);
                *spot.expect("it is a place of the object") = value.clone();
                let mut changed = broken.clone();
                defaults::apply(group, &kind, &mut broken);
                strategy::prepare_create(group, &kind, &mut broken);
                let _ = validate::create(group, &kind, &broken);
                let _ = validate::warnings(group, &kind, &broken, None);
                for subresource in [
                    None,
                    Some("status"),
                    Some("resize"),
                    Some("ephemeralcontainers"),
                ] {
                    strategy::prepare_update(group, &kind, subresource, &mut changed, &object);
                }
                let _ = validate::update(group, &kind, &changed, &object);
                let _ = validate::update(group, &kind, &object, &broken);
                let _ = validate::status_update(group, &kind, &broken, &object);
                for name in ["resize", "ephemeralcontainers"] {
                    let _ = validate::subresource_update(group, &kind, name, &broken, &object);
                }
            }
        }
    }
}
