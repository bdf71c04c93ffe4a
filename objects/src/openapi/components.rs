//! The schemas of a document: every type that its operations name, and the types in those.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use super::{Served, Source, custom};
use crate::{
    Map, Value,
    catalog::{Resource, split_api_version},
    schema::{At, Field, List, ListKind, NodeId, Object, Shape},
};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const APIEXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
/// A type whose texts about apiVersion, kind and metadata are those of every kind.
pub(super) const ANY_KIND: &str = "io.k8s.api.core.v1.ConfigMap";

/// Fields of `JSONSchemaProps` and of CRDs that take one of several shapes, and the types that are made of those.
const UNIONS: [(&str, &str); 5] = [
    ("additionalItems", "JSONSchemaPropsOrBool"),
    ("additionalProperties", "JSONSchemaPropsOrBool"),
    ("dependencies", "JSONSchemaPropsOrStringArray"),
    ("items", "JSONSchemaPropsOrArray"),
    ("status", "CustomResourceSubresourceStatus"),
];

/// The texts that a field may hold, by type and field.
const CHOICES: &str = include_str!("../../data/enums.json");

/// The schemas that a document needs, made as they are asked for.
pub(super) struct Components<'a> {
    pub(super) source: Source<'a>,
    /// The names of built-in types, by their nodes.
    names: HashMap<NodeId, &'a str>,
    /// Group, version and kind of built-in types that are whole objects.
    kinds: HashMap<NodeId, Vec<&'a str>>,
    choices: Value,
    done: BTreeMap<String, Value>,
    queue: Vec<(String, NodeId)>,
}

