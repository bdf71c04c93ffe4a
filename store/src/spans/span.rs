//! One span: it begins when it is made and is told when it is dropped.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use super::place::{self, Place};

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(&'static str),
    Number(i64),
    Bool(bool),
}

/// A span that has ended, for the exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    /// None for the first of a trace.
    pub(super) parent_id: Option<[u8; 8]>,
    pub(super) state: Arc<str>,
    pub(super) name: Cow<'static, str>,
    pub(super) is_request: bool,
    pub(super) began_nanoseconds: u64,
    pub(super) ended_nanoseconds: u64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) failure: Option<String>,
}

/// A span under way.
pub(crate) struct Span {
    place: Arc<Place>,
    parent_id: Option<[u8; 8]>,
    name: Cow<'static, str>,
    is_request: bool,
    began: Instant,
    attributes: Vec<(&'static str, Value)>,
    failure: Option<String>,
}

impl Span {
    pub(super) fn of_request(place: Place, caller_id: Option<[u8; 8]>, name: String) -> Span {
        Span::new(Arc::new(place), caller_id, name.into(), true)
    }

    pub(super) fn below(parent: &Place, name: &'static str) -> Span {
        let place = Place {
            tracer: parent.tracer.clone(),
            trace_id: parent.trace_id,
            span_id: parent.tracer.span_id(),
            state: Arc::clone(&parent.state),
            clock: parent.clock,
        };
        Span::new(Arc::new(place), Some(parent.span_id), name.into(), false)
    }

    fn new(
        place: Arc<Place>,
        parent_id: Option<[u8; 8]>,
        name: Cow<'static, str>,
        is_request: bool,
    ) -> Span {
        Span {
            place,
            parent_id,
            name,
            is_request,
            began: Instant::now(),
            attributes: Vec::new(),
            failure: None,
        }
    }

    /// Runs work inside this span: spans that it makes are below it.
    pub(crate) fn around<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        place::inside(Arc::clone(&self.place), work)
    }

    pub(crate) fn set(&mut self, name: &'static str, value: Value) {
        self.attributes.push((name, value));
    }

    /// Marks what the span is about as failed.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.failure = Some(why.into());
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// A span below this one that is over already.
    pub(super) fn past(&self, name: &'static str, began: Instant, ended: Instant) {
        let mut span = Span::below(&self.place, name);
        span.began = began;
        span.end(ended);
    }

    /// Tells it, and leaves it without a name.
    fn end(&mut self, ended: Instant) {
        let Place {
            tracer,
            trace_id,
            span_id,
            state,
            clock,
        } = &*self.place;
        tracer.send(Ended {
            trace_id: *trace_id,
            span_id: *span_id,
            parent_id: self.parent_id,
            state: Arc::clone(state),
            name: std::mem::take(&mut self.name),
            is_request: self.is_request,
            began_nanoseconds: clock.read(self.began),
            ended_nanoseconds: clock.read(ended),
            attributes: std::mem::take(&mut self.attributes),
            failure: self.failure.take(),
        });
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // One without a name was told already.
        if !self.name.is_empty() {
            self.end(Instant::now());
        }
    }
}
