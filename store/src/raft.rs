//! Consensus: the only room that knows openraft.

mod applier;
mod codec;
mod config;
mod log_store;
mod peer_service;
mod snapshot;
mod transfer;
mod transport;
mod types;
mod wire;

pub(crate) use applier::{Applier, ApplyProgress, Listeners, MemberTable};
pub(crate) use codec::Attributes;
pub(crate) use config::RaftSettings;
pub(crate) use log_store::LogStore;
pub(crate) use peer_service::{PeerService, RejoinGuard};
pub(crate) use snapshot::StateFolder;
pub(crate) use transport::{Client as PeerClient, Peers, Transport};
pub(crate) use types::{Batch, BatchError, Callback, Member, Raft};

use std::future::Future;
use std::sync::Arc;

use openraft::async_runtime::watch::WatchReceiver;

/// Puts raft together on an opened log and state; nothing runs before `Raft::run`.
pub(crate) async fn build(
    member_id: u64,
    settings: &RaftSettings,
    transport: Transport,
    log: LogStore,
    applier: Applier,
) -> anyhow::Result<Raft> {
    let config = Arc::new(config::build(settings)?);
    Ok(Raft::build(member_id, config, transport, log, applier).await?)
}

/// Returns once raft cannot go on, with the reason: a disk error or a broken invariant.
pub(crate) fn failure(raft: &Raft) -> impl Future<Output = String> + Send + 'static {
    let mut metrics = raft.metrics();
    async move {
        loop {
            if let Err(fatal) = &metrics.borrow_and_update().running_state {
                return fatal.to_string();
            }
            if metrics.changed().await.is_err() {
                return "its task ended".to_owned();
            }
        }
    }
}
