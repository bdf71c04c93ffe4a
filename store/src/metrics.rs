//! Counters of a replica, under the names etcd's dashboards and alerts use.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use state_machine::{EventKind, RevisionEvents};

use crate::archive::Figures;
use crate::grpc::{METHODS, Method};

mod histogram;
mod peers;
mod text;
mod traffic;

pub use histogram::Histogram;
pub(crate) use peers::{Peer, Peers};
pub(crate) use text::{Gauges, render};
use traffic::{ClientCounters, Prefixes, Table};
pub(crate) use traffic::{NAMES_MAX, Operation};

/// gRPC's status codes.
pub(crate) const CODES: usize = 17;

/// One counter that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that is there while this value lives.
#[derive(Debug)]
pub struct Open(Arc<AtomicI64>);

impl Open {
    fn new(gauge: &Arc<AtomicI64>) -> Open {
        gauge.fetch_add(1, Ordering::Relaxed);
        Open(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that are held while this value lives.
#[derive(Debug, Default)]
pub struct Held {
    gauge: Arc<AtomicI64>,
    bytes: i64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Calls of one gRPC method.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) started: Counter,
    /// By gRPC code.
    pub(crate) handled: [Counter; CODES],
    /// Time from start to end, when that is kept.
    pub(crate) handling: Option<Histogram>,
}

/// All counters of a replica. Each is one atomic; readers see each alone, not all at one moment.
#[derive(Debug)]
pub struct Metrics {
    calls: Vec<Calls>,
    pub(crate) leader_changes: Counter,
    pub(crate) early_elections: Counter,
    /// Comparisons of the members, and those that found a member off.
    pub(crate) consistency_checks: Counter,
    pub(crate) inconsistencies: Counter,
    pub(crate) proposals_failed: Counter,
    proposals_pending: Arc<AtomicI64>,
    pub(crate) read_indexes_failed: Counter,
    pub(crate) ranges: Counter,
    pub(crate) puts: Counter,
    pub(crate) deletes: Counter,
    pub(crate) txns: Counter,
    pub(crate) events: Counter,
    pub(crate) leases_renewed: Counter,
    pub(crate) leases_granted: Counter,
    pub(crate) leases_revoked: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) snapshots_received: Counter,
    pub(crate) health_success: Counter,
    pub(crate) health_failures: Counter,
    pub(crate) connections_refused: Counter,
    pub(crate) spans_exported: Counter,
    pub(crate) spans_dropped: Counter,
    connections: Arc<AtomicI64>,
    bulk_running: Arc<AtomicI64>,
    bulk_waiting: Arc<AtomicI64>,
    pub(crate) bulk_refused: Counter,
    answers_bytes: Arc<AtomicI64>,
    pub(crate) peers: Peers,
    pub(crate) archive: Figures,
    pub(crate) prefixes: Prefixes,
    pub(crate) clients: Table<ClientCounters>,
    /// Requests by user, while authentication is on.
    pub(crate) users: Table<Counter>,
    /// Time of one sync of the raft log.
    pub wal_fsync: Histogram,
    /// Time of one applied run.
    pub backend_commit: Histogram,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            calls: METHODS.iter().map(|_| Calls::default()).collect(),
            leader_changes: Counter::default(),
            early_elections: Counter::default(),
            consistency_checks: Counter::default(),
            inconsistencies: Counter::default(),
            proposals_failed: Counter::default(),
            proposals_pending: Arc::default(),
            read_indexes_failed: Counter::default(),
            ranges: Counter::default(),
            puts: Counter::default(),
            deletes: Counter::default(),
            txns: Counter::default(),
            events: Counter::default(),
            leases_renewed: Counter::default(),
            leases_granted: Counter::default(),
            leases_revoked: Counter::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            snapshots_received: Counter::default(),
            health_success: Counter::default(),
            health_failures: Counter::default(),
            connections_refused: Counter::default(),
            spans_exported: Counter::default(),
            spans_dropped: Counter::default(),
            connections: Arc::default(),
            bulk_running: Arc::default(),
            bulk_waiting: Arc::default(),
            bulk_refused: Counter::default(),
            answers_bytes: Arc::default(),
            peers: Peers::default(),
            archive: Figures::default(),
            prefixes: Prefixes::default(),
            clients: Table::default(),
            users: Table::default(),
            wal_fsync: Histogram::doubling(Duration::from_millis(1), 14),
            backend_commit: Histogram::doubling(Duration::from_millis(1), 14),
        }
    }
}

impl Metrics {
    /// `--metrics=extensive` keeps the times of each method too; `--metric-prefixes` names prefixes.
    pub fn new(extensive: bool, prefixes: &[String]) -> Metrics {
        let mut metrics = Metrics {
            prefixes: Prefixes::new(prefixes),
            ..Metrics::default()
        };
        if extensive {
            for calls in &mut metrics.calls {
                calls.handling = Some(Histogram::of_calls());
            }
        }
        metrics
    }

    pub(crate) fn calls(&self, method: &Method) -> &Calls {
        &self.calls[method.index]
    }

    pub fn count_leader_change(&self) {
        self.leader_changes.add(1);
    }

    pub(crate) fn proposal_pending(&self) -> Open {
        Open::new(&self.proposals_pending)
    }

    pub(crate) fn count_proposal_failed(&self) {
        self.proposals_failed.add(1);
    }

    pub(crate) fn count_read_index_failed(&self) {
        self.read_indexes_failed.add(1);
    }

    pub(crate) fn count_range(&self) {
        self.ranges.add(1);
    }

    pub(crate) fn count_txn(&self) {
        self.txns.add(1);
    }

    pub(crate) fn count_lease_renewed(&self) {
        self.leases_renewed.add(1);
    }

    pub fn count_lease_granted(&self) {
        self.leases_granted.add(1);
    }

    pub fn count_snapshot_received(&self) {
        self.snapshots_received.add(1);
    }

    pub fn count_lease_revoked(&self) {
        self.leases_revoked.add(1);
    }

    /// Counts what a run of commands changed.
    pub fn count_applied(&self, revisions: &[RevisionEvents]) {
        for revision in revisions {
            let puts = revision
                .events
                .iter()
                .filter(|event| event.kind == EventKind::Put)
                .count();
            let events = revision.events.len();
            self.events.add(events as u64);
            self.puts.add(puts as u64);
            self.deletes.add((events - puts) as u64);
            if events > 1 {
                self.txns.add(1);
            }
        }
    }

    /// A large range runs.
    pub(crate) fn bulk_running(&self) -> Open {
        Open::new(&self.bulk_running)
    }

    /// A large range waits for its place.
    pub(crate) fn bulk_waiting(&self) -> Open {
        Open::new(&self.bulk_waiting)
    }

    /// A large answer is in memory.
    pub(crate) fn answer_held(&self, bytes: usize) -> Held {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.answers_bytes.fetch_add(bytes, Ordering::Relaxed);
        Held {
            gauge: Arc::clone(&self.answers_bytes),
            bytes,
        }
    }

    pub(crate) fn connection_opened(&self) -> Open {
        Open::new(&self.connections)
    }
}

#[cfg(test)]
mod tests;
