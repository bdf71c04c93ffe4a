//! The state machine as its replica sees it: runs of commands in, outcomes and events out, reads at any time.

mod auth;
mod compaction;
mod hash;
mod history;
mod image;
mod import;
mod reads;
mod settled;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::apply::{RunBuffer, Writer};
use crate::auth::TokenChange;
use crate::command::{AlarmKind, Command, Release};
use crate::digest::Digest;
use crate::disk::{Disk, Limits, Superseded};
use crate::index::Forgotten;
use crate::outcome::{LeaseChange, Outcome, Revision, RevisionEvents};
use crate::rebuild;
use crate::state::{Lease, State};
use crate::values::Values;
pub(crate) use compaction::Garbage;
use compaction::Sweep;
pub use image::Image;
pub use import::{Import, ImportError};
pub use reads::Weight;

/// Commands applied before readers get a turn.
const COMMANDS_PER_LOCK: usize = 64;

/// Memory the state machine may use besides its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of changes gathered before RocksDB writes a file; up to three such buffers may exist at a time.
    pub write_buffer_bytes: usize,
    /// Bytes of uncompressed file blocks kept for reads.
    pub block_cache_bytes: usize,
    /// Bytes of newest values kept beside the index.
    pub value_cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            write_buffer_bytes: 16 << 20,
            block_cache_bytes: 16 << 20,
            value_cache_bytes: 32 << 20,
        }
    }
}

/// Commands that are applied, stored and made visible together.
#[derive(Debug, Clone, Default)]
pub struct Run {
    pub commands: Vec<Command>,
    /// The caller's own note (raft's applied log id and membership), stored atomically with the run.
    pub mark: Bytes,
}

/// What a run gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// In the order of the commands.
    pub outcomes: Vec<Outcome>,
    /// In the order of their revisions.
    pub events: Vec<RevisionEvents>,
    pub leases: Vec<LeaseChange>,
    pub tokens: Vec<TokenChange>,
}

/// Disk error or broken invariant: the replica must stop.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error("state machine's disk: {0}")]
    Disk(String),
    #[error("state machine's data is damaged: {0}")]
    Damaged(String),
}

/// A lease as the state machine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseInfo {
    pub id: i64,
    pub ttl_seconds: i64,
    /// From the newest checkpoint; 0 says the whole time to live.
    pub remaining_seconds: i64,
}

/// etcd's `HashKVResponse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    pub hash: u32,
    pub hash_revision: i64,
    /// -1 when the store was never compacted.
    pub compact_revision: i64,
}

/// The MVCC store. One thread applies, any number of threads read.
pub struct StateMachine {
    // Dropped first: RocksDB's threads ask `shared`.
    disk: Disk,
    shared: Arc<Shared>,
    values: RwLock<Values>,
    /// Held while a run is applied and stored, and while the files are linked.
    applied: Mutex<Progress>,
    sweep: Mutex<Sweep>,
    /// Set by the first [`Fatal`]; nothing is applied afterwards.
    failed: AtomicBool,
}

/// How far the state machine is.
struct Progress {
    /// Mark of the newest run.
    mark: Option<Bytes>,
    digest: Digest,
}

/// What RocksDB's threads look at too.
///
/// A run changes `state` before it is stored, so readers keep to `revision`, which moves when the
/// run is stored: every run becomes visible at once. `compact_revision` is stored after `revision`
/// and loaded before it, so that a reader never sees it ahead.
struct Shared {
    state: RwLock<State>,
    revision: AtomicI64,
    compact_revision: AtomicI64,
    /// An [`crate::AuthStamp`], stored before `revision`: who reads what came after a change sees the change.
    auth_stamp: AtomicU64,
    /// Values up to here may be dropped if the index does not refer to them.
    droppable_values: AtomicI64,
    /// The same for tombstones; see [`Limits`].
    droppable_tombstones: AtomicI64,
    /// Counts what the index forgot and the disk still holds.
    garbage: Mutex<Garbage>,
}

impl Superseded for Shared {
    fn limits(&self) -> Limits {
        Limits {
            values: self.droppable_values.load(Ordering::Acquire),
            tombstones: self.droppable_tombstones.load(Ordering::Acquire),
        }
    }

