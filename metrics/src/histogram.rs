//! Values counted in buckets with fixed bounds.

use std::time::Duration;

/// A distribution. Whoever counts owns it; it has no lock of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: Vec<f64>,
    /// One more than bounds: the last is for what is above all of them.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// So many bounds, the first `start` and each `factor` times the one before.
    #[must_use]
    pub fn exponential(start: f64, factor: f64, bounds: u32) -> Histogram {
        let mut bound = start;
        let bounds: Vec<f64> = (0..bounds)
            .map(|_| {
                let this = bound;
                bound *= factor;
                this
            })
            .collect();
        Histogram {
            counts: vec![0; bounds.len() + 1],
            bounds,
            sum: 0.0,
        }
    }

    /// Counts a value.
    pub fn observe(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += 1;
        self.sum += value;
    }

    /// Counts a time in seconds.
    pub fn observe_time(&mut self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// Takes in what another one with the same bounds has counted.
    pub fn merge(&mut self, other: &Histogram) {
        debug_assert_eq!(self.bounds, other.bounds);
        for (own, others) in self.counts.iter_mut().zip(&other.counts) {
            *own += others;
        }
        self.sum += other.sum;
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Bounds with the count at or below each; what is above all of them is in [`Histogram::count`] alone.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut total = 0;
        self.bounds
            .iter()
            .zip(&self.counts)
            .map(move |(bound, count)| {
                total += count;
                (*bound, total)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_bucket_of_the_first_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::exponential(1.0, 2.0, 3);
        for value in [0.5, 1.0, 1.5, 4.0, 9.0] {
            histogram.observe(value);
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets, [(1.0, 2), (2.0, 3), (4.0, 4)]);
        assert_eq!((histogram.count(), histogram.sum()), (5, 16.0));
        histogram.merge(&histogram.clone());
        assert_eq!((histogram.count(), histogram.sum()), (10, 32.0));
    }
}
