//! openraft's own conformance suite on our log and state machine.

mod garbage;

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::types::TypeConfig;
use super::{Applier, Listeners, LogStore, MemberTable, StateFolder};
use crate::watch::{Hub, HubOptions};

struct Builder;

/// Small files, so that the suite's many stores are made quickly.
fn wal_options() -> wal::Options {
    wal::Options {
        segment_bytes: 1 << 20,
        ..wal::Options::default()
    }
}

fn open(dir: &TempDir) -> anyhow::Result<(LogStore, Applier)> {
    let (wal, recovered) = wal::Wal::open(&dir.path().join("wal"), wal_options())?;
    let folder = Arc::new(StateFolder::open(
        &dir.path().join("state"),
        state_machine::Options::default(),
    )?);
    let listeners = Listeners {
        member_id: 1,
        waiters: Arc::new(crate::waiters::Waiters::new(0)),
        hub: Hub::new(HubOptions::default(), folder.machine()),
        lessor: Arc::default(),
        tokens: Arc::new(crate::authn::Tokens::new(std::time::Duration::from_secs(1))),
        members: MemberTable::default(),
        unflushed_entries: Arc::default(),
        samples: Default::default(),
        metrics: Arc::default(),
    };
    let log = LogStore::new(wal, &recovered)?;
    let (applier, _progress) = Applier::new(folder, listeners)?;
    Ok((log, applier))
}

impl StoreBuilder<TypeConfig, LogStore, Applier, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Applier), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (log, applier) = open(&dir).expect("an empty folder can be opened");
        Ok((dir, log, applier))
    }
}

#[test]
fn log_and_state_machine_pass_the_conformance_suite() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(Suite::test_all(Builder))
        .expect("every part of the suite passes");
}

#[test]
fn a_damaged_log_names_the_way_back() {
    let damaged = wal::OpenError::Damaged {
        directory: "wal".into(),
        what: "record 7 is missing".to_owned(),
    };
    let told = super::log_error(damaged).to_string();
    assert!(told.contains("record 7 is missing"), "{told}");
    assert!(told.contains("--initial-cluster-state existing"), "{told}");
}
