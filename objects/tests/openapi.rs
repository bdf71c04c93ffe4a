//! OpenAPI documents: what kubectl and generators of clients look for in them.

use std::collections::BTreeMap;

use objects::{
    Value,
    catalog::{Catalog, Resource},
    openapi::{Descriptions, Served, Source, group_version_path, index, v2, v2_protobuf, v3},
    schema::{Constraints, Field, List, ListKind, Node, NodeId, Object, Schema, Shape},
};
use serde_json::json;

/// Says of everything what it is.
struct Told;

impl Descriptions for Told {
    fn of(&self, type_name: &str, field: &str) -> Option<String> {
        type_name
            .ends_with("PodSpec")
            .then(|| format!("about {field}"))
    }
}

fn source() -> Source<'static> {
    Source {
        builtin: &Catalog::builtin().schema,
        descriptions: &Told,
        version: "1.36",
    }
}

fn builtin() -> BTreeMap<String, Vec<Served<'static>>> {
    let catalog = Catalog::builtin();
    let mut groups: BTreeMap<String, Vec<Served<'static>>> = BTreeMap::new();
    for resource in &catalog.resources {
        let path = group_version_path(&resource.group, &resource.version);
        let schema = &catalog.schema;
        groups
            .entry(path)
            .or_default()
            .push(Served { resource, schema });
    }
    groups
}

/// All targets of references in a document.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(
                fields
                    .get("$ref")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(elements) => elements.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn assert_references_lead_somewhere(document: &Value) {
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(!found.is_empty());
    for target in found {
        let pointer = target.strip_prefix('#').expect("a local reference");
        assert!(
            document.pointer(pointer).is_some_and(Value::is_object),
            "{target}"
        );
    }
}

#[test]
fn every_reference_of_every_document_leads_to_a_schema() {
    let groups = builtin();
    for resources in groups.values() {
        assert_references_lead_somewhere(&v3(source(), resources));
    }
    let all: Vec<Served<'_>> = groups.into_values().flatten().collect();
    assert_references_lead_somewhere(&v2(source(), &all));
}

#[test]
fn every_patch_of_an_object_says_that_it_takes_field_validation() {
    for (path, resources) in &builtin() {
        let document = v3(source(), resources);
        for served in resources {
            let resource = served.resource;
            if !resource.verbs.iter().any(|verb| verb == "patch") {
                continue;
            }
            let namespace = if resource.namespaced {
                "/namespaces/{namespace}"
            } else {
                ""
            };
            let item = format!("/{path}{namespace}/{}/{{name}}", resource.plural);
            let patch = &document["paths"][&item]["patch"];
            let takes_it = patch["parameters"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["name"] == "fieldValidation"));
            assert!(takes_it, "{item}");
            assert_eq!(
                patch["x-kubernetes-group-version-kind"],
                json!({ "group": resource.group, "version": resource.version, "kind": resource.kind })
            );
        }
    }
}

#[test]
fn fields_say_how_they_are_patched_what_they_are_for_and_what_they_may_hold() {
    let document = v3(source(), &builtin()["api/v1"]);
    let spec = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"];
    assert_eq!(
        spec["properties"]["containers"],
        json!({
            "description": "about containers",
            "type": "array",
            "items": { "$ref": "#/components/schemas/io.k8s.api.core.v1.Container" },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-patch-strategy": "merge",
            "x-kubernetes-patch-merge-key": "name",
        })
    );
    assert_eq!(
        spec["properties"]["affinity"],
        json!({
            "description": "about affinity",
            "allOf": [{ "$ref": "#/components/schemas/io.k8s.api.core.v1.Affinity" }],
        })
    );
    assert_eq!(
        spec["properties"]["restartPolicy"]["enum"],
        json!(["Always", "Never", "OnFailure"])
    );
    assert_eq!(spec["required"], json!(["containers"]));
}

