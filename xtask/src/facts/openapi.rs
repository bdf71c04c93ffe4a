//! Types of upstream's OpenAPI documents, as short words: `[map:name]@io.k8s.api.core.v1.Container`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::golang::Structs;
use super::proto::{Field, Messages};

/// Types that are one value on the wire, and the word for each.
const SCALARS: [(&str, &str); 13] = [
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "quantity"),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "intstr"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "time"),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
        "microtime",
    ),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "duration"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "json"),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", "raw"),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
        "json",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
        "any",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
        "any",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
        "any",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceStatus",
        "any",
    ),
    ("io.k8s.apimachinery.pkg.version.Info", "any"),
];

/// Kinds that no path of the OpenAPI documents has, though they are sent or stored: the group, version and kind of each, and
/// its properties in the words of OpenAPI.
fn unpublished() -> Value {
    let text = json!({"type": "string"});
    let meta = |kind: &str| json!({"$ref": format!("#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.{kind}")});
    let of = |group: &str, kind: &str| json!([{"group": group, "version": "v1", "kind": kind}]);
    json!({
        "io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata": {
            "properties": {"apiVersion": text, "kind": text, "metadata": meta("ObjectMeta")},
            "x-kubernetes-group-version-kind": of("meta.k8s.io", "PartialObjectMetadata"),
        },
        "io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList": {
            "properties": {
                "apiVersion": text, "kind": text, "metadata": meta("ListMeta"),
                "items": {"type": "array", "items": meta("PartialObjectMetadata")},
            },
            "x-kubernetes-group-version-kind": of("meta.k8s.io", "PartialObjectMetadataList"),
        },
        "io.k8s.api.core.v1.RangeAllocation": {
            "properties": {
                "apiVersion": text, "kind": text, "metadata": meta("ObjectMeta"), "range": text,
                "data": {"type": "string", "format": "byte"},
            },
            "x-kubernetes-group-version-kind": of("", "RangeAllocation"),
        },
    })
}

/// The fields of every named type.
pub(super) fn read(
    folder: &Path,
    messages: &Messages,
    structs: &Structs,
) -> Result<Map<String, Value>> {
    let swagger: Value = serde_json::from_slice(&std::fs::read(folder.join("swagger.json"))?)?;
    let defaults = defaults(&folder.join("v3"))?;
    let unpublished = unpublished();
    let definitions = swagger["definitions"]
        .as_object()
        .context("swagger.json has no definitions")?
        .iter()
        .chain(unpublished.as_object().into_iter().flatten());
    let none = Map::new();
    let mut types = Map::new();
    for (name, definition) in definitions {
        let unstable =
            name.contains(".v1alpha") || name.contains(".v1beta") || name.contains(".v2beta");
        if unstable || SCALARS.iter().any(|(scalar, _)| scalar == name) {
            continue;
        }
        let mut row = Map::new();
        if let Some(kinds) = definition["x-kubernetes-group-version-kind"].as_array() {
            row.insert("kinds".into(), kinds.iter().map(kind_key).collect());
        }
        if definition["x-kubernetes-map-type"] == "atomic" {
            row.insert("atomic".into(), true.into());
        }
        let required: Vec<&str> = definition["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut fields = Map::new();
        let properties = definition["properties"].as_object().unwrap_or(&none);
        for (field, declared) in properties {
            let numbers = numbers(name, field, properties, messages);
            let mut row = field_row(
                declared,
                &numbers,
                messages,
                required.contains(&field.as_str()),
            );
            structs.tell(name, field, &mut row);
            fields.insert(
                field.clone(),
                with_default(row, defaults.get(&(name.clone(), field.clone()))),
            );
        }
        row.insert("fields".into(), fields.into());
        types.insert(name.clone(), row.into());
    }
    Ok(types)
}

fn kind_key(kind: &Value) -> Value {
    let [group, version, kind] =
        ["group", "version", "kind"].map(|key| kind[key].as_str().unwrap_or_default());
    json!(format!("{group}/{version}/{kind}"))
}

fn field_row(
    declared: &Value,
    found: &[&Field],
    messages: &Messages,
    required: bool,
) -> Map<String, Value> {
    let mut row = Map::new();
    let wrapped = found
        .last()
        .is_some_and(|field| messages.wraps_list(&field.kind));
    row.insert("type".into(), word(declared, wrapped).into());
    if !found.is_empty() {
        row.insert(
            "n".into(),
            found
                .iter()
                .map(|field| field.number)
                .collect::<Vec<_>>()
                .into(),
        );
    }
    if required {
        row.insert("required".into(), true.into());
    }
    for (key, short) in [
        ("x-kubernetes-patch-strategy", "patch"),
        ("x-kubernetes-patch-merge-key", "key"),
    ] {
        if let Some(text) = declared[key].as_str() {
            row.insert(short.into(), text.into());
        }
    }
    if declared.get("$ref").is_some() && declared.get("x-kubernetes-map-type").is_some() {
        row.insert(
            "atomic".into(),
            (declared["x-kubernetes-map-type"] == "atomic").into(),
        );
    }
    row
}

fn with_default(mut row: Map<String, Value>, default: Option<&Value>) -> Value {
    if let Some(default) = default {
        row.insert("default".into(), default.clone());
    }
    row.into()
}

/// The fields that lead to a property: itself, or behind those of types that Go embeds and JSON does not show.
fn numbers<'a>(
    owner: &str,
    property: &str,
    properties: &Map<String, Value>,
    messages: &'a Messages,
) -> Vec<&'a Field> {
    // Words of JSON Schema and initialisms are spelt otherwise in a proto: `$ref`, `x-kubernetes-list-type`, `uid`.
    let spelt = camel(property.trim_start_matches('$'));
    let fields = messages.fields(owner);
    if let Some(field) = fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(&spelt))
    {
        return vec![field];
    }
    for outer in fields.iter().filter(|field| {
        !properties
            .keys()
            .any(|key| key.eq_ignore_ascii_case(&field.name))
    }) {
        let inner = numbers(&outer.kind, property, &Map::new(), messages);
        if !inner.is_empty() {
            return std::iter::once(outer).chain(inner).collect();
        }
    }
    Vec::new()
}

