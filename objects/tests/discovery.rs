//! The discovery documents, beside those of a kube-apiserver 1.36.3 and for resources that CRDs define.

use objects::Value;
use objects::catalog::{Catalog, Resource, Subresource};
use objects::discovery::{Build, Discovery, Entry, version, version_rank};
use serde_json::json;

/// What the kube-apiserver said, a document a line, restricted to the groups that are built in here.
const UPSTREAM: &str = include_str!("discovery/upstream.jsonl");

fn builtin<'a>() -> impl Iterator<Item = Entry<'a>> {
    let resources = Catalog::builtin().resources.iter();
    resources.map(|resource| Entry {
        resource,
        custom_storage_version: None,
    })
}

#[test]
fn the_documents_of_the_built_in_groups_are_those_of_upstream() {
    let discovery = Discovery::new(builtin());
    for line in UPSTREAM.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let path = row["path"].as_str().unwrap();
        let ours = match path.split('/').collect::<Vec<_>>()[..] {
            ["", "api"] => discovery.api_versions("127.0.0.1:16443"),
            ["", "apis"] => discovery.group_list(),
            ["aggregated ", "api"] => discovery.aggregated_core().body,
            ["aggregated ", "apis"] => discovery.aggregated_groups().body,
            ["", "api", version] => discovery.resource_list("", version).unwrap(),
            ["", "apis", group] => discovery.group_document(group).unwrap(),
            ["", "apis", group, version] => discovery.resource_list(group, version).unwrap(),
            _ => panic!("{path} is no path of discovery"),
        };
        assert_eq!(ours, row["document"], "{path}");
    }
}

#[test]
fn a_group_or_version_that_nothing_is_served_of_has_no_document() {
    let discovery = Discovery::new(builtin());
    assert_eq!(discovery.group_document("none.example.com"), None);
    assert_eq!(discovery.group_document(""), None);
    assert_eq!(discovery.resource_list("apps", "v9"), None);
    assert_eq!(discovery.resource_list("none.example.com", "v1"), None);
}

fn custom(group: &str, version: &str) -> Resource {
    let below = |name: &str, group: &str, version: &str, kind: &str| Subresource {
        name: name.to_owned(),
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        verbs: ["get", "patch", "update"].map(str::to_owned).to_vec(),
    };
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: "Gear".to_owned(),
        plural: "gears".to_owned(),
        singular: "gear".to_owned(),
        short_names: vec!["gr".to_owned()],
        categories: Vec::new(),
        namespaced: true,
        verbs: ["delete", "get", "create"].map(str::to_owned).to_vec(),
        subresources: vec![
            below("status", group, version, "Gear"),
            below("scale", "autoscaling", "v1", "Scale"),
        ],
        node: Default::default(),
        storage: String::new(),
    }
}

#[test]
fn a_custom_resource_names_its_group_in_the_aggregated_document_and_hashes_its_storage_version() {
    let gears = custom("shop.example.com", "v1beta1");
    let discovery = Discovery::new([Entry {
        resource: &gears,
        custom_storage_version: Some("v1"),
    }]);
    let list = discovery
        .resource_list("shop.example.com", "v1beta1")
        .unwrap();
    assert_eq!(
        list["resources"],
        json!([
            {"name": "gears", "singularName": "gear", "namespaced": true, "kind": "Gear",
             "verbs": ["delete", "get", "create"], "shortNames": ["gr"], "storageVersionHash": "WdaQbR8ghwE="},
            {"name": "gears/status", "singularName": "", "namespaced": true, "kind": "Gear", "verbs": ["get", "patch", "update"]},
            {"name": "gears/scale", "singularName": "", "namespaced": true, "kind": "Scale", "group": "autoscaling",
             "version": "v1", "verbs": ["get", "patch", "update"]},
        ])
    );
    let aggregated = discovery.aggregated_groups();
    let own = json!({"group": "shop.example.com", "version": "v1beta1", "kind": "Gear"});
    let row = &aggregated.body["items"][0]["versions"][0]["resources"][0];
    assert_eq!(row["responseKind"], own);
    assert_eq!(row["subresources"][0]["responseKind"], own);
    assert_eq!(
        row["subresources"][1]["responseKind"],
        json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})
    );
}

#[test]
fn groups_of_custom_resources_come_last_and_their_preferred_version_is_the_most_stable() {
    let versions = ["v1alpha1", "v2beta1", "v1", "v10", "rust", "v2"];
    let resources: Vec<Resource> = versions
        .iter()
        .map(|version| custom("a.example.com", version))
        .collect();
    let later = custom("b.example.com", "v1");
    let entries = resources.iter().chain([&later]).map(|resource| Entry {
        resource,
        custom_storage_version: Some("v1"),
    });
    let discovery = Discovery::new(entries.chain(builtin()));
    let document = discovery.group_document("a.example.com").unwrap();
    let order: Vec<&str> = document["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["version"].as_str().unwrap())
        .collect();
    assert_eq!(order, ["v10", "v2", "v1", "v2beta1", "v1alpha1", "rust"]);
    assert_eq!(document["preferredVersion"]["version"], "v10");
    let names = |document: &Value, path: &str| -> Vec<String> {
        let groups = document.as_array().unwrap().iter();
        groups
            .map(|group| group.pointer(path).unwrap().as_str().unwrap().to_owned())
            .collect()
    };
    let list = names(&discovery.group_list()["groups"], "/name");
    // Equally far in front, `rust.a.example.com` sorts before `v1.b.example.com`.
    assert_eq!(
        list[list.len() - 3..],
        [
            "flowcontrol.apiserver.k8s.io",
            "a.example.com",
            "b.example.com"
        ]
    );
    let body = discovery.aggregated_groups().body;
    assert_eq!(
        names(&body["items"], "/metadata/name").last().unwrap(),
        "b.example.com"
    );
}

#[test]
fn an_etag_changes_with_what_is_served_and_not_with_the_order_of_the_entries() {
    let forwards = Discovery::new(builtin()).aggregated_groups().etag;
    let mut entries: Vec<Entry<'_>> = builtin().collect();
    entries.reverse();
    assert_eq!(Discovery::new(entries).aggregated_groups().etag, forwards);
    let fewer = Discovery::new(builtin().filter(|entry| entry.resource.group != "policy"));
    assert_ne!(fewer.aggregated_groups().etag, forwards);
    assert_eq!(forwards.len(), 2 + 128);
}

#[test]
fn a_version_with_a_number_that_is_too_large_is_sorted_by_its_name() {
    assert_eq!(
        version_rank("v99999999999999999999999").3,
        "v99999999999999999999999"
    );
    assert_eq!(version_rank("v+1").3, "v+1");
    assert_eq!(version_rank("v").3, "v");
    assert_eq!(version_rank("v1beta").3, "v1beta");
}

#[test]
fn the_version_document_tells_major_and_minor_apart() {
    let document = version(&Build {
        git_version: "v1.36.3",
        git_commit: "abc",
        build_date: "2026-01-01T00:00:00Z",
        compiler_version: "rustc 1.95",
        platform: "linux/amd64",
    });
    assert_eq!(document["major"], "1");
    assert_eq!(document["minor"], "36");
    assert_eq!(document["minCompatibilityMinor"], "35");
    assert_eq!(document["gitVersion"], "v1.36.3");
}
