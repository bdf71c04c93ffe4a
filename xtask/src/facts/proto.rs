//! Messages of upstream's `generated.proto` files: of each field its name, its number and its type.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};

#[derive(Debug, Default)]
pub(super) struct Messages {
    /// By the name that the OpenAPI documents give the type: `io.k8s.api.core.v1.Pod`.
    by_name: HashMap<String, Vec<Field>>,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) number: u32,
    /// The name of a message as in `Messages`, or a scalar's; of a map that of its values.
    pub(super) kind: String,
}

impl Messages {
    pub(super) fn fields(&self, name: &str) -> &[Field] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a message only wraps a list, as Go's named slices are on the wire.
    pub(super) fn wraps_list(&self, name: &str) -> bool {
        matches!(self.fields(name), [only] if only.name == "items" && only.number == 1 && only.kind == "string")
    }
}

/// Reads every `generated.proto` below a folder.
pub(super) fn read_folder(folder: &Path, messages: &mut Messages) -> Result<()> {
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(&path, messages)?;
        } else if path
            .file_name()
            .is_some_and(|name| name == "generated.proto")
        {
            read(&std::fs::read_to_string(&path)?, messages);
        }
    }
    Ok(())
}

fn read(text: &str, messages: &mut Messages) {
    let mut package = String::new();
    let mut message = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("package ") {
            package = name.trim_end_matches(';').to_owned();
        } else if let Some(name) = line.strip_prefix("message ") {
            message = openapi_name(&format!("{package}.{}", name.trim_end_matches(['{', ' '])));
            messages.by_name.entry(message.clone()).or_default();
        } else if let Some(field) = field(line, &package) {
            messages
                .by_name
                .entry(message.clone())
                .or_default()
                .push(field);
        }
    }
}

/// `repeated Container containers = 2;`
fn field(line: &str, package: &str) -> Option<Field> {
    let (left, number) = line.strip_suffix(';')?.split_once(" = ")?;
    let left = left
        .trim_start_matches("optional ")
        .trim_start_matches("repeated ");
    let (kind, name) = left.rsplit_once(' ')?;
    let kind = kind
        .strip_prefix("map<string, ")
        .map_or(kind, |kind| kind.trim_end_matches('>'));
    let scalar = matches!(
        kind,
        "string" | "bytes" | "bool" | "int32" | "int64" | "double"
    );
    let kind = match (scalar, kind.strip_prefix('.')) {
        (true, _) => kind.to_owned(),
        (false, Some(absolute)) => openapi_name(absolute),
        (false, None) => openapi_name(&format!("{package}.{kind}")),
    };
    Some(Field {
        name: name.to_owned(),
        number: number.parse().ok()?,
        kind,
    })
}

/// `k8s.io.kube_aggregator.pkg…` in a proto is `io.k8s.kube-aggregator.pkg…` in OpenAPI.
fn openapi_name(name: &str) -> String {
    match name.strip_prefix("k8s.io.") {
        Some(rest) => format!("io.k8s.{}", rest.replace('_', "-")),
        None => name.to_owned(),
    }
}