#[test]
fn operations_are_named_as_clients_are_generated_from_them() {
    let groups = builtin();
    let core = v3(source(), &groups["api/v1"]);
    let rbac = v3(source(), &groups["apis/rbac.authorization.k8s.io/v1"]);
    for (document, path, method, name) in [
        (
            &core,
            "/api/v1/namespaces/{namespace}/pods",
            "get",
            "listCoreV1NamespacedPod",
        ),
        (
            &core,
            "/api/v1/pods",
            "get",
            "listCoreV1PodForAllNamespaces",
        ),
        (
            &core,
            "/api/v1/nodes/{name}/status",
            "patch",
            "patchCoreV1NodeStatus",
        ),
        (
            &core,
            "/api/v1/namespaces/{namespace}/pods/{name}/exec",
            "post",
            "connectCoreV1PostNamespacedPodExec",
        ),
        (
            &rbac,
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            "delete",
            "deleteRbacAuthorizationV1CollectionClusterRole",
        ),
    ] {
        assert_eq!(
            document["paths"][path][method]["operationId"], name,
            "{path}"
        );
    }
}

#[test]
fn the_table_of_choices_names_fields_that_there_are() {
    let table: BTreeMap<String, BTreeMap<String, Vec<String>>> =
        serde_json::from_str(include_str!("../data/enums.json")).expect("the table is JSON");
    let schema = &Catalog::builtin().schema;
    for (type_name, fields) in table {
        let at = schema.at(schema.named(&type_name).expect("a type"));
        for field in fields.keys() {
            assert!(at.declared(field).is_some(), "{type_name} {field}");
        }
    }
}

#[test]
fn the_index_leads_to_documents_by_their_hashes() {
    assert_eq!(
        index([("api/v1", "AB12")]),
        json!({ "paths": { "api/v1": { "serverRelativeURL": "/openapi/v3/api/v1?hash=AB12" } } })
    );
}

/// A custom resource `foos` whose spec has a bounded count, a list of maps and a value that may be null.
fn foos() -> (Resource, Schema) {
    let (schema, node) = foo_schema();
    let resource = Resource {
        group: "patches.example.com".to_owned(),
        version: "v1".to_owned(),
        kind: "Foo".to_owned(),
        plural: "foos".to_owned(),
        singular: "foo".to_owned(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: true,
        verbs: ["get", "list", "create", "patch", "delete"]
            .map(str::to_owned)
            .to_vec(),
        subresources: Vec::new(),
        node,
        storage: String::new(),
    };
    (resource, schema)
}

fn foo_schema() -> (Schema, NodeId) {
    let mut schema = Schema::new();
    let field = |node| Field {
        node,
        ..Field::default()
    };
    let object = |fields: Vec<(&str, Field)>| {
        Shape::Object(Object {
            fields: fields
                .into_iter()
                .map(|(name, field)| (name.into(), field))
                .collect(),
            ..Object::default()
        })
    };
    let mut add = |shape, nullable, constraints: Constraints| {
        schema.add(Node {
            shape,
            nullable,
            constraints: Some(Box::new(constraints)),
        })
    };
    let text = add(Shape::String, false, Constraints::default());
    let port = add(Shape::IntOrString, true, Constraints::default());
    let item = add(
        object(vec![("name", field(text)), ("port", field(port))]),
        false,
        Constraints::default(),
    );
    let list = List {
        items: item,
        kind: ListKind::Map,
        keys: Box::new(["name".into()]),
    };
    let items = add(Shape::List(list), false, Constraints::default());
    let bounded = Constraints {
        description: Some("How many.".into()),
        maximum: Some(9.into()),
        ..Constraints::default()
    };
    let count = add(Shape::Integer { bits: 64 }, false, bounded);
    let count = Field {
        default: Some(json!(3)),
        ..field(count)
    };
    let required = Constraints {
        required: vec!["count".into()],
        ..Constraints::default()
    };
    let spec = add(
        object(vec![("count", count), ("items", field(items))]),
        false,
        required,
    );
    let node = add(
        object(vec![("spec", field(spec))]),
        false,
        Constraints::default(),
    );
    (schema, node)
}

#[test]
fn a_custom_resource_is_told_as_its_author_wrote_it() {
    let (resource, schema) = foos();
    let served = Served {
        resource: &resource,
        schema: &schema,
    };
    let document = v3(source(), &[served]);
    assert_references_lead_somewhere(&document);
    let foo = &document["components"]["schemas"]["com.example.patches.v1.Foo"];
    assert_eq!(
        foo["properties"]["spec"],
        json!({
            "type": "object",
            "required": ["count"],
            "properties": {
                "count": { "description": "How many.", "type": "integer", "maximum": 9, "default": 3 },
                "items": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": { "type": "object", "properties": {
                        "name": { "type": "string" },
                        "port": {
                            "anyOf": [{ "type": "integer" }, { "type": "string" }],
                            "x-kubernetes-int-or-string": true,
                            "nullable": true,
                        },
                    } },
                },
            },
        })
    );
    assert_eq!(
        foo["x-kubernetes-group-version-kind"],
        json!([{ "group": "patches.example.com", "version": "v1", "kind": "Foo" }])
    );
    let item = "/apis/patches.example.com/v1/namespaces/{namespace}/foos/{name}";
    let bodies = &document["paths"][item]["patch"]["requestBody"]["content"];
    assert!(bodies.get("application/merge-patch+json").is_some());
    assert!(
        bodies
            .get("application/strategic-merge-patch+json")
            .is_none()
    );

    // Version 2 cannot say that a value may be null or of two types, and leaves its type out.
    let document = v2(source(), &[served]);
    assert_references_lead_somewhere(&document);
    let items = "/definitions/com.example.patches.v1.Foo/properties/spec/properties/items/items/properties/port";
    assert_eq!(
        document.pointer(items),
        Some(&json!({ "x-kubernetes-int-or-string": true }))
    );
}

