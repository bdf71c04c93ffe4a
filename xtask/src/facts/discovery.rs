//! Resources of upstream's discovery documents, subresources with them.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Versions that are served: the stable ones.
fn stable(version: &str) -> bool {
    !version.contains("alpha") && !version.contains("beta")
}

/// Every resource of every stable group version, in the order of the file names.
pub(super) fn read(folder: &Path) -> Result<Vec<Value>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    let mut rows = Vec::new();
    for path in paths {
        let list: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        if list["kind"] != "APIResourceList" {
            continue;
        }
        let group_version = list["groupVersion"].as_str().unwrap_or_default();
        let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
        if stable(version) {
            resources(group, version, &list, &mut rows);
        }
    }
    Ok(rows)
}

fn resources(group: &str, version: &str, list: &Value, rows: &mut Vec<Value>) {
    let declared = list["resources"].as_array().map_or(&[][..], Vec::as_slice);
    for resource in declared {
        let name = resource["name"].as_str().unwrap_or_default();
        if name.contains('/') {
            continue;
        }
        let below: Vec<Value> = declared
            .iter()
            .filter_map(|other| {
                let (owner, subresource) = other["name"].as_str()?.split_once('/')?;
                (owner == name).then(|| kept(other, subresource))
            })
            .collect();
        let mut row = kept(resource, name);
        row["in"] = json!(format!("{group}/{version}"));
        if !below.is_empty() {
            row["subresources"] = below.into();
        }
        rows.push(row);
    }
}

/// What the table keeps of an entry.
fn kept(resource: &Value, name: &str) -> Value {
    let mut row = Map::new();
    row.insert("name".into(), name.into());
    for key in [
        "kind",
        "group",
        "version",
        "singularName",
        "shortNames",
        "categories",
        "namespaced",
        "verbs",
    ] {
        if let Some(value) = resource
            .get(key)
            .filter(|value| **value != json!("") && **value != json!(false))
        {
            row.insert(key.into(), value.clone());
        }
    }
    row.into()
}
