//! The state machine as its replica sees it: runs of commands in, outcomes and events out, reads at any time.

use std::path::Path;

use bytes::Bytes;

use crate::command::{AlarmKind, Command, Range, Txn};
use crate::outcome::{
    EncodedKeyValue, LeaseChange, Outcome, RangeResponse, Rejection, Revision, RevisionEvents, TxnResponse,
};

/// Memory the state machine may use besides its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of changes gathered before RocksDB writes a file; two such buffers may exist at a time.
    pub write_buffer_bytes: usize,
    /// Bytes of uncompressed file blocks kept for reads.
    pub block_cache_bytes: usize,
    /// Bytes of newest values kept beside the index.
    pub value_cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { write_buffer_bytes: 32 << 20, block_cache_bytes: 32 << 20, value_cache_bytes: 48 << 20 }
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
pub struct StateMachine;

#[expect(unused_variables, reason = "signatures first")]
impl StateMachine {
    /// Opens the store in `dir`, made when missing, and rebuilds the index by scanning it.
    pub fn open(dir: &Path, options: &Options) -> Result<StateMachine, Fatal> {
        unimplemented!()
    }
    /// Mark of the newest applied run.
    pub fn applied_mark(&self) -> Option<Bytes> {
        unimplemented!()
    }
    /// Applies commands in order. Readers see the whole run at once.
    pub fn apply(&self, run: Run) -> Result<Applied, Fatal> {
        unimplemented!()
    }
    /// Makes everything applied durable and returns the mark that is durable now.
    pub fn flush(&self) -> Result<Option<Bytes>, Fatal> {
        unimplemented!()
    }
    /// Flushes and hard-links the files into `dir`, which must not exist; [`StateMachine::open`] opens it. Returns its mark.
    pub fn checkpoint(&self, dir: &Path) -> Result<Option<Bytes>, Fatal> {
        unimplemented!()
    }
    /// Store revision; 1 when nothing was ever written.
    pub fn revision(&self) -> i64 {
        unimplemented!()
    }
    /// Newest compacted revision; -1 when none was.
    pub fn compact_revision(&self) -> i64 {
        unimplemented!()
    }
    /// Reads keys. The number is the store revision of the read, for the header.
    pub fn range(&self, range: &Range) -> Result<(i64, RangeResponse), Rejection> {
        unimplemented!()
    }
    /// Runs a transaction whose branches hold only ranges, under one revision.
    pub fn read_txn(&self, txn: &Txn) -> Result<(i64, TxnResponse), Rejection> {
        unimplemented!()
    }
    /// The key-value written at exactly `at`; none when it is compacted or was a delete.
    pub fn key_value_at(&self, at: Revision) -> Option<EncodedKeyValue> {
        unimplemented!()
    }
    /// Whole revisions from `from` on, in order, until one of the bounds is reached (one revision at least).
    /// Rejected as compacted when `from` is below the compact revision.
    pub fn history(&self, from: i64, max_revisions: usize, max_bytes: usize) -> Result<Vec<RevisionEvents>, Rejection> {
        unimplemented!()
    }
    /// Every lease, by id.
    pub fn leases(&self) -> Vec<LeaseInfo> {
        unimplemented!()
    }
    pub fn lease(&self, id: i64) -> Option<LeaseInfo> {
        unimplemented!()
    }
    /// Keys attached to a lease, sorted.
    pub fn lease_keys(&self, id: i64) -> Vec<Bytes> {
        unimplemented!()
    }
    /// Active alarms by member.
    pub fn alarms(&self) -> Vec<(u64, AlarmKind)> {
        unimplemented!()
    }
    /// etcd's HashKV up to `revision`; 0 for the newest.
    pub fn hash_kv(&self, revision: i64) -> Result<HashKv, Rejection> {
        unimplemented!()
    }
    /// CRC-32C over everything replicated that is stored: equal on replicas that applied the same commands.
    pub fn hash(&self) -> u32 {
        unimplemented!()
    }
    /// Bytes of keys and values a read at the newest revision could return.
    pub fn live_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// Bytes of RocksDB's files.
    pub fn disk_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// Keys that are not deleted.
    pub fn key_count(&self) -> u64 {
        unimplemented!()
    }
    /// One bounded step of physical compaction: looks at up to `max_keys` keys. True while there is more to do.
    pub fn sweep(&self, max_keys: usize) -> bool {
        unimplemented!()
    }
}
