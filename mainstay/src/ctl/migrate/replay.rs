//! Revisions on their way to the target: many under way at a time, each taken in its place alone.
//!
//! A transaction holds only when the one before it is there and it is not there itself. So requests may overtake one
//! another, be lost, or come twice: what is out of place does nothing, and is sent again.

use std::collections::VecDeque;

use anyhow::{Result, bail};
use proto::etcdserverpb::{TxnRequest, TxnResponse};

use super::super::message;
use super::revision::Revision;
use super::side::{Connection, is_final_status, revision_of, stop};
use super::transaction::{Trace, trace, transaction};
use super::way::Way;

/// Requests under way in a stream: as many as the target works on at a time. Without one there is a single request under
/// way: those that overtake others cost more than waiting does.
const WINDOW_MAX: usize = 512;
/// Revisions that wait for their answer or their turn.
const WAITING_MAX: usize = 2 * WINDOW_MAX;
/// Bytes of requests under way.
const WINDOW_BYTES_MAX: usize = 8 << 20;
/// What the target says when somebody else let a lease end.
const NO_LEASE: &str = "etcdserver: requested lease not found";

/// What an answer means for whoever replays.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    GoOn,
    /// The target, or the way to it, is lost; nobody knows which of the requests under way it took.
    Lost,
    /// A lease that a revision names is not on the target.
    LeaseMissing,
}

struct Waiting {
    revision: Revision,
    request: TxnRequest,
    /// What the revision before it left behind; without it, this one waits until that is acknowledged.
    follows_a_trace: bool,
    acknowledged: bool,
}

/// The revisions that were read and are not known to be on the target, in order.
pub(super) struct Replay {
    way: Way,
    operations_max: usize,
    /// The newest revision that is certainly on the target.
    acknowledged: i64,
    waiting: VecDeque<Waiting>,
    /// How many of those that wait are sent.
    sent: usize,
    sent_bytes: usize,
    /// Somebody was out of place: nothing is sent until all that is under way has come back.
    holds: bool,
    /// The connection failed: nothing is sent before [`Replay::resume`].
    lost: bool,
    /// The newest revision that may come to the target late, from a connection that was lost.
    uncertain: i64,
    newest_trace: Option<Trace>,
    pub(super) resent: u64,
}

impl Replay {
    pub(super) fn new(way: Way, acknowledged: i64, operations_max: usize) -> Replay {
        Replay {
            way,
            operations_max,
            acknowledged,
            waiting: VecDeque::new(),
            sent: 0,
            sent_bytes: 0,
            holds: false,
            lost: false,
            uncertain: 0,
            newest_trace: None,
            resent: 0,
        }
    }

    pub(super) fn acknowledged(&self) -> i64 {
        self.acknowledged
    }

    pub(super) fn target(&self) -> &Connection {
        self.way.target()
    }

