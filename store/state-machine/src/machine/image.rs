//! Everything that is stored after one run, to be copied while the store goes on.

use bytes::Bytes;

use super::settled::{Settled, is_visible};
use super::{Fatal, LeaseInfo, StateMachine};
use crate::auth::AuthTables;
use crate::codec::read_auth;
use crate::command::{AlarmKind, Release};
use crate::disk::{self, Marks};

/// The stored state of one moment. While it lives, files that were rewritten since then keep their room on disk.
pub struct Image<'a> {
    machine: &'a StateMachine,
    disk: disk::Image<'a>,
    marks: Marks,
}

impl StateMachine {
    /// Takes an image of what is stored now. Runs wait for microseconds.
    pub fn image(&self) -> Result<Image<'_>, Fatal> {
        let disk = {
            let _no_run = self.applied.lock();
            self.disk.image()
        };
        let marks = disk.marks()?;
        Ok(Image {
            machine: self,
            disk,
            marks,
        })
    }
}

impl Image<'_> {
    /// Mark of the newest run in it.
    pub fn mark(&self) -> Option<&Bytes> {
        self.marks.applied.as_ref().map(|applied| &applied.mark)
    }

    /// Store revision after the newest run in it; 1 when nothing was ever written.
    pub fn revision(&self) -> i64 {
        let applied = self.marks.applied.as_ref();
        applied.map_or(1, |applied| applied.revision)
    }

    /// None when the store was never compacted.
    pub fn compact_revision(&self) -> Option<i64> {
        self.marks.compact_revision
    }

    /// By id.
    pub fn leases(&self) -> &[LeaseInfo] {
        &self.marks.leases
    }

    /// The release that the cluster is being taken back to.
    pub fn downgrade(&self) -> Option<Release> {
        self.marks.downgrade
    }

    pub fn alarms(&self) -> &[(u64, AlarmKind)] {
        &self.marks.alarms
    }

    /// Users and roles.
    pub fn auth(&self) -> Result<AuthTables, Fatal> {
        let auth = read_auth(&self.marks.auth)
            .map_err(|error| Fatal::Damaged(format!("users and roles: {error}")));
        Ok(self.machine.guard(|| auth)?.into())
    }

    /// Visits the rows in order of their revisions: etcd's name of each and its encoded key-value. Compacted rows that
    /// still wait for their sweep are left out, unless a later compaction makes it impossible to tell.
    pub fn rows<E: From<Fatal>>(
        mut self,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let compact_revision = self.marks.compact_revision.unwrap_or(-1);
        let mut settled = Settled::default();
        while let Some(row) = self.machine.guard(|| self.disk.row())? {
            if row.at.main > compact_revision {
                visit_settled(self.machine, &mut settled, compact_revision, &mut visit)?;
                visit(row.row_key, row.kv)?;
            } else {
                settled.push(&row);
                if settled.is_full() {
                    visit_settled(self.machine, &mut settled, compact_revision, &mut visit)?;
                }
            }
            self.disk.advance();
        }
        visit_settled(self.machine, &mut settled, compact_revision, &mut visit)
    }
}

/// Visits those of the gathered rows that count.
fn visit_settled<E: From<Fatal>>(
    machine: &StateMachine,
    settled: &mut Settled,
    compact_revision: i64,
    visit: &mut impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let settled = std::mem::take(settled);
    if settled.is_empty() {
        return Ok(());
    }
    let kept = machine.guard(|| kept(machine, &settled, compact_revision))?;
    for (row, kept) in settled.rows().zip(kept) {
        if kept {
            visit(row.row_key, row.kv)?;
        }
    }
    Ok(())
}

/// Which rows a read at the compact revision sees, and the tombstones of that revision itself. All of them once the
/// index has gone beyond it.
fn kept(
    machine: &StateMachine,
    settled: &Settled,
    compact_revision: i64,
) -> Result<Vec<bool>, Fatal> {
    let state = machine.shared.state.read();
    let is_past = state.compact_revision != compact_revision;
    let mut kept = Vec::new();
    for row in settled.rows() {
        kept.push(match (is_past, row.tombstone) {
            (true, _) => true,
            (false, true) => row.at.main == compact_revision,
            (false, false) => is_visible(&state, &row, compact_revision)?,
        });
    }
    Ok(kept)
}
