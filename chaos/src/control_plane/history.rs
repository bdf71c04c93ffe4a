//! What was written to the store of a control plane, line by line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where workloads roll without faults, and where with them.
pub const CALM: &str = "calm";
pub const BROKEN: &str = "broken";

/// Objects by resource, as lists of an apiserver have them.
pub type Objects = BTreeMap<String, Vec<Value>>;

/// One write of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its revision: the order of all writes.
    pub revision: i64,
    /// Resource, namespace and name, with slashes between them.
    pub key: String,
    /// The object since then; none if it is gone.
    pub object: Option<Value>,
}

/// What was there when everything had come to rest, or the time for it was over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Of which namespace.
    pub namespace: String,
    /// How long it took from the last fault and the last wish of the user on, in milliseconds.
    pub took_ms: u64,
    /// The objects.
    pub objects: Objects,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// The user deleted a pod, or may have.
    Deleted {
        /// Which.
        uid: String,
    },
    /// A write.
    Change(Change),
    /// The end in one namespace.
    End(End),
}

/// Stores a history.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, records: &[Record]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut file = BufWriter::new(file);
    for record in records {
        serde_json::to_writer(&mut file, record)?;
        file.write_all(b"\n")?;
    }
    file.flush().context("writing the history")
}