    /// Whether another revision is taken.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// Whether everything that was taken is on the target.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && !self.is_under_way()
    }

    /// Takes the next revision; gives it back when it is too large for a transaction of its changes.
    pub(super) fn push(&mut self, revision: Revision) -> Option<Revision> {
        let before = self.newest_trace.as_ref();
        let Some(request) = transaction(&revision, before, self.operations_max) else {
            return Some(revision);
        };
        self.waiting.push_back(Waiting {
            follows_a_trace: before.is_some(),
            acknowledged: false,
            request,
            revision,
        });
        let newest = self.waiting.back().map(|waiting| &waiting.revision);
        self.newest_trace = newest.and_then(trace);
        None
    }

    /// A revision was brought to the target in another way, while nothing was under way.
    pub(super) fn passed(&mut self, revision: &Revision) {
        self.acknowledged = revision.number;
        self.newest_trace = trace(revision);
    }

    /// Sends what may be sent.
    pub(super) fn send(&mut self) {
        while !self.holds && self.way.under_way() < window(&self.way) {
            let Some(next) = self.waiting.get(self.sent) else {
                return;
            };
            let alone = !next.follows_a_trace && self.sent > 0;
            let full = self.sent > 0 && self.sent_bytes + next.revision.bytes > WINDOW_BYTES_MAX;
            if alone || full {
                return;
            }
            let (number, request) = (next.revision.number, next.request.clone());
            self.sent_bytes += next.revision.bytes;
            self.sent += 1;
            self.way.send(number, request);
        }
    }

    /// Whether an answer will come.
    pub(super) fn is_under_way(&self) -> bool {
        self.way.under_way() > 0
    }

    /// Waits for an answer, and says what to do. May be dropped while it waits.
    pub(super) async fn turn(&mut self) -> Result<Turn> {
        let Some((number, answer)) = self.way.answer().await else {
            self.holds = true;
            self.lost = true;
            return Ok(Turn::Lost);
        };
        let turn = match answer {
            Ok(answer) => self.judge(number, &answer)?,
            Err(error) => self.judge_failure(number, &error)?,
        };
        if self.holds && !self.lost && !self.is_under_way() {
            self.begin_again();
        }
        Ok(turn)
    }

    fn judge(&mut self, number: i64, answer: &TxnResponse) -> Result<Turn> {
        let revision = revision_of(answer.header.as_ref());
        match (answer.succeeded, revision) {
            (true, at) if at == number => {
                self.acknowledge(number);
            }
            // It overtook others, and did nothing.
            (false, at) if at < number - 1 => self.holds = true,
            // One that was sent before over another connection came first.
            (false, at) if at >= number && number <= self.uncertain => self.acknowledge(number),
            (_, at) => return Err(foreign_write(number, at)),
        }
        Ok(Turn::GoOn)
    }

    fn judge_failure(&mut self, number: i64, error: &anyhow::Error) -> Result<Turn> {
        let text = message(error);
        match error.downcast_ref::<tonic::Status>() {
            Some(_) if text == NO_LEASE => {
                self.holds = true;
                // The refusal has ended the stream.
                self.lost |= self.way.is_ordered();
                Ok(Turn::LeaseMissing)
            }
            Some(status) if is_final_status(status) => Err(stop(refusal(number, &text))),
            _ => {
                self.holds = true;
                self.lost = true;
                Ok(Turn::Lost)
            }
        }
    }

    fn acknowledge(&mut self, number: i64) {
        let position = number - self.acknowledged - 1;
        let waiting = usize::try_from(position).ok();
        if let Some(waiting) = waiting.and_then(|position| self.waiting.get_mut(position)) {
            waiting.acknowledged = true;
        }
        while self.waiting.front().is_some_and(|front| front.acknowledged) {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        if let Some(front) = self.waiting.pop_front() {
            self.acknowledged = front.revision.number;
            if self.sent > 0 {
                self.sent -= 1;
                self.sent_bytes -= front.revision.bytes;
            }
        }
    }

    /// Everything that is not on the target is sent again.
    fn begin_again(&mut self) {
        self.resent += self.sent as u64;
        self.sent = 0;
        self.sent_bytes = 0;
        self.holds = false;
    }

    /// Waits until nothing is under way, whether or not it came to the target.
    pub(super) async fn collect(&mut self) -> Result<()> {
        self.holds |= self.is_under_way();
        while self.is_under_way() {
            self.turn().await?;
        }
        Ok(())
    }

    /// Waits until nothing is under way, and everything that was sent is on the target or will be sent again.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.collect().await?;
        if self.lost {
            bail!("the target was lost");
        }
        Ok(())
    }

    /// Goes on over another connection, from where the target says that it is.
    pub(super) async fn resume(&mut self, target: Connection) -> Result<()> {
        let revision = target.revision().await?;
        let way = Way::open(target).await?;
        let newest_sent = self.acknowledged + i64::try_from(self.sent)?;
        if !(self.acknowledged..=newest_sent).contains(&revision) {
            return Err(foreign_write(self.acknowledged + 1, revision));
        }
        while self.acknowledged < revision {
            self.drop_front();
        }
        self.way = way;
        self.lost = false;
        self.uncertain = newest_sent;
        self.begin_again();
        Ok(())
    }

    /// The leases that revisions which wait name.
    pub(super) fn leases(&self) -> Vec<i64> {
        let named = self
            .waiting
            .iter()
            .flat_map(|waiting| waiting.revision.leases());
        named.collect()
    }
}

fn window(way: &Way) -> usize {
    if way.is_ordered() { WINDOW_MAX } else { 1 }
}

/// The revisions of the target are not ours alone.
pub(super) fn foreign_write(number: i64, at: i64) -> anyhow::Error {
    stop(format!(
        "the target is at revision {at} where revision {number} of the source was to be written: somebody else writes to \
         the target, or a lease ended there. It is no copy any more. Keep clients away from it, make it anew from a new \
         snapshot, and begin again"
    ))
}

fn refusal(number: i64, text: &str) -> String {
    let hint = if text.ends_with("too many operations in txn request") {
        ": start the target with a larger --max-txn-ops, and give the same to this command"
    } else if text.ends_with("request is too large") {
        ": start the target with the source's --max-request-bytes"
    } else if text.ends_with("database space exceeded") {
        ": start the target with a larger --quota-backend-bytes and disarm its alarm; it is still a copy, so go on then"
    } else {
        ""
    };
    format!("the target refused revision {number} of the source ({text}){hint}")
}
