//! What a queue counts of itself.

use std::time::Duration;

use metrics::Histogram;
use tokio::time::Instant;

/// A queue in numbers.
#[derive(Debug, Clone)]
pub struct QueueFigures {
    /// Items that are ready.
    pub depth: usize,
    /// Items that were added and did not wait already.
    pub adds: u64,
    /// Items that were added for later, after a failure or because their time is to come.
    pub retries: u64,
    /// How many seconds items were ready before they were handed out.
    pub waited: Histogram,
    /// How many seconds they were held.
    pub worked: Histogram,
    /// How long those that are held have been so, all together and the longest.
    pub unfinished: Duration,
    pub longest: Duration,
}

impl QueueFigures {
    pub(super) fn new() -> QueueFigures {
        // Upstream's bounds: ten nanoseconds, and ten times as much from bound to bound.
        let seconds = Histogram::exponential(10e-9, 10.0, 10);
        QueueFigures {
            depth: 0,
            adds: 0,
            retries: 0,
            waited: seconds.clone(),
            worked: seconds,
            unfinished: Duration::ZERO,
            longest: Duration::ZERO,
        }
    }

    /// The same with what is true now, of queues that have so many items and hold some since these times.
    pub(super) fn at(&self, depth: usize, held: impl Iterator<Item = Instant>) -> QueueFigures {
        let mut now = QueueFigures {
            depth,
            ..self.clone()
        };
        for since in held {
            let time = since.elapsed();
            now.unfinished += time;
            now.longest = now.longest.max(time);
        }
        now
    }

    /// Takes in those of another queue that has the same name.
    pub fn merge(&mut self, other: &QueueFigures) {
        self.depth += other.depth;
        self.adds += other.adds;
        self.retries += other.retries;
        self.waited.merge(&other.waited);
        self.worked.merge(&other.worked);
        self.unfinished += other.unfinished;
        self.longest = self.longest.max(other.longest);
    }
}
