//! Saying how far a stream is: on request for all its watches, on a tick for those that want it.

use std::collections::VecDeque;

use super::Delivery;
use super::stream::WatchStream;
use super::subscription::WatcherRef;

/// The watch id of a message about every watch of a stream.
const ALL_WATCHES: i64 = -1;

/// What a stream still has to say about its progress.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Watchers that read history; no message can speak for them.
    pub(super) lagging: i64,
    /// Answers to requests. Those asked for while some watch was behind share one.
    owed: u64,
    /// The least revision an answer may name.
    target: i64,
    /// Watches that asked for a start revision that was not reached yet.
    unstarted: Vec<WatcherRef>,
    /// Watches that a tick found idle.
    due: VecDeque<WatcherRef>,
}

/// Watches that have not started, beside twice those that there are, before the list is cleared of those that were cancelled.
const UNSTARTED_SLACK: usize = 64;

impl WatchStream {
    /// Remembers a watch whose start revision was not reached yet. The list is cleared here too: a stream that makes and
    /// cancels such watches may never be asked for its progress.
    pub(super) fn wait_for_start(&mut self, watcher: WatcherRef) {
        self.progress.unstarted.push(watcher);
        if self.progress.unstarted.len() > 2 * self.watch_count() + UNSTARTED_SLACK {
            self.forget_started(self.hub.dispatched());
        }
    }

    #[cfg(test)]
    pub(super) fn unstarted_count(&self) -> usize {
        self.progress.unstarted.len()
    }

    /// Asks for one [`Delivery::Progress`] for all watches, as soon as every one has been sent everything up to a
    /// revision that is at least the current one. Without watches there is no answer.
    pub fn request_progress(&mut self) {
        if self.is_empty() {
            return;
        }
        self.progress.target = self.progress.target.max(self.hub.known_revision());
        let dispatched = self.hub.dispatched();
        let quiet = self.turns.is_empty() && !self.inbox.has_marks();
        if quiet && self.all_at(dispatched) {
            self.progress.owed += 1;
        } else {
            self.progress.owed = self.progress.owed.max(1);
        }
    }

    /// Asks for one [`Delivery::Progress`] for each watch that wants such and had no event since the last tick.
    pub fn progress_tick(&mut self) {
        for slot in 0..self.watchers.bound() {
            let Some(watcher) = self.watchers.get_mut(slot) else {
                continue;
            };
            if !watcher.progress_notify {
                continue;
            }
            let reference = WatcherRef {
                slot,
                serial: watcher.serial,
            };
            if std::mem::replace(&mut watcher.idle, true) && !watcher.progress_due {
                watcher.progress_due = true;
                self.progress.due.push_back(reference);
            }
        }
    }

    /// The next message that a tick asked for. Every mark up to `dispatched` has been taken from the inbox.
    pub(super) fn due_progress(&mut self, dispatched: i64) -> Option<Delivery> {
        while let Some(reference) = self.progress.due.pop_front() {
            let watcher = self
                .watchers
                .get_mut(reference.slot)
                .filter(|watcher| watcher.serial == reference.serial);
            let Some(watcher) = watcher else { continue };
            watcher.progress_due = false;
            let subscription = self
                .subscriptions
                .get(watcher.subscription)
                .expect("a watcher has a subscription");
            if !watcher.lagging && !subscription.active && watcher.start <= dispatched {
                return Some(Delivery::Progress {
                    watch_id: watcher.id,
                    revision: dispatched,
                });
            }
        }
        None
    }

    /// The answer to a request, if nothing at or below `dispatched` is still to be sent. The caller has taken every mark
    /// up to `dispatched` and found no turn. If only a newer revision is missing, the stream is woken for it.
    pub(super) fn owed_progress(&mut self, dispatched: i64) -> Option<Delivery> {
        if self.is_empty() {
            self.progress.owed = 0;
        }
        if self.progress.owed == 0 {
            return None;
        }
        if !self.all_at(dispatched) {
            if self.progress.lagging == 0 {
                self.hub.wake_after(&self.inbox, dispatched);
            }
            return None;
        }
        self.progress.owed -= 1;
        Some(Delivery::Progress {
            watch_id: ALL_WATCHES,
            revision: dispatched,
        })
    }

    /// The answer to a request, whatever is still to be sent.
    pub(super) fn early_progress(&mut self) -> Option<Delivery> {
        self.progress.owed = self.progress.owed.checked_sub(1)?;
        Some(Delivery::Progress {
            watch_id: ALL_WATCHES,
            revision: self.hub.known_revision(),
        })
    }

    /// Drops those from the list that were cancelled or have started.
    fn forget_started(&mut self, dispatched: i64) {
        let watchers = &self.watchers;
        self.progress.unstarted.retain(|reference| {
            let watcher = watchers
                .get(reference.slot)
                .filter(|watcher| watcher.serial == reference.serial);
            watcher.is_some_and(|watcher| watcher.start > dispatched)
        });
    }

    /// Whether no watch lags, all have started, and `dispatched` is new enough for an answer.
    fn all_at(&mut self, dispatched: i64) -> bool {
        self.forget_started(dispatched);
        self.progress.lagging == 0
            && dispatched >= self.progress.target
            && self.progress.unstarted.is_empty()
    }
}
