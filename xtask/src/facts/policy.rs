//! Roles and bindings that every cluster begins with, from the lists that upstream publishes beside its policy's tests.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The lists, in the order in which their objects are written. Those of features that are off by default are not among them.
const FILES: [&str; 6] = [
    "cluster-roles.yaml",
    "controller-roles.yaml",
    "cluster-role-bindings.yaml",
    "controller-role-bindings.yaml",
    "namespace-roles.yaml",
    "namespace-role-bindings.yaml",
];

/// All objects of the lists in a folder.
pub(super) fn read(folder: &Path) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for file in FILES {
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut list: Value = serde_yaml_ng::from_str(&text)
            .with_context(|| format!("{} is no YAML", path.display()))?;
        let items = list["items"]
            .as_array_mut()
            .with_context(|| format!("{} has no items", path.display()))?;
        for mut object in items.drain(..) {
            if let Some(fields) = object.as_object_mut() {
                fields.retain(|_, value| !value.is_null());
            }
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.retain(|_, value| !value.is_null());
            }
            objects.push(object);
        }
    }
    Ok(objects)
}

/// JSON with one object a line, so that a change can be read.
pub(super) fn lines(objects: &[Value]) -> String {
    let rows: Vec<String> = objects.iter().map(Value::to_string).collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}
