//! How a stream serves its watches that read history, until they meet the logs of their groups.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::Delivery;
use super::catch_up::{Chunk, Fetch, Fetched, READ_AHEAD_GROUPS_MAX};
use super::encode::concatenate;
use super::entry::Entry;
use super::group::{Group, RESPONSE_BYTES_MAX, Taken};
use super::stream::{Turn, WatchStream};
use super::subscription::{NO_NEWS, WatcherRef};

/// The watchers of a stream that read history.
#[derive(Default)]
pub(super) struct CatchingUp {
    /// Those that may find their revisions in memory.
    lagging: VecDeque<WatcherRef>,
    /// Those that wait for a chunk of history. Chunks are read for the first of them, and whoever was served goes to the
    /// end, so that one far behind does not hold up the others.
    waiting: VecDeque<WatcherRef>,
    turn_queued: bool,
    fetch: Option<Fetch>,
    /// The chunk that was waited for; held only until something is sent.
    chunk: Option<Arc<Chunk>>,
    refused: Refused,
}

/// What history was refused as compacted.
#[derive(Default)]
struct Refused {
    /// A watcher whose next revision is below is compacted.
    below: i64,
    compact_revision: i64,
}

impl CatchingUp {
    #[cfg(test)]
    pub(super) fn is_reading(&self) -> bool {
        self.fetch.is_some()
    }

    /// Says whether the stream waits or is busy sending.
    pub(super) fn set_awaited(&mut self, awaited: bool) {
        if !awaited {
            self.chunk = None;
        }
        if let Some(fetch) = &self.fetch {
            fetch.set_awaited(awaited);
        }
    }
}

impl WatchStream {
    /// From now on the watcher reads history, until it meets the log of its group.
    pub(super) fn fall_behind(&mut self, reference: WatcherRef) {
        let Some(watcher) = self.watchers.get_mut(reference.slot) else {
            return;
        };
        watcher.lagging = true;
        watcher.behind = true;
        watcher.drained = false;
        self.note_lagging(1);
        self.catching_up.lagging.push_back(reference);
        self.queue_catch_up();
    }

    pub(super) fn note_lagging(&mut self, change: i64) {
        self.progress.lagging += change;
        self.hub.counters().slow_watchers.fetch_add(change, Relaxed);
    }

    fn queue_catch_up(&mut self) {
        if !std::mem::replace(&mut self.catching_up.turn_queued, true) {
            self.turns.push_back(Turn::CatchUp);
        }
    }

    pub(super) fn catch_up_turn(&mut self, context: &mut Context<'_>) -> Option<Delivery> {
        self.catching_up.turn_queued = false;
        let delivery = self
            .catching_up
            .lagging
            .pop_front()
            .and_then(|reference| self.catch_up(reference));
        if !self.catching_up.lagging.is_empty() {
            self.queue_catch_up();
        } else if !self.catching_up.waiting.is_empty() && self.catching_up.fetch.is_none() {
            self.start_fetch();
            self.poll_fetch(context);
        }
        delivery
    }

    /// One step of one lagging watcher.
    fn catch_up(&mut self, reference: WatcherRef) -> Option<Delivery> {
        let watcher = self
            .watchers
            .get(reference.slot)
            .filter(|watcher| watcher.serial == reference.serial)?;
        let (next, watch_id, number) = (watcher.next, watcher.id, watcher.subscription);
        let refused = &self.catching_up.refused;
        let compact_revision = self.hub.compact_revision().max(refused.compact_revision);
        if next < compact_revision.max(refused.below) {
            self.remove(reference.slot);
            return Some(Delivery::Compacted {
                watch_id,
                compact_revision,
            });
        }
        let subscription = self
            .subscriptions
            .get(number)
            .expect("a watcher has a subscription");
        let evicted_through = subscription.group.evicted_through();
        if next > evicted_through {
            self.meet_log(reference.slot);
            return None;
        }
        let group = subscription.group.clone();
        if let Some(window) = self.hub.ring_window(next, evicted_through) {
            self.catching_up.lagging.push_back(reference);
            // Nothing of the ring is left below the log of the group.
            let empty_through = if window.is_empty() {
                evicted_through
            } else {
                next
            };
            return self.send_history(reference.slot, &group, &window, empty_through);
        }
        let held = self
            .catching_up
            .chunk
            .clone()
            .filter(|chunk| chunk.holds(next));
        let Some(chunk) = held.or_else(|| self.hub.chunks.get(next)) else {
            self.catching_up.waiting.push_back(reference);
            return None;
        };
        self.catching_up.lagging.push_back(reference);
        self.send_history(reference.slot, &group, chunk.entries_from(next), next)
    }

