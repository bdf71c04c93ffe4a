//! How long things took, counted in buckets.

use std::fmt::Write;

/// Upper ends of the buckets, in seconds.
const ENDS_SECONDS: [f64; 14] = [
    0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0,
];

/// Durations of one kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    buckets: [u64; ENDS_SECONDS.len()],
    pub(super) count: u64,
    sum: f64,
}

impl Histogram {
    pub(super) fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        for (bucket, end) in self.buckets.iter_mut().zip(ENDS_SECONDS) {
            *bucket += u64::from(seconds <= end);
        }
    }

    /// Its lines in Prometheus' text form.
    pub(super) fn write(&self, out: &mut String, name: &str, labels: &str) {
        let Histogram {
            buckets,
            count,
            sum,
        } = self;
        let mut lines = String::new();
        for (end, number) in ENDS_SECONDS.iter().zip(buckets) {
            let _ = writeln!(lines, "{name}_bucket{{{labels},le=\"{end}\"}} {number}");
        }
        let _ = writeln!(lines, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(lines, "{name}_sum{{{labels}}} {sum}");
        let _ = writeln!(lines, "{name}_count{{{labels}}} {count}");
        out.push_str(&lines);
    }
}
