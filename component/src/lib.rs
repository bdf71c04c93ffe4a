//! What the processes of a control plane have in common: a leader among several, and a port for probes, metrics and configurations.

mod access;
mod candidate;
mod election;
mod pages;
mod port;
mod serving;
mod tls;

use std::time::Duration;

pub use candidate::{Candidate, Standing};
pub use election::{ElectionFlags, ElectionSettings};
pub use pages::{Check, Pages};
pub use port::serve;
pub use serving::ServingFlags;
pub use tls::self_signed;

/// A time as Go writes it: `1h30m`, `5m0s`, `500ms`.
///
/// # Errors
///
/// If it is none, or less than nothing.
pub fn duration(text: &str) -> Result<Duration, String> {
    let nanos = objects::codec::duration::parse(text)?;
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_negative| format!("{text:?} is less than nothing"))
}
