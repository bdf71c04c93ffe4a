//! What a request waited for, told as spans to a collector that speaks OpenTelemetry's protocol.
//!
//! Requests are traced whose senders say so (the W3C's `traceparent`), and a share of the others. A traced request carries
//! its place in a variable of its task; where none is traced, a span costs one look at that variable.

mod export;
mod place;
mod proposal;
mod span;
mod traceparent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use tokio::sync::mpsc;

pub(crate) use export::Exporter;
use place::{Clock, Place};
pub(crate) use proposal::{ProposalSpan, Stage, Stages};
use span::Ended;
pub(crate) use span::{Span, Value};
use traceparent::Caller;

use crate::config::Tracing;
use crate::metrics::Metrics;

/// Spans that wait for the collector; one more is dropped and counted.
const QUEUE_SPANS: usize = 2048;
/// What `--distributed-tracing-sampling-rate` is a share of.
const RATE_WHOLE: u128 = 1_000_000;
/// Step of a counter whose values a mixing of bits then scatters (splitmix64).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes spans; clones share one queue.
#[derive(Clone)]
pub(crate) struct Tracer(Arc<Shared>);

struct Shared {
    queue: mpsc::Sender<Ended>,
    metrics: Arc<Metrics>,
    /// A trace that begins here is sampled when the number in its id is below this.
    sampled_below: u64,
    seed: u64,
    ids: AtomicU64,
}

impl Tracer {
    /// The second part sends what the first makes.
    ///
    /// # Errors
    /// When the address is none, or the system gives no random bytes.
    pub(crate) fn new(
        settings: &Tracing,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<(Tracer, Exporter)> {
        let mut seeds = [0; 16];
        getrandom::fill(&mut seeds)?;
        let seeds = u128::from_be_bytes(seeds);
        let (queue, ended) = mpsc::channel(QUEUE_SPANS);
        let shared = Shared {
            queue,
            metrics: Arc::clone(metrics),
            sampled_below: sampled_below(settings.sampling_rate_per_million),
            seed: (seeds >> 64) as u64,
            ids: AtomicU64::new(seeds as u64),
        };
        let exporter = Exporter::new(settings, ended, Arc::clone(metrics))?;
        Ok((Tracer(Arc::new(shared)), exporter))
    }

    /// The span of a client's request; none when it is not sampled. As etcd's: a sender that has a trace decides, and of
    /// the others a share is taken.
    pub(crate) fn request(&self, headers: &HeaderMap, name: String) -> Option<Span> {
        match traceparent::of(headers) {
            Some(caller) => caller.is_sampled.then(|| self.begin(name, caller)),
            None if self.0.sampled_below == 0 => None,
            None => {
                let caller = Caller::none(self.trace_id());
                let is_sampled = self.is_sampled(&caller.trace_id);
                is_sampled.then(|| self.begin(name, caller))
            }
        }
    }

    fn begin(&self, name: String, caller: Caller) -> Span {
        let place = Place {
            tracer: self.clone(),
            trace_id: caller.trace_id,
            span_id: self.span_id(),
            state: caller.state.into(),
            clock: Clock::now(),
        };
        Span::of_request(place, caller.span_id, name)
    }

    /// OpenTelemetry's rule, so that everybody with the same share takes the same traces.
    fn is_sampled(&self, trace_id: &[u8; 16]) -> bool {
        let number = u128::from_be_bytes(*trace_id) as u64;
        number >> 1 < self.0.sampled_below
    }

    fn trace_id(&self) -> [u8; 16] {
        let (first, second) = (self.number() ^ self.0.seed, self.number());
        (u128::from(first) << 64 | u128::from(second)).to_be_bytes()
    }

    fn span_id(&self) -> [u8; 8] {
        self.number().to_be_bytes()
    }

    /// A number that is not zero; another one each time.
    fn number(&self) -> u64 {
        let mut number = self.0.ids.fetch_add(GOLDEN, Ordering::Relaxed);
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ (number >> 31)).max(1)
    }

    /// Hands a span to the exporter, if there is room.
    fn send(&self, span: Ended) {
        if self.0.queue.try_send(span).is_err() {
            self.0.metrics.spans_dropped.add(1);
        }
    }
}

fn sampled_below(rate_per_million: u32) -> u64 {
    let share = (u128::from(rate_per_million) << 63) / RATE_WHOLE;
    u64::try_from(share).expect("the rate is checked to be a share")
}

/// A span below the one that this task is in; none when its request is not traced. It ends when it is dropped.
pub(crate) fn child(name: &'static str) -> Option<Span> {
    place::here().map(|place| Span::below(&place, name))
}

#[cfg(test)]
mod tests;
