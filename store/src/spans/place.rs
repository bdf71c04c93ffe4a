//! Where in a trace a task is.

use std::future::Future;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::Tracer;

tokio::task_local! {
    static HERE: Arc<Place>;
}

/// A span of a trace, as those below it know it.
pub(super) struct Place {
    pub(super) tracer: Tracer,
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    /// `tracestate` of the caller, which is only handed on.
    pub(super) state: Arc<str>,
    pub(super) clock: Clock,
}

/// Times of one trace: a wall clock that is read once, so that no span ends before it began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    at: Instant,
    nanoseconds: u64,
}

impl Clock {
    pub(super) fn now() -> Clock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Clock {
            at: Instant::now(),
            nanoseconds: since.map_or(0, |since| since.as_nanos() as u64),
        }
    }

    /// Nanoseconds since 1970.
    pub(super) fn read(&self, instant: Instant) -> u64 {
        self.nanoseconds + instant.saturating_duration_since(self.at).as_nanos() as u64
    }
}

/// Where this task is, if its request is traced.
pub(super) fn here() -> Option<Arc<Place>> {
    HERE.try_with(Arc::clone).ok()
}

/// Runs work inside a place.
pub(super) fn inside<F: Future>(
    place: Arc<Place>,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    HERE.scope(place, work)
}
