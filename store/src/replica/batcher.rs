//! The task that fills log entries from the queue of requests and gets them appended, here or on the leader.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use planted::Bug;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Unavailable;
use super::proposals::Proposals;
use super::reads::read_index;
use crate::batch;
use crate::raft::{Leader, LeadershipWatch, Peers, was_not_sent};
use crate::spans::{Stage, Stages};
use crate::waiters::{Answer, Waiters};

/// Most requests and bytes in one log entry. A larger single request goes alone.
const BATCH_REQUESTS: usize = 512;
const BATCH_BYTES: usize = 128 << 10;
/// Batches of this member under way at once: few, so that requests which arrive meanwhile share the next one.
const BATCHES_UNDER_WAY: usize = 2;
/// Requests that a leader sent back and that wait for the next one; more are refused with "too many requests".
const RETURNED_REQUESTS: usize = 16_384;
/// How long a look for a leader takes before it is seen whether anyone still waits.
const LEADER_LOOK: Duration = Duration::from_secs(1);

/// A request that waits for a place in a batch.
pub(super) struct Pending {
    pub(super) command: Bytes,
    pub(super) sender: oneshot::Sender<Answer>,
    /// Of a traced request.
    pub(super) stages: Option<Arc<Stages>>,
}

/// Batches that were certainly not appended: the leader stepped down, hands over, or was never reached. They go to the
/// next leader, which is no retry: nothing of them was written.
#[derive(Default)]
struct Returned {
    batches: Mutex<VecDeque<Vec<Pending>>>,
    some: Notify,
}

/// A batch on its way, and what is needed to take it back.
struct OnItsWay {
    number: u64,
    commands: Vec<Bytes>,
    waiters: Arc<Waiters>,
    returned: Arc<Returned>,
}

/// The task that fills log entries from the queue.
pub(crate) struct Batcher {
    queue: mpsc::Receiver<Pending>,
    returned: Arc<Returned>,
    waiters: Arc<Waiters>,
    leadership: LeadershipWatch,
    member_id: u64,
    leader: Leader,
    peers: Peers,
    queued_bytes: Arc<AtomicUsize>,
    request_timeout: Duration,
    under_way: Arc<Semaphore>,
    forwards: JoinSet<()>,
    /// The last term whose leader is known to reach a quorum.
    confirmed_term: u64,
}

impl Returned {
    fn push(&self, batch: Vec<Pending>) {
        {
            let mut batches = self.batches.lock();
            let waiting: usize = batches.iter().map(Vec::len).sum();
            if waiting + batch.len() <= RETURNED_REQUESTS {
                batches.push_back(batch);
                self.some.notify_one();
                return;
            }
        }
        for pending in batch {
            _ = pending.sender.send(Err(Unavailable::TooManyRequests));
        }
    }

    fn pop(&self) -> Option<Vec<Pending>> {
        self.batches.lock().pop_front()
    }
}

impl OnItsWay {
    /// Told that the batch will not be applied as it was proposed.
    fn refused(self, why: Unavailable) {
        if why != Unavailable::NotLeader {
            return self.waiters.fail(self.number, why);
        }
        let Some((senders, permit)) = self.waiters.take_back(self.number) else {
            return;
        };
        let batch = self.commands.into_iter().zip(senders);
        let batch = batch.map(|(command, sender)| Pending {
            command,
            sender,
            stages: None,
        });
        self.returned.push(batch.collect());
        drop(permit);
    }
}

