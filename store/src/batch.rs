//! What one raft log entry holds: requests of one replica, and a number by which that replica knows them again.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use state_machine::{Command, DecodeError};

/// First byte of a batch.
const FORMAT: u8 = 1;
const KIND_COMMANDS: u8 = 0;
const KIND_PUBLISH: u8 = 1;
const HEADER_BYTES: usize = 22;

/// A decoded log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Member that proposed it.
    pub(crate) origin: u64,
    /// Unique among the batches of one process; see `waiters`.
    pub(crate) number: u64,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Commands(Vec<Command>),
    /// A member tells its name and client URLs; JSON of `raft::Attributes`.
    Publish(Bytes),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("log entry is not a batch of a known format")]
    Format,
    #[error("log entry holds a command that cannot be read: {0}")]
    Command(#[from] DecodeError),
}

/// Puts encoded commands behind a header.
pub(crate) fn encode_commands<'a>(
    origin: u64,
    number: u64,
    commands: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) -> Bytes {
    let size: usize = commands.clone().map(<[u8]>::len).sum();
    let mut out = header(KIND_COMMANDS, origin, number, commands.len(), size);
    for command in commands {
        out.put_slice(command);
    }
    out.freeze()
}

/// A batch that only publishes what a member says of itself.
pub(crate) fn encode_publish(origin: u64, number: u64, attributes: &[u8]) -> Bytes {
    let mut out = header(KIND_PUBLISH, origin, number, 1, attributes.len());
    out.put_slice(attributes);
    out.freeze()
}

fn header(kind: u8, origin: u64, number: u64, count: usize, size: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + size);
    out.put_u8(FORMAT);
    out.put_u8(kind);
    out.put_u64(origin);
    out.put_u64(number);
    out.put_u32(u32::try_from(count).expect("a batch is bounded far below 2^32 commands"));
    out
}

/// Member that proposed a log entry, and its number, without a look at what else it holds.
pub(crate) fn origin_and_number(mut bytes: &[u8]) -> Option<(u64, u64)> {
    if bytes.len() < HEADER_BYTES || bytes.get_u8() != FORMAT {
        return None;
    }
    bytes.advance(1);
    Some((bytes.get_u64(), bytes.get_u64()))
}

/// Reads a log entry; keys and values stay slices of it.
pub(crate) fn decode(mut bytes: Bytes) -> Result<Batch, BatchError> {
    if bytes.len() < HEADER_BYTES || bytes.get_u8() != FORMAT {
        return Err(BatchError::Format);
    }
    let kind = bytes.get_u8();
    let (origin, number, count) = (bytes.get_u64(), bytes.get_u64(), bytes.get_u32());
    let content = match kind {
        KIND_PUBLISH => Content::Publish(bytes),
        KIND_COMMANDS => {
            let mut commands = Vec::with_capacity(count.min(4096) as usize);
            for _ in 0..count {
                commands.push(Command::decode(&mut bytes)?);
            }
            Content::Commands(commands)
        }
        _ => return Err(BatchError::Format),
    };
    Ok(Batch {
        origin,
        number,
        content,
    })
}
