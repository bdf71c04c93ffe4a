//! Client requests on their way into the log: many of them in one entry, appended here or on the leader.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use state_machine::Command;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::Unavailable;
use crate::batch;
use crate::raft::{Attributes, Leader, LeadershipWatch, Peers};
use crate::waiters::{Answer, Waiters};

/// Requests that may wait for a place in a batch; one more is refused with "too many requests".
const QUEUE_REQUESTS: usize = 16_384;
/// Most requests and bytes in one log entry. A larger single request goes alone.
const BATCH_REQUESTS: usize = 512;
const BATCH_BYTES: usize = 128 << 10;
/// Batches of this member under way at once: few, so that requests which arrive meanwhile share the next one.
const BATCHES_UNDER_WAY: usize = 2;

struct Pending {
    command: Bytes,
    sender: oneshot::Sender<Answer>,
}

/// Accepts requests; clones share one queue.
#[derive(Clone)]
pub(crate) struct Proposals {
    queue: mpsc::Sender<Pending>,
    waiters: Arc<Waiters>,
    leadership: LeadershipWatch,
    member_id: u64,
    leader: Leader,
    peers: Peers,
    request_timeout: Duration,
}

/// The task that fills log entries from the queue.
pub(crate) struct Batcher {
    queue: mpsc::Receiver<Pending>,
    waiters: Arc<Waiters>,
    leadership: LeadershipWatch,
    member_id: u64,
    leader: Leader,
    peers: Peers,
    under_way: Arc<Semaphore>,
    forwards: JoinSet<()>,
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
            waiters: Arc::clone(&waiters),
            leadership: leadership.clone(),
            member_id,
            leader: leader.clone(),
            peers: peers.clone(),
            request_timeout,
        };
        let under_way = Arc::new(Semaphore::new(BATCHES_UNDER_WAY));
        let forwards = JoinSet::new();
        let batcher = Batcher {
            queue: rx,
            waiters,
            leadership,
            member_id,
            leader,
            peers,
            under_way,
            forwards,
        };
        (proposals, batcher)
    }

    /// Replicates a command and waits until it is applied here.
    pub(crate) async fn propose(&self, command: &Command) -> Answer {
        let mut encoded = BytesMut::new();
        command.encode(&mut encoded);
        let (sender, receiver) = oneshot::channel();
        let term = self.leadership.term();
        self.queue
            .try_send(Pending {
                command: encoded.freeze(),
                sender,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Unavailable::TooManyRequests,
                mpsc::error::TrySendError::Closed(_) => Unavailable::Stopped,
            })?;
        match tokio::time::timeout(self.request_timeout, receiver).await {
            Ok(answer) => answer.map_err(|_dropped| Unavailable::Stopped)?,
            Err(_elapsed) if self.leadership.term() != term => {
                Err(Unavailable::TimedOutLeaderFailed)
            }
            Err(_elapsed) => Err(Unavailable::TimedOut),
        }
    }

    /// Publishes what this member says of itself; returns when the leader has applied it.
    pub(crate) async fn publish(&self, attributes: &Attributes) -> Result<(), Unavailable> {
        let json = serde_json::to_vec(attributes).expect("strings can always be written as JSON");
        let batch = batch::encode_publish(self.member_id, self.waiters.next_number(), &json);
        match self.leadership.leader() {
            None => Err(Unavailable::NoLeader),
            Some(id) if id == self.member_id => self.leader.propose(batch).await,
            Some(id) => forward(&self.peers, id, batch).await,
        }
    }
}

impl Batcher {
    /// Runs until the queue closes. A change of leader frees the places of batches that may never be answered.
    pub(crate) async fn run(mut self) {
        let mut leadership = self.leadership.clone();
        loop {
            let permit = loop {
                tokio::select! {
                    permit = Arc::clone(&self.under_way).acquire_owned() => break permit,
                    changed = leadership.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        self.waiters.release_permits();
                    }
                }
            };
            let Ok(permit) = permit else { return };
            let Some(first) = self.queue.recv().await else {
                return;
            };
            let batch = self.fill(first);
            while self.forwards.try_join_next().is_some() {}
            self.submit(batch, permit).await;
        }
    }

    fn fill(&mut self, first: Pending) -> Vec<Pending> {
        let mut bytes = first.command.len();
        let mut batch = vec![first];
        while batch.len() < BATCH_REQUESTS && bytes < BATCH_BYTES {
            let Ok(next) = self.queue.try_recv() else {
                break;
            };
            bytes += next.command.len();
            batch.push(next);
        }
        batch
    }

    async fn submit(&mut self, batch: Vec<Pending>, permit: OwnedSemaphorePermit) {
        let Some(leader) = self.wait_for_leader(&batch).await else {
            return;
        };
        let number = self.waiters.next_number();
        let bytes =
            batch::encode_commands(self.member_id, number, batch.iter().map(|p| &p.command[..]));
        let senders = batch.into_iter().map(|pending| pending.sender).collect();
        self.waiters.register(number, senders, Some(permit));
        let waiters = Arc::clone(&self.waiters);
        if leader == self.member_id {
            let refused = Arc::clone(&waiters);
            if let Err(why) = self
                .leader
                .submit(bytes, move |why| refused.fail(number, why))
                .await
            {
                waiters.fail(number, why);
            }
            return;
        }
        let peers = self.peers.clone();
        self.forwards.spawn(async move {
            match forward(&peers, leader, bytes).await {
                // The applier answers, or has answered already.
                Ok(()) => {}
                // Nothing was appended.
                Err(why @ Unavailable::NotLeader) => waiters.fail(number, why),
                // It may have been appended: the applier may still answer, but others need not wait for it.
                Err(_) => waiters.release_permit(number),
            }
        });
    }

    /// The leader's id, or none when everybody gave up before there was one.
    async fn wait_for_leader(&mut self, batch: &[Pending]) -> Option<u64> {
        loop {
            if let Some(leader) = self.leadership.leader() {
                return Some(leader);
            }
            if batch.iter().all(|pending| pending.sender.is_closed()) {
                return None;
            }
            let soon = tokio::time::Instant::now() + Duration::from_secs(1);
            self.leadership.changed_or_retry(soon).await.ok()?;
        }
    }
}

/// Hands a batch to the leader and waits until it is applied there.
async fn forward(peers: &Peers, leader: u64, batch: Bytes) -> Result<(), Unavailable> {
    let mut peer = peers.control(leader).ok_or(Unavailable::NoLeader)?;
    let reply = peer.propose(proto::peer::ProposeRequest { batch }).await;
    match reply.map(|reply| reply.into_inner().refusal) {
        Ok(None) => Ok(()),
        Ok(Some(refusal)) if refusal.not_leader => Err(Unavailable::NotLeader),
        Ok(Some(_)) | Err(_) => Err(Unavailable::LeaderChanged),
    }
}
