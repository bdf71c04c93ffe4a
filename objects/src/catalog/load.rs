//! Reads the data file of the built-in kinds; its form is documented in docs/kubernetes.md.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

use crate::catalog::{Catalog, Resource, Subresource};
use crate::schema::{Field, Go, List, ListKind, Node, NodeId, Object, Omit, Patch, Schema, Shape};

/// Written by `cargo xtask facts`.
const DATA: &str = include_str!("../../data/builtin.json");

#[derive(Deserialize)]
struct File {
    types: BTreeMap<String, TypeRow>,
    resources: Vec<ResourceRow>,
}

#[derive(Deserialize)]
struct TypeRow {
    /// `group/version/Kind` of the kinds that have this type.
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    atomic: bool,
    fields: BTreeMap<String, FieldRow>,
}

#[derive(Deserialize)]
struct FieldRow {
    /// A type in short: `[map:name]@io.k8s.api.core.v1.Container`.
    r#type: String,
    #[serde(default)]
    n: Vec<u32>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    default: Option<Value>,
    #[serde(default)]
    patch: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    atomic: Option<bool>,
    #[serde(default)]
    pointer: bool,
    #[serde(default)]
    omit: String,
    #[serde(default)]
    go: Option<String>,
    #[serde(default)]
    r#in: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceRow {
    name: String,
    kind: String,
    #[serde(default)]
    r#in: String,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    singular_name: String,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    subresources: Vec<ResourceRow>,
}

/// The name under which the schema knows a kind.
pub(super) fn kind_key(group: &str, version: &str, kind: &str) -> String {
    format!("{group}/{version}/{kind}")
}

pub(super) fn builtin() -> Catalog {
    let file: File =
        serde_json::from_str(DATA).expect("the data file is compiled in, and a test reads it");
    let mut schema = Schema::new();
    // All names first, so that types can refer to one another.
    for (name, row) in &file.types {
        let id = schema.add(Node::default());
        schema.name(name, id);
        for kind in &row.kinds {
            schema.name(kind, id);
        }
    }
    for (name, row) in file.types {
        let fields = row
            .fields
            .into_iter()
            .map(|(name, row)| (name.into_boxed_str(), field(&mut schema, row)))
            .collect();
        let object = Object {
            fields,
            atomic: row.atomic,
            ..Object::default()
        };
        let id = schema.named(&name).expect("every name was given a node");
        schema.set(
            id,
            Node {
                shape: Shape::Object(object),
                ..Node::default()
            },
        );
    }
    let resources = file
        .resources
        .into_iter()
        .map(|row| resource(&schema, row))
        .collect();
    Catalog { resources, schema }
}

