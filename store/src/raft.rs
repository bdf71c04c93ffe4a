//! Consensus: the only room that knows openraft.

mod applier;
mod codec;
mod config;
mod connection;
mod connector;
mod contact;
mod early_election;
mod failure_detector;
mod founding;
mod freshness;
mod leader;
mod log_store;
mod member_changes;
mod members;
mod peer_service;
mod rejoin;
mod snapshot;
#[cfg(test)]
mod tests;
mod traffic;
mod transfer;
mod transport;
mod types;
mod wire;

pub(crate) use applier::{Applier, ApplyProgress, Listeners};
pub(crate) use codec::{Attributes, applied_of, commands_of};
pub(crate) use config::{RaftSettings, heartbeats};
pub(crate) use connection::Connection;
pub(crate) use connector::Connector;
#[cfg(feature = "simulation")]
pub use connector::{Dial, DialledStream};
pub(crate) use contact::Contact;
pub(crate) use early_election::EarlyElection;
pub(crate) use failure_detector::FailureDetector;
pub(crate) use founding::{Standing, bare_mark, found_log, founding_mark, standing};
pub(crate) use leader::{Leader, LeadershipWatch};
pub(crate) use log_store::LogStore;
pub(crate) use member_changes::{
    MemberChange, MemberChanges, MemberError, MemberLoop, MemberRefusal, MemberRules, Place,
};
pub(crate) use members::MemberTable;
pub(crate) use peer_service::PeerService;
pub(crate) use rejoin::RejoinGuard;
pub(crate) use snapshot::StateFolder;
pub(crate) use traffic::Traffic;
pub(crate) use transport::{Client as PeerClient, Peers, Transport, ask_members, was_not_sent};
pub(crate) use types::Raft;
use types::{Batch, BatchError, Callback, Member};

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
    // Changes rarely, unlike the metrics that hold the reason; both end with raft's task.
    let mut changes = raft.server_metrics();
    let metrics = raft.metrics();
    async move {
        while changes.changed().await.is_ok() {}
        match &metrics.borrow_watched().running_state {
            Err(fatal) => fatal.to_string(),
            Ok(()) => "its task ended".to_owned(),
        }
    }
}

/// The way back of a member that has lost some of what it promised.
const REJOIN_ADVICE: &str = "this member must not vote or serve with what is left; remove its data folder and start it \
                             with --initial-cluster-state existing, so that it copies the data from the others before \
                             it votes again";

/// Why a log cannot be opened, and what to do about it.
pub(crate) fn log_error(error: wal::OpenError) -> anyhow::Error {
    match error {
        wal::OpenError::Damaged { .. } => anyhow::anyhow!("{error}; {REJOIN_ADVICE}"),
        other => other.into(),
    }
}

/// Refuses a log and a state that cannot belong together: one of them was removed, and with it acknowledged writes or
/// this member's votes.
pub(crate) fn check_together(
    log: &wal::Recovered,
    folder: &StateFolder,
    may_be_empty: bool,
) -> anyhow::Result<()> {
    let applied = codec::decode_mark(folder.machine().applied_mark().as_ref())?
        .applied
        .map(|id| id.index);
    let log_is_new = log.vote.is_none() && log.last_index.is_none() && log.purged.is_none();
    anyhow::ensure!(
        !log_is_new || (may_be_empty && applied.is_none()),
        "the raft log is gone (the state is at log index {}): {REJOIN_ADVICE}",
        applied.unwrap_or(0)
    );
    if let Some((purged, _)) = log.purged {
        anyhow::ensure!(
            applied >= Some(purged),
            "the raft log begins after index {purged} but the state reaches only to {}: {REJOIN_ADVICE}",
            applied.map_or("nothing".to_owned(), |index| index.to_string())
        );
    }
    Ok(())
}

/// Makes the cluster of the members with these peer URLs. Every member writes the same first entry, so it does not matter who is first; that
/// another one was, and a leader has written here already, is success too.
pub(crate) async fn initialize(
    raft: &Raft,
    peer_urls: std::collections::BTreeMap<u64, Vec<String>>,
) -> anyhow::Result<()> {
    use openraft::errors::{InitializeError, RaftError};
    match raft.initialize(founding::first_members(peer_urls)).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
