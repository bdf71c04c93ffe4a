//! The body of a large answer: counted until it is sent, handed on in pieces, and let go when nobody takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http_body::Frame;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

use super::Edge;
use crate::metrics::Held;

/// Bytes handed to the connection at a time. They are copied: a piece of the answer would keep all of it in memory.
const PIECE_BYTES: usize = 128 << 10;
/// Longest wait for a client to take the next piece.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The memory that an answer is counted for, until the last clone is gone.
#[derive(Debug, Clone)]
pub(super) struct Charge(#[expect(dead_code, reason = "it counts while it lives")] Arc<Counted>);

#[derive(Debug)]
struct Counted {
    _permit: OwnedSemaphorePermit,
    _held: Held,
}

impl Charge {
    pub(super) fn new(permit: OwnedSemaphorePermit, held: Held) -> Charge {
        Charge(Arc::new(Counted {
            _permit: permit,
            _held: held,
        }))
    }
}

/// What of an answer is not sent yet.
#[derive(Debug)]
pub(super) struct Sending {
    rest: Bytes,
    charge: Option<Charge>,
    moved: Instant,
    is_stalled: bool,
}

impl Sending {
    /// Lets go of an answer that nobody takes. Whether there is nothing more to look after.
    pub(super) fn end_if_stalled(&mut self) -> bool {
        if self.charge.is_some() && self.moved.elapsed() < STALL_MAX {
            return false;
        }
        self.is_stalled = self.charge.is_some();
        self.rest.clear();
        self.charge = None;
        true
    }
}

/// An answer's body with its charge.
struct HeldBody {
    body: Body,
    sending: Arc<Mutex<Sending>>,
}

/// A body that is counted until it is sent, and let go when nobody takes it.
pub(super) fn body(edge: &Edge, body: Body, charge: Charge) -> Body {
    let held = HeldBody::new(body, charge);
    edge.bulk.watch(&held.sending);
    Body::new(held)
}

impl HeldBody {
    fn new(body: Body, charge: Charge) -> HeldBody {
        let sending = Sending {
            rest: Bytes::new(),
            charge: Some(charge),
            moved: Instant::now(),
            is_stalled: false,
        };
        HeldBody {
            body,
            sending: Arc::new(Mutex::new(sending)),
        }
    }
}

impl http_body::Body for HeldBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let held = self.get_mut();
        loop {
            let mut sending = held.sending.lock();
            if sending.is_stalled {
                let text = "etcdserver: the answer was not taken in time";
                return Poll::Ready(Some(Err(Status::deadline_exceeded(text))));
            }
            sending.moved = Instant::now();
            if !sending.rest.is_empty() {
                let count = sending.rest.len().min(PIECE_BYTES);
                let piece = Bytes::copy_from_slice(&sending.rest[..count]);
                sending.rest.advance(count);
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            // The allocation goes before its charge.
            sending.rest = Bytes::new();
            match ready!(Pin::new(&mut held.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => sending.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    sending.charge = None;
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let sending = self.sending.lock();
        !sending.is_stalled && sending.rest.is_empty() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn held(bytes: usize) -> (HeldBody, Arc<tokio::sync::Semaphore>) {
        let memory = Arc::new(tokio::sync::Semaphore::new(1));
        let permit = Arc::clone(&memory).try_acquire_owned().unwrap();
        let charge = Charge::new(permit, Held::default());
        let body = Body::new(Full::new(Bytes::from(vec![7; bytes])));
        (HeldBody::new(body, charge), memory)
    }

    #[tokio::test]
    async fn all_bytes_come_in_pieces_and_then_the_memory_is_free() {
        let (mut body, memory) = held(PIECE_BYTES * 2 + 5);
        let mut lengths = Vec::new();
        while let Some(frame) = body.frame().await {
            assert_eq!(memory.available_permits(), 0);
            lengths.push(frame.unwrap().into_data().unwrap().len());
        }
        assert_eq!(lengths, [PIECE_BYTES, PIECE_BYTES, 5]);
        assert_eq!(memory.available_permits(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_is_let_go() {
        let (mut body, memory) = held(PIECE_BYTES * 2);
        body.frame().await.unwrap().unwrap();
        let sending = Arc::clone(&body.sending);
        assert!(!sending.lock().end_if_stalled());
        sending.lock().moved -= STALL_MAX;
        assert!(sending.lock().end_if_stalled());
        assert_eq!(memory.available_permits(), 1);
        assert!(body.frame().await.unwrap().is_err());
    }
}
