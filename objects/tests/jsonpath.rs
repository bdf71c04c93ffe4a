//! JSONPath, dotted paths, and what upstream says of paths that CRDs may not have.

use objects::Value;
use objects::invalid::Faults;
use objects::jsonpath::{
    JsonPath, dotted, dotted_mut, validate_column, validate_scale, validate_selectable,
};
use objects::path::Path;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn paths_that_upstream_does_not_read_are_refused() {
    for (path, message) in [
        (".spec[", "unterminated array"),
        (".spec[x]", "invalid array index x"),
        (".spec[1:2:3:4]", "invalid array index 1:2:3:4"),
        (".spec[\"a\"]", "invalid array index \"a\""),
        (
            ".spec[99999999999999999999]",
            "array index 99999999999999999999 is not a number",
        ),
        (".spec[?(@.a==1]", "unterminated filter"),
        (".spec[?(@.a==1)", "unclosed array expect ]"),
        (".spec[?(@.a=='x\n')]", "unterminated filter"),
        ("....a", "invalid multiple recursive descent"),
        (".spec(", ""),
        ("(", "unrecognized character in action: U+0028 '('"),
        ("'a", "unterminated quoted string"),
        ("+", "cannot parse number +"),
    ] {
        match JsonPath::parse(path) {
            Ok(_) => assert_eq!(message, "", "{path}"),
            Err(error) => assert_eq!(error.to_string(), message, "{path}"),
        }
    }
}

#[test]
fn a_path_gives_all_that_it_leads_to() {
    let object = json!({"a": {"x": [1, 2, 3], "y": null}, "b": {"x": [4]}});
    for (path, found) in [
        (".a.x[*]", json!([1, 2, 3])),
        (".a.x[0,2]", json!([1, 3])),
        (".a.x[-2:]", json!([2, 3])),
        (".a.x[0:3:2]", json!([1, 3])),
        (".a.x[1:1]", json!([])),
        (".a.y", json!([null])),
        (".a.y.z", json!([])),
        (".*.x[0]", json!([1, 4])),
        ("..x[0]", json!([1, 4])),
        ("$.a.x[?(@>1)]", json!([2, 3])),
        ("'text'", json!(["text"])),
        (".a.x[0]} and more", json!([1])),
    ] {
        let path = JsonPath::parse(path).unwrap();
        assert_eq!(json!(path.find(&object).unwrap()), found, "{path:?}");
    }
}

