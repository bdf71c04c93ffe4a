//! Objects of a custom kind, judged by their definition as a kube-apiserver 1.36.3 judged them.

use objects::Value;
use objects::crd::{self, Names, Version};
use objects::defaults;
use objects::validate;
use serde_json::json;

fn definition() -> Value {
    serde_json::from_str(include_str!("crd/foo.json")).expect("the file is JSON")
}

fn version() -> Version {
    Version::new(&definition()["spec"]["versions"][0])
}

/// A `Foo` with this spec, as it is when it has its defaults.
fn foo(spec: &str) -> Value {
    let spec: Value = serde_json::from_str(spec).expect("specs are JSON");
    let mut object = json!({
        "apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "foo"}, "spec": spec,
    });
    version().apply_defaults(&mut object);
    object
}

const UNCHECKED: &str = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

#[test]
fn objects_are_refused_in_upstream_s_words() {
    let cases: [(&str, &[&str]); 11] = [
        (r#"{"color": "red"}"#, &[]),
        (
            r#"{"replicas": 1}"#,
            &["spec.color: Required value", UNCHECKED],
        ),
        (
            r#"{"color": null}"#,
            &["spec.color: Required value", UNCHECKED],
        ),
        (
            r#"{"color": "green"}"#,
            &[
                r#"spec.color: Unsupported value: "green": supported values: "red", "blue""#,
                UNCHECKED,
            ],
        ),
        (
            r#"{"color": "red", "replicas": 21}"#,
            &[
                "spec.replicas: Invalid value: 21: spec.replicas in body should be less than or equal to 20",
            ],
        ),
        (
            r#"{"color": "red", "replicas": "x"}"#,
            &[
                r#"spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string""#,
                ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64",
                UNCHECKED,
            ],
        ),
        (
            r#"{"color": "red", "name": "A1"}"#,
            &[r#"spec.name: Invalid value: "A1": spec.name in body should match '^[a-z]+$'"#],
        ),
        (
            r#"{"color": "red", "name": "abcdefg"}"#,
            &[
                "spec.name: Too long: may not be more than 5 bytes",
                UNCHECKED,
            ],
        ),
        (
            r#"{"color": "red", "port": true}"#,
            &[
                r#"spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean""#,
                UNCHECKED,
            ],
        ),
        (
            r#"{"color": "red", "tags": ["a", "a"]}"#,
            &[r#"spec.tags[1]: Duplicate value: "a""#],
        ),
        (
            r#"{"color": "blue", "replicas": 12}"#,
            &["spec: Invalid value: too many for the color"],
        ),
    ];
    for (spec, expected) in cases {
        let faults = version().validate(&foo(spec), None);
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(texts, expected, "{spec}");
    }
}

#[test]
fn unknown_fields_go_and_are_told() {
    let mut object = foo(r#"{"color": "red", "x": 1, "any": {"y": 1}}"#);
    assert_eq!(version().prune(&mut object), ["spec.x"]);
    assert_eq!(
        object["spec"],
        json!({"color": "red", "replicas": 1, "any": {"y": 1}})
    );
}

#[test]
fn what_did_not_change_is_not_judged_again() {
    let old = foo(r#"{"color": "red", "name": "A1"}"#);
    let mut new = old.clone();
    new["spec"]["replicas"] = json!(2);
    assert_eq!(version().validate(&new, Some(&old)), []);
    new["spec"]["name"] = json!("A2");
    assert_eq!(version().validate(&new, Some(&old)).len(), 1);
}

#[test]
fn a_definition_gets_its_defaults_and_its_names_unless_another_has_them() {
    let mut first = definition();
    defaults::apply(crd::GROUP, "CustomResourceDefinition", &mut first);
    assert_eq!(
        validate::create(crd::GROUP, "CustomResourceDefinition", &first),
        []
    );
    assert_eq!(first["spec"]["names"]["listKind"], "FooList");
    let now = "2024-01-01T00:00:00Z";
    assert!(crd::accept(&mut first, &Names::default(), now));
    assert!(crd::is_established(&first));
    assert!(!crd::accept(&mut first, &Names::default(), now));
    let mut second = first.clone();
    second["metadata"]["uid"] = json!("another");
    second["status"] = json!({});
    let others = Names::of_others(&second, [&first]);
    crd::accept(&mut second, &others, now);
    assert!(!crd::is_established(&second));
    assert_eq!(
        second["status"]["conditions"][0]["reason"],
        "ListKindConflict"
    );
}

#[test]
fn what_all_versions_share_is_judged_once_and_as_the_kind_s() {
    let version = |name: &str, kind: &str| {
        json!({
            "name": name, "served": true, "storage": name == "v1",
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": kind}}}},
            "subresources": {"scale": {"specReplicasPath": "x", "statusReplicasPath": ".status.y"}},
            "additionalPrinterColumns": [{"name": "a", "type": "foo", "jsonPath": ".a"}],
            "selectableFields": [{"jsonPath": "spec.color"}],
        })
    };
    let faults = |versions: Value| {
        let mut definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "xs.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "versions": versions,
                "names": {"plural": "xs", "kind": "X"},
            },
        });
        defaults::apply(crd::GROUP, "CustomResourceDefinition", &mut definition);
        let faults = validate::create(crd::GROUP, "CustomResourceDefinition", &definition);
        let fields = faults.iter().map(|fault| fault.path.to_string());
        fields.collect::<Vec<String>>()
    };
    let shared = [
        "spec.subresources.scale.specReplicasPath",
        "spec.additionalPrinterColumns[0].type",
        "spec.selectableFields[0].jsonPath",
    ];
    let one = faults(json!([version("v1", "foo")]));
    let schema = "spec.validation.openAPIV3Schema.properties[spec].type";
    assert_eq!(one, [&[schema], &shared[..]].concat());
    let alike = faults(json!([version("v1", "foo"), version("v2", "foo")]));
    assert_eq!(alike, one);
    let different = faults(json!([version("v1", "object"), version("v2", "foo")]));
    let schema = "spec.versions[1].schema.openAPIV3Schema.properties[spec].type";
    assert_eq!(different, [&[schema], &shared[..]].concat());
}
