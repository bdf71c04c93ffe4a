//! SPDY inside of a websocket: what kubectl forwards ports through, in messages of bytes.

use std::io;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use objects::status::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::copy::{Activity, CHUNK_BYTES, Upgraded};
use super::{nothing, unnamed};
use crate::rest::Answer;

/// What the protocols are called that are tunnelled.
const PREFIX: &str = "SPDY/3.1+";
const SUFFIX: &str = "k8s.io";
const SPDY: HeaderValue = HeaderValue::from_static("SPDY/3.1");
/// Where SPDY's side says which protocol is spoken in its streams.
const PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
/// Bytes of a message.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|word| word.trim().strip_prefix(PREFIX))
        .filter(|word| word.ends_with(SUFFIX))
}

/// Whether a websocket is asked for that SPDY goes through.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    let websocket = headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    websocket && protocols(headers).next().is_some()
}

/// The headers by which SPDY is asked for in the place of the websocket.
pub(super) fn opening(headers: &HeaderMap) -> Result<HeaderMap, Status> {
    let mut opening = headers.clone();
    for name in [
        SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_VERSION,
        SEC_WEBSOCKET_EXTENSIONS,
        PROTOCOL,
    ] {
        opening.remove(name);
    }
    opening.insert(UPGRADE, SPDY);
    for protocol in protocols(headers) {
        let value = HeaderValue::from_str(protocol)
            .map_err(|error| Status::bad_request(error.to_string()))?;
        opening.append(PROTOCOL, value);
    }
    Ok(opening)
}

/// The answer by which the websocket begins, once SPDY was agreed to.
pub(super) fn accepted(asked: &HeaderMap, backend: &HeaderMap) -> Result<Answer, Status> {
    let spdy = backend
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(SPDY.as_bytes()));
    if !spdy {
        return Err(unnamed(
            "unable to upgrade: missing upgrade headers in response".to_owned(),
        ));
    }
    let key = asked
        .get(SEC_WEBSOCKET_KEY)
        .ok_or_else(|| Status::bad_request("websocket: not a websocket handshake"))?;
    let chosen = backend
        .get(PROTOCOL)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut answer = Response::new(nothing());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let text = |text: String| {
        HeaderValue::from_str(&text).map_err(|error| Status::bad_request(error.to_string()))
    };
    headers.insert(
        SEC_WEBSOCKET_ACCEPT,
        text(derive_accept_key(key.as_bytes()))?,
    );
    headers.insert(SEC_WEBSOCKET_PROTOCOL, text(format!("{PREFIX}{chosen}"))?);
    Ok(answer)
}

/// Copies both ways: a message of bytes is as many bytes of the stream.
pub(super) async fn both(client: Upgraded, backend: Upgraded) -> io::Result<()> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let client = WebSocketStream::from_raw_socket(client, Role::Server, Some(config)).await;
    let (mut to_client, mut from_client) = client.split();
    let (mut from_backend, mut to_backend) = tokio::io::split(backend);
    let activity = Activity::new();
    let outward = async {
        while let Some(message) = from_client.next().await {
            match message.map_err(broken)? {
                Message::Binary(bytes) => {
                    activity.note();
                    to_backend.write_all(&bytes).await?;
                    to_backend.flush().await?;
                }
                Message::Close(_) => break,
                Message::Text(_) => return Err(io::ErrorKind::InvalidData.into()),
                // Pings are answered by the library.
                _ => activity.note(),
            }
        }
        to_backend.shutdown().await
    };
    let inward = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = from_backend.read(&mut chunk).await?;
            if count == 0 {
                return to_client.close().await.map_err(broken);
            }
            activity.note();
            let message = Message::Binary(Bytes::copy_from_slice(&chunk[..count]));
            to_client.send(message).await.map_err(broken)?;
        }
    };
    tokio::select! {
        ended = outward => ended,
        ended = inward => ended,
        idle = activity.idle() => idle,
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::ConnectionReset.into(),
        other => io::Error::other(other),
    }
}
