//! How long a daemon that keeps failing on a node is left there before it is made again.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

const FIRST: SignedDuration = SignedDuration::from_secs(1);
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// The waits by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    nodes: BTreeMap<String, (SignedDuration, Timestamp)>,
}

impl Backoff {
    /// What is left of a node's wait.
    pub(super) fn left(&self, node: &str, now: Timestamp) -> Option<SignedDuration> {
        let (wait, since) = self.nodes.get(node)?;
        let left = *wait - now.duration_since(*since);
        left.is_positive().then_some(left)
    }

    /// A daemon on the node failed again, and its next failure waits for twice as long.
    pub(super) fn fail(&mut self, node: &str, now: Timestamp) {
        self.forget_old(now);
        let longer = self
            .nodes
            .get(node)
            .map(|(wait, _)| wait.saturating_add(*wait).min(LONGEST));
        self.nodes
            .insert(node.to_owned(), (longer.unwrap_or(FIRST), now));
    }

    /// A node without failures for twice the longest wait begins anew.
    fn forget_old(&mut self, now: Timestamp) {
        self.nodes
            .retain(|_, (_, since)| now.duration_since(*since) <= LONGEST + LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_of_its_node_and_a_long_peace_ends_it() {
        let mut backoff = Backoff::default();
        let mut now = Timestamp::UNIX_EPOCH;
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            assert_eq!(backoff.left("a", now), None);
            backoff.fail("a", now);
            assert_eq!(
                backoff.left("a", now),
                Some(SignedDuration::from_secs(seconds))
            );
            assert_eq!(backoff.left("b", now), None);
            now += SignedDuration::from_secs(seconds);
        }
        now += SignedDuration::from_hours(1);
        backoff.fail("a", now);
        assert_eq!(backoff.left("a", now), Some(FIRST));
    }
}
