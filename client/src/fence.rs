//! The end of a term, before which writes must have been sent.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Until when a term certainly lasts. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    until: Arc<Mutex<Option<Instant>>>,
}

impl Fence {
    pub(crate) fn new(until: Instant) -> Fence {
        Fence {
            until: Arc::new(Mutex::new(Some(until))),
        }
    }

    /// The lease was renewed. A term that was ended stays so.
    pub(crate) fn extend(&self, until: Instant) {
        let mut now = self.until.lock();
        if let Some(end) = now.as_mut() {
            *end = until;
        }
    }

    /// Ends the term.
    pub(crate) fn close(&self) {
        *self.until.lock() = None;
    }

    /// What is left of the term; none if it may be over.
    pub(crate) fn left(&self) -> Option<Duration> {
        let until = (*self.until.lock())?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}
