//! What the server says it serves: the documents under `/api` and `/apis`, single and aggregated, and `/version`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256, Sha512};

use crate::catalog::{Resource, Subresource, api_version};
use crate::{Map, Value};

/// The content type of an aggregated document in JSON.
pub const AGGREGATED_CONTENT_TYPE: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A resource, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub resource: &'a Resource,
    /// Of a resource that a CRD defines, the version in which the CRD stores it; none for a built-in one.
    pub custom_storage_version: Option<&'a str>,
}

/// All that is served, in the order in which it is told.
#[derive(Debug)]
pub struct Discovery<'a> {
    /// The core group, whose name is empty, is among them.
    groups: Vec<Group<'a>>,
}

#[derive(Debug)]
struct Group<'a> {
    name: &'a str,
    priority: u32,
    /// The preferred one first.
    versions: Vec<Version<'a>>,
}

#[derive(Debug)]
struct Version<'a> {
    name: &'a str,
    entries: Vec<Entry<'a>>,
}

/// A document and what lets a client keep it.
#[derive(Debug)]
pub struct Aggregated {
    pub body: Value,
    /// The value of the `ETag` header, with its quotes.
    pub etag: String,
}

/// What was built, for `/version`.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The version of Kubernetes whose API is served: `v1.36.3`.
    pub git_version: &'a str,
    pub git_commit: &'a str,
    /// RFC 3339.
    pub build_date: &'a str,
    pub compiler_version: &'a str,
    /// `linux/amd64`.
    pub platform: &'a str,
}

/// How far in front a group stands (the group priorities of upstream's API services).
const PRIORITIES: &[(&str, u32)] = &[
    ("apiregistration.k8s.io", 20000),
    ("", 18000),
    ("apps", 17800),
    ("events.k8s.io", 17750),
    ("authentication.k8s.io", 17700),
    ("authorization.k8s.io", 17600),
    ("autoscaling", 17500),
    ("batch", 17400),
    ("certificates.k8s.io", 17300),
    ("networking.k8s.io", 17200),
    ("policy", 17100),
    ("rbac.authorization.k8s.io", 17000),
    ("storage.k8s.io", 16800),
    ("apiextensions.k8s.io", 16700),
    ("admissionregistration.k8s.io", 16700),
    ("scheduling.k8s.io", 16600),
    ("coordination.k8s.io", 16500),
    ("node.k8s.io", 16300),
    ("discovery.k8s.io", 16200),
    ("resource.k8s.io", 16200),
    ("flowcontrol.apiserver.k8s.io", 16100),
    ("metrics.k8s.io", 100),
];

/// Of a group that only CRDs define.
const PRIORITY_CUSTOM: u32 = 1000;

/// Built-in kinds that upstream stores in another group or version than the one they are served in, which their hash tells.
const STORED_ELSEWHERE: &[(&str, &str, &str)] = &[
    ("events.k8s.io", "Event", "/v1"),
    ("autoscaling", "HorizontalPodAutoscaler", "autoscaling/v2"),
    (
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "apiextensions.k8s.io/v1beta1",
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicy",
        "admissionregistration.k8s.io/v1beta1",
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io/v1beta1",
    ),
];

