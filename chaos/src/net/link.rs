//! One direction between two members: how it fails now, and what that has done so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// How a link behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Nothing passes. What was sent waits, as it does in a sender's TCP, and arrives when the cut ends, unless one
    /// side gives the connection up before.
    pub cut: bool,
    /// Time every byte is kept.
    pub delay: Duration,
    /// Up to this much more, drawn for each piece.
    pub jitter: Duration,
    /// Counts up; each step resets every connection that uses the link.
    pub resets: u64,
    /// Counts up; after each step every connection passes half of one further piece and is reset.
    pub truncations: u64,
}

/// What a link's faults have done; only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Bytes that passed.
    pub bytes: u64,
    /// Pieces and connections that a cut made wait.
    pub held: u64,
    /// Pieces that were delayed.
    pub delayed: u64,
    /// Connections that were reset, truncated ones included.
    pub resets: u64,
    /// Connections that were reset in the middle of a piece.
    pub truncated: u64,
}

/// One direction between two members.
#[derive(Debug)]
pub struct Link {
    state: watch::Sender<LinkState>,
    pub(super) counters: Counters,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes: AtomicU64,
    pub(super) held: AtomicU64,
    pub(super) delayed: AtomicU64,
    pub(super) resets: AtomicU64,
    pub(super) truncated: AtomicU64,
}

impl Default for Link {
    fn default() -> Link {
        Link {
            state: watch::Sender::new(LinkState::default()),
            counters: Counters::default(),
        }
    }
}

impl Link {
    /// Lets nothing pass.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cut = true);
    }

    /// Keeps every byte for a time.
    pub fn delay(&self, delay: Duration, jitter: Duration) {
        self.state.send_modify(|state| {
            state.delay = delay;
            state.jitter = jitter;
        });
    }

    /// Resets every connection that uses the link.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }

    /// Cuts every connection that uses the link in the middle of what it carries next.
    pub fn truncate(&self) {
        self.state.send_modify(|state| state.truncations += 1);
    }

    /// Ends cut and delay.
    pub fn heal(&self) {
        self.state.send_modify(|state| {
            state.cut = false;
            state.delay = Duration::ZERO;
            state.jitter = Duration::ZERO;
        });
    }

    /// What was done so far.
    pub fn counts(&self) -> LinkCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkCounts {
            bytes: read(&self.counters.bytes),
            held: read(&self.counters.held),
            delayed: read(&self.counters.delayed),
            resets: read(&self.counters.resets),
            truncated: read(&self.counters.truncated),
        }
    }

    /// Whether nothing passes now.
    pub fn is_cut(&self) -> bool {
        self.state.borrow().cut
    }

    /// How often connections were reset and truncated so far.
    pub(super) fn steps(&self) -> (u64, u64) {
        let state = self.state.borrow();
        (state.resets, state.truncations)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
