//! How commands stand in the raft log: tagged, versioned and self-delimiting.

use bytes::{Bytes, BytesMut};

use crate::command::Command;

/// The bytes are no command of a version this build knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the bytes end inside a field")]
    Short,
    #[error("unknown tag {0}")]
    Tag(u8),
    #[error("a field is out of its range")]
    Field,
}

impl Command {
    /// Appends the command.
    pub fn encode(&self, _out: &mut BytesMut) {
        unimplemented!()
    }

    /// Takes one command off the front of `input`; byte strings share the memory of `input`.
    pub fn decode(_input: &mut Bytes) -> Result<Command, DecodeError> {
        unimplemented!()
    }
}