impl<'a> Discovery<'a> {
    /// Puts what is served in order. The order of the entries does not matter.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = Entry<'a>>) -> Discovery<'a> {
        let mut found: BTreeMap<&str, BTreeMap<&str, Vec<Entry<'a>>>> = BTreeMap::new();
        for entry in entries {
            let versions = found.entry(&entry.resource.group).or_default();
            versions
                .entry(&entry.resource.version)
                .or_default()
                .push(entry);
        }
        let groups = found.into_iter().map(|(name, versions)| Group {
            name,
            priority: PRIORITIES
                .iter()
                .find(|(group, _)| *group == name)
                .map_or(PRIORITY_CUSTOM, |(_, priority)| *priority),
            versions: ordered(versions),
        });
        let mut groups: Vec<Group<'a>> = groups.collect();
        groups.sort_by_key(|group| (Reverse(group.priority), group.name));
        Discovery { groups }
    }

    /// `/api`, at the address where clients reach the server: `10.0.0.1:6443`.
    #[must_use]
    pub fn api_versions(&self, server_address: &str) -> Value {
        let versions: Vec<&str> = self.group("").map_or_else(Vec::new, |core| {
            core.versions.iter().map(|version| version.name).collect()
        });
        json!({
            "kind": "APIVersions", "versions": versions,
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
        })
    }

    /// `/apis`.
    #[must_use]
    pub fn group_list(&self) -> Value {
        let mut groups: Vec<&Group<'_>> = self.named().collect();
        // Upstream sorts what stands equally far in front by the names of its API services: `v1.policy`.
        groups.sort_by_cached_key(|group| {
            let services = group.versions.iter();
            let first = services
                .map(|version| format!("{}.{}", version.name, group.name))
                .min();
            (Reverse(group.priority), first)
        });
        let groups: Vec<Value> = groups.into_iter().map(Group::to_value).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    /// `/apis/GROUP`; none if nothing of the group is served.
    #[must_use]
    pub fn group_document(&self, name: &str) -> Option<Value> {
        let mut document = self
            .group(name)
            .filter(|group| !group.name.is_empty())?
            .to_value();
        document["kind"] = json!("APIGroup");
        document["apiVersion"] = json!("v1");
        Some(document)
    }

    /// `/api/v1` or `/apis/GROUP/VERSION`; none if nothing of it is served.
    #[must_use]
    pub fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let versions = &self.group(group)?.versions;
        let served = versions.iter().find(|served| served.name == version)?;
        let mut rows = Vec::new();
        for entry in &served.entries {
            rows.push(entry.row());
            let below = &entry.resource.subresources;
            rows.extend(below.iter().map(|below| entry.row_below(below)));
        }
        let mut document = json!({
            "kind": "APIResourceList", "groupVersion": api_version(group, version), "resources": rows,
        });
        if !group.is_empty() {
            document["apiVersion"] = json!("v1");
        }
        Some(document)
    }

    /// `/api` as one document with all resources of the core group.
    #[must_use]
    pub fn aggregated_core(&self) -> Aggregated {
        aggregated(self.group(""))
    }

    /// `/apis` as one document with all resources of all groups.
    #[must_use]
    pub fn aggregated_groups(&self) -> Aggregated {
        aggregated(self.named())
    }

    fn group(&self, name: &str) -> Option<&Group<'a>> {
        self.groups.iter().find(|group| group.name == name)
    }

    fn named(&self) -> impl Iterator<Item = &Group<'a>> {
        self.groups.iter().filter(|group| !group.name.is_empty())
    }
}

impl Group<'_> {
    fn to_value(&self) -> Value {
        let versions: Vec<Value> = self
            .versions
            .iter()
            .map(|version| {
                json!({"groupVersion": api_version(self.name, version.name), "version": version.name})
            })
            .collect();
        json!({"name": self.name, "preferredVersion": versions.first(), "versions": versions})
    }

    fn aggregated(&self) -> Value {
        let versions: Vec<Value> = self.versions.iter().map(Version::aggregated).collect();
        let metadata = if self.name.is_empty() {
            json!({})
        } else {
            json!({"name": self.name})
        };
        json!({"metadata": metadata, "versions": versions})
    }
}

impl Version<'_> {
    fn aggregated(&self) -> Value {
        let resources: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| entry.aggregated())
            .collect();
        json!({"version": self.name, "resources": resources, "freshness": "Current"})
    }
}