impl Batcher {
    pub(super) fn new(proposals: &Proposals, queue: mpsc::Receiver<Pending>) -> Self {
        Batcher {
            queue,
            returned: Arc::default(),
            waiters: Arc::clone(&proposals.waiters),
            leadership: proposals.leadership.clone(),
            member_id: proposals.member_id,
            leader: proposals.leader.clone(),
            peers: proposals.peers.clone(),
            queued_bytes: Arc::clone(&proposals.queued_bytes),
            request_timeout: proposals.request_timeout,
            under_way: Arc::new(Semaphore::new(BATCHES_UNDER_WAY)),
            forwards: JoinSet::new(),
            confirmed_term: 0,
        }
    }

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
            let Some(batch) = self.next_batch().await else {
                return;
            };
            while self.forwards.try_join_next().is_some() {}
            self.submit(batch, permit).await;
        }
    }

    /// What a leader sent back goes first; none when the queue has closed.
    async fn next_batch(&mut self) -> Option<Vec<Pending>> {
        loop {
            if let Some(batch) = self.returned.pop() {
                // Whoever refused it may still be taken for the leader: a change is waited for, or a moment.
                self.confirmed_term = 0;
                let soon = Instant::now() + LEADER_LOOK;
                self.leadership.changed_or_retry(soon).await.ok()?;
                return Some(batch);
            }
            tokio::select! {
                first = self.queue.recv() => return first.map(|first| self.fill(first)),
                () = self.returned.some.notified() => {}
            }
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
        let traced: Vec<_> = batch.iter().filter_map(|p| p.stages.clone()).collect();
        let (commands, senders) = batch.into_iter().map(|p| (p.command, p.sender)).unzip();
        self.waiters.register(number, senders, Some(permit));
        self.waiters.trace(number, traced);
        self.waiters.reached(number, Stage::Batched);
        let waiters = Arc::clone(&self.waiters);
        let on_its_way = OnItsWay {
            number,
            commands,
            waiters: Arc::clone(&waiters),
            returned: Arc::clone(&self.returned),
        };
        if leader == self.member_id {
            let refused = move |why| on_its_way.refused(why);
            if let Err(why) = self.leader.submit(bytes, refused).await {
                waiters.fail(number, why);
            }
            return;
        }
        let (peers, request_timeout) = (self.peers.clone(), self.request_timeout);
        self.forwards.spawn(async move {
            match forward(&peers, leader, bytes, request_timeout).await {
                // The applier answers, or has answered already.
                Ok(()) => {}
                Err(why @ Unavailable::NotLeader) => on_its_way.refused(why),
                Err(_) if planted::is_on(Bug::ForwardedAgain) => {
                    on_its_way.refused(Unavailable::NotLeader);
                }
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
            let soon = Instant::now() + LEADER_LOOK;
            self.leadership.changed_or_retry(soon).await.ok()?;
        }
    }
}

/// Hands a batch to the leader and waits until it is applied there. `NotLeader` says that nothing was appended: it
/// refused, or could not be reached.
pub(super) async fn forward(
    peers: &Peers,
    leader: u64,
    batch: Bytes,
    timeout: Duration,
) -> Result<(), Unavailable> {
    let mut peer = peers.control(leader).ok_or(Unavailable::NotLeader)?;
    let call = peer.propose(proto::peer::ProposeRequest { batch });
    match tokio::time::timeout(timeout, call).await {
        Ok(Ok(reply)) => match reply.into_inner().refusal {
            None => Ok(()),
            Some(refusal) if refusal.not_leader => Err(Unavailable::NotLeader),
            Some(_) => Err(Unavailable::LeaderChanged),
        },
        Ok(Err(status)) if was_not_sent(&status) => Err(Unavailable::NotLeader),
        Ok(Err(_)) | Err(_) => Err(Unavailable::LeaderChanged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(command: &'static [u8]) -> (Pending, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let command = Bytes::from_static(command);
        let stages = None;
        (
            Pending {
                command,
                sender,
                stages,
            },
            receiver,
        )
    }

    fn on_its_way(waiters: &Arc<Waiters>, returned: &Arc<Returned>) -> OnItsWay {
        OnItsWay {
            number: 7,
            commands: vec![Bytes::from_static(b"a")],
            waiters: Arc::clone(waiters),
            returned: Arc::clone(returned),
        }
    }

    #[tokio::test]
    async fn a_call_without_a_connection_was_not_sent() {
        // Bound and not listening: nobody else is given the port.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_lazy();
        let mut peer = proto::peer::peer_client::PeerClient::new(channel);
        let failed = peer.propose(proto::peer::ProposeRequest::default()).await;
        assert!(was_not_sent(&failed.unwrap_err()));
    }

    #[tokio::test]
    async fn a_call_that_was_cut_off_may_have_been_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_lazy();
        let mut peer = proto::peer::peer_client::PeerClient::new(channel);
        let cut = async {
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            drop(stream);
            drop(listener);
        };
        let call = peer.propose(proto::peer::ProposeRequest::default());
        let (failed, ()) = tokio::join!(call, cut);
        assert!(!was_not_sent(&failed.unwrap_err()));
    }

    #[test]
    fn a_batch_that_was_not_appended_goes_to_the_next_leader() {
        let (waiters, returned) = (Arc::new(Waiters::new(0)), Arc::<Returned>::default());
        let (first, mut receiver) = pending(b"a");
        waiters.register(7, vec![first.sender], None);
        on_its_way(&waiters, &returned).refused(Unavailable::NotLeader);
        assert!(receiver.try_recv().is_err(), "it is not answered yet");
        let batch = returned.pop().expect("it came back");
        assert_eq!(batch[0].command, "a");
        assert!(!batch[0].sender.is_closed());
    }

    #[test]
    fn a_batch_of_unknown_fate_is_never_sent_again() {
        let (waiters, returned) = (Arc::new(Waiters::new(0)), Arc::<Returned>::default());
        let (first, mut receiver) = pending(b"a");
        waiters.register(7, vec![first.sender], None);
        on_its_way(&waiters, &returned).refused(Unavailable::LeaderChanged);
        assert_eq!(
            receiver.try_recv().unwrap(),
            Err(Unavailable::LeaderChanged)
        );
        assert!(returned.pop().is_none());
    }

    #[test]
    fn requests_that_came_back_are_bounded() {
        let returned = Returned::default();
        let (batch, mut receivers): (Vec<_>, Vec<_>) =
            (0..RETURNED_REQUESTS + 1).map(|_| pending(b"a")).unzip();
        returned.push(batch);
        assert!(returned.pop().is_none());
        let refused = receivers[0].try_recv().unwrap();
        assert_eq!(refused, Err(Unavailable::TooManyRequests));
    }
}
