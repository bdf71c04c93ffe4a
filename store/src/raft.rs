//! Consensus: the only room that knows openraft.

mod applier;
mod codec;
mod log_store;
mod peer_service;
mod snapshot;
mod transfer;
mod transport;
mod types;
mod wire;

pub(crate) use applier::{Applier, ApplyProgress, MemberTable};
pub(crate) use codec::{Mark, decode_mark};
pub(crate) use log_store::LogStore;
pub(crate) use peer_service::{PeerService, RejoinGuard};
pub(crate) use snapshot::StateFolder;
pub(crate) use transport::{Peers, Transport};
pub(crate) use types::{Batch, BatchError, Callback, LogId, Member, Raft, TypeConfig, Vote};
