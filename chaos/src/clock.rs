//! The one clock of a run: everything that is recorded says how long after its start it was.

use std::time::{Duration, Instant};

/// A monotonic clock that starts with the run. Copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Time starts now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).expect("a run is shorter than centuries")
    }

    /// Milliseconds since the start.
    pub fn millis(&self) -> u64 {
        self.nanos() / 1_000_000
    }

    /// The moment `millis` after the start, for timers.
    pub fn at_millis(&self, millis: u64) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.0 + Duration::from_millis(millis))
    }
}
