//! Throughput, latency and the times without an acknowledged write, from what the clients saw.

use serde::{Deserialize, Serialize};

use crate::nemesis::Injected;
use crate::record::{Class, Point};

/// Length of one bucket, in milliseconds.
pub const BUCKET_MS: u64 = 100;
/// A time without an acknowledged write counts as a window of its own from here on, in milliseconds.
pub const WINDOW_MS: u64 = 200;

/// What happened in one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Answered requests.
    pub ok: u64,
    /// Acknowledged writes among them.
    pub writes: u64,
    /// Requests that certainly failed.
    pub failed: u64,
    /// Requests of which nobody knows what came.
    pub unknown: u64,
    /// Median time of an answer, in microseconds.
    pub p50_us: u64,
    /// 99th percentile of the time of an answer, in microseconds.
    pub p99_us: u64,
}

/// A time without an acknowledged write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When the last write before it was acknowledged, in milliseconds of the run's clock.
    pub start_ms: u64,
    /// When the next one was.
    pub end_ms: u64,
}

impl Window {
    /// Its length, in milliseconds.
    pub fn length_ms(&self) -> u64 {
        self.end_ms - self.start_ms
    }
}

/// What the clients saw over time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// One for each [`BUCKET_MS`] from the start of the clock.
    pub buckets: Vec<Bucket>,
    /// Times of [`WINDOW_MS`] or more without an acknowledged write.
    pub windows: Vec<Window>,
    /// The longest time without an acknowledged write around each fault, in milliseconds, in their order.
    pub gaps_ms: Vec<u64>,
    /// Share of buckets under load with an acknowledged write, in a thousandth.
    pub available_permille: u64,
}

/// Puts the operations of a run, whose load lasted from `load_ms.0` to `load_ms.1`, on a timeline.
pub fn draw(points: &[Point], injected: &[Injected], load_ms: (u64, u64)) -> Timeline {
    let buckets = buckets(points);
    let mut acknowledged: Vec<u64> = points
        .iter()
        .filter(|point| point.writes && point.class == Class::Ok)
        .map(|point| point.end_ns / 1_000_000)
        .filter(|at| (load_ms.0..=load_ms.1).contains(at))
        .collect();
    acknowledged.sort_unstable();
    let mut edges = vec![load_ms.0];
    edges.extend(&acknowledged);
    edges.push(load_ms.1);
    let gaps: Vec<Window> = edges
        .windows(2)
        .map(|pair| Window {
            start_ms: pair[0],
            end_ms: pair[1],
        })
        .collect();
    let gaps_ms = (0..injected.len())
        .map(|number| {
            let start = injected[number].start_ms;
            let end = injected
                .get(number + 1)
                .map_or(load_ms.1, |next| next.start_ms);
            // What lasts into the next fault counts there in full, and here up to it.
            let touching = gaps
                .iter()
                .filter(|gap| gap.end_ms > start && gap.start_ms < end)
                .map(|gap| gap.end_ms.min(end) - gap.start_ms);
            touching.max().unwrap_or(0)
        })
        .collect();
    let index = |at: u64| usize::try_from(at / BUCKET_MS).unwrap_or(usize::MAX);
    let last = index(load_ms.1).min(buckets.len());
    let loaded = buckets
        .get(index(load_ms.0).min(last)..last)
        .unwrap_or_default();
    let with_write = loaded.iter().filter(|bucket| bucket.writes > 0).count();
    let available_permille = (with_write * 1000).checked_div(loaded.len()).unwrap_or(0) as u64;
    Timeline {
        windows: gaps
            .into_iter()
            .filter(|gap| gap.length_ms() >= WINDOW_MS)
            .collect(),
        buckets,
        gaps_ms,
        available_permille,
    }
}

fn buckets(points: &[Point]) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    let mut times: Vec<Vec<u64>> = Vec::new();
    for point in points {
        let index =
            usize::try_from(point.end_ns / (BUCKET_MS * 1_000_000)).expect("a run has few buckets");
        if buckets.len() <= index {
            buckets.resize(index + 1, Bucket::default());
            times.resize(index + 1, Vec::new());
        }
        let bucket = &mut buckets[index];
        match point.class {
            Class::Ok => {
                bucket.ok += 1;
                bucket.writes += u64::from(point.writes);
                times[index].push(point.took_ns / 1_000);
            }
            Class::Failed => bucket.failed += 1,
            Class::Unknown => bucket.unknown += 1,
        }
    }
    for (bucket, times) in buckets.iter_mut().zip(&mut times) {
        times.sort_unstable();
        bucket.p50_us = percentile(times, 50);
        bucket.p99_us = percentile(times, 99);
    }
    buckets
}

/// The smallest of sorted numbers that `percent` of a hundred do not exceed; 0 of none.
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at_ms: u64) -> Point {
        Point {
            end_ns: at_ms * 1_000_000,
            took_ns: 1_000_000,
            class: Class::Ok,
            writes: true,
        }
    }

    fn fault(start_ms: u64, end_ms: u64) -> Injected {
        Injected {
            number: 0,
            fault: String::new(),
            aim: None,
            members: Vec::new(),
            role: None,
            terms: (1, 2),
            start_ms,
            end_ms,
            evidence: String::new(),
            fired: true,
        }
    }

    #[test]
    fn a_gap_that_begins_right_before_the_next_fault_is_that_ones() {
        let points: Vec<Point> = [0, 100, 300, 310, 490, 900].map(write).to_vec();
        let faults = [fault(110, 200), fault(500, 600)];
        let timeline = draw(&points, &faults, (0, 1_000));
        assert_eq!(timeline.gaps_ms, [200, 410]);
    }

    #[test]
    fn a_gap_is_the_longest_time_without_a_write_around_a_fault() {
        let points: Vec<Point> = [0, 50, 100, 900, 950, 1000].map(write).to_vec();
        let timeline = draw(&points, &[fault(110, 400)], (0, 1_000));
        assert_eq!(timeline.gaps_ms, [800]);
        assert_eq!(
            timeline.windows,
            [Window {
                start_ms: 100,
                end_ms: 900
            }]
        );
        assert_eq!(timeline.available_permille, 300);
    }

    #[test]
    fn a_percentile_of_few_is_one_of_them() {
        assert_eq!(percentile(&[], 99), 0);
        assert_eq!(percentile(&[1, 2, 3], 50), 2);
        assert_eq!(percentile(&[1, 2, 3], 99), 3);
    }
}
