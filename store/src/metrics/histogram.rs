//! Durations counted in buckets with fixed bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A Prometheus histogram of durations, in seconds.
#[derive(Debug)]
pub struct Histogram {
    bounds: Vec<Duration>,
    /// One more than bounds: the last is for what is above all of them.
    counts: Vec<AtomicU64>,
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// `buckets` bounds, the first `start` and each twice the one before.
    pub(crate) fn doubling(start: Duration, buckets: u32) -> Histogram {
        Histogram::new((0..buckets).map(|power| start * 2u32.pow(power)).collect())
    }

    /// Prometheus' own bounds, which gRPC's calls are counted by.
    pub(crate) fn of_calls() -> Histogram {
        let milliseconds = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];
        Histogram::new(milliseconds.map(Duration::from_millis).to_vec())
    }

    fn new(bounds: Vec<Duration>) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram {
            bounds,
            counts,
            sum_nanos: AtomicU64::new(0),
        }
    }

    pub fn observe(&self, duration: Duration) {
        let bucket = self.bounds.partition_point(|bound| *bound < duration);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Upper bounds in seconds with the count at or below each, then the count of all and the sum in seconds.
    pub(crate) fn read(&self) -> (Vec<(f64, u64)>, u64, f64) {
        let mut total = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            total += count.load(Ordering::Relaxed);
            buckets.push((bound.as_secs_f64(), total));
        }
        total += self.counts[self.bounds.len()].load(Ordering::Relaxed);
        let sum = Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed)).as_secs_f64();
        (buckets, total, sum)
    }
}
