//! Linearizable reads on every member: one round to the leader serves all reads that were waiting when it began.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use planted::Bug;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Unavailable;
use crate::raft::{ApplyProgress, Leader, LeadershipWatch, Peers};
use crate::spans;

/// Reads that may wait for a round; one more is refused with "too many requests".
const WAITING_READS: usize = 100_000;
/// One round's share of a request's time; a lost message costs no more than this.
const ROUND_TIMEOUT: Duration = Duration::from_millis(500);

type Waiting = oneshot::Sender<Result<(), Unavailable>>;

/// Asks for barriers; clones share the rounds.
#[derive(Clone)]
pub(crate) struct Reads {
    queue: Arc<Queue>,
    request_timeout: Duration,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    some: Notify,
}

/// The task that makes the rounds.
pub(crate) struct ReadRounds {
    queue: Arc<Queue>,
    member_id: u64,
    leader: Leader,
    peers: Peers,
    leadership: LeadershipWatch,
    applied: ApplyProgress,
    request_timeout: Duration,
}

impl Reads {
    pub(crate) fn new(
        member_id: u64,
        leadership: LeadershipWatch,
        applied: ApplyProgress,
        request_timeout: Duration,
        (leader, peers): (Leader, Peers),
    ) -> (Self, ReadRounds) {
        let queue = Arc::new(Queue::default());
        let reads = Reads {
            queue: Arc::clone(&queue),
            request_timeout,
        };
        let rounds = ReadRounds {
            queue,
            member_id,
            leader,
            peers,
            leadership,
            applied,
            request_timeout,
        };
        (reads, rounds)
    }

    /// Returns once the local state is at least as new as the cluster's was at the call.
    pub(crate) async fn barrier(&self) -> Result<(), Unavailable> {
        let mut span = spans::child("mainstay.read_barrier");
        let reached = self.wait_for_round().await;
        if let (Some(span), Err(why)) = (&mut span, reached) {
            span.fail(why.to_string());
        }
        reached
    }

    async fn wait_for_round(&self) -> Result<(), Unavailable> {
        let (tx, rx) = oneshot::channel();
        {
            let mut waiting = self.queue.waiting.lock();
            if waiting.len() >= WAITING_READS {
                return Err(Unavailable::TooManyRequests);
            }
            waiting.push(tx);
        }
        self.queue.some.notify_one();
        match tokio::time::timeout(self.request_timeout, rx).await {
            Ok(answer) => answer.map_err(|_dropped| Unavailable::Stopped)?,
            Err(_elapsed) => Err(Unavailable::TimedOut),
        }
    }
}

impl ReadRounds {
    pub(crate) async fn run(mut self) {
        loop {
            self.queue.some.notified().await;
            let mut round = std::mem::take(&mut *self.queue.waiting.lock());
            if round.is_empty() {
                continue;
            }
            let result = self.round().await;
            if planted::is_on(Bug::OldReadRound) {
                round.append(&mut self.queue.waiting.lock());
            }
            for waiting in round {
                _ = waiting.send(result);
            }
            if result == Err(Unavailable::Stopped) {
                return;
            }
        }
    }

    async fn round(&mut self) -> Result<(), Unavailable> {
        let deadline = Instant::now() + self.request_timeout;
        let index = loop {
            let leading = self.leadership.leader();
            let asked = match leading {
                Some(id) => read_index(id, self.member_id, &self.leader, &self.peers).await,
                None => Err(Unavailable::NoLeader),
            };
            match asked {
                Ok(index) => break index,
                Err(Unavailable::Stopped) => return Err(Unavailable::Stopped),
                Err(_) => self.leadership.changed_or_retry(deadline).await?,
            }
        };
        let reached = self.applied.wait_for(|applied| *applied >= index);
        match tokio::time::timeout_at(deadline, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_closed)) => Err(Unavailable::Stopped),
            Err(_elapsed) => Err(Unavailable::TimedOut),
        }
    }
}

/// The log index that a linearizable read has to see applied, asked of whoever leads.
pub(super) async fn read_index(
    leading: u64,
    member_id: u64,
    leader: &Leader,
    peers: &Peers,
) -> Result<u64, Unavailable> {
    if leading == member_id {
        let asked = tokio::time::timeout(ROUND_TIMEOUT, leader.read_index()).await;
        return asked.map_or(Err(Unavailable::TimedOut), |read| Ok(read?.index));
    }
    let mut peer = peers.control(leading).ok_or(Unavailable::NoLeader)?;
    let call = peer.read_index(proto::peer::ReadIndexRequest {});
    match tokio::time::timeout(ROUND_TIMEOUT, call).await {
        Ok(Ok(reply)) => Ok(reply.into_inner().index),
        Ok(Err(_)) | Err(_) => Err(Unavailable::LeaderChanged),
    }
}
