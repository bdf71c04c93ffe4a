//! Whether this member still hears from a leader. Raft goes on naming the last one while nobody can elect another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::freshness::Freshness;

/// When a leader was last heard; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Contact {
    began: Instant,
    /// Milliseconds from `began` to the last word of a leader, and one: 0 is never.
    heard: Arc<AtomicU64>,
    /// Silence after which there is no leader: the election timeout.
    silence_max: Duration,
    pub(super) freshness: Freshness,
}

impl Contact {
    pub(crate) fn new(silence_max: Duration) -> Self {
        Contact {
            began: Instant::now(),
            heard: Arc::default(),
            silence_max,
            freshness: Freshness::default(),
        }
    }

    /// Silence after which a member counts as gone.
    pub(crate) fn silence_max(&self) -> Duration {
        self.silence_max
    }

    /// A leader's message was accepted.
    pub(crate) fn heard(&self) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.heard.store(since + 1, Ordering::Relaxed);
    }

    /// Whether a follower may say that there is a leader.
    pub(crate) fn is_recent(&self) -> bool {
        match self.heard.load(Ordering::Relaxed) {
            0 => false,
            heard => {
                let at = self.began + Duration::from_millis(heard - 1);
                self.is_short(at.elapsed())
            }
        }
    }

    /// Whether a silence of this length still counts as contact.
    pub(crate) fn is_short(&self, silence: Duration) -> bool {
        silence < self.silence_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_there_once_it_was_heard() {
        let contact = Contact::new(Duration::from_secs(3600));
        assert!(!contact.is_recent(), "nobody was heard yet");
        contact.heard();
        assert!(contact.is_recent());
    }

    #[test]
    fn a_leader_is_gone_after_an_election_timeout_of_silence() {
        let contact = Contact::new(Duration::ZERO);
        contact.heard();
        assert!(!contact.is_recent());
        let contact = Contact::new(Duration::from_secs(1));
        assert!(contact.is_short(Duration::from_millis(999)));
        assert!(!contact.is_short(Duration::from_secs(1)));
    }
}