    fn is_superseded(&self, key: &[u8], at: Revision) -> bool {
        !self.state.read().index.refers_to(key, at)
    }

    fn dropped(&self, rows: &[Forgotten]) {
        let mut garbage = self.garbage.lock();
        rows.iter().for_each(|row| garbage.remove(*row));
    }
}

impl StateMachine {
    /// Opens the store in `dir`, made when missing, and rebuilds the index by scanning it.
    pub fn open(dir: &Path, options: &Options) -> Result<StateMachine, Fatal> {
        let shared = Arc::new(Shared {
            state: RwLock::new(State::default()),
            revision: AtomicI64::new(State::default().revision),
            compact_revision: AtomicI64::new(State::default().compact_revision),
            auth_stamp: AtomicU64::new(State::default().auth.stamp.to_bits()),
            droppable_values: AtomicI64::new(-1),
            droppable_tombstones: AtomicI64::new(-1),
            garbage: Mutex::default(),
        });
        let superseded: Arc<dyn Superseded> = Arc::clone(&shared) as _;
        let disk = Disk::open(dir, options, superseded)?;
        let marks = disk.marks()?;
        let rebuilt = rebuild::state(&disk, &marks)?;
        let compact_revision = rebuilt.state.compact_revision;
        shared
            .revision
            .store(rebuilt.state.revision, Ordering::Release);
        shared
            .compact_revision
            .store(compact_revision, Ordering::Release);
        shared
            .auth_stamp
            .store(rebuilt.state.auth.stamp.to_bits(), Ordering::Release);
        *shared.state.write() = rebuilt.state;
        // All that was found is durable.
        *shared.garbage.lock() = rebuilt.garbage;
        shared
            .droppable_values
            .store(compact_revision, Ordering::Release);
        Ok(StateMachine {
            disk,
            shared,
            values: RwLock::new(Values::new(options.value_cache_bytes)),
            applied: Mutex::new(marks.applied.map_or(
                Progress {
                    mark: None,
                    digest: Digest::default(),
                },
                |applied| Progress {
                    mark: Some(applied.mark),
                    digest: applied.digest,
                },
            )),
            sweep: Mutex::new(Sweep::after_rebuild(compact_revision)),
            failed: AtomicBool::new(false),
        })
    }

    /// Mark of the newest applied run.
    pub fn applied_mark(&self) -> Option<Bytes> {
        self.applied.lock().mark.clone()
    }

    /// The digest of everything that was applied.
    pub fn digest(&self) -> Digest {
        self.applied.lock().digest
    }

    /// Store revision and mark after the newest applied run; the two belong together.
    pub fn applied(&self) -> (i64, Option<Bytes>) {
        let progress = self.applied.lock();
        (self.revision(), progress.mark.clone())
    }

    /// Applies commands in order. Readers see the whole run at once.
    pub fn apply(&self, run: Run) -> Result<Applied, Fatal> {
        let mut progress = self.applied.lock();
        self.guard(|| {
            if self.failed.load(Ordering::Acquire) {
                return Err(Fatal::Damaged(
                    "an earlier error stopped the state machine".into(),
                ));
            }
            let applied = self.apply_alone(&run, &mut progress.digest)?;
            progress.mark = Some(run.mark.clone());
            Ok(applied)
        })
    }

    /// The caller holds `applied`, so no other run is under way.
    fn apply_alone(&self, run: &Run, digest: &mut Digest) -> Result<Applied, Fatal> {
        let mut buffer = RunBuffer::after(*digest);
        for commands in run.commands.chunks(COMMANDS_PER_LOCK) {
            let state = &mut *self.shared.state.write();
            let values = &mut *self.values.write();
            let mut writer = Writer {
                state,
                values,
                disk: &self.disk,
                run: &mut buffer,
            };
            for command in commands {
                writer.apply(command)?;
            }
        }
        let (revision, compact_revision, auth_stamp) = {
            let state = self.shared.state.read();
            (
                state.revision,
                state.compact_revision,
                state.auth.stamp.to_bits(),
            )
        };
        let RunBuffer {
            mut batch, applied, ..
        } = buffer;
        batch.writer(&self.disk).applied(revision, &run.mark);
        *digest = batch.digest();
        // No lock of the state is held: a write may wait for RocksDB's threads, and those for the state.
        self.disk.write(batch)?;
        self.shared.auth_stamp.store(auth_stamp, Ordering::Release);
        self.shared.revision.store(revision, Ordering::Release);
        self.shared
            .compact_revision
            .store(compact_revision, Ordering::Release);
        Ok(applied)
    }

