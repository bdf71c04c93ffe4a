//! The leader changes who is a member: one change after another, and none that the cluster could not survive.

mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, Instant as _};
use tokio::sync::{mpsc, oneshot};

use self::view::View;
use super::{Contact, LeadershipWatch, MemberTable, Raft};
use crate::replica::{Member, Unavailable};

/// Changes that may wait for the one under way.
const QUEUE_CHANGES: usize = 16;
/// Rest between two looks at what was left half-way and at who has caught up.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What is to become of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberChange {
    Add {
        id: u64,
        peer_urls: Vec<String>,
        is_learner: bool,
    },
    Promote {
        id: u64,
    },
    Remove {
        id: u64,
    },
    Update {
        id: u64,
        peer_urls: Vec<String>,
    },
}

/// Why the members are left as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberRefusal {
    NotFound,
    Exists,
    PeerUrlsExist,
    /// Too few of the members that would be left have ever come up.
    NotEnoughStarted,
    /// Too few of the members answer the leader now.
    Unhealthy,
    NotALearner,
    LearnerNotReady,
    TooManyLearners,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberError {
    Refused(MemberRefusal),
    Unavailable(Unavailable),
}

/// The cluster as one of its members describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) cluster_id: u64,
    pub(crate) members: Vec<Member>,
    /// Ids of members that were removed.
    pub(crate) removed: BTreeSet<u64>,
}

/// What an operator allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemberRules {
    /// `--strict-reconfig-check`: refuse what could cost the quorum.
    pub(crate) strict: bool,
    /// `--max-learners`.
    pub(crate) learners_max: u64,
    /// Longest one change may take.
    pub(crate) timeout: Duration,
}

type Asked = (MemberChange, oneshot::Sender<Result<(), MemberError>>);

/// Takes changes while this member leads; clones share one queue.
#[derive(Clone)]
pub(crate) struct MemberChanges {
    queue: mpsc::Sender<Asked>,
    timeout: Duration,
}

/// Makes the changes, and finishes what an earlier leader has left half-way.
pub(crate) struct MemberLoop {
    asked: mpsc::Receiver<Asked>,
    raft: Raft,
    leadership: LeadershipWatch,
    members: MemberTable,
    contact: Contact,
    rules: MemberRules,
}

impl MemberChanges {
    /// The second part is the task that makes the changes.
    pub(crate) fn new(
        raft: Raft,
        leadership: LeadershipWatch,
        members: MemberTable,
        contact: Contact,
        rules: MemberRules,
    ) -> (Self, MemberLoop) {
        let (queue, asked) = mpsc::channel(QUEUE_CHANGES);
        let work = MemberLoop {
            asked,
            raft,
            leadership,
            members,
            contact,
            rules,
        };
        let timeout = rules.timeout;
        (MemberChanges { queue, timeout }, work)
    }

    /// Returns once the change is applied here. `NotLeader` says that nothing was done. One that nobody waits for any more
    /// when its turn comes is not made.
    pub(crate) async fn make(&self, change: MemberChange) -> Result<(), MemberError> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send((change, answer))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Unavailable::TooManyRequests,
                mpsc::error::TrySendError::Closed(_) => Unavailable::Stopped,
            })?;
        match tokio::time::timeout(self.timeout, answered).await {
            Ok(answer) => answer.map_err(|_dropped| Unavailable::Stopped)?,
            Err(_elapsed) => Err(Unavailable::TimedOut.into()),
        }
    }
}

impl From<Unavailable> for MemberError {
    fn from(error: Unavailable) -> Self {
        MemberError::Unavailable(error)
    }
}

impl From<MemberRefusal> for MemberError {
    fn from(refusal: MemberRefusal) -> Self {
        MemberError::Refused(refusal)
    }
}

