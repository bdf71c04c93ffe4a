//! One connection between two members, carried piece by piece through the links of its two directions.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::link::{Link, LinkState, count};
use crate::random::Random;

/// About the largest piece: what is delayed, held and truncated as one.
const PIECE_BYTES: usize = 16 << 10;
/// Pieces that wait in a relay. Beyond that the sender's own buffers fill, as they do on a slow network.
const PIECES_WAITING: usize = 64;

/// Why a connection ended at once instead of being closed in order.
#[derive(Debug)]
struct Broken;

impl Broken {
    /// Whatever the error says, the other side only sees that the connection broke.
    fn by(_error: io::Error) -> Broken {
        Broken
    }
}

/// Carries one connection to `member`, which listens on `port`, until it ends.
pub(super) async fn carry(
    dialling: TcpStream,
    (member, port): (usize, u16),
    shared: Arc<Shared>,
    random: Random,
) {
    let Some(from) = dialler(&dialling, &shared).await else {
        return;
    };
    let out = &shared.links[from][member];
    let back = &shared.links[member][from];
    between(dialling, port, (out, back), random).await;
}

/// Carries one connection to `port` through the links there and back, until it ends.
pub(super) async fn between(
    mut dialling: TcpStream,
    port: u16,
    (out, back): (&Link, &Link),
    mut random: Random,
) {
    // A handshake needs both directions.
    if !open(out).await || !open(back).await {
        return;
    }
    // Taken before anybody can use the connection, so that no step of a counter is missed.
    let (out_before, back_before) = (out.steps(), back.steps());
    let Ok(mut answering) = TcpStream::connect(("127.0.0.1", port)).await else {
        // Nobody listens: the dialler's connection is refused as well as it can still be.
        dialling.set_zero_linger().ok();
        return;
    };
    dialling.set_nodelay(true).ok();
    answering.set_nodelay(true).ok();
    let broken = {
        let (dialling_reads, dialling_writes) = dialling.split();
        let (answering_reads, answering_writes) = answering.split();
        let seed = random.draw();
        let there = Direction {
            link: out,
            before: out_before,
        };
        let here = Direction {
            link: back,
            before: back_before,
        };
        let there_ended = there.pass(dialling_reads, answering_writes, random);
        let here_ended = here.pass(answering_reads, dialling_writes, Random::new(seed));
        let both = async { tokio::try_join!(there_ended, here_ended) };
        tokio::select! {
            ended = both => ended.is_err(),
            () = there.was_reset() => true,
            () = here.was_reset() => true,
        }
    };
    if broken {
        dialling.set_zero_linger().ok();
        answering.set_zero_linger().ok();
    }
}

async fn dialler(stream: &TcpStream, shared: &Arc<Shared>) -> Option<usize> {
    let remote = stream.local_addr().ok()?.port();
    let local = stream.peer_addr().ok()?.port();
    let processes = shared.processes.clone();
    let asked = tokio::task::spawn_blocking(move || processes.owner(local, remote));
    asked.await.ok()?
}

/// Waits until the link carries something. False when the link is gone.
async fn open(link: &Link) -> bool {
    let mut state = link.subscribe();
    if state.borrow().cut {
        count(&link.counters.held);
    }
    state.wait_for(|state| !state.cut).await.is_ok()
}

/// A piece, or the end of what the sender has to say.
struct Piece {
    due: Instant,
    bytes: Option<Bytes>,
}

/// One direction of a connection.
struct Direction<'a> {
    link: &'a Link,
    /// The link's counters of resets and truncations when the connection was made.
    before: (u64, u64),
}

impl Direction<'_> {
    /// Returns when the connections of the link are reset.
    async fn was_reset(&self) {
        let mut state = self.link.subscribe();
        let reset = state.wait_for(|state| state.resets != self.before.0).await;
        if reset.is_ok() {
            count(&self.link.counters.resets);
        }
    }

    /// Carries bytes until their sender closes the connection.
    async fn pass(
        &self,
        reads: impl AsyncReadExt + Unpin,
        writes: impl AsyncWriteExt + Unpin,
        random: Random,
    ) -> Result<(), Broken> {
        let (queue, waiting) = mpsc::channel(PIECES_WAITING);
        let reading = read(reads, queue, self.link.subscribe(), random);
        let writing = self.write(writes, waiting);
        // What a sender said before its death is still on its way, so the writing half goes on.
        let (read, written) = tokio::join!(reading, writing);
        read.map_err(Broken::by)?;
        written
    }

    async fn write(
        &self,
        mut writes: impl AsyncWriteExt + Unpin,
        mut waiting: mpsc::Receiver<Piece>,
    ) -> Result<(), Broken> {
        let counters = &self.link.counters;
        let mut state = self.link.subscribe();
        while let Some(piece) = waiting.recv().await {
            if piece.due > Instant::now() {
                count(&counters.delayed);
                sleep_until(piece.due).await;
            }
            if state.borrow().cut {
                count(&counters.held);
            }
            let truncated = match state.wait_for(|state| !state.cut).await {
                Ok(state) => state.truncations != self.before.1,
                Err(_) => return Err(Broken),
            };
            let Some(bytes) = piece.bytes else {
                return writes.shutdown().await.map_err(Broken::by);
            };
            let whole = if truncated {
                bytes.len() / 2
            } else {
                bytes.len()
            };
            let written = writes.write_all(&bytes[..whole]).await;
            written.map_err(Broken::by)?;
            counters.bytes.fetch_add(whole as u64, Ordering::Relaxed);
            if truncated {
                count(&counters.truncated);
                count(&counters.resets);
                return Err(Broken);
            }
        }
        // The reading half ended with an error, which it reports itself.
        Ok(())
    }
}

async fn read(
    mut reads: impl AsyncReadExt + Unpin,
    queue: mpsc::Sender<Piece>,
    state: watch::Receiver<LinkState>,
    mut random: Random,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(PIECE_BYTES);
    let mut due = Instant::now();
    loop {
        buffer.reserve(PIECE_BYTES);
        let length = tokio::select! {
            read = reads.read_buf(&mut buffer) => read?,
            // The writing half has given up.
            () = queue.closed() => return Ok(()),
        };
        let delay = {
            let state = state.borrow();
            let jitter = u64::try_from(state.jitter.as_micros()).unwrap_or(u64::MAX - 1);
            state.delay + std::time::Duration::from_micros(random.below(jitter + 1))
        };
        // Pieces keep their order: none is due before the one ahead of it.
        due = due.max(Instant::now() + delay);
        let bytes = (length > 0).then(|| buffer.split().freeze());
        let last = bytes.is_none();
        if queue.send(Piece { due, bytes }).await.is_err() || last {
            return Ok(());
        }
    }
}
