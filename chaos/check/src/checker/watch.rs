//! Watches against the model: filtered, ordered, unique, whole, complete.

mod classify;

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

/// Later judgements: when all compactions called by then are known.
type Outbox = Vec<(u64, Moment)>;

impl Watch {
    fn judge(&mut self, ready: &Ready, model: &Model, ledger: &mut Ledger, outbox: &mut Outbox) {
        if let Some(compact_revision) = ready.compact_revision {
            self.judge_canceled(ready, compact_revision, ledger, outbox);
        } else if ready.events.is_empty() {
            self.judge_progress(ready.revision, model, ledger);
        } else {
            self.judge_events(ready, model, ledger, outbox);
        }
    }

    fn judge_canceled(
        &mut self,
        ready: &Ready,
        compact_revision: i64,
        ledger: &mut Ledger,
        outbox: &mut Outbox,
    ) {
        let watch = self.opened.id;
        let moment = Moment::Canceled {
            watch,
            compact_revision,
        };
        outbox.push((ready.time_ns, moment));
        let wanted = self.next.unwrap_or(self.start);
        if wanted >= compact_revision {
            let text = format!(
                "ended as compacted at {compact_revision}, but it wants {wanted}, which is there"
            );
            ledger.violation(Violation::new(Check::WatchCanceled, text).watch(watch));
        }
    }

    fn judge_progress(&mut self, revision: i64, model: &Model, ledger: &mut Ledger) {
        ledger.count(Check::WatchBookmark);
        let next = self.next.unwrap_or(revision + 1);
        let wrong = |text: String| {
            Violation::new(Check::WatchBookmark, text)
                .at(revision)
                .watch(self.opened.id)
        };
        if revision < self.bookmark.max(self.delivered) {
            let text = format!(
                "progress {revision} after events up to {} and progress {}",
                self.delivered, self.bookmark
            );
            ledger.violation(wrong(text));
        } else if revision + 1 < self.start {
            let text = format!(
                "progress {revision}, although the watch begins at {}",
                self.start
            );
            ledger.violation(wrong(text));
        } else if next < model.first() {
            ledger.unjudged("watches at revisions that are no longer kept");
        } else if let Some(missed) = self.expected(model, next, revision).first() {
            let text = format!("progress {revision}, but {missed:?} had not come");
            ledger.violation(wrong(text));
        }
        self.bookmark = self.bookmark.max(revision);
        self.next = Some(next.max(revision + 1));
    }

    fn judge_events(
        &mut self,
        ready: &Ready,
        model: &Model,
        ledger: &mut Ledger,
        outbox: &mut Outbox,
    ) {
        let next = self.next.unwrap_or(0);
        let last = ready.needs();
        if ready.revision < last {
            let text = format!(
                "the header's revision {} is below its event's",
                ready.revision
            );
            ledger.violation(
                Violation::new(Check::WatchContent, text)
                    .at(last)
                    .watch(self.opened.id),
            );
        }
        if next < model.first() {
            ledger.unjudged("watches at revisions that are no longer kept");
        } else {
            self.count_events(ledger);
            let expected = self.expected(model, next, last);
            let exact = expected.len() == ready.events.len()
                && expected
                    .iter()
                    .zip(&ready.events)
                    .all(|(expected, given)| classify::same(expected, given));
            if !exact {
                let found = classify::classify(self, ready, &expected, model);
                self.torn = found.torn;
                for event in found.missed {
                    self.missed.push_back((event.kv.mod_revision, event.kv.key));
                }
                while self.missed.len() > MISSED_MAX {
                    self.missed.pop_front();
                }
                ledger.violation(found.violation.watch(self.opened.id));
            }
            self.judge_previous(ready, model, ledger, outbox);
        }
        self.delivered = self.delivered.max(last);
        self.next = Some(next.max(last + 1));
    }

    fn count_events(&self, ledger: &mut Ledger) {
        for check in [
            Check::WatchFilter,
            Check::WatchOrdered,
            Check::WatchUnique,
            Check::WatchAtomic,
            Check::WatchReliable,
            Check::WatchContent,
        ] {
            ledger.count(check);
        }
        if self.opened.witness {
            ledger.count(Check::MembersAgree);
        }
        if self.delivered == 0 {
            ledger.count(Check::WatchResumable);
        }
    }

    fn judge_previous(
        &self,
        ready: &Ready,
        model: &Model,
        ledger: &mut Ledger,
        outbox: &mut Outbox,
    ) {
        for event in &ready.events {
            let revision = event.kv.mod_revision;
            let known = model
                .revision(revision)
                .into_iter()
                .flat_map(|entry| &entry.events)
                .find(|known| known.kv.key == event.kv.key);
            let Some(known) = known else {
                continue;
            };
            if self.opened.prev_kv {
                ledger.count(Check::WatchPrevKv);
            }
            match (&event.prev_kv, &known.prev_kv) {
                (None, _) if !self.opened.prev_kv => {}
                (None, Some(_)) => outbox.push((
                    ready.time_ns,
                    Moment::WithoutPrevious {
                        watch: self.opened.id,
                        revision,
                    },
                )),
                (given, before) if self.opened.prev_kv && given == before => {}
                (given, before) => {
                    let before = before.as_ref().filter(|_| self.opened.prev_kv);
                    let text = format!("before it was {before:?}, the event has {given:?}");
                    ledger.violation(
                        Violation::new(Check::WatchPrevKv, text)
                            .at(revision)
                            .watch(self.opened.id),
                    );
                }
            }
        }
    }
}
