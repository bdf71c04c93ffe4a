//! Version 2 documents, made of version 3 documents.

use serde_json::json;

use super::bearer_token;
use crate::{Map, Value};

/// Media types in the order that clients of version 2 know.
const MEDIA_TYPES: [&str; 9] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Words of a schema that version 2 does not have.
const UNKNOWN: [&str; 4] = ["anyOf", "oneOf", "not", "nullable"];

/// A document while others are added to it.
#[derive(Default)]
pub(super) struct Merged {
    paths: Map,
    definitions: Map,
}

impl Merged {
    /// Adds a version 3 document.
    pub(super) fn add(&mut self, mut document: Value) {
        if let Value::Object(schemas) = document["components"]["schemas"].take() {
            let converted = schemas
                .into_iter()
                .map(|(name, value)| (name, schema(value)));
            self.definitions.extend(converted);
        }
        if let Value::Object(paths) = document["paths"].take() {
            let converted = paths
                .into_iter()
                .map(|(path, item)| (path, path_item(item)));
            self.paths.extend(converted);
        }
    }

    pub(super) fn finish(self, version: &str) -> Value {
        json!({
            "swagger": "2.0",
            "info": { "title": "Kubernetes", "version": version },
            "paths": self.paths,
            "definitions": self.definitions,
            "securityDefinitions": { "BearerToken": bearer_token() },
            "security": [{ "BearerToken": [] }],
        })
    }
}

fn path_item(item: Value) -> Value {
    let Value::Object(fields) = item else {
        return item;
    };
    fields
        .into_iter()
        .map(|(name, value)| match value {
            Value::Array(parameters) => (name, parameters.into_iter().map(parameter).collect()),
            operation => (name, self::operation(operation)),
        })
        .collect()
}

fn operation(mut operation: Value) -> Value {
    let body = operation
        .as_object_mut()
        .and_then(|fields| fields.remove("requestBody"));
    let mut consumes = vec![json!("*/*")];
    let mut parameters = Vec::new();
    if let Some(mut body) = body {
        let (types, schema) = content(&mut body);
        consumes = types;
        let mut parameter = json!({ "name": "body", "in": "body", "schema": schema });
        if body["required"] == json!(true) {
            parameter["required"] = json!(true);
        }
        parameters.push(parameter);
    }
    if let Value::Array(queries) = operation["parameters"].take() {
        parameters.extend(queries.into_iter().map(parameter));
    }
    let mut produces = Vec::new();
    if let Some(responses) = operation["responses"].as_object_mut() {
        for response in responses.values_mut() {
            let (types, schema) = content(response);
            if let Some(fields) = response.as_object_mut() {
                fields.remove("content");
            }
            if !types.is_empty() {
                produces = types;
                response["schema"] = schema;
            }
        }
    }
    operation["consumes"] = Value::Array(consumes);
    operation["produces"] = Value::Array(produces);
    operation["schemes"] = json!(["https"]);
    if let Some(fields) = operation.as_object_mut() {
        fields.remove("parameters");
    }
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    operation
}

/// The media types of a body and its schema.
fn content(body: &mut Value) -> (Vec<Value>, Value) {
    let Value::Object(content) = body["content"].take() else {
        return (Vec::new(), Value::Null);
    };
    let place = |name: &str| MEDIA_TYPES.iter().position(|known| *known == name);
    let mut names: Vec<&String> = content.keys().collect();
    names.sort_by_key(|name| place(name));
    let names = names.into_iter().map(|name| json!(name)).collect();
    let of_first = content.into_iter().next();
    let schema = of_first.map_or(Value::Null, |(_, mut value)| schema(value["schema"].take()));
    (names, schema)
}

/// A parameter, whose schema's words stand beside its own.
fn parameter(mut parameter: Value) -> Value {
    let schema = parameter["schema"].take();
    if let (Value::Object(fields), Value::Object(schema)) = (&mut parameter, schema) {
        fields.remove("schema");
        fields.extend(schema);
    }
    parameter
}

/// A schema and those in it. As deep as the schema, which this crate has made of one of bounded depth.
fn schema(value: Value) -> Value {
    let Value::Object(mut fields) = value else {
        return value;
    };
    if let Some(Value::String(target)) = fields.get_mut("$ref") {
        *target = target.replace("#/components/schemas/", "#/definitions/");
    }
    // One reference in `allOf` is how version 3 puts words beside it.
    if let Some(Value::Array(mut all)) = fields.remove("allOf")
        && all.len() == 1
        && let Some(Value::Object(only)) = all.pop()
        && only.contains_key("$ref")
        && let Value::Object(only) = schema(Value::Object(only))
    {
        fields.extend(only);
    }
    let is = |fields: &Map, key: &str| fields.get(key) == Some(&json!(true));
    let is_open = is(&fields, "x-kubernetes-preserve-unknown-fields");
    if is(&fields, "nullable") || is(&fields, "x-kubernetes-int-or-string") || is_open {
        // Version 2 cannot say this, so that it says nothing of the value.
        for key in [
            "type",
            "items",
            "properties",
            "additionalProperties",
            "format",
            "required",
        ] {
            fields.remove(key);
        }
    }
    if fields.contains_key("oneOf") {
        // Quantities and the like are text to version 2.
        fields.insert("type".to_owned(), json!("string"));
    }
    for key in UNKNOWN {
        fields.remove(key);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            *inner = schema(inner.take());
        }
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        for inner in properties.values_mut() {
            *inner = schema(inner.take());
        }
    }
    Value::Object(fields)
}