impl Entry<'_> {
    /// The resource in an `APIResourceList`.
    fn row(&self) -> Value {
        let resource = self.resource;
        let mut row = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": resource.verbs,
        });
        insert_names(&mut row, resource);
        if let Some(stored) = self.stored_as() {
            row["storageVersionHash"] = json!(storage_version_hash(&stored, &resource.kind));
        }
        row
    }

    /// A subresource in an `APIResourceList`.
    fn row_below(&self, below: &Subresource) -> Value {
        let resource = self.resource;
        let mut row = json!({
            "name": format!("{}/{}", resource.plural, below.name), "singularName": "",
            "namespaced": resource.namespaced, "kind": below.kind, "verbs": below.verbs,
        });
        if self.is_of_another_group(below) {
            row["group"] = json!(below.group);
            row["version"] = json!(below.version);
        }
        row
    }

    fn aggregated(&self) -> Value {
        let resource = self.resource;
        let scope = if resource.namespaced {
            "Namespaced"
        } else {
            "Cluster"
        };
        // Upstream names group and version here for custom resources alone.
        let (group, version) = match self.custom_storage_version {
            Some(_) => (&*resource.group, &*resource.version),
            None => ("", ""),
        };
        let mut row = json!({
            "resource": resource.plural, "singularResource": resource.singular, "scope": scope,
            "responseKind": {"group": group, "version": version, "kind": resource.kind}, "verbs": resource.verbs,
        });
        insert_names(&mut row, resource);
        let below: Vec<Value> = resource
            .subresources
            .iter()
            .map(|below| {
                let (group, version) = if self.is_of_another_group(below) {
                    (&*below.group, &*below.version)
                } else {
                    (group, version)
                };
                json!({
                    "subresource": below.name, "verbs": below.verbs,
                    "responseKind": {"group": group, "version": version, "kind": below.kind},
                })
            })
            .collect();
        if !below.is_empty() {
            row["subresources"] = Value::Array(below);
        }
        row
    }

    fn is_of_another_group(&self, below: &Subresource) -> bool {
        (&below.group, &below.version) != (&self.resource.group, &self.resource.version)
    }

    /// Group and version in which objects are stored, with a slash also after the core group; none for what is not stored.
    fn stored_as(&self) -> Option<String> {
        let Resource {
            group,
            version,
            kind,
            verbs,
            ..
        } = self.resource;
        if let Some(version) = self.custom_storage_version {
            return Some(format!("{group}/{version}"));
        }
        if !verbs.iter().any(|verb| verb == "watch") {
            return None;
        }
        let elsewhere = STORED_ELSEWHERE
            .iter()
            .find(|row| (row.0, row.1) == (&**group, &**kind));
        Some(elsewhere.map_or_else(|| format!("{group}/{version}"), |row| row.2.to_owned()))
    }
}

/// `/version`.
#[must_use]
pub fn version(build: &Build<'_>) -> Value {
    let mut numbers = build.git_version.trim_start_matches('v').split('.');
    let major = numbers.next().unwrap_or_default();
    let minor = numbers.next().unwrap_or_default();
    let before = minor
        .parse::<u32>()
        .map_or_else(|_| minor.to_owned(), |n| n.saturating_sub(1).to_string());
    json!({
        "major": major, "minor": minor, "emulationMajor": major, "emulationMinor": minor,
        "minCompatibilityMajor": major, "minCompatibilityMinor": before,
        "gitVersion": build.git_version, "gitCommit": build.git_commit, "gitTreeState": "clean",
        "buildDate": build.build_date, "goVersion": build.compiler_version, "compiler": "rustc", "platform": build.platform,
    })
}

/// Short names and categories, where there are any.
fn insert_names(row: &mut Value, resource: &Resource) {
    for (key, names) in [
        ("shortNames", &resource.short_names),
        ("categories", &resource.categories),
    ] {
        if !names.is_empty() {
            row[key] = json!(names);
        }
    }
}

fn storage_version_hash(stored: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("{stored}/{kind}"));
    STANDARD.encode(&digest[..8])
}

fn aggregated<'a, 'b: 'a>(groups: impl IntoIterator<Item = &'a Group<'b>>) -> Aggregated {
    let items: Vec<Value> = groups.into_iter().map(Group::aggregated).collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": Map::new(), "items": items,
    });
    let etag = format!("\"{:X}\"", Sha512::digest(body.to_string()));
    Aggregated { body, etag }
}

/// The versions of a group with the preferred one first, each with its resources by name.
fn ordered<'a>(versions: BTreeMap<&'a str, Vec<Entry<'a>>>) -> Vec<Version<'a>> {
    let versions = versions.into_iter().map(|(name, mut entries)| {
        entries.sort_by_key(|entry| &entry.resource.plural);
        Version { name, entries }
    });
    let mut versions: Vec<Version<'a>> = versions.collect();
    versions.sort_by_key(|version| version_rank(version.name));
    versions
}

/// How versions are sorted: `v2`, `v1`, `v2beta1`, `v1beta2`, `v1alpha1`, and then all others by name.
#[must_use]
pub fn version_rank(name: &str) -> (u8, Reverse<u64>, Reverse<u64>, &str) {
    let unknown = (3, Reverse(0), Reverse(0), name);
    let Some(rest) = name.strip_prefix('v') else {
        return unknown;
    };
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, stage) = rest.split_at(digits);
    let (class, minor) = if stage.is_empty() {
        (0, "0")
    } else if let Some(minor) = stage.strip_prefix("beta") {
        (1, minor)
    } else if let Some(minor) = stage.strip_prefix("alpha") {
        (2, minor)
    } else {
        return unknown;
    };
    match (number(major), number(minor)) {
        (Some(major), Some(minor)) => (class, Reverse(major), Reverse(minor), ""),
        _ => unknown,
    }
}

/// A number of digits alone.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}
