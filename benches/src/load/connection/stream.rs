//! Calls in progress on a connection, and the gRPC messages cut out of their bytes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use anyhow::{Result, bail};

use crate::load::hpack::Status;

/// Bytes in front of each gRPC message: the compression flag and the length.
pub(super) const MESSAGE_PREFIX: usize = 5;

/// A call that is not answered to its end yet.
pub(super) struct Stream {
    pub(super) tag: u64,
    pub(super) send_window: i64,
    pub(super) received: u32,
    /// A message of which not all bytes are here yet.
    pub(super) partial: Vec<u8>,
    pub(super) status: Status,
}

/// A body, or its rest, that awaits a window.
pub(super) struct Blocked {
    pub(super) stream: u32,
    pub(super) bytes: Vec<u8>,
    pub(super) end: bool,
}

/// A call that awaits a free stream.
pub(super) struct Waiting {
    pub(super) path: &'static str,
    pub(super) tag: u64,
    pub(super) message: Vec<u8>,
}

/// Stream numbers are already unique and even spread is enough.
#[derive(Default)]
pub(super) struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }
    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Calls by stream.
pub(super) type Streams = HashMap<u32, Stream, BuildHasherDefault<StreamHasher>>;

/// The body of the first message and the bytes after it; `None` while it is not whole.
fn split_message(bytes: &[u8]) -> Result<Option<(&[u8], &[u8])>> {
    let Some(prefix) = bytes.first_chunk::<MESSAGE_PREFIX>() else {
        return Ok(None);
    };
    if prefix[0] != 0 {
        bail!("the server compressed a message nobody asked it to");
    }
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    Ok(bytes[MESSAGE_PREFIX..].split_at_checked(length))
}

/// Hands out whole messages; returns what is left.
pub(super) fn messages<'a>(mut bytes: &'a [u8], take: &mut dyn FnMut(&[u8])) -> Result<&'a [u8]> {
    while let Some((body, rest)) = split_message(bytes)? {
        take(body);
        bytes = rest;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_and_the_rest_is_kept() {
        let bytes = [0, 0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let mut seen = Vec::new();
        let rest = messages(&bytes, &mut |body| seen.push(body.to_vec())).unwrap();
        assert_eq!(seen, [vec![7, 8], vec![]]);
        assert_eq!(rest, [0, 0, 0, 0, 1]);
        assert!(
            messages(&[1, 0, 0, 0, 0], &mut |_| {}).is_err(),
            "nobody asked for compression"
        );
    }
}
