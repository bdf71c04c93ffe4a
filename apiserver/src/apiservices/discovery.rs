//! What other servers say that they serve, in the documents by which clients find it.

use std::collections::HashMap;
use std::sync::Arc;

use objects::Value;
use objects::meta;
use serde_json::json;

use super::{ApiServices, GROUP, PLURAL};

/// Resources and their parts in what one server says that it serves. More are not shown.
const ROWS_MAX: usize = 4_096;

/// The groups of others with their versions, in the order of their priority.
struct Group {
    name: String,
    priority: i64,
    /// Each with its priority.
    versions: Vec<(i64, String)>,
}

impl ApiServices {
    /// A number that grows with what the documents show.
    pub(crate) fn generation(&self) -> u64 {
        self.known.lock().generation + self.view.generation(GROUP, PLURAL)
    }

    /// Notes what a server says that it serves; none if it does not answer.
    pub(super) fn learn(&self, name: &str, resources: Option<Value>) {
        let (version, group) = name.split_once('.').unwrap_or((name, ""));
        let resources = resources.map(|list| Arc::new(self::resources(&list, group, version)));
        let mut known = self.known.lock();
        if known.resources.get(name) == resources.as_ref() {
            return;
        }
        match resources {
            Some(resources) => known.resources.insert(name.to_owned(), resources),
            None => known.resources.remove(name),
        };
        known.generation += 1;
    }

    /// Forgets what is not wanted any more.
    pub(super) fn forget_all_but(&self, names: &[String]) {
        let mut known = self.known.lock();
        let before = known.resources.len();
        known.resources.retain(|name, _| names.contains(name));
        if known.resources.len() != before {
            known.generation += 1;
        }
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for service in self.all() {
            let text = |field| meta::text(&service, &["spec", field]);
            let number = |field| service["spec"][field].as_i64().unwrap_or(0);
            let version = (number("versionPriority"), text("version").to_owned());
            let priority = number("groupPriorityMinimum");
            match groups.iter_mut().find(|group| group.name == text("group")) {
                Some(group) => {
                    group.versions.push(version);
                    group.priority = group.priority.max(priority);
                }
                None => groups.push(Group {
                    name: text("group").to_owned(),
                    priority,
                    versions: vec![version],
                }),
            }
        }
        for group in &mut groups {
            group.versions.sort_by(|a, b| b.cmp(a));
        }
        groups.sort_by_key(|group| -group.priority);
        groups
    }

    /// Adds the groups of others to the list of all groups.
    pub(crate) fn add_groups(&self, list: &mut Value) {
        let own = meta::list(list, &["groups"]).to_vec();
        let is_own = |group: &Group| own.iter().any(|own| own["name"] == *group.name);
        let more = self.groups().into_iter().filter(|group| !is_own(group));
        if let Some(groups) = list["groups"].as_array_mut() {
            groups.extend(more.map(|group| group.document()));
        }
    }

    /// The document of a group of others.
    pub(crate) fn group(&self, name: &str) -> Option<Value> {
        let group = self.groups().into_iter().find(|group| group.name == name)?;
        let mut document = group.document();
        document["kind"] = "APIGroup".into();
        document["apiVersion"] = "v1".into();
        Some(document)
    }

    /// Adds the groups of others to the document of everything.
    pub(crate) fn add_aggregated(&self, items: &mut Vec<Value>) {
        for group in self.groups() {
            let is_own = items
                .iter()
                .any(|own| own["metadata"]["name"] == *group.name);
            if is_own {
                continue;
            }
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|(_, version)| self.version(&group.name, version))
                .collect();
            items.push(json!({
                "metadata": {"name": group.name, "creationTimestamp": null}, "versions": versions,
            }));
        }
    }

    fn version(&self, group: &str, version: &str) -> Value {
        let name = format!("{version}.{group}");
        let found = self.known.lock().resources.get(&name).cloned();
        match found {
            Some(resources) => json!({
                "version": version, "resources": *resources, "freshness": "Current",
            }),
            None => json!({"version": version, "freshness": "Stale"}),
        }
    }
}

impl Group {
    fn document(&self) -> Value {
        let version = |version: &str| json!({"groupVersion": format!("{}/{version}", self.name), "version": version});
        let versions: Vec<Value> = self
            .versions
            .iter()
            .map(|(_, name)| version(name))
            .collect();
        let preferred = versions.first().cloned();
        json!({"name": self.name, "versions": versions, "preferredVersion": preferred})
    }
}

/// The resources of a list in the form of the document of everything; of a list that is too long, those it begins with.
fn resources(list: &Value, group: &str, version: &str) -> Vec<Value> {
    let rows = meta::list(list, &["resources"]);
    let kind = |row: &Value| {
        let or = |field: &str, other: &str| match meta::text(row, &[field]) {
            "" => other.to_owned(),
            own => own.to_owned(),
        };
        json!({"group": or("group", group), "version": or("version", version), "kind": row["kind"]})
    };
    let rows = &rows[..rows.len().min(ROWS_MAX)];
    let mut parts: HashMap<&str, Vec<Value>> = HashMap::new();
    for row in rows {
        if let Some((whole, part)) = meta::text(row, &["name"]).split_once('/') {
            parts.entry(whole).or_default().push(json!({
                "subresource": part, "responseKind": kind(row), "verbs": meta::list(row, &["verbs"]),
            }));
        }
    }
    rows.iter()
        .filter(|row| !meta::text(row, &["name"]).contains('/'))
        .map(|row| {
            let name = meta::text(row, &["name"]);
            let scope = if row["namespaced"] == true {
                "Namespaced"
            } else {
                "Cluster"
            };
            let mut resource = json!({
                "resource": name, "responseKind": kind(row), "scope": scope,
                "singularResource": meta::text(row, &["singularName"]), "verbs": meta::list(row, &["verbs"]),
            });
            for field in ["shortNames", "categories"] {
                if let Some(value) = row.get(field) {
                    resource[field] = value.clone();
                }
            }
            if let Some(parts) = parts.remove(name) {
                resource["subresources"] = parts.into();
            }
            resource
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_shown_with_their_resource_and_a_long_list_only_to_its_bound() {
        let row = |name: &str, kind: &str| json!({"name": name, "kind": kind, "namespaced": true, "verbs": ["get"]});
        let mut rows = vec![
            row("a/status", "A"),
            row("a", "A"),
            row("b", "B"),
            row("a/scale", "Scale"),
        ];
        let shown = resources(&json!({"resources": rows}), "x.test", "v1");
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0]["subresources"][0]["subresource"], "status");
        assert_eq!(shown[0]["subresources"][1]["subresource"], "scale");
        assert_eq!(
            shown[0]["responseKind"],
            json!({"group": "x.test", "version": "v1", "kind": "A"})
        );
        assert!(shown[1].get("subresources").is_none());
        rows.resize(ROWS_MAX + 1, row("c", "C"));
        let shown = resources(&json!({"resources": rows}), "x.test", "v1");
        assert_eq!(shown.len(), ROWS_MAX - 2);
    }
}
