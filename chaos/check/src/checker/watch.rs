//! Watches against the model: filtered, ordered, unique, whole, complete.

mod classify;
mod judge;

use std::collections::{HashMap, HashSet, VecDeque};

use crate::history::{Blob, Event, EventKind, WatchOpened, WatchResponse};
use crate::model::{Keys, Model, REVISION_EMPTY};
use crate::verdict::{Check, Violation};

use super::ledger::Ledger;
use super::order::Moment;
use super::{Checker, Waiting};

/// How many events that were passed over are remembered, so that one that comes late is told from one that comes twice.
const MISSED_MAX: usize = 1000;

/// A watch and how far it is.
#[derive(Debug)]
struct Watch {
    opened: WatchOpened,
    /// The first revision whose events have not been delivered; none before the watch was created.
    next: Option<i64>,
    /// The first revision it wants.
    start: i64,
    /// The revision of the last event.
    delivered: i64,
    /// The revision of the last progress response.
    bookmark: i64,
    /// A revision of which a response had only a part.
    torn: Option<i64>,
    /// Events that were passed over, by revision and key; the last of them.
    missed: VecDeque<(i64, Blob)>,
    /// Events of a response whose last piece has not come.
    pieces: Vec<Event>,
    queue: VecDeque<Ready>,
    closed: bool,
    canceled: bool,
}

/// A whole response.
#[derive(Debug)]
struct Ready {
    time_ns: u64,
    revision: i64,
    events: Vec<Event>,
    /// It ended the watch, with this as the oldest revision there is.
    compact_revision: Option<i64>,
}

impl Ready {
    /// The revision the model must have for this to be judged.
    fn needs(&self) -> i64 {
        let revisions = self.events.iter().map(|event| event.kv.mod_revision);
        match revisions.max() {
            Some(revision) => revision,
            None if self.compact_revision.is_some() => 0,
            None => self.revision,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Watches {
    open: HashMap<u64, Watch>,
    /// Watches that are over, so that what still comes for them is noticed.
    over: HashSet<u64>,
    /// The least revision a witness began with.
    witness_start: Option<i64>,
    pub(super) outbox: Vec<(u64, Moment)>,
}

impl Watches {
    pub(super) fn open(&mut self, opened: WatchOpened, ledger: &mut Ledger) {
        let id = opened.id;
        if opened.witness {
            let start = opened.start_revision;
            let first = self.witness_start.unwrap_or(start).min(start);
            self.witness_start = Some(first);
        }
        let watch = Watch {
            next: None,
            start: opened.start_revision,
            delivered: 0,
            bookmark: 0,
            torn: None,
            missed: VecDeque::new(),
            pieces: Vec::new(),
            queue: VecDeque::new(),
            closed: false,
            canceled: false,
            opened,
        };
        if self.open.insert(id, watch).is_some() {
            ledger.unsound(|| format!("watch {id} was opened twice"));
        }
    }

    pub(super) fn close(&mut self, id: u64) {
        if let Some(watch) = self.open.get_mut(&id) {
            watch.closed = true;
            if watch.queue.is_empty() {
                self.open.remove(&id);
            }
        }
    }

    pub(super) fn has_witness(&self) -> bool {
        self.witness_start.is_some()
    }

    pub(super) fn witness_began_by(&self, revision: i64) -> bool {
        self.witness_start.is_some_and(|start| start <= revision)
    }

    /// Every watch that is still open must have got everything up to the barrier.
    pub(super) fn finish(&self, model: &Model, barrier: Option<i64>, ledger: &mut Ledger) {
        let mut ids: Vec<&u64> = self.open.keys().collect();
        ids.sort_unstable();
        for id in ids {
            let watch = &self.open[id];
            if watch.closed || watch.canceled {
                continue;
            }
            let (Some(next), Some(barrier)) = (watch.next, barrier) else {
                ledger.unjudged("tails of watches without a barrier, or never created");
                continue;
            };
            if !watch.queue.is_empty() {
                ledger.unjudged("responses of watches beyond what the witnesses saw");
            }
            ledger.count(Check::WatchReliable);
            if let Some(missed) = watch.expected(model, next, barrier).first() {
                let text = format!("{missed:?} and what follows it never came");
                ledger.violation(
                    Violation::new(Check::WatchReliable, text)
                        .at(missed.kv.mod_revision)
                        .watch(*id),
                );
            }
        }
    }
}

impl Watch {
    fn keys(&self) -> Keys<'_> {
        Keys::new(&self.opened.key, &self.opened.range_end)
    }

    fn wants(&self, event: &Event) -> bool {
        let kind = match event.kind {
            EventKind::Put => !self.opened.no_put,
            EventKind::Delete => !self.opened.no_delete,
        };
        kind && self.keys().contains(event.kv.key.as_slice())
    }

    /// What the watch must get of these revisions.
    fn expected<'a>(&self, model: &'a Model, first: i64, last: i64) -> Vec<&'a Event> {
        let first = first.max(model.first());
        let all = |revision: i64| {
            model
                .revision(revision)
                .into_iter()
                .flat_map(|it| &it.events)
        };
        if self.keys().is_single() {
            let key = self.opened.key.as_slice();
            return model
                .revisions_between(key, first, last)
                .flat_map(all)
                .filter(|event| self.wants(event))
                .collect();
        }
        (first..=last.min(model.top()))
            .flat_map(all)
            .filter(|event| self.wants(event))
            .collect()
    }

