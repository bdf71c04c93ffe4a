//! The hub: takes what the applier publishes, matches it to groups, and tells the streams.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use planted::Bug;
use state_machine::RevisionEvents;
use tokio::sync::{Notify, Semaphore};

use super::catch_up::{self, ChunkCache};
use super::entry::{Entry, Gauge};
use super::group::{Group, Interest, Matched, RESPONSE_REVISIONS_MAX};
use super::inbox::Inbox;
use super::index::Index;
use super::ring::Ring;
use super::slab::Slab;
use super::{History, WatchStream};

/// Streams that the dispatcher marks before it lets other tasks run.
const DISPATCH_BATCH: u32 = 256;
/// When no more streams than this have something new, the applier marks them itself and spares them a task switch.
const DIRECT_MARKS_MAX: u32 = 16;
/// Streams let the ring grow by this part of its bytes before they shrink it; the applier shrinks it each time.
const ENCODED_SHARE: usize = 8;
/// What etcd adds to the largest request before it splits a response: 512 KiB for gRPC.
const GRPC_OVERHEAD_BYTES: usize = 512 << 10;

/// Sizes of the hub.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Memory for recent revisions and what was encoded of them.
    pub ring_bytes: usize,
    /// Largest request in bytes; a watch that allows fragments gets responses of this plus 512 KiB at most.
    pub max_request_bytes: usize,
}

impl Default for HubOptions {
    fn default() -> Self {
        HubOptions {
            ring_bytes: 32 << 20,
            max_request_bytes: 3 << 19,
        }
    }
}

/// Numbers for the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) streams: AtomicI64,
    pub(super) watchers: AtomicI64,
    pub(super) slow_watchers: AtomicI64,
    pub(super) delivered_events: AtomicU64,
}

impl Counters {
    /// Open streams.
    pub fn streams(&self) -> i64 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Watches on all streams.
    pub fn watchers(&self) -> i64 {
        self.watchers.load(Ordering::Relaxed)
    }

    /// Watches that read history instead of the ring.
    pub fn slow_watchers(&self) -> i64 {
        self.slow_watchers.load(Ordering::Relaxed)
    }

    /// Events handed to streams since the start.
    pub fn delivered_events(&self) -> u64 {
        self.delivered_events.load(Ordering::Relaxed)
    }
}

/// Fans out events. One applier publishes, one task runs [`Hub::dispatch`], any number of streams read.
pub struct Hub {
    core: Mutex<Core>,
    ring_gauge: Arc<Gauge>,
    ring_bytes: usize,
    history: RwLock<Arc<dyn History>>,
    /// Every revision up to here is in the logs of the groups.
    published: AtomicI64,
    /// Every revision up to here is marked in the inboxes of the streams. Never above `published`.
    dispatched: AtomicI64,
    work: Notify,
    /// Streams that want to be woken when `dispatched` grows.
    waiting: Mutex<Vec<Arc<Inbox>>>,
    pub(super) chunks: ChunkCache,
    pub(super) catch_up_permits: Arc<Semaphore>,
    pub(super) fragment_bytes: usize,
    counters: Counters,
}

/// Groups with new entries, and the first such revision of each.
type Dirty = Vec<(Arc<Group>, i64)>;

/// What publishing and joining change. The lock is never held while anything waits or reads the disk.
struct Core {
    published: i64,
    ring: Ring,
    groups: Slab<Slot>,
    by_interest: HashMap<Interest, u32>,
    index: Index,
    /// What the dispatcher has not taken yet.
    dirty: Dirty,
    /// Whether the dispatcher is marking what it has taken.
    dispatching: bool,
    found: Vec<u32>,
}

struct Slot {
    group: Arc<Group>,
    /// Indexes of the events of the revision that is being published.
    matched: Vec<u32>,
}

/// Where a new watcher starts.
pub(super) struct Joined {
    pub(super) group: Arc<Group>,
    pub(super) subscription: u32,
    /// First revision the watcher is to see.
    pub(super) next: i64,
    /// What was published when it joined.
    pub(super) published: i64,
}

impl Hub {
    /// A hub that knows no event up to the revision of `history`.
    pub fn new(options: HubOptions, history: Arc<dyn History>) -> Arc<Hub> {
        let published = history.revision();
        let ring = Ring::new(options.ring_bytes);
        Arc::new(Hub {
            ring_gauge: ring.gauge().clone(),
            ring_bytes: options.ring_bytes,
            core: Mutex::new(Core {
                published,
                ring,
                groups: Slab::default(),
                by_interest: HashMap::new(),
                index: Index::new(),
                dirty: Vec::new(),
                dispatching: false,
                found: Vec::new(),
            }),
            history: RwLock::new(history),
            published: AtomicI64::new(published),
            dispatched: AtomicI64::new(published),
            work: Notify::new(),
            waiting: Mutex::default(),
            chunks: ChunkCache::default(),
            catch_up_permits: Arc::new(Semaphore::new(catch_up::READS_MAX)),
            fragment_bytes: options
                .max_request_bytes
                .saturating_add(GRPC_OVERHEAD_BYTES),
            counters: Counters::default(),
        })
    }

