//! Our gRPC by hand, over the connection that REST uses: one message in, one or many out.

use anyhow::{Context, Result, bail};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use prost::Message;

use crate::apiserver::client::{Call, Client, JSON};

/// Before each message there are a flag and its length.
const PREFIX_BYTES: usize = 5;

/// A call of one message.
pub fn call(method: &str, message: &impl Message) -> Call {
    let mut body = BytesMut::with_capacity(message.encoded_len() + PREFIX_BYTES);
    body.put_u8(0);
    body.put_u32(u32::try_from(message.encoded_len()).expect("messages are small"));
    message
        .encode(&mut body)
        .expect("a growing buffer takes all");
    let path = format!("/mainstay.api.v1.Objects/{method}");
    Call::send(Method::POST, path, "application/grpc", body.freeze()).accept(JSON)
}

/// Sends one message and reads one.
pub async fn ask<A: Message + Default>(
    client: &Client,
    method: &str,
    message: &impl Message,
) -> Result<A> {
    let mut answers = Answers::open(client, method, message).await?;
    let answer = answers.next().await?;
    answer.with_context(|| format!("{method} has no answer"))
}

/// The messages of an answer as they come.
pub struct Answers {
    method: String,
    body: Incoming,
    held: BytesMut,
}

impl Answers {
    /// Sends one message; the answers are still to come.
    pub async fn open(client: &Client, method: &str, message: &impl Message) -> Result<Answers> {
        let answer = client.open(call(method, message)).await?;
        if !answer.status().is_success() {
            bail!("{method}: {}", answer.status());
        }
        succeeded(method, answer.headers())?;
        Ok(Answers {
            method: method.to_owned(),
            body: answer.into_body(),
            held: BytesMut::new(),
        })
    }

    /// The next message; nothing after the last.
    pub async fn next<A: Message + Default>(&mut self) -> Result<Option<A>> {
        loop {
            if let Some(message) = take(&mut self.held) {
                return Ok(Some(A::decode(message)?));
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            match frame?.into_data() {
                Ok(data) => self.held.extend_from_slice(&data),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        succeeded(&self.method, &trailers)?;
                    }
                }
            }
        }
    }
}

/// The first message, if all of it is there.
fn take(held: &mut BytesMut) -> Option<Bytes> {
    let mut prefix = held.get(1..PREFIX_BYTES)?;
    let length = prefix.get_u32() as usize;
    if held.len() < PREFIX_BYTES + length {
        return None;
    }
    held.advance(PREFIX_BYTES);
    Some(held.split_to(length).freeze())
}

/// Whether a call went well, by headers that tell it: those before an answer do only when it failed.
fn succeeded(method: &str, headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        None | Some("0") => Ok(()),
        Some(code) => {
            let message = text("grpc-message").unwrap_or_default();
            bail!("{method} failed with code {code}: {message}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_when_they_are_whole() {
        let mut held = BytesMut::from(&[0, 0, 0, 0, 2, 7][..]);
        assert_eq!(take(&mut held), None);
        held.extend_from_slice(&[8, 0]);
        assert_eq!(take(&mut held).as_deref(), Some(&[7, 8][..]));
        assert_eq!(take(&mut held), None);
        assert_eq!(&held[..], [0]);
    }
}
