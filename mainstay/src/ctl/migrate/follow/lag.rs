//! How far the target is behind, in revisions and seconds.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Looks at the source that are remembered. With more, the oldest are forgotten and the seconds are a least.
const LOOKS_MAX: usize = 4096;
/// Time over which the rate is taken.
const RATE_SPAN: Duration = Duration::from_secs(5);

/// Where both sides were, and when.
pub(super) struct Lag {
    source: i64,
    target: i64,
    /// When the source was first seen to be there.
    changed: Instant,
    now: Instant,
    /// The source's revisions that the target has not come to, with when they were first seen.
    ahead: VecDeque<(Instant, i64)>,
    /// Where the target was, over the last seconds.
    passed: VecDeque<(Instant, i64)>,
}

impl Lag {
    pub(super) fn new(start: i64) -> Lag {
        let now = Instant::now();
        Lag {
            source: start,
            target: start,
            changed: now,
            now,
            ahead: VecDeque::new(),
            passed: VecDeque::new(),
        }
    }

    pub(super) fn seen(&mut self, source: i64, target: i64, now: Instant) {
        if source > self.source {
            self.changed = now;
            self.ahead.push_back((now, source));
        }
        (self.source, self.target, self.now) = (source, target, now);
        while self
            .ahead
            .front()
            .is_some_and(|(_, revision)| *revision <= target)
            || self.ahead.len() > LOOKS_MAX
        {
            self.ahead.pop_front();
        }
        self.passed.push_back((now, target));
        while self
            .passed
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > RATE_SPAN)
        {
            self.passed.pop_front();
        }
    }

    pub(super) fn is_quiet(&self, span: Duration, now: Instant) -> bool {
        now.duration_since(self.changed) >= span
    }

    /// How far it is, for the operator.
    pub(super) fn line(&self, leases: usize, resent: u64) -> String {
        let behind = (self.source - self.target).max(0);
        let seconds = self
            .ahead
            .front()
            .map_or(0.0, |(at, _)| self.now.duration_since(*at).as_secs_f64());
        let rate = self.passed.front().map_or(0.0, |(at, revision)| {
            let span = self.now.duration_since(*at).as_secs_f64();
            let passed = (self.target - revision) as f64;
            if span > 0.0 { passed / span } else { 0.0 }
        });
        format!(
            "source {}, target {}, behind by {behind} revisions and {seconds:.1} s; {rate:.0} revisions/s, {leases} leases, \
             {resent} sent again",
            self.source, self.target
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_as_old_as_the_oldest_revision_that_is_not_there() {
        let mut lag = Lag::new(10);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        lag.seen(20, 10, at(1));
        lag.seen(30, 12, at(3));
        assert!(
            lag.line(1, 0)
                .contains("behind by 18 revisions and 2.0 s; 1 revisions/s")
        );
        lag.seen(30, 20, at(5));
        assert!(lag.line(1, 0).contains("behind by 10 revisions and 2.0 s"));
        lag.seen(30, 30, at(6));
        assert!(lag.line(1, 0).contains("behind by 0 revisions and 0.0 s"));
        assert!(lag.is_quiet(Duration::from_secs(3), at(6)));
        assert!(!lag.is_quiet(Duration::from_secs(4), at(6)));
    }
}
