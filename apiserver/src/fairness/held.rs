//! Answers that keep the place of their request until they are sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};

use super::Place;
use crate::rest::{Answer, Body, Failure};

/// Set when a watch has told what was there when it began: from then on it takes no place. An extension of its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begun(Arc<AtomicBool>);

impl Begun {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A body with a place.
struct Held {
    body: Body,
    place: Option<Place>,
    begun: Option<Begun>,
}

/// Lets an answer keep a place until its body is sent or dropped, or the watch that it is has begun.
pub(crate) fn hold(answer: Answer, place: Place) -> Answer {
    if answer.body().is_end_stream() {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let held = Held {
        body,
        place: Some(place),
        begun: parts.extensions.get::<Begun>().cloned(),
    };
    Answer::from_parts(parts, held.boxed_unsync())
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let held = self.get_mut();
        let polled = Pin::new(&mut held.body).poll_frame(context);
        let ended = matches!(polled, Poll::Ready(None)) || held.body.is_end_stream();
        if ended || held.begun.as_ref().is_some_and(Begun::is_set) {
            held.place = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