#[test]
fn a_path_that_an_object_does_not_bear_is_an_error_and_not_an_absence() {
    let object = json!({"a": [1], "b": "text"});
    for (path, message) in [
        (".a[1]", "array index out of bounds: index 1, length 1"),
        (".a[-2]", "array index out of bounds: index -1, length 1"),
        (".a[1:0]", "array index out of bounds: index 1, length 1"),
        (".a[::0]", "step must be > 0"),
        (".b[0]", "is not array or slice"),
        (".b[?(@.c)]", "is not array or slice and cannot be filtered"),
        (".a[?(@=='1')]", "incompatible types for comparison"),
        (".a[?(@=!1)]", "unrecognized filter operator =!"),
        ("spec", "unrecognized identifier spec"),
    ] {
        let path = JsonPath::parse(path).unwrap();
        assert_eq!(path.find(&object).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_dotted_path_is_read_and_written() {
    let mut object = json!({"spec": {"replicas": 3}, "status": "none"});
    assert_eq!(dotted(&object, ".spec.replicas"), Some(&json!(3)));
    assert_eq!(dotted(&object, ".spec.missing"), None);
    *dotted_mut(&mut object, ".spec.scale.replicas").unwrap() = json!(5);
    assert_eq!(
        object["spec"],
        json!({"replicas": 3, "scale": {"replicas": 5}})
    );
    assert_eq!(dotted_mut(&mut object, ".status.replicas"), None);
}

fn texts(faults: &Faults) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_printer_column_that_is_wrong_is_told_in_upstreams_words() {
    let path = Path::new("spec").child("additionalPrinterColumns").index(0);
    let faults = validate_column(&json!({"name": "", "type": "", "jsonPath": ""}), &path);
    assert_eq!(
        texts(&faults),
        [
            "spec.additionalPrinterColumns[0].name: Required value",
            "spec.additionalPrinterColumns[0].type: Required value: must be one of boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[0].JSONPath: Required value",
        ]
    );
    let column = json!({"name": "a", "type": "text", "format": "x", "jsonPath": "spec.x"});
    assert_eq!(
        texts(&validate_column(&column, &path)),
        [
            "spec.additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of boolean,date,integer,number,string",
            "spec.additionalPrinterColumns[0].format: Invalid value: \"x\": must be one of byte,date,date-time,double,float,int32,int64,password",
            "spec.additionalPrinterColumns[0].JSONPath: Invalid value: \"spec.x\": must be a simple json path starting with .",
        ]
    );
    // What cannot be read is not told: such a column is not shown.
    let column = json!({"name": "a", "type": "date", "format": "int32", "jsonPath": ".spec["});
    assert_eq!(texts(&validate_column(&column, &path)), [""; 0]);
}

#[test]
fn a_scale_whose_paths_are_wrong_is_told_in_upstreams_words() {
    let path = Path::new("spec").child("subresources");
    let scale = json!({"specReplicasPath": "spec.x", "statusReplicasPath": ".spec.x", "labelSelectorPath": ".metadata.x"});
    assert_eq!(
        texts(&validate_scale(&scale, &path)),
        [
            "spec.subresources.scale.specReplicasPath: Invalid value: \"spec.x\": must be a simple json path starting with .",
            "spec.subresources.scale.statusReplicasPath: Invalid value: \".spec.x\": should be a json path under .status",
            "spec.subresources.scale.labelSelectorPath: Invalid value: \".metadata.x\": should be a json path under either .spec or .status",
        ]
    );
    assert_eq!(
        texts(&validate_scale(&json!({}), &path)),
        [
            "spec.subresources.scale.specReplicasPath: Required value",
            "spec.subresources.scale.statusReplicasPath: Required value",
        ]
    );
    let scale = json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"});
    assert_eq!(texts(&validate_scale(&scale, &path)), [""; 0]);
}

/// Paths in the order of the CRD that upstream was given, with what it said of each.
const SELECTABLE: &[(&str, &str)] = &[
    (".spec.s", ""),
    (".spec.i", ""),
    (".spec.b", ""),
    (
        ".spec.n",
        "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
    ),
    (
        ".spec.io",
        "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
    ),
    (
        ".spec.l",
        "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
    ),
    (
        ".spec.l[0]",
        "is an invalid path: array notation is not allowed",
    ),
    (
        ".spec.m['a']",
        "is an invalid path: array notation is not allowed",
    ),
    (".spec.m.a", ""),
    (
        ".spec.o",
        "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
    ),
    (".spec.o.x", ""),
    (
        ".spec.l2.x",
        "is an invalid path: does not refer to a valid field",
    ),
    (
        ".spec.p.x",
        "is an invalid path: does not refer to a valid field",
    ),
    ("", "Required value"),
    (
        "spec.s",
        "is an invalid path: expected [ or . but got: spec",
    ),
    (".", "is an invalid path: unexpected end of JSON path"),
    ("..", "is an invalid path: does not refer to a valid field"),
    (
        ".spec",
        "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
    ),
    (
        ".spec..s",
        "is an invalid path: does not refer to a valid field",
    ),
    (
        ".spec.missing",
        "is an invalid path: does not refer to a valid field",
    ),
    (".metadata.name", "must not point to fields in metadata"),
    (
        ".metadata.uid",
        "is an invalid path: does not refer to a valid field",
    ),
    (
        ".apiVersion",
        "is an invalid path: does not refer to a valid field",
    ),
    (
        ".kind",
        "is an invalid path: does not refer to a valid field",
    ),
    (".spec.s", "Duplicate value: \".spec.s\""),
    (
        ".spec.s.x",
        "is an invalid path: does not refer to a valid field",
    ),
    (
        ".spec.s.",
        "is an invalid path: unexpected end of JSON path",
    ),
    (
        ".'spec'.s",
        "is an invalid path: does not refer to a valid field",
    ),
    (
        ".spec.o[x]",
        "is an invalid path: array notation is not allowed",
    ),
    (" .spec.s", "is an invalid path: expected [ or . but got:  "),
    (
        ".spec.s ",
        "is an invalid path: does not refer to a valid field",
    ),
    ("x", "is an invalid path: expected [ or . but got: x"),
];

#[test]
fn a_selectable_field_that_is_wrong_is_told_in_upstreams_words() {
    let text = json!({"type": "string"});
    let inner = json!({"type": "object", "properties": {"x": text}});
    let schema = json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {"name": text}},
        "spec": {"type": "object", "properties": {
            "s": text, "i": {"type": "integer"}, "b": {"type": "boolean"}, "n": {"type": "number"},
            "io": {"x-kubernetes-int-or-string": true}, "l": {"type": "array", "items": text},
            "m": {"type": "object", "additionalProperties": text}, "o": inner, "l2": {"type": "array", "items": inner},
            "p": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }},
    }});
    let fields: Vec<Value> = SELECTABLE
        .iter()
        .map(|(path, _)| json!({"jsonPath": path}))
        .collect();
    let faults = validate_selectable(&fields, &schema, &Path::new("selectableFields"));
    let (last, faults) = faults.split_last().unwrap();
    assert_eq!(
        last.to_string(),
        "selectableFields: Too many: 11: must have at most 8 items"
    );
    let mut told = faults.iter();
    for (index, (path, detail)) in SELECTABLE.iter().enumerate() {
        if !detail.is_empty() {
            let fault = told.next().unwrap();
            assert_eq!(
                fault.path.as_str(),
                format!("selectableFields[{index}].jsonPath")
            );
            let body = fault.body();
            assert_eq!(
                body.replace(&format!("Invalid value: \"{path}\": "), ""),
                *detail
            );
        }
    }
    assert_eq!(told.next(), None);
}

fn any_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn no_selectable_field_panics(text in "[a.'\\[\\]\\\\é]{0,8}") {
        let schema = json!({"properties": {"a": {"additionalProperties": {"type": "string"}}}});
        let _ = validate_selectable(&[json!({"jsonPath": text})], &schema, &Path::root());
    }

    #[test]
    fn no_path_panics(text in "\\PC*", object in any_object()) {
        if let Ok(path) = JsonPath::parse(&text) {
            let _ = path.find(&object);
        }
    }

    #[test]
    fn no_path_of_the_words_of_paths_panics(
        words in prop::collection::vec(
            prop::sample::select(vec![
                ".", "..", "a", "b", "*", "[", "]", "[?(", ")]", "@", "$", "'", "\"", "\\", "-", "1", "9223372036854775807",
                "-9223372036854775808", ":", ",", "==", "<", "{", "}", " ", "é", "\n",
            ]),
            0..20,
        ),
        object in any_object(),
    ) {
        if let Ok(path) = JsonPath::parse(&words.concat()) {
            let _ = path.find(&object);
        }
    }
}
