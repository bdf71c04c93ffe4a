//! Copies what two sides say to each other, until one has said everything or both say nothing for long.

use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// How long both sides may say nothing.
const IDLE_MAX: Duration = Duration::from_secs(4 * 60 * 60);
/// Bytes that are copied at a time.
pub(super) const CHUNK_BYTES: usize = 32 << 10;

/// A stream that another protocol is spoken in.
pub(super) type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

pub(super) fn stream(upgraded: hyper::upgrade::Upgraded) -> Upgraded {
    TokioIo::new(upgraded)
}

/// When something was said last.
#[derive(Debug)]
pub(super) struct Activity {
    last: Mutex<Instant>,
}

impl Activity {
    pub(super) fn new() -> Activity {
        Activity {
            last: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn note(&self) {
        *self.last.lock() = Instant::now();
    }

    /// Comes back when nothing was said for long.
    pub(super) async fn idle(&self) -> io::Result<()> {
        loop {
            let end = *self.last.lock() + IDLE_MAX;
            if end <= Instant::now() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

/// Copies both ways.
pub(super) async fn both(client: Upgraded, backend: Upgraded) -> io::Result<()> {
    let activity = Activity::new();
    let (from_client, to_client) = tokio::io::split(client);
    let (from_backend, to_backend) = tokio::io::split(backend);
    tokio::select! {
        ended = one(from_client, to_backend, &activity) => ended,
        ended = one(from_backend, to_client, &activity) => ended,
        idle = activity.idle() => idle,
    }
}

async fn one(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    activity: &Activity,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        activity.note();
        to.write_all(&chunk[..count]).await?;
        to.flush().await?;
    }
}
