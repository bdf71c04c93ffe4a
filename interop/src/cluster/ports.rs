//! Free ports for servers of many tests at once.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below the range from which the system takes ports for outgoing connections, and none that `mainstay up` looks at:
/// it takes what is free at that moment, and so would take the port of a member that is down.
const FIRST: u16 = 27_000;
/// How many there are.
const COUNT: u16 = 5_000;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on. Each test process searches from a place of its own, and gives
/// no port twice.
pub fn free_port() -> Result<u16> {
    let start = (std::process::id().wrapping_mul(97) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = TAKEN.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {FIRST} to {} is free", FIRST + COUNT)
}