    /// Adds an applied run. For the applier alone, before it answers the proposers, so that a watch made after an answer
    /// starts behind it. Costs the events and the groups they match, never the watchers.
    pub fn publish(&self, events: Vec<RevisionEvents>) {
        if events.is_empty() {
            return;
        }
        let mut core = self.core.lock();
        for revision in events {
            core.append(revision);
        }
        core.ring.trim();
        self.published.store(core.published, Ordering::Release);
        core.mark_few();
        let quiet = self.skip_dispatch(&core);
        drop(core);
        if !quiet || !self.waiting.lock().is_empty() {
            self.work.notify_one();
        }
    }

    /// A snapshot replaced the state: what lies between is read from `history` by every watcher that has not seen it.
    pub fn reset(&self, history: Arc<dyn History>) {
        let mut core = self.core.lock();
        let seen = core.published;
        let published = history.revision().max(seen);
        *self.history.write() = history;
        core.reset(seen, published);
        self.chunks.clear();
        self.published.store(published, Ordering::Release);
        self.skip_dispatch(&core);
        drop(core);
        self.work.notify_one();
    }

    /// Marks what was published in the inboxes of the streams and wakes them. Runs until dropped; once for a hub.
    pub async fn dispatch(&self) {
        loop {
            self.wake_waiting();
            let Some((dirty, through)) = self.take_dirty() else {
                self.work.notified().await;
                continue;
            };
            for (group, revision) in dirty {
                let mut rest = group.mark_members(0, DISPATCH_BATCH, revision);
                while let Some(start) = rest {
                    tokio::task::yield_now().await;
                    rest = group.mark_members(start, DISPATCH_BATCH, revision);
                }
            }
            self.finish_dispatch(through);
            tokio::task::yield_now().await;
        }
    }

    /// A stream without watches.
    pub fn open_stream(self: &Arc<Self>) -> WatchStream {
        WatchStream::new(self.clone())
    }

    /// Numbers for the metrics.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Newest revision that watchers may have seen.
    pub fn revision(&self) -> i64 {
        self.published.load(Ordering::Acquire)
    }

    pub(super) fn dispatched(&self) -> i64 {
        self.dispatched.load(Ordering::Acquire)
    }

    pub(super) fn history(&self) -> Arc<dyn History> {
        self.history.read().clone()
    }

    /// Newest revision that a client may have heard of from this replica.
    pub(super) fn known_revision(&self) -> i64 {
        self.revision().max(self.history.read().revision())
    }

    pub(super) fn compact_revision(&self) -> i64 {
        self.history.read().compact_revision()
    }

    /// Finds or makes the group of `interest`. `subscribe` makes the stream a member if it is not, and names the
    /// subscription; nothing is published meanwhile.
    pub(super) fn join(
        &self,
        interest: Interest,
        start: i64,
        subscribe: impl FnOnce(&Arc<Group>) -> u32,
    ) -> Joined {
        let mut core = self.core.lock();
        let group = core.group_of(interest);
        let subscription = subscribe(&group);
        let published = core.published;
        let next = if start == 0 {
            self.known_revision().max(published) + 1
        } else {
            start - i64::from(planted::is_on(Bug::ResumesEarly) && start > 1)
        };
        Joined {
            group,
            subscription,
            next,
            published,
        }
    }

    /// Ends the membership `member` of `group`, and the group with its last member.
    pub(super) fn leave(&self, group: &Arc<Group>, member: u32) {
        let mut core = self.core.lock();
        let mut members = group.members.lock();
        members.remove(member);
        if members.is_empty() {
            core.remove_group(group);
        }
    }

    /// Entries of the ring from `from` on, if it reaches back that far.
    pub(super) fn ring_window(&self, from: i64, through: i64) -> Option<Vec<Arc<Entry>>> {
        let core = self.core.lock();
        let oldest = core.ring.oldest()?;
        (from >= oldest).then(|| core.ring.window(from, through, RESPONSE_REVISIONS_MAX))
    }

    /// Keeps what was encoded since the last publishing within bounds too.
    pub(super) fn note_encoded(&self) {
        if self.ring_gauge.bytes()
            > self
                .ring_bytes
                .saturating_add(self.ring_bytes / ENCODED_SHARE)
        {
            self.core.lock().ring.trim();
        }
    }

    /// Wakes the stream of `inbox` when the dispatched revision is no longer `dispatched`, at once if it is so now.
    pub(super) fn wake_after(&self, inbox: &Arc<Inbox>, dispatched: i64) {
        if !inbox.waits.swap(true, Ordering::AcqRel) {
            self.waiting.lock().push(inbox.clone());
        }
        if self.dispatched() != dispatched {
            inbox.wake();
        }
    }

