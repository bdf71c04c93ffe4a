//! Objects of the kinds that run nothing, with what a real apiserver says of them: its causes, or what it fills in.

use objects::{Map, Value, defaults, meta, status::Status, strategy, validate};
use serde::Deserialize;
use serde_json::json;

/// One object that is created, or that takes the place of an old one.
#[derive(Deserialize)]
struct Case {
    case: String,
    new: Value,
    #[serde(default)]
    old: Option<Value>,
    /// The subresource that is updated.
    #[serde(default)]
    sub: Option<String>,
    /// Reason, field and message of each cause, for an object that is refused.
    #[serde(default)]
    causes: Option<Vec<String>>,
    /// The causes come from a map, whose order says nothing.
    #[serde(default)]
    unordered: bool,
    /// What is in the object that is taken, beside what the request said.
    #[serde(default)]
    filled: Map,
    #[serde(default)]
    warnings: Vec<String>,
}

fn group(object: &Value) -> String {
    let version = meta::text(object, &["apiVersion"]);
    let (group, _) = objects::catalog::split_api_version(version);
    group.to_owned()
}

/// The object as it would be stored.
fn stored(object: &Value) -> Value {
    let (mut object, kind) = (object.clone(), meta::text(object, &["kind"]).to_owned());
    let group = group(&object);
    defaults::apply(&group, &kind, &mut object);
    strategy::prepare_create(&group, &kind, &mut object);
    assert_eq!(validate::create(&group, &kind, &object), [], "{object}");
    let metadata = meta::metadata_mut(&mut object);
    metadata.insert("uid".to_owned(), json!("a-uid"));
    metadata.insert("resourceVersion".to_owned(), json!("7"));
    object
}

fn run(case: &Case) -> Result<(Value, Vec<String>), Vec<String>> {
    let mut new = case.new.clone();
    let (group, kind) = (group(&new), meta::text(&new, &["kind"]).to_owned());
    let old = case.old.as_ref().map(stored);
    if let Some(old) = &old {
        let metadata = meta::metadata_mut(&mut new);
        for field in ["uid", "resourceVersion"] {
            metadata.insert(field.to_owned(), old["metadata"][field].clone());
        }
    }
    defaults::apply(&group, &kind, &mut new);
    let sub = case.sub.as_deref();
    let faults = match (&old, sub) {
        (None, _) => {
            strategy::prepare_create(&group, &kind, &mut new);
            validate::create(&group, &kind, &new)
        }
        (Some(old), None) => {
            strategy::prepare_update(&group, &kind, None, &mut new, old);
            validate::update(&group, &kind, &new, old)
        }
        (Some(old), sub) => {
            strategy::prepare_update(&group, &kind, sub, &mut new, old);
            validate::status_update(&group, &kind, &new, old)
        }
    };
    if faults.is_empty() {
        let warnings = validate::warnings(&group, &kind, &new, old.as_ref());
        return Ok((new, warnings));
    }
    let status = Status::invalid(&group, &kind, meta::name(&new), &faults);
    let text = |cause: &objects::status::Cause| {
        format!("{} {}: {}", cause.reason, cause.field, cause.message)
    };
    Err(status.causes.iter().map(text).collect())
}

/// The first place at which an object lacks what is expected of it.
fn lacking(object: &Value, expected: &Value) -> Option<String> {
    let Some(fields) = expected.as_object() else {
        return (object != expected).then(|| format!(" is {object}, not {expected}"));
    };
    let empty = Map::new();
    let own = object.as_object().unwrap_or(&empty);
    fields.iter().find_map(|(field, expected)| {
        let own = own.get(field).unwrap_or(&Value::Null);
        lacking(own, expected).map(|what| format!(".{field}{what}"))
    })
}

fn check(file: &str) {
    let cases: Vec<Case> = serde_yaml_ng::from_str(file).expect("the file holds cases");
    assert!(!cases.is_empty());
    let mut wrong = Vec::new();
    for case in &cases {
        let fault = match (run(case), case.causes.clone()) {
            (Err(mut causes), Some(mut expected)) => {
                if case.unordered {
                    causes.sort();
                    expected.sort();
                }
                (causes != expected).then(|| format!("causes {causes:#?}, not {expected:#?}"))
            }
            (Ok((object, warnings)), None) => lacking(&object, &Value::Object(case.filled.clone()))
                .or_else(|| {
                    let expected = &case.warnings;
                    (warnings != *expected).then(|| format!("warns {warnings:?}, not {expected:?}"))
                }),
            (Ok(_), Some(expected)) => Some(format!("is taken, not refused for {expected:#?}")),
            (Err(causes), None) => Some(format!("is refused for {causes:#?}")),
        };
        wrong.extend(fault.map(|fault| format!("{}: {fault}", case.case)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn configuration_nodes_limits_and_events_are_answered_as_by_a_real_apiserver() {
    check(include_str!("kinds/core.yaml"));
}

#[test]
fn services_are_answered_as_by_a_real_apiserver() {
    check(include_str!("kinds/services.yaml"));
}

#[test]
fn policies_ingresses_and_endpoints_are_answered_as_by_a_real_apiserver() {
    check(include_str!("kinds/network.yaml"));
}

#[test]
fn roles_and_bindings_are_answered_as_by_a_real_apiserver() {
    check(include_str!("kinds/rbac.yaml"));
}

#[test]
fn volumes_claims_and_classes_are_answered_as_by_a_real_apiserver() {
    check(include_str!("kinds/storage.yaml"));
}

#[test]
fn autoscalers_budgets_and_leases_are_answered_as_by_a_real_apiserver() {
    check(include_str!("kinds/scaling.yaml"));
}

#[test]
fn webhooks_and_admission_policies_are_answered_as_by_a_real_apiserver() {
    check(include_str!("kinds/admission.yaml"));
}

#[test]
fn requests_for_certificates_are_answered_as_by_a_real_apiserver() {
    check(include_str!("kinds/certificates.yaml"));
}

#[test]
fn flow_schemas_and_priority_levels_are_answered_as_by_a_real_apiserver() {
    check(include_str!("kinds/flow.yaml"));
}

#[test]
fn faults_of_metadata_are_told_as_often_as_by_a_real_apiserver() {
    check(include_str!("kinds/metadata.yaml"));
}
