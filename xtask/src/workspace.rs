//! Where things lie: the root of the sources and the folder that builds go to.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::Run;

/// The folder of the workspace's own Cargo.toml.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask is a folder of the workspace")
}

/// `cargo metadata`, our own members only.
pub(crate) fn metadata() -> Result<Value> {
    let text = Run::cargo()
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()?;
    serde_json::from_str(&text).context("cargo metadata printed no JSON")
}

pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = metadata()?;
    let dir = metadata["target_directory"]
        .as_str()
        .context("no target_directory")?;
    Ok(PathBuf::from(dir))
}

/// Whether the workspace has a member of that name.
pub(crate) fn has_member(name: &str) -> Result<bool> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    Ok(packages.iter().any(|package| package["name"] == name))
}

/// A program of the release build.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(target_dir()?.join("release").join(name))
}
