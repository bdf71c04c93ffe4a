//! One response of a watch against the model.

use crate::model::Model;
use crate::verdict::{Check, Violation};

use super::super::ledger::Ledger;
use super::super::order::Moment;
use super::{MISSED_MAX, Ready, Watch, classify};

/// Later judgements: when all compactions called by then are known.
type Outbox = Vec<(u64, Moment)>;

impl Watch {
    pub(super) fn judge(
        &mut self,
        ready: &Ready,
        model: &Model,
        ledger: &mut Ledger,
        outbox: &mut Outbox,
    ) {
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
