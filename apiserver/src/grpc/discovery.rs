//! What is served, from the documents by which REST tells it.

use std::collections::HashSet;

use objects::Value;
use objects::meta::{list, text};
use objects::status::Status;
use proto::api;

use super::caller::Caller;
use super::failure::Failed;

/// The path whose readers may ask.
const PATH: &str = "/apis";

pub(super) async fn resources(caller: &Caller<'_>) -> Result<api::ResourcesResponse, Failed> {
    let reading = async {
        let front = caller.front();
        let table = front.registry.resources.whole_table().await?;
        let others = &front.apiservices;
        let mut answer = api::ResourcesResponse::default();
        for path in ["/api", PATH] {
            let document = front.pages.aggregated(&table, others, path);
            add(&mut answer, &document.body);
        }
        Ok::<_, Status>(answer)
    };
    Ok(caller.read_path(PATH, reading).await?)
}

/// Adds the resources of a document.
fn add(answer: &mut api::ResourcesResponse, document: &Value) {
    for item in list(document, &["items"]) {
        let group = text(item, &["metadata", "name"]);
        let mut seen = HashSet::new();
        for part in list(item, &["versions"]) {
            let version = text(part, &["version"]);
            if text(part, &["freshness"]) == "Stale" {
                answer.unknown.push(api::UnknownVersion {
                    group: group.to_owned(),
                    version: version.to_owned(),
                });
            }
            for found in list(part, &["resources"]) {
                let mut resource = resource(found);
                group.clone_into(&mut resource.group);
                version.clone_into(&mut resource.version);
                resource.preferred = seen.insert(resource.resource.clone());
                answer.resources.push(resource);
            }
        }
    }
}

fn resource(found: &Value) -> api::Resource {
    api::Resource {
        kind: text(found, &["responseKind", "kind"]).to_owned(),
        resource: text(found, &["resource"]).to_owned(),
        singular: text(found, &["singularResource"]).to_owned(),
        short_names: texts(found, "shortNames"),
        namespaced: text(found, &["scope"]) == "Namespaced",
        verbs: texts(found, "verbs"),
        subresources: list(found, &["subresources"])
            .iter()
            .map(|below| api::Subresource {
                name: text(below, &["subresource"]).to_owned(),
                verbs: texts(below, "verbs"),
            })
            .collect(),
        ..api::Resource::default()
    }
}

fn texts(of: &Value, field: &str) -> Vec<String> {
    let found = list(of, &[field]).iter();
    found.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_version_of_each_resource_is_preferred_and_what_is_not_known_is_told() {
        let of = |names: &[&str]| {
            let names = names.iter().map(|name| json!({"resource": name}));
            names.collect::<Vec<_>>()
        };
        let document = json!({"items": [
            {"metadata": {"name": "g"}, "versions": [
                {"version": "v1", "resources": of(&["a"])},
                {"version": "v1beta1", "resources": of(&["a", "b"])},
            ]},
            {"metadata": {"name": "h"}, "versions": [{"version": "v1", "freshness": "Stale"}]},
        ]});
        let mut answer = api::ResourcesResponse::default();
        add(&mut answer, &document);
        let found: Vec<_> = answer
            .resources
            .iter()
            .map(|one| (one.version.as_str(), one.resource.as_str(), one.preferred))
            .collect();
        let expected = [
            ("v1", "a", true),
            ("v1beta1", "a", false),
            ("v1beta1", "b", true),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            (answer.unknown.len(), answer.unknown[0].group.as_str()),
            (1, "h")
        );
    }
}
