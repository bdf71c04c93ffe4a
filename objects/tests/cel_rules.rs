//! Rules of CRDs: what a real kube-apiserver said of each schema and object in the tables, said again.

use std::collections::BTreeSet;

use objects::{
    Value,
    cel::{Budget, rules},
    invalid::{Faults, Invalid},
    path::Path,
    schema::{Constraints, Field, List, ListKind, Node, NodeId, Object, Schema, Shape},
};

/// Reads the part of OpenAPI that the tables use.
fn add(schema: &mut Schema, text: &Value) -> NodeId {
    let flag = |name: &str| text.get(name).and_then(Value::as_bool).unwrap_or(false);
    let most = |name: &str| text.get(name).and_then(Value::as_u64);
    let name = |value: &Value| Box::<str>::from(value.as_str().unwrap_or_default());
    let list = |name: &str| {
        text.get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let required: Vec<Box<str>> = list("required").iter().map(name).collect();
    let shape = match text.get("type").and_then(Value::as_str).unwrap_or_default() {
        "object" => match text.get("additionalProperties") {
            Some(values) => Shape::Map {
                values: add(schema, values),
                atomic: false,
            },
            None => {
                let properties = text.get("properties").and_then(Value::as_object).cloned();
                let properties = properties.unwrap_or_default();
                let fields = properties.iter().map(|(name, inner)| {
                    let field = Field {
                        node: add(schema, inner),
                        required: required.iter().any(|required| **required == **name),
                        default: inner.get("default").cloned(),
                        ..Field::default()
                    };
                    (name.as_str().into(), field)
                });
                Shape::Object(Object {
                    fields: fields.collect(),
                    preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
                    embedded: flag("x-kubernetes-embedded-resource"),
                    ..Object::default()
                })
            }
        },
        "array" => Shape::List(List {
            items: add(schema, &text["items"]),
            kind: match text.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => ListKind::Set,
                Some("map") => ListKind::Map,
                _ => ListKind::Atomic,
            },
            keys: list("x-kubernetes-list-map-keys")
                .iter()
                .map(name)
                .collect(),
        }),
        "string" => Shape::String,
        "integer" => Shape::Integer { bits: 64 },
        "number" => Shape::Number,
        "boolean" => Shape::Boolean,
        _ if flag("x-kubernetes-int-or-string") => Shape::IntOrString,
        _ => Shape::Any,
    };
    let constraints = Constraints {
        format: text.get("format").map(name),
        choices: list("enum"),
        length_max: most("maxLength"),
        items_max: most("maxItems"),
        properties_max: most("maxProperties"),
        required,
        rules: list("x-kubernetes-validations"),
        ..Constraints::default()
    };
    schema.add(Node {
        shape,
        nullable: flag("nullable"),
        constraints: Some(Box::new(constraints)),
    })
}

/// The schema of an object with one field, `value`.
fn schema_of(value: &Value) -> (Schema, NodeId) {
    let mut schema = Schema::new();
    let text = serde_json::json!({"type": "object", "properties": {"value": value}});
    let id = add(&mut schema, &text);
    (schema, id)
}

fn texts(faults: &Faults) -> BTreeSet<String> {
    faults.iter().map(Invalid::to_string).collect()
}

fn expected(case: &Value) -> BTreeSet<String> {
    let faults = case["faults"].as_array().expect("cases have faults");
    faults
        .iter()
        .map(|fault| fault.as_str().expect("faults are text").to_owned())
        .collect()
}

fn compare(table: &str, found: impl Fn(&Value) -> BTreeSet<String>) {
    let cases: Vec<Value> = serde_json::from_str(table).expect("the table is JSON");
    let mut wrong = Vec::new();
    for case in &cases {
        let (found, expected) = (found(case), expected(case));
        let missing = expected
            .difference(&found)
            .map(|text| format!("  missing {text}"));
        let extra = found
            .difference(&expected)
            .map(|text| format!("  extra   {text}"));
        let lines: Vec<String> = missing.chain(extra).collect();
        if !lines.is_empty() {
            wrong.push(format!("{}\n{}", case["schema"], lines.join("\n")));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn objects_are_judged_as_upstream_judges_them() {
    compare(include_str!("cel/rules.json"), |case| {
        let (schema, id) = schema_of(&case["schema"]);
        let whole = |value: &Value| serde_json::json!({"value": value});
        let (new, old) = (whole(&case["new"]), case.get("old").map(whole));
        let mut budget = Budget::default();
        texts(&rules::validate(
            schema.at(id),
            &new,
            old.as_ref(),
            &mut budget,
        ))
    });
}

#[test]
fn rules_are_refused_as_upstream_refuses_them() {
    compare(include_str!("cel/compile.json"), |case| {
        let (schema, id) = schema_of(&case["schema"]);
        texts(&rules::compile(schema.at(id), &Path::new("schema")))
    });
}

/// How long a list of one element may be until a rule over it costs more than one call may: found by asking a kube-apiserver.
#[test]
fn rules_run_out_of_their_budget_where_upstream_s_do() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("cel/costs.json")).expect("the table is JSON");
    let mut wrong = Vec::new();
    for case in &cases {
        let rules = serde_json::json!([{"rule": case["rule"]}]);
        let list = serde_json::json!({"type": "array", "items": case["items"], "x-kubernetes-validations": rules});
        let (schema, id) = schema_of(&list);
        let exhausts = |count: u64| {
            let items: Vec<&Value> = (0..count).map(|_| &case["item"]).collect();
            let object = serde_json::json!({"value": items});
            let faults = rules::validate(schema.at(id), &object, None, &mut Budget::default());
            !faults.is_empty()
        };
        let fits = case["fits"].as_u64().expect("counts are numbers");
        if exhausts(fits) || case.get("exceeds").is_some() && !exhausts(fits + 1) {
            let ours = (1..2000).find(|count| exhausts(*count));
            wrong.push(format!(
                "{}: upstream up to {fits}, ours exceeds at {ours:?}",
                case["rule"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn values_are_shown_as_upstream_shows_them() {
    compare(include_str!("cel/values.json"), |case| {
        let (schema, id) = schema_of(&case["schema"]);
        let new = serde_json::json!({"value": case["new"]});
        let mut budget = Budget::default();
        texts(&rules::validate(schema.at(id), &new, None, &mut budget))
    });
}
