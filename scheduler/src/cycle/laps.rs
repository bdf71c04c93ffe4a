//! How long the parts of a cycle take, for metrics. Nothing is decided by it.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

/// A part of a cycle, by upstream's name of an extension point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    PreFilter,
    Filter,
    PostFilter,
    /// With what plugins do before they score.
    Score,
}

impl Point {
    /// As it is named in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Point::PreFilter => "PreFilter",
            Point::Filter => "Filter",
            Point::PostFilter => "PostFilter",
            Point::Score => "Score",
        }
    }
}

/// A part that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lap {
    pub point: Point,
    /// Whether the pod could go on from there.
    pub succeeded: bool,
    pub took: Duration,
}

/// Takes the times, with whatever tells the time.
#[derive(Debug)]
pub struct Laps {
    clock: fn() -> Instant,
    done: RefCell<Vec<Lap>>,
}

impl Laps {
    /// None yet.
    #[must_use]
    pub fn new(clock: fn() -> Instant) -> Laps {
        Laps {
            clock,
            done: RefCell::default(),
        }
    }

    /// Those that were done since this was last asked.
    pub fn take(&self) -> Vec<Lap> {
        self.done.take()
    }
}

/// Does a part of a cycle, and takes its time if somebody wants to know it.
pub(crate) fn timed<T>(
    laps: Option<&Laps>,
    point: Point,
    work: impl FnOnce() -> T,
    succeeded: impl FnOnce(&T) -> bool,
) -> T {
    let Some(laps) = laps else {
        return work();
    };
    let began = (laps.clock)();
    let result = work();
    let lap = Lap {
        point,
        succeeded: succeeded(&result),
        took: (laps.clock)() - began,
    };
    laps.done.borrow_mut().push(lap);
    result
}
