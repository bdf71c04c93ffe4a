//! Client requests on their way into the log: many of them in one entry, appended here or on the leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use state_machine::Command;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::Unavailable;
use super::reads::read_index;
use crate::batch;
use crate::raft::{Attributes, Leader, LeadershipWatch, Peers};
use crate::waiters::{Answer, Waiters};

/// Requests that may wait for a place in a batch; one more is refused with "too many requests".
const QUEUE_REQUESTS: usize = 16_384;
/// The same in bytes.
const QUEUE_BYTES: usize = 256 << 20;
/// Largest request, and the most that `--max-request-bytes` may be: with its batch it must fit the log's largest entry.
pub(crate) const REQUEST_BYTES_MAX: usize = 24 << 20;
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
    queued_bytes: Arc<AtomicUsize>,
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
    queued_bytes: Arc<AtomicUsize>,
    under_way: Arc<Semaphore>,
    forwards: JoinSet<()>,
    /// The last term whose leader is known to reach a quorum.
    confirmed_term: u64,
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
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let proposals = Proposals {
            queue: tx,
            waiters: Arc::clone(&waiters),
            leadership: leadership.clone(),
            member_id,
            leader: leader.clone(),
            peers: peers.clone(),
            queued_bytes: Arc::clone(&queued_bytes),
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
            queued_bytes,
            under_way,
            forwards,
            confirmed_term: 0,
        };
        (proposals, batcher)
    }

    /// Replicates a command and waits until it is applied here.
    pub(crate) async fn propose(&self, command: &Command) -> Answer {
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
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let mut batch = vec![first];
        while batch.len() < BATCH_REQUESTS && bytes < BATCH_BYTES {
            let Ok(next) = self.queue.try_recv() else {
                break;
            };
            let size = next.command.len();
            self.queued_bytes.fetch_sub(size, Ordering::Relaxed);
            if next.sender.is_closed() {
                continue;
            }
            bytes += size;
            batch.push(next);
        }
        batch
    }

    async fn submit(&mut self, mut batch: Vec<Pending>, permit: OwnedSemaphorePermit) {
        let Some(leader) = self.wait_for_leader(&batch).await else {
            return;
        };
        // Whoever gave up meanwhile was told that the effect is unknown; nothing is gained by writing it now.
        batch.retain(|pending| !pending.sender.is_closed());
        if batch.is_empty() {
            return;
        }
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

    /// The leader's id, or none when everybody gave up before there was one. A leader refuses writes until it has heard
    /// from a quorum, so the first batch of a term waits for that.
    async fn wait_for_leader(&mut self, batch: &[Pending]) -> Option<u64> {
        loop {
            let term = self.leadership.term();
            if let Some(leader) = self.leadership.leader() {
                let known = self.confirmed_term == term;
                if known
                    || read_index(leader, self.member_id, &self.leader, &self.peers)
                        .await
                        .is_ok()
                {
                    self.confirmed_term = term;
                    return Some(leader);
                }
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
