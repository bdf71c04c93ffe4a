//! The body of a streaming request: JSON objects in, gRPC frames out, as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use tonic::Status;
use tonic::codegen::StdError;

use super::super::method::Method;
use super::bodies::Bodies;
use super::values::{self, Values};
use super::{frames, schema};

/// Nothing is read ahead of what the service asks for.
pub(super) struct RequestFrames<B> {
    body: Pin<Box<B>>,
    method: &'static Method,
    bodies: Bodies,
    values: Values,
    ended: bool,
}

impl<B> RequestFrames<B> {
    pub(super) fn new(body: B, method: &'static Method, bodies: Bodies) -> Self {
        RequestFrames {
            body: Box::pin(body),
            method,
            bodies,
            values: Values::default(),
            ended: false,
        }
    }
}

impl<B> RequestFrames<B>
where
    B: http_body::Body,
    B::Error: Into<StdError>,
{
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if let Some(json) = self.values.next()? {
                let message = schema::encode_request(self.method, &json)?;
                return Poll::Ready(Ok(Some(frames::frame(&message))));
            }
            if self.values.is_empty() {
                self.bodies.done();
            }
            let Poll::Ready(frame) = self.body.as_mut().poll_frame(context) else {
                // Between two messages a client may wait for as long as it likes.
                if self.values.is_empty() {
                    return Poll::Pending;
                }
                return self.bodies.poll_late(context).map(Err);
            };
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.values.extend(data);
                        self.bodies.grow(self.values.len())?;
                    }
                }
                // The client is gone.
                Some(Err(error)) => return Poll::Ready(Err(Status::cancelled(text(error)))),
                None if self.values.is_empty() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(values::unexpected_end())),
            }
        }
    }
}

fn text(error: impl Into<StdError>) -> String {
    error.into().to_string()
}

impl<B> http_body::Body for RequestFrames<B>
where
    B: http_body::Body,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let request = self.get_mut();
        if request.ended {
            return Poll::Ready(None);
        }
        let message = ready!(request.poll_message(context));
        request.ended = !matches!(message, Ok(Some(_)));
        Poll::Ready(message.transpose().map(|frame| frame.map(Frame::data)))
    }
}

/// A body, or one object of it, is longer than any message may be.
pub(super) fn too_long(bytes_max: usize) -> Status {
    Status::resource_exhausted(format!(
        "the JSON of a message is larger than max ({bytes_max} bytes)"
    ))
}
