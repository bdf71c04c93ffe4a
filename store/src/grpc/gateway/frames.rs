//! gRPC's frames: a byte for compression, four for the length, then the message.

use std::pin::Pin;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;

const HEAD_BYTES: usize = 5;

/// A message in its frame.
pub(super) fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + message.len());
    frame.put_u8(0);
    // The router refuses a message far below four gigabytes, so a length that does not fit is refused by it too.
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// The messages of an answer, one by one.
pub(super) struct Messages {
    body: Pin<Box<Body>>,
    pending: BytesMut,
    message_bytes_max: usize,
}

impl Messages {
    pub(super) fn new(body: Body, message_bytes_max: usize) -> Messages {
        Messages {
            body: Box::pin(body),
            pending: BytesMut::new(),
            message_bytes_max,
        }
    }

    /// The next message; none after the last.
    ///
    /// # Errors
    /// With the status that the answer ends with, unless that is success.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.cut()? {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            match frame?.into_data() {
                Ok(data) => self.pending.put(data),
                Err(frame) => return ended(frame.trailers_ref()),
            }
        }
    }

    fn cut(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(mut head) = self.pending.get(..HEAD_BYTES) else {
            return Ok(None);
        };
        // Nobody said that this client takes compressed messages, so none is.
        head.advance(1);
        let length = head.get_u32() as usize;
        if length > self.message_bytes_max {
            let limit = self.message_bytes_max;
            return Err(Status::resource_exhausted(format!(
                "grpc: received message larger than max ({length} vs. {limit})"
            )));
        }
        if self.pending.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        self.pending.advance(HEAD_BYTES);
        Ok(Some(self.pending.split_to(length).freeze()))
    }
}

fn ended(trailers: Option<&HeaderMap>) -> Result<Option<Bytes>, Status> {
    match trailers.and_then(Status::from_header_map) {
        Some(status) if status.code() != tonic::Code::Ok => Err(status),
        _ => Ok(None),
    }
}
