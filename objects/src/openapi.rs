//! OpenAPI documents of what is served: version 3 for each group and version, and version 2 as one.

use serde_json::json;

use crate::{Map, Value, catalog::Resource, schema::Schema};

mod components;
mod custom;
mod operations;
mod paths;
mod protobuf;
mod v2;

pub use protobuf::encode as v2_protobuf;

/// Where the texts about built-in kinds come from.
pub trait Descriptions {
    /// What a type, or a field of it, is for; the type itself has the empty field.
    fn of(&self, type_name: &str, field: &str) -> Option<String>;
}

/// What all documents are made with.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The schema of the built-in kinds.
    pub builtin: &'a Schema,
    pub descriptions: &'a dyn Descriptions,
    /// The version of Kubernetes, as `info.version` has it: `1.36`.
    pub version: &'a str,
}

/// A resource and the schema that its node is of.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    pub resource: &'a Resource,
    pub schema: &'a Schema,
}

impl Source<'_> {
    /// Whether a resource is defined by a CRD.
    fn is_custom(&self, served: Served<'_>) -> bool {
        !std::ptr::eq(served.schema, self.builtin)
    }
}

/// The path of a group and version below `/openapi/v3/`, and of their resources below `/`.
#[must_use]
pub fn group_version_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// The answer to `/openapi/v3`: which documents there are, by path, each with a hash of its content.
#[must_use]
pub fn index<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let paths: Map = documents
        .into_iter()
        .map(|(path, hash)| {
            let url = format!("/openapi/v3/{path}?hash={hash}");
            (path.to_owned(), json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

/// The version 3 document of the resources of one group and version.
#[must_use]
pub fn v3(source: Source<'_>, resources: &[Served<'_>]) -> Value {
    let mut components = components::Components::new(source);
    let mut paths = Map::new();
    if let Some(first) = resources.first() {
        paths::add_list_of_resources(&mut paths, &mut components, first.resource);
    }
    for served in resources {
        paths::add(&mut paths, &mut components, *served);
    }
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": source.version },
        "paths": paths,
        "components": {
            "schemas": components.finish(),
            "securitySchemes": { "BearerToken": bearer_token() },
        },
    })
}

/// The version 2 document of all resources. Each group and version is made on its own, so that never more than one is held beside the result.
#[must_use]
pub fn v2(source: Source<'_>, resources: &[Served<'_>]) -> Value {
    let group_version = |served: &Served<'_>| {
        let resource = served.resource;
        (resource.group.clone(), resource.version.clone())
    };
    let mut sorted = resources.to_vec();
    sorted.sort_by_cached_key(group_version);
    let mut merged = v2::Merged::default();
    for resources in sorted.chunk_by(|left, right| group_version(left) == group_version(right)) {
        merged.add(v3(source, resources));
    }
    merged.finish(source.version)
}

fn bearer_token() -> Value {
    json!({
        "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
    })
}