fn field(schema: &mut Schema, row: FieldRow) -> Field {
    Field {
        node: node(schema, &row.r#type),
        numbers: row.n.into_boxed_slice(),
        required: row.required,
        default: row.default,
        patch: Patch {
            merge: row.patch.split(',').any(|word| word == "merge"),
            replace: row.patch == "replace",
            retain_keys: row.patch.split(',').any(|word| word == "retainKeys"),
            key: row.key.map(String::into_boxed_str),
        },
        atomic: row.atomic,
        go: Go {
            pointer: row.pointer,
            omit: match row.omit.as_str() {
                "never" => Omit::Never,
                "zero" => Omit::Zero,
                _ => Omit::Empty,
            },
            kind: row.go.map(String::into_boxed_str),
            outer: row.r#in.map(String::into_boxed_str),
        },
    }
}

/// The node of a type in short, made where it has none yet.
fn node(schema: &mut Schema, word: &str) -> NodeId {
    if let Some(name) = word.strip_prefix('@') {
        return schema.named(name).unwrap_or_default();
    }
    let shape = if let Some((list, items)) =
        word.strip_prefix('[').and_then(|rest| rest.split_once(']'))
    {
        list_shape(list, node(schema, items))
    } else if let Some((map, values)) = word.strip_prefix('{').and_then(|rest| rest.split_once('}'))
    {
        Shape::Map {
            values: node(schema, values),
            atomic: map == "atomic",
        }
    } else {
        scalar(word)
    };
    schema.add(Node {
        shape,
        ..Node::default()
    })
}

fn list_shape(word: &str, items: NodeId) -> Shape {
    let (kind, keys) = match word {
        "wrapped" => return Shape::WrappedList { items },
        "set" => (ListKind::Set, Vec::new()),
        "" => (ListKind::Atomic, Vec::new()),
        map => (
            ListKind::Map,
            map.trim_start_matches("map:")
                .split(',')
                .map(Into::into)
                .collect(),
        ),
    };
    Shape::List(List {
        items,
        kind,
        keys: keys.into_boxed_slice(),
    })
}

fn scalar(word: &str) -> Shape {
    match word {
        "string" => Shape::String,
        "bytes" => Shape::Bytes,
        "time" => Shape::Time,
        "microtime" => Shape::MicroTime,
        "duration" => Shape::Duration,
        "int32" => Shape::Integer { bits: 32 },
        "int64" => Shape::Integer { bits: 64 },
        "number" => Shape::Number,
        "boolean" => Shape::Boolean,
        "intstr" => Shape::IntOrString,
        "quantity" => Shape::Quantity,
        "json" => Shape::Json,
        "raw" => Shape::RawExtension,
        _ => Shape::Any,
    }
}

fn resource(schema: &Schema, row: ResourceRow) -> Resource {
    let (group, version) = row.r#in.split_once('/').unwrap_or_default();
    let subresources = row
        .subresources
        .into_iter()
        .map(|below| subresource(group, version, below))
        .collect();
    Resource {
        node: schema
            .named(&kind_key(group, version, &row.kind))
            .unwrap_or_default(),
        storage: storage(group, &row.name),
        group: group.to_owned(),
        version: version.to_owned(),
        kind: row.kind,
        plural: row.name,
        singular: row.singular_name,
        short_names: row.short_names,
        categories: row.categories,
        namespaced: row.namespaced,
        verbs: row.verbs,
        subresources,
    }
}

fn subresource(group: &str, version: &str, row: ResourceRow) -> Subresource {
    Subresource {
        name: row.name,
        group: row.group.unwrap_or_else(|| group.to_owned()),
        version: row.version.unwrap_or_else(|| version.to_owned()),
        kind: row.kind,
        verbs: row.verbs,
    }
}

/// Where upstream keeps a resource's objects (kube-apiserver's `SpecialDefaultResourcePrefixes`; most are under their plural name).
fn storage(group: &str, plural: &str) -> String {
    match (group, plural) {
        ("", "replicationcontrollers") => "/controllers/".to_owned(),
        ("", "endpoints") => "/services/endpoints/".to_owned(),
        ("", "services") => "/services/specs/".to_owned(),
        ("", "nodes") => "/minions/".to_owned(),
        ("networking.k8s.io", "ingresses") => "/ingress/".to_owned(),
        ("events.k8s.io", "events") => "/events/".to_owned(),
        ("apiextensions.k8s.io" | "apiregistration.k8s.io", _) => format!("/{group}/{plural}/"),
        _ => format!("/{plural}/"),
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;
    use crate::schema::Shape;

    #[test]
    fn every_resource_has_a_type_with_metadata_or_is_a_request_without_one() {
        for resource in &Catalog::builtin().resources {
            let at = Catalog::builtin().schema.at(resource.node);
            assert!(
                matches!(at.shape(), Shape::Object(_)),
                "{}",
                resource.plural
            );
            assert!(at.field("metadata").is_some(), "{}", resource.plural);
        }
    }

    #[test]
    fn a_field_of_an_embedded_type_knows_both_numbers() {
        let pod = Catalog::builtin()
            .kind("", "v1", "Pod")
            .expect("a built-in kind");
        let volumes = pod
            .field("spec")
            .and_then(|spec| spec.field("volumes"))
            .and_then(|list| list.items())
            .expect("pods have volumes");
        assert_eq!(
            *volumes.declared("configMap").expect("a source").numbers,
            [2, 19]
        );
    }
}