    #[cfg(test)]
    pub(super) fn group_count(&self) -> usize {
        self.core.lock().groups.iter().count()
    }

    #[cfg(test)]
    pub(super) fn is_quiet(&self) -> bool {
        self.core.lock().is_quiet()
    }

    #[cfg(test)]
    pub(super) fn ring_bytes(&self) -> usize {
        self.ring_gauge.bytes()
    }

    /// Counts what was published as dispatched if no stream is left to be marked for it; says whether that is so.
    fn skip_dispatch(&self, core: &Core) -> bool {
        let quiet = core.is_quiet();
        if quiet {
            self.dispatched.store(core.published, Ordering::Release);
        }
        quiet
    }

    fn wake_waiting(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for inbox in waiting {
            inbox.waits.store(false, Ordering::Release);
            inbox.wake();
        }
    }

    fn take_dirty(&self) -> Option<(Dirty, i64)> {
        let mut core = self.core.lock();
        if core.dirty.is_empty() {
            return None;
        }
        core.dispatching = true;
        let dirty = std::mem::take(&mut core.dirty);
        dirty
            .iter()
            .for_each(|(group, _)| group.dirty.store(false, Ordering::Relaxed));
        Some((dirty, core.published))
    }

    fn finish_dispatch(&self, through: i64) {
        let mut core = self.core.lock();
        core.dispatching = false;
        let through = if core.dirty.is_empty() {
            core.published
        } else {
            through
        };
        self.dispatched.store(through, Ordering::Release);
    }
}

impl Core {
    /// Whether the dispatcher has nothing to do.
    fn is_quiet(&self) -> bool {
        self.dirty.is_empty() && !self.dispatching
    }

    fn append(&mut self, events: RevisionEvents) {
        let revision = events.revision;
        if revision <= self.published {
            return;
        }
        let entry = Entry::new(events, self.ring.gauge());
        let mut touched = Vec::new();
        for (index, event) in (0..).zip(entry.events()) {
            self.found.clear();
            self.index.find(&event.key, &mut self.found);
            for number in &self.found {
                let slot = self
                    .groups
                    .get_mut(*number)
                    .expect("the index holds groups that exist");
                let is_over = planted::is_on(Bug::OneEventARevision) && !slot.matched.is_empty();
                if slot.group.interest.wants(event.kind) && !is_over {
                    if slot.matched.is_empty() {
                        touched.push(*number);
                    }
                    slot.matched.push(index);
                }
            }
        }
        let mut groups = Vec::with_capacity(touched.len());
        for number in touched {
            let slot = self
                .groups
                .get_mut(number)
                .expect("the index holds groups that exist");
            slot.group.append(&entry, Matched::take(&mut slot.matched));
            note_dirty(&mut self.dirty, &slot.group, revision);
            groups.push(slot.group.clone());
        }
        self.ring.push(entry, groups.into());
        self.published = revision;
    }

    /// Marks the dirty groups at once if few streams are in them.
    fn mark_few(&mut self) {
        // The dispatcher must not be overtaken: a later mark before an earlier one would skip revisions.
        if self.dispatching || self.dirty.len() > DIRECT_MARKS_MAX as usize {
            return;
        }
        let bounds = self
            .dirty
            .iter()
            .map(|(group, _)| group.members.lock().bound());
        if bounds.sum::<u32>() > DIRECT_MARKS_MAX {
            return;
        }
        for (group, revision) in self.dirty.drain(..) {
            group.dirty.store(false, Ordering::Relaxed);
            group.mark_members(0, DIRECT_MARKS_MAX, revision);
        }
    }

    fn reset(&mut self, seen: i64, published: i64) {
        self.ring.clear();
        for (_, slot) in self.groups.iter() {
            slot.group.reset(published);
            note_dirty(&mut self.dirty, &slot.group, seen + 1);
        }
        self.published = published;
    }

    fn group_of(&mut self, interest: Interest) -> Arc<Group> {
        if let Some(slot) = self
            .by_interest
            .get(&interest)
            .and_then(|number| self.groups.get(*number))
        {
            return slot.group.clone();
        }
        let number = self.groups.next_number();
        let group = Arc::new(Group::new(number, interest.clone(), self.published));
        let inserted = self.groups.insert(Slot {
            group: group.clone(),
            matched: Vec::new(),
        });
        assert_eq!(inserted, number, "the slab gives the number it announced");
        self.index.insert(&interest.keys, number);
        self.by_interest.insert(interest, number);
        group
    }

    fn remove_group(&mut self, group: &Arc<Group>) {
        self.groups.remove(group.number);
        self.by_interest.remove(&group.interest);
        self.index.remove(&group.interest.keys, group.number);
        group.reset(self.published);
    }
}

fn note_dirty(dirty: &mut Dirty, group: &Arc<Group>, revision: i64) {
    if !group.dirty.swap(true, Ordering::Relaxed) {
        dirty.push((group.clone(), revision));
    }
}