    /// Remembers the first error, after which nothing is applied.
    fn guard<T>(&self, work: impl FnOnce() -> Result<T, Fatal>) -> Result<T, Fatal> {
        work().inspect_err(|_| self.failed.store(true, Ordering::Release))
    }

    /// Makes everything applied durable and returns a mark that is durable now.
    pub fn flush(&self) -> Result<Option<Bytes>, Fatal> {
        let mark = self.applied_mark();
        self.guard(|| self.disk.flush())?;
        Ok(mark)
    }

    /// Flushes and hard-links the files into `dir`, which must not exist; [`StateMachine::open`]
    /// opens it. Returns its mark.
    pub fn checkpoint(&self, dir: &Path) -> Result<Option<Bytes>, Fatal> {
        // Most of the work is done before runs have to wait.
        self.guard(|| self.disk.flush())?;
        let applied = self.applied.lock();
        self.guard(|| {
            self.disk.flush()?;
            self.disk.checkpoint(dir)
        })?;
        Ok(applied.mark.clone())
    }

    /// Hard-links what is durable into `dir`, which must not exist: what a crash now would leave.
    pub fn link_durable(&self, dir: &Path) -> Result<(), Fatal> {
        let _no_run = self.applied.lock();
        self.disk.link_durable(dir)
    }

    /// Store revision; 1 when nothing was ever written.
    pub fn revision(&self) -> i64 {
        self.shared.revision.load(Ordering::Acquire)
    }

    /// Newest compacted revision; -1 when none was.
    pub fn compact_revision(&self) -> i64 {
        self.shared.compact_revision.load(Ordering::Acquire)
    }

    /// Every lease, by id.
    pub fn leases(&self) -> Vec<LeaseInfo> {
        let leases: &BTreeMap<i64, Lease> = &self.shared.state.read().leases;
        leases.iter().map(|(id, lease)| lease.info(*id)).collect()
    }

    pub fn lease(&self, id: i64) -> Option<LeaseInfo> {
        self.shared
            .state
            .read()
            .leases
            .get(&id)
            .map(|lease| lease.info(id))
    }

    /// Keys attached to a lease, sorted.
    pub fn lease_keys(&self, id: i64) -> Vec<Bytes> {
        self.shared.state.read().lease_keys(id)
    }

    /// Active alarms by member.
    pub fn alarms(&self) -> Vec<(u64, AlarmKind)> {
        self.shared.state.read().alarms.iter().copied().collect()
    }

    /// Members with a space alarm that the store raised itself, for its quota. What an earlier process found is counted
    /// among them.
    pub fn own_space_alarms(&self) -> Vec<u64> {
        let state = self.shared.state.read();
        let own = state.alarms.difference(&state.alarms_by_hand);
        own.filter(|(_, kind)| *kind == AlarmKind::NoSpace)
            .map(|(member, _)| *member)
            .collect()
    }

    /// The release that the cluster is being taken back to.
    pub fn downgrade(&self) -> Option<Release> {
        self.shared.state.read().downgrade
    }

    /// Bytes of keys and values a read at the newest revision could return.
    pub fn live_bytes(&self) -> u64 {
        self.shared.state.read().index.live_bytes()
    }

    /// Bytes of RocksDB's files; 0 when RocksDB cannot tell.
    pub fn disk_bytes(&self) -> u64 {
        self.disk.bytes().unwrap_or(0)
    }

    /// Bytes of the store as an operator counts them: on disk, or of live data while that is more, because what is not
    /// flushed yet takes space soon. Never below what a quota on live bytes counts.
    pub fn total_bytes(&self) -> u64 {
        self.disk_bytes().max(self.live_bytes())
    }

    /// Keys that are not deleted.
    pub fn key_count(&self) -> u64 {
        self.shared.state.read().index.live_keys()
    }
}
