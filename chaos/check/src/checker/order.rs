//! Real time: calls, returns and sightings in the order of their times, and the newest revision known to be there.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use crate::history::Operation;
use crate::model::{Model, REVISION_EMPTY};

/// Something that happened at a time.
#[derive(Debug)]
pub(super) enum Moment {
    /// An operation was called.
    Call(Arc<Operation>),
    /// An operation returned.
    Return(Arc<Operation>),
    /// A watch got an event of a revision.
    Seen { watch: u64, revision: i64 },
    /// A watch that wanted `next` was ended, with this as the oldest revision there is.
    Canceled { watch: u64, compact_revision: i64 },
    /// A watch got an event of a revision without what was there before, although something was.
    WithoutPrevious { watch: u64, revision: i64 },
}

impl Moment {
    /// Calls come first: what is called when another returns is concurrent with it.
    fn rank(&self) -> u8 {
        match self {
            Self::Call(_) => 0,
            Self::Return(_) | Self::Seen { .. } => 1,
            Self::Canceled { .. } | Self::WithoutPrevious { .. } => 2,
        }
    }
}

#[derive(Debug)]
struct Entry {
    time_ns: u64,
    rank: u8,
    sequence: u64,
    moment: Moment,
}

impl Entry {
    fn place(&self) -> (u64, u8, u64) {
        (self.time_ns, self.rank, self.sequence)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// What showed that a revision was there.
#[derive(Clone, Debug)]
pub(super) enum Evidence {
    /// The answer of an operation.
    Operation(Arc<Operation>),
    /// An event that a watch got at a time.
    Watch { watch: u64, time_ns: u64 },
}

/// A put refused for want of its key: at some revision in between the key was absent.
#[derive(Debug)]
pub(super) struct OpenRefusal {
    pub(super) operation: Arc<Operation>,
    pub(super) first: i64,
    pub(super) last: i64,
}

#[derive(Debug)]
pub(super) struct Order {
    heap: BinaryHeap<Reverse<Entry>>,
    pushed: u64,
    /// Everything up to here has been taken.
    swept_ns: Option<u64>,
    /// The newest revision that something returned, or was seen, with.
    pub(super) newest: i64,
    pub(super) evidence: Option<Evidence>,
    /// Steps of `newest` that the model has not heard of yet: revision and time.
    steps: VecDeque<(i64, u64)>,
    /// The newest revision whose time of observation is set.
    observed: i64,
    /// The newest revision serializable reads saw, by member.
    pub(super) by_member: HashMap<u32, i64>,
    /// `newest` at the call of operations that were refused.
    pub(super) at_call: HashMap<u64, i64>,
    pub(super) open_refusals: Vec<OpenRefusal>,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            pushed: 0,
            swept_ns: None,
            newest: REVISION_EMPTY,
            evidence: None,
            steps: VecDeque::new(),
            observed: REVISION_EMPTY,
            by_member: HashMap::new(),
            at_call: HashMap::new(),
            open_refusals: Vec::new(),
        }
    }
}

impl Order {
    pub(super) fn push(&mut self, time_ns: u64, moment: Moment) {
        self.pushed += 1;
        self.heap.push(Reverse(Entry {
            time_ns,
            rank: moment.rank(),
            sequence: self.pushed,
            moment,
        }));
    }

    /// How many moments have not been taken.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether this time has been taken already.
    pub(super) fn is_past(&self, time_ns: u64) -> bool {
        self.swept_ns.is_some_and(|swept_ns| time_ns <= swept_ns)
    }

    /// The next moment up to the horizon.
    pub(super) fn pop(&mut self, horizon_ns: u64) -> Option<(u64, Moment)> {
        let Reverse(first) = self.heap.peek()?;
        if first.time_ns > horizon_ns {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        Some((entry.time_ns, entry.moment))
    }

    pub(super) fn swept(&mut self, horizon_ns: u64) {
        self.swept_ns = Some(horizon_ns);
    }

    /// A revision was there at this time.
    pub(super) fn saw(&mut self, revision: i64, time_ns: u64, evidence: impl FnOnce() -> Evidence) {
        if revision > self.newest {
            self.newest = revision;
            self.evidence = Some(evidence());
            self.steps.push_back((revision, time_ns));
        }
    }

    /// Tells the model since when its revisions are known to be there.
    pub(super) fn date(&mut self, model: &mut Model) {
        while let Some((revision, time_ns)) = self.steps.front().copied() {
            while self.observed < revision.min(model.top()) {
                self.observed += 1;
                if let Some(entry) = model.revision_mut(self.observed) {
                    entry.observed_ns = Some(time_ns);
                }
            }
            if revision > model.top() {
                return;
            }
            self.steps.pop_front();
        }
    }

    /// Narrows the open refusals by an operation called now that saw, or made, `revision`; gives those that nothing later
    /// can narrow.
    pub(super) fn narrow(&mut self, revision: i64, writes: bool) -> Vec<OpenRefusal> {
        if self.open_refusals.is_empty() {
            return Vec::new();
        }
        let last = revision - i64::from(writes);
        let newest = self.newest;
        for open in &mut self.open_refusals {
            open.last = open.last.min(last);
        }
        let (done, open) = std::mem::take(&mut self.open_refusals)
            .into_iter()
            .partition(|open| newest >= open.last);
        self.open_refusals = open;
        done
    }
}
