//! The deterministic heart of a replica: MVCC state, changed by commands alone, kept on RocksDB.

mod apply;
mod auth;
mod check;
mod codec;
mod command;
mod digest;
mod disk;
mod index;
mod key_value;
mod machine;
mod outcome;
mod read;
mod rebuild;
mod state;
mod values;
mod varint;

pub use auth::{
    Access, AuthChange, AuthRejection, AuthStamp, AuthTables, Authenticate, By, Caller, Permission,
    PermissionKind, ROOT, TokenChange, User,
};
pub use check::{TxnError, check_txn};
pub use codec::DecodeError;
pub use command::*;
pub use digest::Digest;
pub use key_value::{KeyValue, decode_key_value, encode_key_value};
pub use machine::{
    Applied, Fatal, HashKv, Image, Import, ImportError, LeaseInfo, Options, Run, StateMachine,
    Weight,
};
pub use outcome::*;
