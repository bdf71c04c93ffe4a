//! Structs of upstream's Go files: of each field whether it is a pointer and what JSON leaves out, which no `.proto` file says.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Packages whose name is not the last part of their path's alias, by the alias that upstream's files give them.
const ALIASES: [(&str, &str); 6] = [
    ("metav1", "v1"),
    ("corev1", "v1"),
    ("rbacv1", "v1"),
    ("authnv1", "v1"),
    ("authenticationv1", "v1"),
    ("apiv1", "v1"),
];

#[derive(Debug, Default)]
pub(super) struct Structs {
    /// By the name that the OpenAPI documents give the type: `io.k8s.api.core.v1.Pod`.
    by_name: HashMap<String, Vec<Member>>,
}

#[derive(Debug, Clone)]
struct Member {
    /// The name in JSON; of an embedded struct, whose fields JSON shows as if they were the outer's, the name of its type.
    name: String,
    embedded: bool,
    pointer: bool,
    omit: &'static str,
    /// The type as Go's messages show it, without the pointer.
    kind: String,
}

impl Structs {
    /// Adds what Go says of a field to its row.
    pub(super) fn tell(&self, owner: &str, property: &str, row: &mut Map<String, Value>) {
        let Some((outer, member)) = self.member(owner, property) else {
            return;
        };
        if member.pointer {
            row.insert("pointer".into(), true.into());
        }
        if member.omit != "empty" {
            row.insert("omit".into(), member.omit.into());
        }
        if !outer.is_empty() {
            row.insert("in".into(), outer.join(".").into());
        }
        let word = row.get("type").and_then(Value::as_str).unwrap_or_default();
        if member.kind != derived(word) {
            row.insert("go".into(), json!(member.kind));
        }
    }

    fn member(&self, owner: &str, property: &str) -> Option<(Vec<String>, &Member)> {
        let members = self.by_name.get(owner)?;
        if let Some(member) = members
            .iter()
            .find(|member| !member.embedded && member.name == property)
        {
            return Some((Vec::new(), member));
        }
        let package = owner.rsplit_once('.')?.0;
        members
            .iter()
            .filter(|member| member.embedded && member.name != "TypeMeta")
            .find_map(|outer| {
                let (mut path, member) =
                    self.member(&format!("{package}.{}", outer.name), property)?;
                path.insert(0, outer.name.clone());
                Some((path, member))
            })
    }
}

/// The Go type that most fields of such a type have.
fn derived(word: &str) -> String {
    if let Some(name) = word.strip_prefix('@') {
        let mut parts = name.rsplit('.');
        let kind = parts.next().unwrap_or_default();
        return format!("{}.{kind}", parts.next().unwrap_or_default());
    }
    if let Some((_, items)) = word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return format!("[]{}", derived(items));
    }
    if let Some((_, values)) = word.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return format!("map[string]{}", derived(values));
    }
    match word {
        "boolean" => "bool",
        "bytes" => "[]uint8",
        "number" => "float64",
        "time" => "v1.Time",
        "microtime" => "v1.MicroTime",
        "duration" => "v1.Duration",
        "intstr" => "intstr.IntOrString",
        "quantity" => "resource.Quantity",
        "raw" => "runtime.RawExtension",
        other => other,
    }
    .to_owned()
}

/// Reads every Go file of a module but tests and generated ones; `root` is the module's name in the OpenAPI documents.
pub(super) fn read_folder(folder: &Path, root: &str, structs: &mut Structs) -> Result<()> {
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            read_folder(&path, &format!("{root}.{name}"), structs)?;
        } else if name.ends_with(".go")
            && !name.contains("generated")
            && !name.ends_with("_test.go")
        {
            read(&std::fs::read_to_string(&path)?, root, structs);
        }
    }
    Ok(())
}

fn read(text: &str, package: &str, structs: &mut Structs) {
    let mut current: Option<String> = None;
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix("type ")
            .and_then(|rest| rest.strip_suffix(" struct {"))
        {
            current = Some(format!("{package}.{name}"));
            structs
                .by_name
                .entry(format!("{package}.{name}"))
                .or_default();
        } else if line == "}" {
            current = None;
        } else if let (Some(owner), Some(member)) = (&current, member(line.trim(), package)) {
            structs
                .by_name
                .entry(owner.clone())
                .or_default()
                .push(member);
        }
    }
}

/// ``Replicas *int32 `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"` ``
fn member(line: &str, package: &str) -> Option<Member> {
    if line.starts_with("//") {
        return None;
    }
    let (left, tags) = line.split_once('`')?;
    let tag = tags.split_once("json:\"")?.1.split_once('"')?.0;
    let (name, options) = tag.split_once(',').unwrap_or((tag, ""));
    let mut words = left.split_whitespace();
    let first = words.next()?;
    let kind = words.collect::<Vec<_>>().join(" ");
    let embedded = name.is_empty();
    let kind = if kind.is_empty() { first } else { &kind };
    let short = |text: &str| text.rsplit('.').next().unwrap_or_default().to_owned();
    Some(Member {
        name: if embedded {
            short(first)
        } else {
            name.to_owned()
        },
        embedded,
        pointer: kind.starts_with('*'),
        omit: if options.contains("omitzero") {
            "zero"
        } else if options.contains("omitempty") {
            "empty"
        } else {
            "never"
        },
        kind: spelt(kind.trim_start_matches('*'), package),
    })
}

/// A type as Go's messages spell it: with the name of its package.
fn spelt(kind: &str, package: &str) -> String {
    if let Some(items) = kind.strip_prefix("[]") {
        return format!("[]{}", spelt(items, package));
    }
    if let Some(rest) = kind.strip_prefix("map[")
        && let Some((key, values)) = rest.split_once(']')
    {
        return format!("map[{}]{}", spelt(key, package), spelt(values, package));
    }
    if let Some(pointed) = kind.strip_prefix('*') {
        return format!("*{}", spelt(pointed, package));
    }
    if kind == "byte" {
        return "uint8".to_owned();
    }
    match kind.split_once('.') {
        Some((alias, name)) => {
            let package = ALIASES
                .iter()
                .find(|(known, _)| *known == alias)
                .map_or(alias, |(_, package)| package);
            format!("{package}.{name}")
        }
        None if kind.starts_with(|letter: char| letter.is_ascii_uppercase()) => {
            format!("{}.{kind}", package.rsplit('.').next().unwrap_or_default())
        }
        None => kind.to_owned(),
    }
}
