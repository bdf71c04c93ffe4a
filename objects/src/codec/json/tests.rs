//! What the reader makes of JSON; the messages are those of a kube-apiserver.

use proptest::prelude::*;
use serde_json::json;

use super::{excerpt, read, read_as, strict_message, type_meta};
use crate::catalog::Catalog;
use crate::schema::At;

fn kind(group: &str, kind: &str) -> At<'static> {
    Catalog::builtin().kind(group, "v1", kind).unwrap()
}

#[test]
fn malformed_text_is_told_in_gos_words() {
    for (text, expected) in [
        ("x", "invalid character 'x' looking for beginning of value"),
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        (r#"{"a" 1}"#, "invalid character '1' after object key"),
        (
            r#"{"kind":"ConfigMap",}"#,
            "invalid character '}' looking for beginning of object key string",
        ),
        ("{} x", "invalid character 'x' after top-level value"),
        (
            r#"{"a":1 2}"#,
            "invalid character '2' after object key:value pair",
        ),
        ("[1 2]", "invalid character '2' after array element"),
        (
            "[tru]",
            "invalid character ']' in literal true (expecting 'e')",
        ),
        ("[-x]", "invalid character 'x' in numeric literal"),
        (
            "[1.]",
            "invalid character ']' after decimal point in numeric literal",
        ),
        (
            "[1e]",
            "invalid character ']' in exponent of numeric literal",
        ),
        ("[01]", "invalid character '1' after array element"),
        ("\"a\nb\"", "invalid character '\\n' in string literal"),
        (r#""\q""#, "invalid character 'q' in string escape code"),
        (
            r#""\u12x4""#,
            "invalid character 'x' in \\u hexadecimal character escape",
        ),
    ] {
        assert_eq!(
            read(text.as_bytes()).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
    let deep = "[".repeat(200);
    assert_eq!(
        read(deep.as_bytes()).unwrap_err().to_string(),
        "exceeded max depth"
    );
}

/// Bodies of a Deployment, what is found in them, and the field and type that Go names.
const MISMATCHES: [[&str; 4]; 17] = [
    [
        r#"{"spec":{"replicas":"3"}}"#,
        "string",
        "DeploymentSpec.spec.replicas",
        "int32",
    ],
    [
        r#"{"spec":{"replicas":3.5}}"#,
        "number 3.5",
        "DeploymentSpec.spec.replicas",
        "int32",
    ],
    [
        r#"{"spec":{"replicas":99999999999}}"#,
        "number 99999999999",
        "DeploymentSpec.spec.replicas",
        "int32",
    ],
    [
        r#"{"spec":{"paused":"x"}}"#,
        "string",
        "DeploymentSpec.spec.paused",
        "bool",
    ],
    [
        r#"{"spec":{"strategy":{"type":5}}}"#,
        "number",
        "DeploymentStrategy.spec.strategy.type",
        "v1.DeploymentStrategyType",
    ],
    [
        r#"{"spec":{"strategy":{"rollingUpdate":{"maxSurge":true}}}}"#,
        "bool",
        "RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge",
        "int32",
    ],
    [
        r#"{"spec":{"strategy":{"rollingUpdate":{"maxSurge":1.5}}}}"#,
        "number 1.5",
        "RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge",
        "int32",
    ],
    [
        r#"{"spec":{"template":{"spec":{"containers":{}}}}}"#,
        "object",
        "PodSpec.spec.template.spec.containers",
        "[]v1.Container",
    ],
    [
        r#"{"spec":{"template":{"spec":{"containers":["x"]}}}}"#,
        "string",
        "PodSpec.spec.template.spec.containers",
        "v1.Container",
    ],
    [
        r#"{"spec":{"template":{"spec":{"containers":[{"name":5}]}}}}"#,
        "number",
        "Container.spec.template.spec.containers.name",
        "string",
    ],
    [
        r#"{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":[]}}]}}}}"#,
        "array",
        "ResourceRequirements.spec.template.spec.containers.resources.limits",
        "v1.ResourceList",
    ],
    [
        r#"{"spec":{"template":{"spec":{"volumes":[{"emptyDir":5}]}}}}"#,
        "number",
        "Volume.spec.template.spec.volumes.VolumeSource.emptyDir",
        "v1.EmptyDirVolumeSource",
    ],
    [
        r#"{"spec":{"template":{"spec":{"volumes":[{"configMap":{"name":5}}]}}}}"#,
        "number",
        "ConfigMapVolumeSource.spec.template.spec.volumes.VolumeSource.configMap.LocalObjectReference.name",
        "string",
    ],
    [
        r#"{"spec":{"template":{"spec":{"restartPolicy":["a"]}}}}"#,
        "array",
        "PodSpec.spec.template.spec.restartPolicy",
        "v1.RestartPolicy",
    ],
    [
        r#"{"spec":"x"}"#,
        "string",
        "Deployment.spec",
        "v1.DeploymentSpec",
    ],
    [
        r#"{"metadata":{"labels":{"a":1}}}"#,
        "number",
        "ObjectMeta.metadata.labels",
        "string",
    ],
    [
        r#"{"metadata":{"creationTimestamp":1}}"#,
        "number",
        "ObjectMeta.metadata.creationTimestamp",
        "string",
    ],
];

#[test]
fn a_value_of_another_type_is_told_with_gos_struct_and_field() {
    for [text, found, field, wanted] in MISMATCHES {
        let fault = read_as(text.as_bytes(), kind("apps", "Deployment"))
            .unwrap_err()
            .to_string();
        let expected =
            format!("json: cannot unmarshal {found} into Go struct field {field} of type {wanted}");
        assert_eq!(fault, expected, "{text}");
    }
}

#[test]
fn a_value_that_its_own_type_refuses_is_told_in_the_types_words() {
    for (text, expected) in [
        (
            r#"{"metadata":{"creationTimestamp":"x"}}"#,
            r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#,
        ),
        (
            r#"{"binaryData":{"a":"!!"}}"#,
            "illegal base64 data at input byte 0",
        ),
        (
            r#"{"binaryData":{"a":5}}"#,
            "json: cannot unmarshal number into Go struct field ConfigMap.binaryData of type []uint8",
        ),
        // What ends upstream's reading is told before what does not.
        (
            r#"{"data":5,"metadata":{"creationTimestamp":""}}"#,
            r#"parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006""#,
        ),
    ] {
        let fault = read_as(text.as_bytes(), kind("", "ConfigMap"))
            .unwrap_err()
            .to_string();
        assert_eq!(fault, expected, "{text}");
    }
}

#[test]
fn unknown_and_duplicate_fields_are_found_in_the_order_of_the_text() {
    let text = br#"{"spec":{"foo":1,"containers":[{"name":"a","bar":{"x":1,"x":2},"name":"b"}],"nodeSelector":{"a":"1","a":"2"}},"foo":2,"foo":3}"#;
    let read = read_as(text, kind("", "Pod")).unwrap();
    assert_eq!(
        strict_message(&read.strict),
        "strict decoding error: unknown field \"spec.foo\", unknown field \"spec.containers[0].bar\", duplicate field \"spec.containers[0].name\", \
         duplicate field \"spec.nodeSelector.a\", unknown field \"foo\""
    );
    assert_eq!(read.value["spec"]["containers"][0]["name"], "b");
    assert!(read.value.get("foo").is_none());
}

#[test]
fn what_go_always_writes_is_there_and_what_it_leaves_out_is_not() {
    let text = br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","creationTimestamp":null,"labels":{"x":null}},
        "spec":{"containers":[{"name":"a","env":[],"image":"","resources":{"limits":{"cpu":"1000m","memory":1024}}}],"terminationGracePeriodSeconds":0,"hostNetwork":false}}"#;
    let read = read_as(text, kind("", "Pod")).unwrap();
    assert_eq!(
        read.value,
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": ""}},
            "spec": {
                "containers": [{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1024"}}}],
                "terminationGracePeriodSeconds": 0,
            },
            "status": {},
        })
    );
    assert_eq!(read.strict, Vec::<String>::new());
}

#[test]
fn whole_numbers_stay_exact_where_anything_goes() {
    let read = read(
        br#"[9007199254740993, 1.0, 1e3, 0.5, -9223372036854775808, "\ud83d\ude00\u00e9\ud800"]"#,
    )
    .unwrap();
    assert_eq!(
        read.value.to_string(),
        "[9007199254740993,1,1000,0.5,-9223372036854775808,\"\u{1f600}\u{e9}\u{fffd}\"]"
    );
}

#[test]
fn version_and_kind_are_read_before_anything_else() {
    let prefix = "couldn't get version/kind; json parse error: ";
    assert_eq!(
        type_meta(br#"{"apiVersion":"v1","kind":"Pod"}"#).unwrap(),
        ("v1".to_owned(), "Pod".to_owned())
    );
    for (text, expected) in [
        (
            r#"{"kind":1}"#,
            "json: cannot unmarshal number into Go struct field .kind of type string",
        ),
        (
            "[]",
            r#"json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#,
        ),
    ] {
        assert_eq!(
            type_meta(text.as_bytes()).unwrap_err().to_string(),
            format!("{prefix}{expected}")
        );
    }
    assert_eq!(
        excerpt(br#"{"apiVersion":"v1","kind":"ConfigMap",}"#),
        r#"{"apiVersion":"v1","kind":"Con ..."#
    );
    assert_eq!(excerpt(b"[]"), "5b5d");
    assert_eq!(excerpt(b""), "<empty>");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let _ = read_as(&bytes, kind("", "Pod"));
    }

    #[test]
    fn text_that_looks_like_json_is_taken_as_serde_json_takes_it(text in r#"[\[\]{}:,"a1\-.e \\un]{0,40}"#) {
        let ours = read(text.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<crate::Value>(&text);
        // Go takes lone surrogates, and neither takes numbers out of range.
        prop_assert!(ours == theirs.is_ok() || text.contains("\\u"), "{:?} {}", theirs, text);
    }
}