/// The fields of a protobuf message: numbers and contents, which are empty for those that are not bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let content: &[u8] = match tag & 7 {
            0 => {
                varint(&mut bytes);
                &[]
            }
            1 => {
                bytes = &bytes[8..];
                &[]
            }
            _ => {
                let len = usize::try_from(varint(&mut bytes)).expect("it is in memory");
                let (content, rest) = bytes.split_at(len);
                bytes = rest;
                content
            }
        };
        found.push((tag >> 3, content));
    }
    found
}

fn field<'a>(bytes: &'a [u8], path: &[u64]) -> &'a [u8] {
    path.iter().fold(bytes, |bytes, number| {
        let all = fields(bytes);
        all.into_iter()
            .find(|field| field.0 == *number)
            .expect("the field")
            .1
    })
}

#[test]
fn the_protobuf_form_of_version_2_has_every_path_and_definition() {
    let all: Vec<Served<'_>> = builtin().into_values().flatten().collect();
    let document = v2(source(), &all);
    let bytes = v2_protobuf(&document);
    assert_eq!(field(&bytes, &[1]), b"2.0");
    assert_eq!(field(&bytes, &[2, 2]), b"1.36");
    let count = |pointer| {
        document
            .pointer(pointer)
            .and_then(Value::as_object)
            .map(serde_json::Map::len)
    };
    let paths = fields(field(&bytes, &[8]));
    assert_eq!(Some(paths.len()), count("/paths"));
    let definitions = fields(field(&bytes, &[9]));
    assert_eq!(Some(definitions.len()), count("/definitions"));
    let spec = definitions
        .into_iter()
        .find(|definition| field(definition.1, &[1]) == b"io.k8s.api.core.v1.PodSpec")
        .expect("a definition");
    assert_eq!(field(spec.1, &[2, 19]), b"containers");
    assert_eq!(field(spec.1, &[2, 22, 1]), b"object");
    let first = field(spec.1, &[2, 25, 1]);
    assert_eq!(field(first, &[1]), b"activeDeadlineSeconds");
    assert_eq!(field(first, &[2, 2]), b"int64");
}