    /// The log of its group reaches back to the watcher's next revision: read that.
    fn meet_log(&mut self, slot: u32) {
        let watcher = self
            .watchers
            .get_mut(slot)
            .expect("the caller has found the watcher");
        watcher.lagging = false;
        watcher.next += i64::from(planted::is_on(planted::Bug::ResumesLate));
        let number = watcher.subscription;
        self.note_lagging(-1);
        self.ask_for_pass(number, NO_NEWS);
    }

    /// Sends the events of consecutive `entries` that the group wants, and moves the watcher behind those it looked at.
    fn send_history(
        &mut self,
        slot: u32,
        group: &Group,
        entries: &[Arc<Entry>],
        empty_through: i64,
    ) -> Option<Delivery> {
        // Read before the log of the group, which holds everything up to it.
        let published = self.hub.revision();
        let prev_kv = group.interest.prev_kv;
        let mut parts = Vec::new();
        let (mut seen, mut last, mut bytes) = (empty_through, 0, 0);
        for entry in entries {
            let matching = entry
                .events()
                .iter()
                .enumerate()
                .filter(|(_, event)| group.interest.matches(event));
            let revision: Vec<_> = matching
                .map(|(index, _)| entry.encoded(index, prev_kv, &self.hub))
                .collect();
            let revision_bytes: usize = revision.iter().map(|part| part.len()).sum();
            if !parts.is_empty() && bytes + revision_bytes > RESPONSE_BYTES_MAX {
                break;
            }
            seen = entry.revision();
            if !revision.is_empty() {
                last = seen;
            }
            bytes += revision_bytes;
            parts.extend(revision);
        }
        let all_sent = matches!(group.take(seen + 1), Taken::Nothing);
        let sent_through = if all_sent { seen.max(published) } else { seen };
        let watcher = self
            .watchers
            .get_mut(slot)
            .expect("the caller has found the watcher");
        watcher.next = watcher.next.max(sent_through + 1);
        if parts.is_empty() {
            return None;
        }
        let revision = if all_sent { sent_through } else { last };
        let events = concatenate(&parts);
        Some(self.deliver(slot, revision, events, parts.len()))
    }

    fn start_fetch(&mut self) {
        let mut from = None;
        let mut groups: Vec<Arc<Group>> = Vec::new();
        for reference in &self.catching_up.waiting {
            let watcher = self
                .watchers
                .get(reference.slot)
                .filter(|watcher| watcher.serial == reference.serial);
            let Some(watcher) = watcher else { continue };
            from = from.or(Some(watcher.next));
            let subscription = self
                .subscriptions
                .get(watcher.subscription)
                .expect("a watcher has a subscription");
            let group = &subscription.group;
            let known = groups
                .last()
                .is_some_and(|last| last.number == group.number);
            if group.interest.prev_kv && !known && groups.len() < READ_AHEAD_GROUPS_MAX {
                groups.push(group.clone());
            }
        }
        match from {
            Some(from) => {
                self.catching_up.fetch = Some(Fetch::start(self.hub.clone(), from, groups));
            }
            None => self.catching_up.waiting.clear(),
        }
    }

    pub(super) fn poll_fetch(&mut self, context: &mut Context<'_>) {
        let Some(fetch) = &mut self.catching_up.fetch else {
            return;
        };
        let Poll::Ready(fetched) = fetch.poll(context) else {
            return;
        };
        self.catching_up.fetch = None;
        let waiting = &mut self.catching_up.waiting;
        match fetched {
            Fetched::Chunk(chunk) => self.catching_up.chunk = Some(chunk),
            Fetched::Cached => {}
            // The others may find something.
            Fetched::Nothing => waiting.rotate_left(usize::from(!waiting.is_empty())),
            Fetched::Compacted {
                from,
                compact_revision,
            } => {
                self.catching_up.refused = Refused {
                    below: compact_revision.max(from + 1),
                    compact_revision,
                };
            }
        }
        // Those that waited keep their places before those that came meanwhile.
        waiting.append(&mut self.catching_up.lagging);
        self.catching_up.lagging = std::mem::take(waiting);
        self.queue_catch_up();
    }
}
