//! Bodies that are being received: each has an end, and all of them together have a bound.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::Status;
use tonic::codegen::StdError;

use super::request::too_long;

/// Longest wait for more of a body that is not whole.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Longest time for one JSON message from its first byte to its last.
const RECEIVE_MAX: Duration = Duration::from_secs(60);
/// Bytes of all bodies that are not whole yet, in units.
const BODIES_BYTES_MAX: usize = 256 << 20;
const UNIT_BYTES: usize = 1 << 10;
pub(in crate::grpc) const BODIES_UNITS: usize = BODIES_BYTES_MAX / UNIT_BYTES;

/// What one body may take: of time, and of the room that all have together.
pub(super) struct Bodies {
    room: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    /// Longest JSON message.
    bytes_max: usize,
    pause: Option<Pin<Box<Sleep>>>,
    end: Option<Pin<Box<Sleep>>>,
}

impl Bodies {
    pub(super) fn new(room: &Arc<Semaphore>, bytes_max: usize) -> Bodies {
        Bodies {
            room: Arc::clone(room),
            held: None,
            bytes_max,
            pause: None,
            end: None,
        }
    }

    /// More has come: so many bytes are held now. Refuses a message that is too long, or for which there is no room.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        if bytes > self.bytes_max {
            return Err(too_long(self.bytes_max));
        }
        self.pause = None;
        let held_units = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let units = bytes.div_ceil(UNIT_BYTES).saturating_sub(held_units);
        if units == 0 {
            return Ok(());
        }
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.room).try_acquire_many_owned(units);
        let more = more.map_err(|_full| super::super::status::too_many_requests())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// The message is whole.
    pub(super) fn done(&mut self) {
        self.held = None;
        self.pause = None;
        self.end = None;
    }

    /// Ready once too much time has passed for a message that has begun.
    pub(super) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let sleep = |time| Box::pin(tokio::time::sleep(time));
        let pause = self.pause.get_or_insert_with(|| sleep(PAUSE_MAX));
        let end = self.end.get_or_insert_with(|| sleep(RECEIVE_MAX));
        let is_late =
            pause.as_mut().poll(context).is_ready() || end.as_mut().poll(context).is_ready();
        if is_late {
            Poll::Ready(Status::deadline_exceeded(
                "the request was not received in time",
            ))
        } else {
            Poll::Pending
        }
    }

    /// A whole body, and the room that it takes.
    pub(super) async fn collect<B>(mut self, body: B) -> Result<(Bytes, Bodies), Status>
    where
        B: http_body::Body,
        B::Error: Into<StdError>,
    {
        let mut body = pin!(body);
        let mut bytes = BytesMut::new();
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                late = std::future::poll_fn(|context| self.poll_late(context)) => return Err(late),
            };
            match frame {
                None => return Ok((bytes.freeze(), self)),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    self.grow(bytes.len() + data.remaining())?;
                    bytes.put(data);
                }
                Some(Err(error)) => {
                    let error: StdError = error.into();
                    let text = format!("the request was not received: {error}");
                    return Err(Status::invalid_argument(text));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_their_room_and_give_it_back() {
        let room = Arc::new(Semaphore::new(3));
        let mut first = Bodies::new(&room, 1 << 20);
        first.grow(1000).unwrap();
        first.grow(2 * UNIT_BYTES).unwrap();
        assert_eq!(room.available_permits(), 1);
        let mut second = Bodies::new(&room, 1 << 20);
        let refused = second.grow(UNIT_BYTES + 1).unwrap_err();
        assert_eq!(refused.message(), "etcdserver: too many requests");
        first.done();
        second.grow(UNIT_BYTES + 1).unwrap();
        drop(second);
        assert_eq!(room.available_permits(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_late_and_one_that_drips_is_late_in_the_end() {
        let late = async |drip: Duration| {
            let began = tokio::time::Instant::now();
            let mut bodies = Bodies::new(&Arc::new(Semaphore::new(1)), 1 << 20);
            loop {
                let late = std::future::poll_fn(|context| bodies.poll_late(context));
                if tokio::time::timeout(drip, late).await.is_ok() {
                    return began.elapsed();
                }
                bodies.grow(1).unwrap();
            }
        };
        assert_eq!(late(Duration::from_secs(3600)).await.as_secs(), 10);
        assert_eq!(late(Duration::from_secs(9)).await.as_secs(), 60);
    }
}
