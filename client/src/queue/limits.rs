//! How long items wait that come again: longer with each failure of theirs, and if there are many failures at all.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// The wait after a first failure, and the longest, of queues that have none of their own.
pub(super) const FIRST: Duration = Duration::from_millis(5);
pub(super) const MAX: Duration = Duration::from_secs(1000);
/// How often something may come again, and how many may at once after a quiet time.
const INTERVAL: Duration = Duration::from_millis(100);
const BURST: u32 = 100;

#[derive(Debug)]
pub(super) struct Limits<T> {
    failures: HashMap<T, u32>,
    first: Duration,
    max: Duration,
    /// When as many have come again as may since they first could: ahead of now by an interval for each.
    spent: Instant,
}

impl<T: Clone + Eq + Hash> Limits<T> {
    /// Limits by which an item waits so long after its first failure, twice as long after each other, and never longer than `max`.
    pub(super) fn new(first: Duration, max: Duration, now: Instant) -> Limits<T> {
        Limits {
            failures: HashMap::new(),
            first,
            max,
            spent: now,
        }
    }

    /// How long an item that failed has to wait.
    pub(super) fn when(&mut self, item: &T, now: Instant) -> Duration {
        let failures = self.failures.entry(item.clone()).or_default();
        let own = 2_u32
            .checked_pow(*failures)
            .and_then(|times| self.first.checked_mul(times))
            .map_or(self.max, |wait| wait.min(self.max));
        *failures = failures.saturating_add(1);
        self.spent = self.spent.max(now) + INTERVAL;
        let ahead = self.spent.saturating_duration_since(now);
        own.max(ahead.saturating_sub(INTERVAL * BURST))
    }

    pub(super) fn forget(&mut self, item: &T) {
        self.failures.remove(item);
    }

    pub(super) fn failures(&self, item: &T) -> u32 {
        self.failures.get(item).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long an item waits that fails forty times.
    fn waits(first: Duration, max: Duration) -> Vec<Duration> {
        let mut now = Instant::now();
        let mut limits = Limits::new(first, max, now);
        let mut waits = Vec::new();
        for _ in 0..40 {
            let wait = limits.when(&1, now);
            waits.push(wait);
            now += wait;
        }
        waits
    }

    #[test]
    fn one_item_waits_longer_each_time_up_to_a_bound() {
        let waits = waits(FIRST, MAX);
        assert_eq!(waits[..3], [5, 10, 20].map(Duration::from_millis));
        assert_eq!(waits[17], FIRST * (1 << 17));
        assert_eq!(waits[18..], [MAX; 22]);
    }

    #[test]
    fn a_queue_may_have_waits_of_its_own() {
        let waits = waits(Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(waits[..6], [1, 2, 4, 8, 16, 32].map(Duration::from_secs));
        assert_eq!(waits[6..], [Duration::from_secs(60); 34]);
    }

    #[test]
    fn many_items_come_ten_a_second_after_the_first_hundred() {
        let now = Instant::now();
        let mut limits = Limits::new(FIRST, MAX, now);
        let waits: Vec<_> = (0..120).map(|item| limits.when(&item, now)).collect();
        assert_eq!(waits[..100], [FIRST; 100]);
        assert_eq!(waits[100], Duration::from_millis(100));
        assert_eq!(waits[119], Duration::from_secs(2));
        let later = now + Duration::from_secs(60);
        assert_eq!(limits.when(&500, later), FIRST);
    }
}
