//! The way to whichever server can be reached: one connection at a time, and another server when it is lost.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proto::api::objects_client::ObjectsClient;
use tokio::time::Instant;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::config::Credentials;
use crate::connection::{Dialer, was_not_sent};
use crate::error::Error;

/// Most attempts of a call, each at another server where there are several.
const ATTEMPTS_MAX: usize = 4;
/// Largest answer that is taken: the server's are of 1 MiB, or of one object that is larger.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long a token that was read from a file is used.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(60);

pub(crate) type Stub = ObjectsClient<Channel>;

/// Whether a call may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It only reads.
    None,
    /// It writes: it is sent again only if it was certainly not sent.
    Write,
}

/// Connections of one purpose.
pub(crate) struct Link {
    dialer: Arc<Dialer>,
    credentials: Arc<Token>,
    now: Mutex<Now>,
    /// Held by whoever connects; the others wait and use the same connection.
    connecting: tokio::sync::Mutex<()>,
}

struct Now {
    /// The server that is connected to, or is to be tried first.
    server: usize,
    /// A number that grows with every connection that is lost.
    generation: u64,
    channel: Option<Channel>,
}

impl Link {
    pub(crate) fn new(dialer: Arc<Dialer>, credentials: Arc<Token>) -> Link {
        Link {
            dialer,
            credentials,
            now: Mutex::new(Now {
                server: 0,
                generation: 0,
                channel: None,
            }),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    /// Makes a call, at another server where one fails it and that can do no harm.
    pub(crate) async fn call<M: Clone, T, F>(
        &self,
        effect: Effect,
        timeout: Duration,
        message: M,
        send: impl Fn(Stub, Request<M>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let deadline = Instant::now() + timeout;
        let calling = async {
            let mut attempts = 1;
            loop {
                let (generation, stub) = self.stub().await?;
                let mut request = Request::new(message.clone());
                if let Some(token) = self.credentials.value().await? {
                    request.metadata_mut().insert("authorization", token);
                }
                request.set_timeout(deadline.saturating_duration_since(Instant::now()));
                let status = match tokio::time::timeout_at(deadline, send(stub, request)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(status)) => status,
                    Err(_elapsed) => {
                        // Another server may answer the next call.
                        self.leave(generation);
                        return Err(Error::TimedOut(timeout));
                    }
                };
                let not_sent = was_not_sent(&status);
                let error = match Error::of_status(&status, timeout) {
                    Error::Lost(why) if not_sent => Error::Unreachable(why),
                    error => error,
                };
                // A single server that says it cannot answer is no better when it is asked over a new connection.
                let elsewhere = error.is_of_this_server()
                    && (error.failure().is_none() || self.dialer.len() > 1);
                if elsewhere {
                    self.leave(generation);
                }
                let again = not_sent || (effect == Effect::None && elsewhere);
                if !again || attempts == ATTEMPTS_MAX {
                    return Err(error);
                }
                attempts += 1;
            }
        };
        tokio::time::timeout_at(deadline, calling)
            .await
            .unwrap_or_else(|_elapsed| Err(Error::TimedOut(timeout)))
    }

    /// The connection there is, or a new one to the first server that takes it.
    async fn stub(&self) -> Result<(u64, Stub), Error> {
        if let Some(connected) = self.connected() {
            return Ok(connected);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(connected) = self.connected() {
            return Ok(connected);
        }
        let first = self.now.lock().server;
        let mut failures = Vec::new();
        for at in 0..self.dialer.len() {
            let server = (first + at) % self.dialer.len();
            // Who gives up waiting for this one leaves the next one to whoever calls next.
            self.now.lock().server = (server + 1) % self.dialer.len();
            match self.dialer.connect(server).await {
                Ok(channel) => {
                    let mut now = self.now.lock();
                    now.server = server;
                    now.channel = Some(channel.clone());
                    return Ok((now.generation, stub(channel)));
                }
                Err(why) => failures.push(why),
            }
        }
        Err(Error::Unreachable(failures.join("; ")))
    }

    fn connected(&self) -> Option<(u64, Stub)> {
        let now = self.now.lock();
        let channel = now.channel.clone()?;
        Some((now.generation, stub(channel)))
    }

    /// Gives a connection up, unless that was done already. Calls that still wait for answers on it go on.
    fn leave(&self, generation: u64) {
        let mut now = self.now.lock();
        if now.generation == generation {
            now.generation += 1;
            now.channel = None;
            now.server = (now.server + 1) % self.dialer.len();
        }
    }
}

fn stub(channel: Channel) -> Stub {
    ObjectsClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}

/// The whole answer of a call that is no stream.
pub(crate) async fn whole<T>(
    answering: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    answering.await.map(Response::into_inner)
}

/// What a caller is known by in every call.
pub(crate) struct Token {
    credentials: Credentials,
    /// The last one, and when it was read.
    read: Mutex<Option<(Instant, AsciiMetadataValue)>>,
}

impl Token {
    pub(crate) fn new(credentials: Credentials) -> Token {
        Token {
            credentials,
            read: Mutex::new(None),
        }
    }

    async fn value(&self) -> Result<Option<AsciiMetadataValue>, Error> {
        let file = match &self.credentials {
            Credentials::Anonymous | Credentials::Certificate { .. } => return Ok(None),
            Credentials::Token(token) => return bearer(token).map(Some),
            Credentials::TokenFile(file) => file,
        };
        let last = self.read.lock().clone();
        if let Some((at, value)) = &last
            && at.elapsed() < TOKEN_AGE_MAX
        {
            return Ok(Some(value.clone()));
        }
        let value = match (tokio::fs::read_to_string(file).await, last) {
            (Ok(text), _) => bearer(text.trim())?,
            (Err(error), Some((_, value))) => {
                tracing::warn!(file = %file.display(), %error, "the token is not read anew");
                value
            }
            (Err(error), None) => {
                return Err(Error::Invalid(format!("{}: {error}", file.display())));
            }
        };
        *self.read.lock() = Some((Instant::now(), value.clone()));
        Ok(Some(value))
    }
}

fn bearer(token: &str) -> Result<AsciiMetadataValue, Error> {
    let mut value = AsciiMetadataValue::try_from(format!("Bearer {token}"))
        .map_err(|error| Error::Invalid(format!("token: {error}")))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_read_anew_after_a_while_and_kept_if_it_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let token = Token::new(Credentials::TokenFile(file.clone()));
        assert!(token.value().await.is_err());
        std::fs::write(&file, "one\n").unwrap();
        assert_eq!(token.value().await.unwrap().unwrap(), "Bearer one");
        std::fs::write(&file, "two\n").unwrap();
        assert_eq!(token.value().await.unwrap().unwrap(), "Bearer one");
        tokio::time::advance(TOKEN_AGE_MAX).await;
        assert_eq!(token.value().await.unwrap().unwrap(), "Bearer two");
        std::fs::remove_file(&file).unwrap();
        tokio::time::advance(TOKEN_AGE_MAX).await;
        assert_eq!(token.value().await.unwrap().unwrap(), "Bearer two");
    }
}
