//! Makes `objects/data/builtin.json`, the table of the built-in kinds, from what upstream publishes in its Go modules: field
//! names, types and keys from the OpenAPI documents, numbers from the `.proto` files, pointers from the Go files, resources from
//! the discovery documents. And `apiserver/data/bootstrap-policy.json`, the roles and bindings that every cluster begins with.
//! Facts alone come over; descriptions stay behind.

mod discovery;
mod golang;
mod openapi;
mod policy;
mod proto;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::workspace;

/// The release whose facts are taken.
const MINOR_AND_PATCH: &str = "36.3";

/// Modules with `.proto` files, beside the one of the OpenAPI documents.
const MODULES: [&str; 4] = [
    "k8s.io/api",
    "k8s.io/apimachinery",
    "k8s.io/apiextensions-apiserver",
    "k8s.io/kube-aggregator",
];

/// Fetches the modules through Go and writes the table anew.
pub(crate) fn run() -> Result<()> {
    let kubernetes = fetch("k8s.io/kubernetes", &format!("v1.{MINOR_AND_PATCH}"))?;
    let mut messages = proto::Messages::default();
    let mut structs = golang::Structs::default();
    for module in MODULES {
        let folder = fetch(module, &format!("v0.{MINOR_AND_PATCH}"))?;
        proto::read_folder(&folder, &mut messages)?;
        golang::read_folder(
            &folder,
            &module.replacen("k8s.io/", "io.k8s.", 1),
            &mut structs,
        )?;
    }
    let resources = discovery::read(&kubernetes.join("api/discovery"))?;
    let types = openapi::read(&kubernetes.join("api/openapi-spec"), &messages, &structs)?;
    let table = json!({
        "source": format!("k8s.io/kubernetes v1.{MINOR_AND_PATCH} and k8s.io/api v0.{MINOR_AND_PATCH}, modules of the Go proxy (Apache-2.0)"),
        "types": types,
        "resources": resources,
    });
    write("objects/data/builtin.json", &lines(&table)?)?;
    let published = "plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata";
    let objects = policy::read(&kubernetes.join(published))?;
    write(
        "apiserver/data/bootstrap-policy.json",
        &policy::lines(&objects),
    )
}

fn write(name: &str, text: &str) -> Result<()> {
    let path = workspace::root().join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("[xtask] wrote {}", path.display());
    Ok(())
}

/// The folder of a module that Go has downloaded.
fn fetch(module: &str, version: &str) -> Result<PathBuf> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", &format!("{module}@{version}")])
        .current_dir(std::env::temp_dir())
        .output()
        .context("cannot start go, which fetches upstream's modules; install Debian's golang-go")?;
    let answer: Value =
        serde_json::from_slice(&output.stdout).context("go mod download answered no JSON")?;
    match answer["Dir"].as_str() {
        Some(folder) => Ok(Path::new(folder).to_owned()),
        None => bail!("go cannot download {module} {version}: {}", answer["Error"]),
    }
}

/// JSON with one type or resource a line, so that a change of the table can be read.
fn lines(table: &Value) -> Result<String> {
    let mut text = format!("{{\n\"source\": {},\n\"types\": {{\n", table["source"]);
    let types = table["types"].as_object().context("no types")?;
    let rows: Vec<String> = types
        .iter()
        .map(|(name, fields)| format!("{}: {fields}", json!(name)))
        .collect();
    text.push_str(&rows.join(",\n"));
    text.push_str("\n},\n\"resources\": [\n");
    let rows: Vec<String> = table["resources"]
        .as_array()
        .context("no resources")?
        .iter()
        .map(Value::to_string)
        .collect();
    text.push_str(&rows.join(",\n"));
    text.push_str("\n]\n}\n");
    Ok(text)
}
