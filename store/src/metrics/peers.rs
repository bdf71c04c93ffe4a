//! What went between this member and each of the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Counter, Histogram};

/// Counters by member id. Whoever asks for one makes sure that the id is a member's: they are kept for good.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<BTreeMap<u64, Arc<Peer>>>);

/// Traffic with one other member.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) sent_bytes: Counter,
    pub(crate) received_bytes: Counter,
    /// Calls that did not reach it, and streams that broke.
    pub(crate) sent_failures: Counter,
    /// Its calls that broke before they were read to the end.
    pub(crate) received_failures: Counter,
    pub(crate) snapshots_sent: Counter,
    pub(crate) snapshots_failed: Counter,
    /// Time from a call that is answered at once to its answer.
    pub(crate) round_trip: Histogram,
}

impl Default for Peer {
    fn default() -> Peer {
        Peer {
            sent_bytes: Counter::default(),
            received_bytes: Counter::default(),
            sent_failures: Counter::default(),
            received_failures: Counter::default(),
            snapshots_sent: Counter::default(),
            snapshots_failed: Counter::default(),
            round_trip: Histogram::doubling(Duration::from_micros(100), 14),
        }
    }
}

impl Peers {
    pub(crate) fn of(&self, member: u64) -> Arc<Peer> {
        Arc::clone(self.0.lock().entry(member).or_default())
    }

    /// Of all members so far, in the order of their ids.
    pub(crate) fn all(&self) -> Vec<(u64, Arc<Peer>)> {
        let peers = self.0.lock();
        peers
            .iter()
            .map(|(id, peer)| (*id, Arc::clone(peer)))
            .collect()
    }
}
