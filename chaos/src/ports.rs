//! Free ports on loopback for the members of a run.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpListener;

/// Below the range from which the system takes ports for outgoing connections, so that no connection takes one
/// while its member is down.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A listener on a port of its own.
pub(crate) async fn listen() -> io::Result<TcpListener> {
    // Each process searches from a place of its own, so that runs at the same time rarely meet.
    let start = u16::try_from(std::process::id().wrapping_mul(131) % u32::from(COUNT))
        .expect("it is below the count");
    for _ in 0..COUNT {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return Ok(listener);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        format!("no port from {FIRST} to {} is free", FIRST + COUNT),
    ))
}

/// A port on which nobody listens now.
pub(crate) async fn free() -> io::Result<u16> {
    Ok(listen().await?.local_addr()?.port())
}