impl<'a> Components<'a> {
    pub(super) fn new(source: Source<'a>) -> Components<'a> {
        let mut names = HashMap::new();
        let mut kinds: HashMap<NodeId, Vec<&str>> = HashMap::new();
        for (name, id) in source.builtin.names() {
            if name.contains('/') {
                kinds.entry(id).or_default().push(name);
            } else {
                names.insert(id, name);
            }
        }
        Components {
            source,
            names,
            kinds,
            choices: serde_json::from_str(CHOICES)
                .expect("the table is compiled in, and a test reads it"),
            done: BTreeMap::new(),
            queue: Vec::new(),
        }
    }

    /// All schemas, those in others included.
    pub(super) fn finish(mut self) -> Map {
        while let Some((name, id)) = self.queue.pop() {
            let schema = self.type_schema(&name, id);
            self.done.insert(name, schema);
        }
        self.done.into_iter().collect()
    }

    /// A reference to a built-in type.
    pub(super) fn named(&mut self, name: &str) -> Value {
        if !self.done.contains_key(name)
            && let Some(id) = self.source.builtin.named(name)
        {
            self.done.insert(name.to_owned(), Value::Null);
            self.queue.push((name.to_owned(), id));
        }
        reference(name)
    }

    pub(super) fn meta(&mut self, kind: &str) -> Value {
        self.named(&format!("{META}.{kind}"))
    }

    /// A reference to a built-in kind; none where it has no type, as options of a connection.
    pub(super) fn kind(&mut self, group: &str, version: &str, kind: &str) -> Option<Value> {
        let id = self
            .source
            .builtin
            .named(&format!("{group}/{version}/{kind}"))?;
        let name = *self.names.get(&id)?;
        Some(self.named(name))
    }

    /// References to the type of a resource's objects and to that of their lists.
    pub(super) fn resource(&mut self, served: Served<'_>) -> (Value, Value) {
        let resource = served.resource;
        let list_kind = format!("{}List", resource.kind);
        if !self.source.is_custom(served) {
            let (group, version) = (&resource.group, &resource.version);
            let object = self.kind(group, version, &resource.kind);
            let list = self.kind(group, version, &list_kind);
            let object = object.unwrap_or_else(|| json!({}));
            return (object, list.unwrap_or_else(|| json!({})));
        }
        let name = custom::type_name(resource, &resource.kind);
        let list_name = custom::type_name(resource, &list_kind);
        let mut object = custom::object(self, served);
        object["x-kubernetes-group-version-kind"] =
            json!([group_version_kind(resource, &resource.kind)]);
        let mut list = custom::list(self, resource, &name);
        list["x-kubernetes-group-version-kind"] = json!([group_version_kind(resource, &list_kind)]);
        self.done.insert(name.clone(), object);
        self.done.insert(list_name.clone(), list);
        (reference(&name), reference(&list_name))
    }

    pub(super) fn description(&self, type_name: &str, field: &str) -> Option<String> {
        let descriptions = self.source.descriptions;
        descriptions.of(type_name, field).or_else(|| {
            // What every kind says alike is not told again for lists.
            let is_common = matches!(field, "apiVersion" | "kind");
            is_common
                .then(|| descriptions.of(ANY_KIND, field))
                .flatten()
        })
    }

    /// A type without fields that protobuf or Go knows by name.
    fn special(&mut self, name: &str, mut schema: Value) -> Value {
        if !self.done.contains_key(name) {
            if let Some(text) = self.description(name, "") {
                schema["description"] = json!(text);
            }
            self.done.insert(name.to_owned(), schema);
        }
        reference(name)
    }

    fn type_schema(&mut self, name: &str, id: NodeId) -> Value {
        let mut schema = Map::new();
        if let Some(text) = self.description(name, "") {
            schema.insert("description".to_owned(), json!(text));
        }
        schema.insert("type".to_owned(), json!("object"));
        if let Shape::Object(object) = self.source.builtin.at(id).shape() {
            self.object_fields(&mut schema, name, object);
        }
        if let Some(kinds) = self.kinds.get(&id) {
            let mut kinds: Vec<&str> = kinds.clone();
            kinds.sort_unstable();
            schema.insert(
                "x-kubernetes-group-version-kind".to_owned(),
                kinds.into_iter().map(parse_kind).collect(),
            );
        }
        Value::Object(schema)
    }

    fn object_fields(&mut self, schema: &mut Map, name: &str, object: &Object) {
        let required: Vec<&str> = object
            .fields
            .iter()
            .filter(|(_, field)| field.required)
            .map(|(name, _)| &**name)
            .collect();
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        let properties: Map = object
            .fields
            .iter()
            .map(|(field_name, field)| {
                let property = self.property(name, field_name, field);
                (field_name.to_string(), property)
            })
            .collect();
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), Value::Object(properties));
        }
        if object.atomic {
            schema.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
        }
    }

    fn property(&mut self, type_name: &str, name: &str, field: &Field) -> Value {
        let at = self.source.builtin.at(field.node);
        let is_elements = name == "items" && type_name.ends_with("List");
        let mut schema = match self.builtin(at, name) {
            Value::Object(schema) => schema,
            _ => Map::new(),
        };
        if let Some(choices) = self
            .choices
            .get(type_name)
            .and_then(|fields| fields.get(name))
        {
            let held = ["items", "additionalProperties"]
                .into_iter()
                .find(|key| schema.contains_key(*key));
            match held.and_then(|key| schema.get_mut(key)) {
                Some(element) => element["enum"] = choices.clone(),
                None => {
                    schema.insert("enum".to_owned(), choices.clone());
                }
            }
        }
        if is_elements {
            schema.remove("x-kubernetes-list-type");
        }
        // Beside a reference nothing else counts, so that it goes one step down.
        if let Some(target) = schema.remove("$ref") {
            schema.insert("allOf".to_owned(), json!([{ "$ref": target }]));
        }
        let mut set = |key: &str, value: Value| schema.insert(key.to_owned(), value);
        if let Some(text) = self.description(type_name, name) {
            set("description", json!(text));
        }
        if let Some(default) = &field.default {
            set("default", default.clone());
        }
        if field.atomic == Some(true) {
            set("x-kubernetes-map-type", json!("atomic"));
        }
        let words = [
            ("merge", field.patch.merge),
            ("replace", field.patch.replace),
            ("retainKeys", field.patch.retain_keys),
        ];
        let words: Vec<&str> = words
            .iter()
            .filter(|word| word.1)
            .map(|word| word.0)
            .collect();
        if !words.is_empty() {
            set("x-kubernetes-patch-strategy", json!(words.join(",")));
        }
        if let Some(key) = &field.patch.key {
            set("x-kubernetes-patch-merge-key", json!(key));
        }
        Value::Object(schema)
    }

    /// The schema of a value of a built-in kind, in the field of this name. Types refer to one another by name, so that this ends.
    fn builtin(&mut self, at: At<'_>, field: &str) -> Value {
        match at.shape() {
            Shape::Object(_) => match self.names.get(&at.id) {
                Some(name) => self.named(name),
                None => json!({ "type": "object" }),
            },
            Shape::Map { values, atomic } => {
                let values = self.builtin(at.schema.at(*values), field);
                let mut map = json!({ "type": "object", "additionalProperties": values });
                if *atomic {
                    map["x-kubernetes-map-type"] = json!("atomic");
                }
                map
            }
            Shape::List(list) => {
                let items = self.builtin(at.schema.at(list.items), field);
                let mut schema = list_schema(list, items);
                if list.kind == ListKind::Atomic {
                    schema["x-kubernetes-list-type"] = json!("atomic");
                }
                schema
            }
            Shape::WrappedList { items } => {
                json!({ "type": "array", "items": self.builtin(at.schema.at(*items), field) })
            }
            Shape::Any => match UNIONS.iter().find(|union| union.0 == field) {
                Some(("status", name)) => {
                    let schema = json!({ "type": "object" });
                    self.special(&format!("{APIEXTENSIONS}.{name}"), schema)
                }
                Some((_, name)) => self.special(&format!("{APIEXTENSIONS}.{name}"), json!({})),
                None => json!({}),
            },
            scalar => self.scalar(scalar, field),
        }
    }

    fn scalar(&mut self, shape: &Shape, field: &str) -> Value {
        match shape {
            Shape::String | Shape::Duration => json!({ "type": "string" }),
            Shape::Bytes => json!({ "type": "string", "format": "byte" }),
            Shape::Integer { bits } => json!({ "type": "integer", "format": format!("int{bits}") }),
            Shape::Number => json!({ "type": "number", "format": "double" }),
            Shape::Boolean => json!({ "type": "boolean" }),
            Shape::Time | Shape::MicroTime => {
                let kind = if matches!(shape, Shape::Time) {
                    "Time"
                } else {
                    "MicroTime"
                };
                let schema = json!({ "type": "string", "format": "date-time" });
                self.special(&format!("{META}.{kind}"), schema)
            }
            Shape::IntOrString => {
                let either = json!([{ "type": "integer" }, { "type": "string" }]);
                let schema = json!({ "format": "int-or-string", "oneOf": either });
                self.special(INT_OR_STRING, schema)
            }
            Shape::Quantity => {
                let either = json!([{ "type": "string" }, { "type": "number" }]);
                self.special(QUANTITY, json!({ "oneOf": either }))
            }
            Shape::RawExtension => self.special(RAW_EXTENSION, json!({ "type": "object" })),
            Shape::Json if field == "fieldsV1" => {
                self.special(&format!("{META}.FieldsV1"), json!({ "type": "object" }))
            }
            Shape::Json => self.special(&format!("{APIEXTENSIONS}.JSON"), json!({})),
            _ => json!({}),
        }
    }
}

/// A list with what tells its elements apart.
pub(super) fn list_schema(list: &List, items: Value) -> Value {
    let mut schema = json!({ "type": "array", "items": items });
    match list.kind {
        ListKind::Atomic => {}
        ListKind::Set => schema["x-kubernetes-list-type"] = json!("set"),
        ListKind::Map => {
            schema["x-kubernetes-list-type"] = json!("map");
            schema["x-kubernetes-list-map-keys"] = json!(list.keys);
        }
    }
    schema
}

pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(super) fn group_version_kind(resource: &Resource, kind: &str) -> Value {
    json!({ "group": resource.group, "version": resource.version, "kind": kind })
}

/// `apps/v1/Deployment` in its parts.
fn parse_kind(key: &str) -> Value {
    let (api_version, kind) = key.rsplit_once('/').unwrap_or_default();
    let (group, version) = split_api_version(api_version);
    json!({ "group": group, "version": version, "kind": kind })
}
