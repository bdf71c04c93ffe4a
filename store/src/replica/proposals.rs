//! Client requests on their way into the log: accepted, bounded, and answered once they are applied here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use state_machine::Command;
use tokio::sync::{mpsc, oneshot};

use super::Unavailable;
use super::batcher::{Batcher, Pending, forward};
use crate::batch;
use crate::raft::{Attributes, Leader, LeadershipWatch, Peers};
use crate::spans::{ProposalSpan, Stages};
use crate::waiters::{Answer, Waiters};

/// Requests that may wait for a place in a batch; one more is refused with "too many requests".
const QUEUE_REQUESTS: usize = 16_384;
/// The same in bytes.
const QUEUE_BYTES: usize = 256 << 20;
/// Largest request, and the most that `--max-request-bytes` may be: with its batch it must fit the log's largest entry.
pub(crate) const REQUEST_BYTES_MAX: usize = 24 << 20;
/// Longest wait for one try to tell the cluster about this member.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);

/// Accepts requests; clones share one queue.
#[derive(Clone)]
pub(crate) struct Proposals {
    queue: mpsc::Sender<Pending>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) leadership: LeadershipWatch,
    pub(super) member_id: u64,
    pub(super) leader: Leader,
    pub(super) peers: Peers,
    pub(super) queued_bytes: Arc<AtomicUsize>,
    pub(super) request_timeout: Duration,
}

impl Proposals {
    pub(crate) fn new(
        member_id: u64,
        waiters: Arc<Waiters>,
        leadership: LeadershipWatch,
        request_timeout: Duration,
        (leader, peers): (Leader, Peers),
    ) -> (Self, Batcher) {
        let (tx, rx) = mpsc::channel(QUEUE_REQUESTS);
        let proposals = Proposals {
            queue: tx,
            waiters,
            leadership,
            member_id,
            leader,
            peers,
            queued_bytes: Arc::default(),
            request_timeout,
        };
        let batcher = Batcher::new(&proposals, rx);
        (proposals, batcher)
    }

    /// Replicates a command and waits until it is applied here.
    pub(crate) async fn propose(&self, command: &Command) -> Answer {
        let Some(span) = ProposalSpan::begin() else {
            return self.queue(command, None).await;
        };
        let answer = self.queue(command, Some(Arc::clone(&span.stages))).await;
        let leads = self.leadership.leader() == Some(self.member_id);
        let failure = answer.as_ref().err().map(ToString::to_string);
        span.end(failure, leads);
        answer
    }

    async fn queue(&self, command: &Command, stages: Option<Arc<Stages>>) -> Answer {
        let mut encoded = BytesMut::new();
        command.encode(&mut encoded);
        let size = encoded.len();
        if size > REQUEST_BYTES_MAX {
            return Err(Unavailable::TooLarge);
        }
        if self.queued_bytes.fetch_add(size, Ordering::Relaxed) > QUEUE_BYTES {
            self.queued_bytes.fetch_sub(size, Ordering::Relaxed);
            return Err(Unavailable::TooManyRequests);
        }
        let (sender, receiver) = oneshot::channel();
        let term = self.leadership.term();
        self.queue
            .try_send(Pending {
                command: encoded.freeze(),
                sender,
                stages,
            })
            .map_err(|error| {
                self.queued_bytes.fetch_sub(size, Ordering::Relaxed);
                match error {
                    mpsc::error::TrySendError::Full(_) => Unavailable::TooManyRequests,
                    mpsc::error::TrySendError::Closed(_) => Unavailable::Stopped,
                }
            })?;
        match tokio::time::timeout(self.request_timeout, receiver).await {
            Ok(answer) => answer.map_err(|_dropped| Unavailable::Stopped)?,
            Err(_elapsed) if self.leadership.term() != term => {
                Err(Unavailable::TimedOutLeaderFailed)
            }
            Err(_elapsed) => Err(Unavailable::TimedOut),
        }
    }

    /// Appends commands here, in one batch, and only while this member leads in `term`. For what the leader decides by
    /// its own clock: it is never handed to another leader.
    pub(crate) async fn propose_in_term(&self, term: u64, commands: Vec<Command>) -> Vec<Answer> {
        let encoded: Vec<BytesMut> = commands
            .iter()
            .map(|command| {
                let mut bytes = BytesMut::new();
                command.encode(&mut bytes);
                bytes
            })
            .collect();
        let number = self.waiters.next_number();
        let batch = batch::encode_commands(self.member_id, number, encoded.iter().map(|c| &c[..]));
        let (senders, receivers): (Vec<_>, Vec<_>) =
            commands.iter().map(|_| oneshot::channel()).unzip();
        self.waiters.register(number, senders, None);
        let waiters = Arc::clone(&self.waiters);
        let refused = move |why| waiters.fail(number, why);
        if let Err(why) = self.leader.submit_in_term(term, batch, refused).await {
            self.waiters.fail(number, why);
        }
        let deadline = tokio::time::Instant::now() + self.request_timeout;
        let answers = receivers.into_iter().map(|receiver| async move {
            match tokio::time::timeout_at(deadline, receiver).await {
                Ok(answer) => answer.map_err(|_dropped| Unavailable::Stopped)?,
                Err(_elapsed) => Err(Unavailable::TimedOut),
            }
        });
        futures::future::join_all(answers).await
    }

    /// Publishes what this member says of itself; returns when the leader has applied it.
    pub(crate) async fn publish(&self, attributes: &Attributes) -> Result<(), Unavailable> {
        let json = serde_json::to_vec(attributes).expect("strings can always be written as JSON");
        let batch = batch::encode_publish(self.member_id, self.waiters.next_number(), &json);
        let Some(leader) = self.leadership.leader() else {
            return Err(Unavailable::NoLeader);
        };
        if leader != self.member_id {
            return forward(&self.peers, leader, batch, PUBLISH_TIMEOUT).await;
        }
        let appended = tokio::time::timeout(PUBLISH_TIMEOUT, self.leader.propose(batch)).await;
        appended.unwrap_or(Err(Unavailable::TimedOut))
    }
}
