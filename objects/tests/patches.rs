//! Patches against what a kube-apiserver 1.36.3 answers to the same patches: `patches.json` holds its answers.

use objects::{
    Map, Value,
    catalog::{Catalog, split_api_version},
    patch::{PatchKind, apply_patch, invalid_result, unknown_fields, unsupported_media_type},
    schema::At,
};
use proptest::prelude::*;
use serde_json::json;

fn recorded() -> Value {
    serde_json::from_str(include_str!("patches.json")).expect("the recorded answers are complete")
}

fn schema_of(object: &Value) -> At<'static> {
    let (group, version) = split_api_version(
        object["apiVersion"]
            .as_str()
            .expect("the recorded answers are complete"),
    );
    Catalog::builtin()
        .kind(
            group,
            version,
            object["kind"]
                .as_str()
                .expect("the recorded answers are complete"),
        )
        .expect("the recorded answers are complete")
}

/// What decoding and encoding leave of a value: what is null or empty goes.
fn settled(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let rest: Map = fields
                .iter()
                .map(|(name, value)| (name.clone(), settled(value)))
                .filter(|(_, value)| !value.is_null())
                .collect();
            if rest.is_empty() {
                Value::Null
            } else {
                Value::Object(rest)
            }
        }
        Value::Array(elements) if elements.is_empty() => Value::Null,
        Value::Array(elements) => elements.iter().map(settled).collect(),
        other => other.clone(),
    }
}

fn outcome(object: &Value, case: &Value) -> Result<Value, String> {
    let kind = match case["form"]
        .as_str()
        .expect("the recorded answers are complete")
    {
        "json" => PatchKind::Json,
        "merge" => PatchKind::Merge,
        _ => PatchKind::Strategic,
    };
    let body = match &case["text"] {
        Value::String(text) => text.clone(),
        _ => case["patch"].to_string(),
    };
    apply_patch(kind, Some(schema_of(object)), object, body.as_bytes())
        .map_err(|status| format!("{} {}", status.code, status.message))
}

#[test]
fn patches_end_as_upstream_ends_them() {
    let recorded = recorded();
    let mut failures = Vec::new();
    for case in recorded["cases"]
        .as_array()
        .expect("the recorded answers are complete")
    {
        let object = &recorded["objects"][case["kind"]
            .as_str()
            .expect("the recorded answers are complete")];
        let got = outcome(object, case);
        let expected = match &case["error"] {
            Value::String(error) => Err(error.clone()),
            _ if case["result"] == "unchanged" => Ok(settled(object)),
            _ => Ok(settled(&case["result"])),
        };
        let at = case["at"].as_str().unwrap_or_default();
        let got = got.map(|value| settled(value.pointer(at).unwrap_or(&Value::Null)));
        if got != expected {
            failures.push(format!(
                "{case}\n  got      {got:?}\n  expected {expected:?}"
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_custom_resource_has_no_strategic_merge_patch() {
    let status = apply_patch(PatchKind::Strategic, None, &json!({}), b"{}").unwrap_err();
    assert_eq!(status.code, 415);
    assert_eq!(
        status.message,
        "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, \
         application/merge-patch+json, application/apply-patch+yaml"
    );
}

#[test]
fn a_json_patch_with_more_operations_than_it_may_have_is_too_large() {
    let operation = json!({"op": "test", "path": "/a", "value": 1});
    let patch = |count: usize| Value::Array(vec![operation.clone(); count]).to_string();
    let apply = |count| {
        apply_patch(
            PatchKind::Json,
            None,
            &json!({"a": 1}),
            patch(count).as_bytes(),
        )
    };
    assert_eq!(apply(10_000), Ok(json!({"a": 1})));
    let status = apply(10_001).unwrap_err();
    assert_eq!(status.code, 413);
    assert_eq!(
        status.message,
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
}

#[test]
fn copies_of_a_json_patch_do_not_grow_without_bound() {
    let copy = json!({"op": "copy", "from": "/a", "path": "/a/-"});
    let patch = Value::Array(vec![copy; 40]).to_string();
    let status = apply_patch(
        PatchKind::Json,
        None,
        &json!({"a": ["x"]}),
        patch.as_bytes(),
    );
    assert_eq!(status.unwrap_err().code, 422);
}

#[test]
fn a_result_that_is_no_object_of_its_kind_is_shown_as_the_patch_or_as_the_result() {
    let body = br#"{"data":{"q":[1],"x":null}}"#;
    let why = "unrecognized type: string";
    let status = invalid_result(PatchKind::Strategic, body, &json!({}), why);
    assert_eq!(status.code, 422);
    assert_eq!(
        status.message,
        r#" "" is invalid: patch: Invalid value: "map[data:map[q:[1] x:<nil>]]": unrecognized type: string"#
    );
    let status = invalid_result(PatchKind::Merge, body, &json!({"data": 3}), "why");
    assert_eq!(
        status.message,
        r#" "" is invalid: patch: Invalid value: "{\"data\":3}": why"#
    );
    assert_eq!(status.causes[0].field, "patch");
}

#[test]
fn a_strict_reader_of_a_json_patch_is_told_of_fields_that_operations_do_not_have() {
    let body = br#"[{"op":"test","path":"/a","foo":1},{"op":"add","path":"/a","value":1,"Bar":1}]"#;
    assert_eq!(
        unknown_fields(body),
        [
            r#"json patch unknown field "[0].foo""#,
            r#"json patch unknown field "[1].Bar""#
        ]
    );
}

#[test]
fn a_built_in_kind_names_no_media_types_when_it_refuses_one() {
    let status = unsupported_media_type(true);
    assert_eq!(
        (status.code, &*status.message),
        (415, "415: Unsupported Media Type")
    );
}

#[test]
fn a_media_type_names_its_patch_whatever_parameters_it_has() {
    for kind in PatchKind::ALL {
        let with_parameter = format!("{}; charset=utf-8", kind.media_type());
        assert_eq!(PatchKind::of_media_type(&with_parameter), Some(kind));
    }
    assert_eq!(PatchKind::of_media_type("application/json"), None);
}

/// Fields that patches of deployments know, with directives and wrong types among their values.
fn fragments() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3u8).prop_map(Value::from),
        "a|b|c|replace|delete|merge".prop_map(Value::from),
    ];
    let names = "spec|template|containers|volumes|env|name|metadata|finalizers|labels|\\$patch|\\$retainKeys|\\$setElementOrder/(containers|finalizers|env)|\\$deleteFromPrimitiveList/finalizers|op|path|from|value";
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((names, inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_patch_has_an_outcome(object in fragments(), patch in fragments(), extra in fragments()) {
        let recorded = recorded();
        let at = schema_of(&recorded["objects"]["Deployment"]);
        for kind in PatchKind::ALL {
            for patch in [&patch, &json!({"spec": {"template": {"spec": patch}}, "metadata": extra})] {
                let object = json!({"spec": {"template": {"spec": object}}, "metadata": object});
                let _ = apply_patch(kind, Some(at), &object, patch.to_string().as_bytes());
            }
        }
    }

    #[test]
    fn any_bytes_are_a_patch_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        for kind in PatchKind::ALL {
            let _ = apply_patch(kind, None, &json!({}), &bytes);
        }
    }
}