/// `x-kubernetes-list-type` is `xKubernetesListType` in a proto.
fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

fn word(declared: &Value, wrapped: bool) -> String {
    if let Some(reference) = declared["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return SCALARS
            .iter()
            .find(|(scalar, _)| *scalar == name)
            .map_or_else(|| format!("@{name}"), |(_, word)| (*word).to_owned());
    }
    let format = declared["format"].as_str().unwrap_or_default();
    match declared["type"].as_str().unwrap_or_default() {
        "string" if format == "byte" => "bytes".to_owned(),
        "string" => "string".to_owned(),
        "integer" if format == "int64" => "int64".to_owned(),
        "integer" => "int32".to_owned(),
        "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "array" if wrapped => format!("[wrapped]{}", word(&declared["items"], false)),
        "array" => format!("[{}]{}", list(declared), word(&declared["items"], false)),
        "object" if declared["additionalProperties"].is_object() => {
            let atomic = if declared["x-kubernetes-map-type"] == "atomic" {
                "atomic"
            } else {
                ""
            };
            format!(
                "{{{atomic}}}{}",
                word(&declared["additionalProperties"], wrapped)
            )
        }
        _ => "any".to_owned(),
    }
}

fn list(declared: &Value) -> String {
    match declared["x-kubernetes-list-type"].as_str() {
        Some("set") => "set".to_owned(),
        Some("map") => {
            let keys: Vec<&str> = declared["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            format!("map:{}", keys.join(","))
        }
        _ => String::new(),
    }
}

/// Defaults that say something, which only the documents of OpenAPI v3 have, by type and field.
fn defaults(folder: &Path) -> Result<BTreeMap<(String, String), Value>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let document: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        for (name, definition) in document["components"]["schemas"]
            .as_object()
            .into_iter()
            .flatten()
        {
            for (field, declared) in definition["properties"].as_object().into_iter().flatten() {
                let default = &declared["default"];
                let empty = default.is_null()
                    || *default == json!("")
                    || *default == json!(0)
                    || *default == json!({})
                    || *default == json!(false);
                if !empty {
                    found.insert((name.clone(), field.clone()), default.clone());
                }
            }
        }
    }
    Ok(found)
}