    /// Takes a message; a whole response is queued and given back for the witness.
    fn receive(&mut self, response: WatchResponse, ledger: &mut Ledger) -> Option<&Ready> {
        let id = self.opened.id;
        if response.created {
            // The empty store's own revision has no events.
            self.next = Some(if self.start > 0 {
                self.start.max(REVISION_EMPTY + 1)
            } else {
                response.revision + 1
            });
            self.start = self.next.unwrap_or(0);
        }
        if !response.events.is_empty() && self.next.is_none() {
            let text = "events before the watch was created";
            ledger.violation(Violation::new(Check::WatchOrdered, text).watch(id));
            self.next = response.events.first().map(|event| event.kv.mod_revision);
        }
        if response.canceled {
            self.canceled = true;
            if response.compact_revision <= 0 {
                return None;
            }
        } else if response.created && response.events.is_empty() {
            return None;
        }
        self.pieces.extend(response.events);
        if response.fragment {
            return None;
        }
        self.queue.push_back(Ready {
            time_ns: response.time_ns,
            revision: response.revision,
            events: std::mem::take(&mut self.pieces),
            compact_revision: response.canceled.then_some(response.compact_revision),
        });
        self.queue.back()
    }
}

impl Checker {
    /// Takes a message of a watch.
    pub(super) fn watch_response(&mut self, response: WatchResponse) {
        let (id, time_ns) = (response.watch, response.time_ns);
        if self.order.is_past(time_ns) {
            self.ledger.unsound(|| {
                format!("a response of watch {id} was recorded later than the bounds allow")
            });
        }
        let Some(watch) = self.watches.open.get_mut(&id) else {
            if self.watches.over.contains(&id) {
                let text = "a response after the watch had ended";
                self.ledger
                    .violation(Violation::new(Check::WatchCanceled, text).watch(id));
            }
            return;
        };
        let witness = watch.opened.witness;
        let Some(ready) = watch.receive(response, &mut self.ledger) else {
            if watch.canceled && watch.queue.is_empty() {
                self.watches.open.remove(&id);
                self.watches.over.insert(id);
            }
            return;
        };
        let newest = ready.events.iter().map(|event| event.kv.mod_revision).max();
        let seen = if witness {
            ready.events.clone()
        } else {
            Vec::new()
        };
        if let Some(revision) = newest {
            let seen = Moment::Seen {
                watch: id,
                revision,
            };
            self.order.push(time_ns, seen);
        }
        self.gather(&seen);
        self.judge_watch(id);
        self.drain_waiting();
    }

    /// Judges the responses of a watch that the model is ready for.
    pub(super) fn judge_watch(&mut self, id: u64) {
        loop {
            let Some(watch) = self.watches.open.get_mut(&id) else {
                return;
            };
            let Some(ready) = watch.queue.front() else {
                break;
            };
            let needs = ready.needs();
            if needs > self.model.top() {
                self.wait(needs, Waiting::Watch(id));
                return;
            }
            if let Some(ready) = watch.queue.pop_front() {
                watch.judge(
                    &ready,
                    &self.model,
                    &mut self.ledger,
                    &mut self.watches.outbox,
                );
            }
        }
        if let Some(watch) = self.watches.open.get(&id)
            && (watch.closed || watch.canceled)
        {
            if watch.canceled {
                self.watches.over.insert(id);
            }
            self.watches.open.remove(&id);
        }
        for (time_ns, moment) in std::mem::take(&mut self.watches.outbox) {
            self.order.push(time_ns, moment);
        }
    }
}