impl MemberLoop {
    /// Runs for as long as changes can be asked for.
    pub(crate) async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                asked = self.asked.recv() => match asked {
                    None => return,
                    Some((_, answer)) if answer.is_closed() => {}
                    // Whoever asked may go meanwhile; the change is made all the same.
                    Some((change, answer)) => _ = answer.send(self.make(change).await),
                },
                _ = look.tick() => self.finish().await,
            }
        }
    }

    /// The members that raft goes by, while this member leads.
    fn view(&self) -> Result<View, Unavailable> {
        let data = self.raft.data_metrics();
        let data = data.borrow_watched();
        let server = self.raft.server_metrics();
        let server = server.borrow_watched();
        if server.current_leader != Some(server.id) {
            return Err(Unavailable::NotLeader);
        }
        let heartbeat = data.heartbeat.iter().flatten();
        let answering = heartbeat
            .filter(|(_, acked)| acked.is_some_and(|at| self.contact.is_short(at.elapsed())))
            .map(|(id, _)| *id)
            .chain([server.id]);
        let matched = data.replication.iter().flatten();
        Ok(View {
            leader: server.id,
            membership: server.membership_config.as_ref().clone(),
            is_committed: server.membership_config == server.committed_membership_config,
            answering: answering.collect(),
            matched: matched
                .map(|(id, matched)| (*id, matched.map_or(0, |log_id| log_id.index)))
                .collect(),
            last_index: data.last_log.map_or(0, |log_id| log_id.index),
            started: self.started(),
        })
    }

    fn started(&self) -> BTreeSet<u64> {
        let members = self.members.all().into_iter();
        let started = members.filter(|member| !member.name.is_empty());
        started.map(|member| member.id).collect()
    }

    async fn make(&self, change: MemberChange) -> Result<(), MemberError> {
        self.finish_joint(&self.view()?).await?;
        if let MemberChange::Add { id, .. } = &change
            && self.members.was_removed(*id)
        {
            return Err(MemberRefusal::Exists.into());
        }
        let view = self.checked(&change).await?;
        if change == (MemberChange::Remove { id: view.leader }) && self.hands_over().await {
            // The next leader removes this member, and no client waits for an election.
            return Err(Unavailable::NotLeader.into());
        }
        tracing::info!(?change, "changing the members");
        self.write(view.raft_change(change)).await
    }

    /// The members, once the change may be made. A new leader gets an election timeout to hear from the others.
    async fn checked(&self, change: &MemberChange) -> Result<View, MemberError> {
        let deadline = tokio::time::Instant::now() + self.contact.silence_max();
        loop {
            let view = self.view()?;
            match view.check(change, self.rules) {
                Ok(()) => return Ok(view),
                Err(MemberRefusal::Unhealthy) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    /// Gives leadership to the best of the others. False when there is none that answers.
    async fn hands_over(&self) -> bool {
        let mut leadership = self.leadership.clone();
        let Some(next) = leadership.successors().first().copied() else {
            return false;
        };
        if self.raft.trigger().transfer_leader(next).await.is_err() {
            return false;
        }
        let deadline = tokio::time::Instant::now() + self.rules.timeout;
        while self.view().is_ok() {
            if leadership.changed_or_retry(deadline).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn write(&self, change: ChangeMembers<u64, super::Member>) -> Result<(), MemberError> {
        let before = self.membership_log_id();
        // Who stops being a voter leaves the cluster.
        let change = self.raft.change_membership(change, false);
        match tokio::time::timeout(self.rules.timeout, change).await {
            Ok(Ok(written)) => {
                // What the next change is judged by follows a moment later.
                let mut server = self.raft.server_metrics();
                while self.membership_log_id() < Some(written.log_id) {
                    if server.changed().await.is_err() {
                        break;
                    }
                }
                Ok(())
            }
            Ok(Err(RaftError::Fatal(_))) => Err(Unavailable::Stopped.into()),
            Ok(Err(RaftError::APIError(error))) => {
                tracing::warn!(%error, "the change of the members was refused");
                match self.membership_log_id() == before {
                    true => Err(refusal(&error)),
                    // The first of two entries is there; the next leader goes on from it.
                    false => Err(Unavailable::LeaderChanged.into()),
                }
            }
            Err(_elapsed) => Err(Unavailable::TimedOut.into()),
        }
    }

    fn membership_log_id(&self) -> Option<super::types::LogId> {
        let server = self.raft.server_metrics();
        *server.borrow_watched().membership_config.log_id()
    }

    /// Finishes a joint change, whose leader is gone, and makes voters of those that have caught up.
    async fn finish(&self) {
        let Some(view) = self.view().ok().filter(|view| view.is_committed) else {
            return;
        };
        let finished = match view.joining_voter() {
            _ if view.is_joint() => self.finish_joint(&view).await,
            Some(id) => {
                tracing::info!(
                    member = format_args!("{id:x}"),
                    "a new member has caught up and votes from now on"
                );
                self.write(ChangeMembers::AddVoterIds(BTreeSet::from([id])))
                    .await
            }
            None => Ok(()),
        };
        if let Err(error) = finished {
            tracing::debug!(?error, "a change of the members is not finished yet");
        }
    }

    async fn finish_joint(&self, view: &View) -> Result<(), MemberError> {
        if !view.is_joint() {
            return Ok(());
        }
        tracing::info!("finishing a change of the members that was cut off");
        self.write(ChangeMembers::AddVoterIds(BTreeSet::new()))
            .await
    }
}

fn refusal(error: &ClientWriteError<super::types::TypeConfig>) -> MemberError {
    match error {
        ClientWriteError::ForwardToLeader(_) => Unavailable::NotLeader.into(),
        // Another change is not committed yet, or this leader has not committed anything yet.
        ClientWriteError::ChangeMembershipError(_) => MemberRefusal::Unhealthy.into(),
        ClientWriteError::LogEntryDiscarded(_) | ClientWriteError::PreconditionFailed(_) => {
            Unavailable::LeaderChanged.into()
        }
    }
}
