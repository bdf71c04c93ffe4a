//! The import column of docs/architecture.md: which member may depend on which, and what each must never know.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Findings;

struct Member {
    name: &'static str,
    /// Our own members it may depend on.
    may_import: &'static [&'static str],
    /// Crates of others that must not come in, at any distance that its own manifest decides.
    never: &'static [&'static str],
}

const STORES_LIBRARIES: [&str; 2] = ["openraft", "rocksdb"];

const MEMBERS: &[Member] = &[
    Member {
        name: "proto",
        may_import: &[],
        never: &STORES_LIBRARIES,
    },
    Member {
        name: "daemon",
        may_import: &[],
        never: &STORES_LIBRARIES,
    },
    Member {
        name: "metrics",
        may_import: &[],
        never: &["openraft", "rocksdb", "tokio", "tonic", "prost"],
    },
    Member {
        name: "objects",
        may_import: &[],
        never: &["openraft", "rocksdb", "tokio", "tonic", "prost"],
    },
    Member {
        name: "apiserver",
        may_import: &["objects", "descriptions", "proto", "daemon", "client"],
        never: &STORES_LIBRARIES,
    },
    Member {
        name: "descriptions",
        may_import: &["objects"],
        never: &["openraft", "rocksdb", "tokio", "tonic", "prost"],
    },
    Member {
        name: "client",
        may_import: &["proto", "objects", "metrics"],
        never: &STORES_LIBRARIES,
    },
    Member {
        name: "component",
        may_import: &["client", "objects", "daemon", "metrics"],
        never: &["openraft", "rocksdb", "tonic", "prost"],
    },
    Member {
        name: "controllers",
        may_import: &["client", "objects", "daemon", "component", "metrics"],
        never: &["openraft", "rocksdb", "tonic", "prost"],
    },
    Member {
        name: "scheduler",
        may_import: &["client", "objects", "daemon", "component", "metrics"],
        never: &["openraft", "rocksdb", "tonic", "prost"],
    },
    Member {
        name: "node",
        may_import: &["client", "objects", "daemon", "component"],
        never: &["openraft", "rocksdb", "tonic", "prost"],
    },
    Member {
        name: "planted",
        may_import: &[],
        never: &["openraft", "rocksdb", "tokio", "tonic", "prost"],
    },
    Member {
        name: "bbolt",
        may_import: &[],
        never: &["openraft", "rocksdb", "tokio", "tonic", "prost"],
    },
    Member {
        name: "wal",
        may_import: &["planted"],
        never: &["openraft", "rocksdb", "tokio", "tonic", "prost"],
    },
    Member {
        name: "state-machine",
        may_import: &["planted"],
        never: &[
            "tokio", "tonic", "prost", "openraft", "rand", "fastrand", "chrono", "time", "proto",
        ],
    },
    Member {
        name: "store",
        may_import: &[
            "proto",
            "wal",
            "state-machine",
            "bbolt",
            "daemon",
            "planted",
        ],
        never: &["rocksdb"],
    },
    Member {
        name: "simulation",
        may_import: &["store", "wal", "state-machine", "planted"],
        never: &STORES_LIBRARIES,
    },
    Member {
        name: "mainstay",
        may_import: &[
            "proto",
            "store",
            "daemon",
            "planted",
            "apiserver",
            "client",
            "controllers",
            "scheduler",
            "node",
        ],
        never: &STORES_LIBRARIES,
    },
    Member {
        name: "interop",
        may_import: &["proto"],
        never: &STORES_LIBRARIES,
    },
    Member {
        name: "benches",
        may_import: &["proto", "store", "wal", "state-machine", "daemon"],
        never: &STORES_LIBRARIES,
    },
    Member {
        name: "check",
        may_import: &[],
        never: &[
            "openraft", "rocksdb", "tokio", "tonic", "prost", "rand", "fastrand", "chrono", "time",
        ],
    },
    Member {
        name: "chaos",
        may_import: &["proto", "check", "chaos-macros", "power-shim"],
        never: &STORES_LIBRARIES,
    },
    Member {
        name: "chaos-macros",
        may_import: &[],
        never: &["openraft", "rocksdb", "tokio", "tonic", "prost"],
    },
    Member {
        name: "power-shim",
        may_import: &[],
        never: &["openraft", "rocksdb", "tokio", "tonic", "prost"],
    },
    Member {
        name: "xtask",
        may_import: &[],
        never: &["openraft", "rocksdb", "tokio", "tonic"],
    },
];

/// `metadata` is what `cargo metadata --no-deps` prints.
pub(super) fn check(metadata: &Value, findings: &mut Findings) -> Result<()> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")?;
    let ours: BTreeSet<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    for package in packages {
        let name = package["name"]
            .as_str()
            .context("a package without a name")?;
        let Some(member) = MEMBERS.iter().find(|member| member.name == name) else {
            findings.error(name, "a new member needs a row in the import table");
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let Some(dependency) = dependency["name"].as_str() else {
                continue;
            };
            if ours.contains(dependency) && !member.may_import.contains(&dependency) {
                findings.error(name, format!("must not import {dependency}"));
            }
            if member.never.contains(&dependency) {
                findings.error(name, format!("must never know {dependency}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(metadata: &Value) -> Vec<String> {
        let mut findings = Findings::default();
        check(metadata, &mut findings).unwrap();
        findings.errors
    }

    #[test]
    fn a_wall_broken_is_found() {
        let metadata = json!({"packages": [
            {"name": "wal", "dependencies": [{"name": "store"}, {"name": "openraft"}]},
            {"name": "store", "dependencies": [{"name": "wal"}, {"name": "rocksdb"}]},
            {"name": "cellar", "dependencies": []},
        ]});
        assert_eq!(
            errors(&metadata),
            [
                "wal: must not import store",
                "wal: must never know openraft",
                "store: must never know rocksdb",
                "cellar: a new member needs a row in the import table",
            ]
        );
    }

    #[test]
    fn what_the_table_allows_is_fine() {
        let metadata = json!({"packages": [
            {"name": "proto", "dependencies": [{"name": "prost"}]},
            {"name": "store", "dependencies": [{"name": "proto"}, {"name": "openraft"}]},
        ]});
        assert!(errors(&metadata).is_empty());
    }
}
