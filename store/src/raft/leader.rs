//! What only the leader can do, and how everyone learns who that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use openraft::{Instant as _, LinearizerOption};
use planted::Bug;
use state_machine::{Caller, Command, LeaseCheckpoint};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::freshness::committed_by;
use super::{ApplyProgress, Batch, BatchError, Callback, Contact, Raft, codec};
use crate::batch;
use crate::lessor::{Lessor, Renewal};
use crate::replica::{LeaseTime, Proposals, RaftStatus, Unavailable};

/// A member has the log when it lacks no more of it than this.
pub(super) const CAUGHT_UP_LAG_ENTRIES: u64 = 1000;

/// How long a call to a leader that did not answer rests before it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Current leader and term; cheap to read, and can be waited on.
#[derive(Clone)]
pub(crate) struct LeadershipWatch {
    raft: Raft,
    term: Arc<AtomicU64>,
    leader: watch::Receiver<(Option<u64>, u64)>,
    applied: ApplyProgress,
    contact: Contact,
}

impl LeadershipWatch {
    /// The second part is the task that keeps the watch current; it ends with raft.
    pub(crate) fn new(
        raft: Raft,
        applied: ApplyProgress,
        contact: Contact,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (tx, rx) = watch::channel((None, 0));
        let term = Arc::new(AtomicU64::new(0));
        let watch = LeadershipWatch {
            raft: raft.clone(),
            term: Arc::clone(&term),
            leader: rx,
            applied,
            contact,
        };
        let follow = async move {
            let mut metrics = raft.server_metrics();
            loop {
                let now = {
                    let metrics = metrics.borrow_and_update();
                    (metrics.current_leader, metrics.vote.leader_id.term)
                };
                term.store(now.1, Ordering::Relaxed);
                tx.send_if_modified(|old| {
                    let changed = *old != now;
                    if changed && old.0 != now.0 {
                        match now.0 {
                            Some(leader) => tracing::info!(
                                leader = format_args!("{leader:x}"),
                                term = now.1,
                                "leader elected"
                            ),
                            None => tracing::info!(term = now.1, "lost leader"),
                        }
                    }
                    *old = now;
                    changed
                });
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        };
        (watch, follow)
    }

    /// Whom requests go to: the last leader that raft knows of, whether it still answers or not.
    pub(crate) fn leader(&self) -> Option<u64> {
        self.leader.borrow().0
    }

    /// The leader that raft knows of and the term it leads in, seen at one moment.
    #[cfg(feature = "simulation")]
    pub(crate) fn led(&self) -> (Option<u64>, u64) {
        *self.leader.borrow()
    }

    pub(crate) fn term(&self) -> u64 {
        self.term.load(Ordering::Relaxed)
    }

    /// How far the log is applied here.
    pub(crate) fn applied_index(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Waits until the leader or the term changes.
    pub(crate) async fn changed(&mut self) -> Result<(), Unavailable> {
        self.leader
            .changed()
            .await
            .map_err(|_closed| Unavailable::Stopped)
    }

    /// Waits for a change, but no longer than a retry should take. Fails once the deadline has passed.
    pub(crate) async fn changed_or_retry(&mut self, deadline: Instant) -> Result<(), Unavailable> {
        if Instant::now() >= deadline {
            return Err(if self.leader().is_none() {
                Unavailable::NoLeader
            } else {
                Unavailable::TimedOut
            });
        }
        match tokio::time::timeout(RETRY_INTERVAL, self.leader.changed()).await {
            Ok(Err(_closed)) => Err(Unavailable::Stopped),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// How raft stands. A leader counts while it is heard: by a follower itself, by a leader from a quorum.
    pub(crate) fn status(&self) -> RaftStatus {
        let data = self.raft.data_metrics();
        let data = data.borrow_watched();
        let server = self.raft.server_metrics();
        let server = server.borrow_watched();
        let leads = server.current_leader == Some(server.id);
        let is_alone = server.membership_config.voter_ids().count() == 1;
        let is_heard = match (leads, data.last_quorum_acked) {
            (false, _) => self.contact.is_recent(),
            (true, Some(acked)) => is_alone || self.contact.is_short(acked.elapsed()),
            (true, None) => is_alone,
        };
        RaftStatus {
            term: server.vote.leader_id.term,
            leader: server.current_leader.filter(|_| is_heard),
            last_index: data.last_log.map_or(0, |id| id.index),
            committed_index: data.local_committed.map_or(0, |id| id.index),
            applied_index: *self.applied.borrow(),
            is_learner: server.state == openraft::ServerState::Learner,
        }
    }

    /// How old the state here may be; none when this member never had everything. A leader is as old as the last word of
    /// a quorum.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        let (now, applied) = (Instant::now(), self.applied_index());
        let data = self.raft.data_metrics();
        let data = data.borrow_watched();
        let server = self.raft.server_metrics();
        let server = server.borrow_watched();
        if server.current_leader == Some(server.id) {
            let is_alone = server.membership_config.voter_ids().count() == 1;
            let silence = match data.last_quorum_acked {
                _ if is_alone => Some(Duration::ZERO),
                acked => acked.map(|acked| acked.elapsed()),
            };
            let committed = committed_by(&server.vote, data.local_committed.as_ref());
            let at = silence.and_then(|silence| now.checked_sub(silence));
            if let (Some(at), Some(committed)) = (at, committed) {
                self.contact.freshness.heard(at, committed, applied);
            }
        }
        self.contact.freshness.staleness(now, applied)
    }

    /// The other voters that answer this leader, the one with the most of its log first: whom leadership can go to.
    pub(crate) fn successors(&self) -> Vec<u64> {
        let data = self.raft.data_metrics();
        let data = data.borrow_watched();
        let server = self.raft.server_metrics();
        let server = server.borrow_watched();
        let matched = |id: &u64| data.replication.as_ref()?.get(id).copied().flatten();
        let answers = |id: &u64| {
            let acked = data.heartbeat.as_ref().and_then(|acked| *acked.get(id)?);
            acked.is_some_and(|acked| self.contact.is_short(acked.elapsed()))
        };
        let last_index = data.last_log.map_or(0, |last| last.index);
        // One that has lost its disk answers, and could neither stand nor hand back.
        let has_log =
            |id: &u64| matched(id).is_some_and(|at| at.index + CAUGHT_UP_LAG_ENTRIES >= last_index);
        let mut voters: Vec<u64> = server
            .membership_config
            .voter_ids()
            .filter(|id| *id != server.id && answers(id) && has_log(id))
            .collect();
        voters.sort_by_key(|id| std::cmp::Reverse(matched(id)));
        voters
    }
}

/// An answer to a linearizable read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadIndex {
    /// Log index that has to be applied where the read happens.
    pub(crate) index: u64,
    /// Term of the leader that a quorum confirmed: its own first entry is at or below the index.
    pub(crate) term: u64,
}

/// This member's powers while it leads. Every call fails with `NotLeader` when it does not.
#[derive(Clone)]
pub(crate) struct Leader {
    raft: Raft,
    lessor: Arc<Lessor>,
}

impl Leader {
    pub(crate) fn new(raft: Raft, lessor: Arc<Lessor>) -> Self {
        Leader { raft, lessor }
    }

    /// Appends a batch. `refused` is told when it will not be applied as it was proposed, and never if it was.
    pub(crate) async fn submit(
        &self,
        batch: Bytes,
        refused: impl FnOnce(Unavailable) + Send + 'static,
    ) -> Result<(), Unavailable> {
        let callback = Callback::new(move |result| {
            if let Err(error) = result {
                refused(refusal(&error));
            }
        });
        let submitted = self
            .raft
            .client_write_ff(Batch(batch), Some(callback))
            .await;
        submitted.map_err(|_fatal| Unavailable::Stopped)
    }

    /// The same, but only in this term: what a leader decided by its own clock must not outlive it.
    pub(crate) async fn submit_in_term(
        &self,
        term: u64,
        batch: Bytes,
        refused: impl FnOnce(Unavailable) + Send + 'static,
    ) -> Result<(), Unavailable> {
        let callback = Callback::new(move |result: Result<_, BatchError>| {
            if let Err(error) = result {
                refused(refusal(&error));
            }
        });
        let write = self
            .raft
            .write(Batch(batch))
            .with_leader(term)
            .responder(callback);
        write.await.map_err(|_fatal| Unavailable::Stopped)
    }

    /// Appends a batch of another member and waits until it is applied here.
    pub(crate) async fn propose(&self, batch: Bytes) -> Result<(), Unavailable> {
        if let Err(error) = check_readable(&batch) {
            tracing::error!(%error, "refused a batch of another member");
            return Err(Unavailable::NotLeader);
        }
        let (tx, rx) = oneshot::channel();
        let callback = Callback::new(move |result: Result<_, BatchError>| {
            _ = tx.send(result.map(|_written| ()).map_err(|error| refusal(&error)));
        });
        self.raft
            .client_write_ff(Batch(batch), Some(callback))
            .await
            .map_err(|_fatal| Unavailable::Stopped)?;
        rx.await.map_err(|_dropped| Unavailable::LeaderChanged)?
    }

    /// What a linearizable read has to see applied: one round to a quorum confirms that this member still leads.
    pub(crate) async fn read_index(&self) -> Result<ReadIndex, Unavailable> {
        if planted::is_on(Bug::ReadWithoutQuorum)
            && let Some(read_index) = self.unconfirmed_read_index()
        {
            return Ok(read_index);
        }
        let read_index = LinearizerOption::new(Some(Duration::ZERO), true);
        match self.raft.get_read_linearizer(read_index).await {
            Ok(linearizer) => {
                let read = linearizer.read_log_id().log_id();
                Ok(ReadIndex {
                    index: read.index,
                    term: codec::term_of(read),
                })
            }
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => {
                Err(Unavailable::NotLeader)
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Err(Unavailable::TimedOut)
            }
            Err(RaftError::Fatal(_)) => Err(Unavailable::Stopped),
        }
    }

    /// The place up to which this member knows the log to be committed, if it takes itself for the leader.
    fn unconfirmed_read_index(&self) -> Option<ReadIndex> {
        let data = self.raft.data_metrics();
        let committed = data.borrow_watched().local_committed?;
        let server = self.raft.server_metrics();
        let server = server.borrow_watched();
        let leads = server.current_leader == Some(server.id);
        leads.then(|| ReadIndex {
            index: committed.index,
            term: codec::term_of(&committed),
        })
    }

    /// Renews a lease. At once when every replica already allows it the new time, else after a replicated renewal.
    pub(crate) async fn keep_alive(
        &self,
        lease: i64,
        proposals: &Proposals,
    ) -> Result<Option<i64>, Unavailable> {
        match self.lessor.renew(lease, Instant::now()) {
            Renewal::NotLeading => Err(Unavailable::NotLeader),
            Renewal::Unknown => Ok(None),
            Renewal::Done { ttl_seconds } => Ok(Some(ttl_seconds)),
            Renewal::Replicate {
                term,
                ttl_seconds,
                asked_at,
            } => {
                let renewal = LeaseCheckpoint {
                    id: lease,
                    remaining_seconds: 0,
                };
                let command = Command::LeaseCheckpoint(vec![renewal]).by(Caller::System);
                let mut answers = proposals.propose_in_term(term, vec![command]).await;
                let answer = answers.pop().ok_or(Unavailable::Stopped)?;
                let outcome = answer.inspect_err(|_unavailable| self.lessor.not_renewed(lease))?;
                if outcome.is_err() {
                    self.lessor.not_renewed(lease);
                    return Ok(None);
                }
                if !self.lessor.renewed(lease, asked_at) {
                    return Ok(None);
                }
                Ok(Some(ttl_seconds))
            }
        }
    }

    pub(crate) fn time_to_live(&self, lease: i64) -> Result<Option<LeaseTime>, Unavailable> {
        self.lessor.time_to_live(lease, Instant::now())
    }
}

/// What this program cannot read must not get into the log, where every replica would stop at it.
pub(super) fn check_readable(bytes: &Bytes) -> anyhow::Result<()> {
    if let batch::Content::Publish(json) = batch::decode(bytes.clone())?.content {
        serde_json::from_slice::<codec::Attributes>(&json)?;
    }
    Ok(())
}

/// openraft's refusals in our words. A refusal comes before anything was appended.
fn refusal(error: &BatchError) -> Unavailable {
    match error {
        ClientWriteError::ForwardToLeader(_) => Unavailable::NotLeader,
        _ => Unavailable::LeaderChanged,
    }
}
