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
use super::link::{Counters, Link, LinkState, count};
use crate::random::Random;

/// About the largest piece: what is delayed, held and truncated as one.
const PIECE_BYTES: usize = 16 << 10;
/// Pieces that wait in a relay. Beyond that the sender's own buffers fill, as they do on a slow network.
const PIECES_WAITING: usize = 64;

/// Why a connection ended at once instead of being closed in order.
#[derive(Debug)]
struct Broken;

/// Carries one connection to `member`, which listens on `port`, until it ends.
pub(super) async fn carry(
    mut dialling: TcpStream,
    (member, port): (usize, u16),
    shared: Arc<Shared>,
    mut random: Random,
) {
    let Some(from) = dialler(&dialling, &shared).await else {
        return;
    };
    let out = &shared.links[from][member];
    let back = &shared.links[member][from];
    // A handshake needs both directions.
    if !open(out).await || !open(back).await {
        return;
    }
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
        let there = pass(dialling_reads, answering_writes, out, random);
        let here = pass(answering_reads, dialling_writes, back, Random::new(seed));
        let both = async { tokio::try_join!(there, here) };
        tokio::select! {
            ended = both => ended.is_err(),
            () = was_reset(out) => true,
            () = was_reset(back) => true,
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

/// Returns when the connections of the link are reset.
async fn was_reset(link: &Link) {
    let mut state = link.subscribe();
    let before = state.borrow().resets;
    if state.wait_for(|state| state.resets != before).await.is_ok() {
        count(&link.counters.resets);
    }
}

/// A piece, or the end of what the sender has to say.
struct Piece {
    due: Instant,
    bytes: Option<Bytes>,
}

/// Carries one direction until its sender closes it.
async fn pass(
    reads: impl AsyncReadExt + Unpin,
    writes: impl AsyncWriteExt + Unpin,
    link: &Link,
    random: Random,
) -> Result<(), Broken> {
    let (queue, waiting) = mpsc::channel(PIECES_WAITING);
    let state = link.subscribe();
    let reading = read(reads, queue, state.clone(), random);
    let writing = write(writes, waiting, state, &link.counters);
    // A broken side ends the other at once, as the kernel does for a process that is gone; but what the sender said
    // before its death is still on its way.
    let (read, written) = tokio::join!(reading, writing);
    read.map_err(|_: io::Error| Broken)?;
    written
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

async fn write(
    mut writes: impl AsyncWriteExt + Unpin,
    mut waiting: mpsc::Receiver<Piece>,
    mut state: watch::Receiver<LinkState>,
    counters: &Counters,
) -> Result<(), Broken> {
    let truncations = state.borrow().truncations;
    while let Some(piece) = waiting.recv().await {
        if piece.due > Instant::now() {
            count(&counters.delayed);
            sleep_until(piece.due).await;
        }
        if state.borrow().cut {
            count(&counters.held);
        }
        let truncated = match state.wait_for(|state| !state.cut).await {
            Ok(state) => state.truncations != truncations,
            Err(_) => return Err(Broken),
        };
        let Some(bytes) = piece.bytes else {
            return writes.shutdown().await.map_err(|_: io::Error| Broken);
        };
        let whole = if truncated { bytes.len() / 2 } else { bytes.len() };
        let written = writes.write_all(&bytes[..whole]).await;
        written.map_err(|_: io::Error| Broken)?;
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
