//! The watches of one gRPC stream: makes them, and picks what the stream sends next.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::catch_up::{Chunk, Fetch, Fetched, READ_AHEAD_GROUPS_MAX};
use super::encode::split;
use super::entry::Entry;
use super::group::{Group, Interest, Member, RESPONSE_BYTES_MAX, Taken};
use super::hub::{Hub, Joined};
use super::inbox::Inbox;
use super::progress::Progress;
use super::slab::Slab;
use super::subscription::{NO_NEWS, Subscription, Watcher, WatcherRef};
use super::{CreateError, Delivery, NO_END, WatchSpec};

/// Watchers visited in one turn of a subscription when none of them has anything.
const VISITS_PER_TURN: usize = 256;
/// Turns before a stream that found nothing to send lets other tasks run.
const TURNS_PER_POLL: usize = 16;

/// One per gRPC Watch stream; dropping it ends its watches.
pub struct WatchStream {
    pub(super) hub: Arc<Hub>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) watchers: Slab<Watcher>,
    pub(super) subscriptions: Slab<Subscription>,
    pub(super) progress: Progress,
    /// Who may send next, in order.
    pub(super) turns: VecDeque<Turn>,
    /// Watchers that read history, and have not found their place in it to be missing.
    pub(super) lagging: VecDeque<WatcherRef>,
    /// Watchers that wait for a chunk of history.
    pub(super) waiting: Vec<WatcherRef>,
    ids: HashMap<i64, u32>,
    by_group: HashMap<u32, u32>,
    next_id: i64,
    next_serial: u32,
    created_revision: i64,
    catch_up_turn: bool,
    fetch: Option<Fetch>,
    /// The chunk that was waited for; held only until something of it is sent.
    chunk: Option<Arc<Chunk>>,
    /// Watchers whose next revision is below the first number are compacted, at least at the second.
    compacted: (i64, i64),
    /// The rest of a response that was split.
    fragments: VecDeque<Delivery>,
    marks: Vec<(u32, i64)>,
}

/// A place in the round robin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Subscription(u32),
    CatchUp,
}

impl WatchStream {
    pub(super) fn new(hub: Arc<Hub>) -> WatchStream {
        hub.counters().streams.fetch_add(1, Relaxed);
        WatchStream {
            hub,
            inbox: Arc::default(),
            watchers: Slab::default(),
            subscriptions: Slab::default(),
            progress: Progress::default(),
            turns: VecDeque::new(),
            lagging: VecDeque::new(),
            waiting: Vec::new(),
            ids: HashMap::new(),
            by_group: HashMap::new(),
            next_id: 0,
            next_serial: 0,
            created_revision: 0,
            catch_up_turn: false,
            fetch: None,
            chunk: None,
            compacted: (i64::MIN, 0),
            fragments: VecDeque::new(),
            marks: Vec::new(),
        }
    }

    /// Makes a watch and returns its id. Its deliveries come from the next call of [`WatchStream::next`] on, so the
    /// caller sends `created` before that.
    pub fn create(&mut self, spec: WatchSpec) -> Result<i64, CreateError> {
        if spec.start_revision < 0 {
            return Err(CreateError::Compacted);
        }
        let keys = &spec.keys;
        if !keys.end.is_empty() && keys.end != NO_END && keys.start >= keys.end {
            return Err(CreateError::EmptyRange);
        }
        let id = self.pick_id(spec.id)?;
        let interest = Interest {
            keys: spec.keys.clone(),
            no_put: spec.no_put,
            no_delete: spec.no_delete,
            prev_kv: spec.prev_kv,
        };
        let hub = self.hub.clone();
        let joined = hub.join(interest, spec.start_revision, |group| self.subscribe(group));
        self.next_serial = self.next_serial.wrapping_add(1);
        self.add(Watcher::new(&spec, id, self.next_serial), joined);
        Ok(id)
    }

    /// Revision for the header of the answer to the last [`WatchStream::create`]: a watch that asked for start revision
    /// 0 sees every event after it.
    pub fn created_revision(&self) -> i64 {
        self.created_revision
    }

    /// Ends a watch; false when there is none of that id.
    pub fn cancel(&mut self, id: i64) -> bool {
        let Some(slot) = self.ids.get(&id).copied() else {
            return false;
        };
        self.remove(slot);
        self.fragments
            .retain(|part| !matches!(part, Delivery::Events { watch_id, .. } if *watch_id == id));
        true
    }

    /// Whether the stream has a watch.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// What to send next; waits until there is something. Cancel-safe.
    pub async fn next(&mut self) -> Delivery {
        poll_fn(|context| {
            let polled = self.poll_delivery(context);
            if polled.is_ready() {
                self.chunk = None;
            }
            if let Some(fetch) = &self.fetch {
                fetch.set_awaited(polled.is_pending());
            }
            polled
        })
        .await
    }

    fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Delivery> {
        if let Some(part) = self.fragments.pop_front() {
            return Poll::Ready(part);
        }
        self.inbox.register(context.waker());
        self.poll_fetch(context);
        for _ in 0..TURNS_PER_POLL {
            // Read before the marks: every mark up to it is in the inbox by now.
            let dispatched = self.hub.dispatched();
            self.take_marks();
            if let Some(delivery) = self.due_progress(dispatched) {
                return Poll::Ready(delivery);
            }
            let delivery = match self.turns.pop_front() {
                Some(Turn::Subscription(number)) => self.subscription_turn(number),
                Some(Turn::CatchUp) => self.catch_up_turn(context),
                None => match self.owed_progress(dispatched) {
                    Some(delivery) => Some(delivery),
                    None => return Poll::Pending,
                },
            };
            if let Some(delivery) = delivery {
                return Poll::Ready(delivery);
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn pick_id(&mut self, wanted: i64) -> Result<i64, CreateError> {
        if wanted != 0 {
            return if self.ids.contains_key(&wanted) {
                Err(CreateError::DuplicateId)
            } else {
                Ok(wanted)
            };
        }
        while self.ids.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    /// The number of the subscription to `group`, made if there is none.
    fn subscribe(&mut self, group: &Arc<Group>) -> u32 {
        if let Some(number) = self.by_group.get(&group.number) {
            return *number;
        }
        let number = self.subscriptions.next_number();
        self.inbox.open(number);
        let member = group.members.lock().insert(Member {
            inbox: self.inbox.clone(),
            subscription: number,
        });
        self.subscriptions
            .insert(Subscription::new(group.clone(), member));
        self.by_group.insert(group.number, number);
        number
    }

    fn add(&mut self, mut watcher: Watcher, joined: Joined) {
        let subscription = self
            .subscriptions
            .get_mut(joined.subscription)
            .expect("joining made the subscription");
        watcher.subscription = joined.subscription;
        watcher.position =
            u32::try_from(subscription.watchers.len()).expect("fewer than 2^32 watchers");
        watcher.next = joined.next;
        self.created_revision = if watcher.start == 0 {
            joined.next - 1
        } else {
            self.hub.known_revision()
        };
        let (id, start) = (watcher.id, watcher.start);
        let reference = WatcherRef {
            slot: self.watchers.next_number(),
            serial: watcher.serial,
        };
        let slot = self.watchers.insert(watcher);
        subscription.watchers.push(slot);
        if !subscription.active {
            // No pass is under way; the new one is not the rest of the last.
            subscription.position = subscription.watchers.len();
        }
        self.ids.insert(id, slot);
        joined.group.watchers.fetch_add(1, Relaxed);
        self.hub.counters().watchers.fetch_add(1, Relaxed);
        if joined.next <= joined.published {
            self.fall_behind(reference);
        } else if start != 0 {
            self.progress.wait_for_start(reference);
        }
    }

    fn remove(&mut self, slot: u32) {
        let Some(watcher) = self.watchers.remove(slot) else {
            return;
        };
        self.ids.remove(&watcher.id);
        self.hub.counters().watchers.fetch_sub(1, Relaxed);
        if watcher.lagging {
            self.note_lagging(-1);
        }
        let number = watcher.subscription;
        let subscription = self
            .subscriptions
            .get_mut(number)
            .expect("a watcher has a subscription");
        subscription.group.watchers.fetch_sub(1, Relaxed);
        if let Some(moved) = subscription.remove(watcher.position) {
            self.watchers
                .get_mut(moved)
                .expect("subscriptions hold watchers that exist")
                .position = watcher.position;
        }
        if !subscription.active {
            subscription.position = subscription.watchers.len();
            subscription.again = None;
            self.unsubscribe_if_empty(number);
        }
    }

    fn unsubscribe_if_empty(&mut self, number: u32) {
        if self
            .subscriptions
            .get(number)
            .is_some_and(|subscription| subscription.watchers.is_empty())
            && let Some(subscription) = self.subscriptions.remove(number)
        {
            self.by_group.remove(&subscription.group.number);
            self.hub.leave(&subscription.group, subscription.member);
        }
    }

    fn take_marks(&mut self) {
        if !self.inbox.has_marks() {
            return;
        }
        let mut marks = std::mem::take(&mut self.marks);
        self.inbox.take(&mut marks);
        for (number, revision) in marks.drain(..) {
            self.ask_for_pass(number, revision);
        }
        self.marks = marks;
    }

    fn ask_for_pass(&mut self, number: u32, revision: i64) {
        if let Some(subscription) = self.subscriptions.get_mut(number) {
            subscription.ask_for_pass(revision);
            if !std::mem::replace(&mut subscription.active, true) {
                self.turns.push_back(Turn::Subscription(number));
            }
        }
    }

    /// Visits watchers of a subscription until one has something to send.
    fn subscription_turn(&mut self, number: u32) -> Option<Delivery> {
        let mut delivery = None;
        for _ in 0..VISITS_PER_TURN {
            let subscription = self.subscriptions.get_mut(number)?;
            subscription.begin_pass();
            let Some(slot) = subscription.watchers.get(subscription.position).copied() else {
                break;
            };
            subscription.position += 1;
            delivery = self.visit(slot);
            if delivery.is_some() {
                break;
            }
        }
        let subscription = self.subscriptions.get_mut(number)?;
        if subscription.has_more() && !subscription.watchers.is_empty() {
            self.turns.push_back(Turn::Subscription(number));
        } else {
            subscription.active = false;
            self.unsubscribe_if_empty(number);
        }
        delivery
    }

    /// Reads the log of its group for one watcher.
    fn visit(&mut self, slot: u32) -> Option<Delivery> {
        let watcher = self
            .watchers
            .get_mut(slot)
            .expect("subscriptions hold watchers that exist");
        let subscription = self
            .subscriptions
            .get_mut(watcher.subscription)
            .expect("a watcher has a subscription");
        if watcher.lagging {
            return None;
        }
        if watcher.drained {
            watcher.next = watcher.next.max(subscription.pass_from);
        }
        // Read before the log, which holds everything up to it.
        let published = self.hub.revision();
        let group = &subscription.group;
        let (events, last, count, more) = match group.take(watcher.next) {
            Taken::Evicted => {
                let serial = watcher.serial;
                self.fall_behind(WatcherRef { slot, serial });
                return None;
            }
            Taken::Nothing => {
                watcher.settle(published);
                return None;
            }
            Taken::One(entry) => {
                let events = entry.encoded(group.interest.prev_kv, &self.hub);
                (events, entry.revision(), entry.event_count(), false)
            }
            Taken::Many { entries, more } => {
                let events = group.join(&entries, &self.hub);
                let last = entries
                    .last()
                    .map_or(watcher.next, |entry| entry.revision());
                (
                    events,
                    last,
                    entries.iter().map(|entry| entry.event_count()).sum(),
                    more,
                )
            }
        };
        watcher.next = last + 1;
        let mut revision = last;
        if more {
            watcher.drained = false;
            subscription.ask_for_pass(NO_NEWS);
        } else {
            if watcher.behind {
                revision = revision.max(published);
            }
            watcher.settle(published);
        }
        Some(self.deliver(slot, revision, events, count))
    }

    fn deliver(&mut self, slot: u32, revision: i64, events: Bytes, count: usize) -> Delivery {
        let watcher = self
            .watchers
            .get_mut(slot)
            .expect("deliveries are for watchers that exist");
        watcher.idle = false;
        self.hub
            .counters()
            .delivered_events
            .fetch_add(count as u64, Relaxed);
        let watch_id = watcher.id;
        if !watcher.fragment || events.len() <= self.hub.fragment_bytes {
            return Delivery::Events {
                watch_id,
                revision,
                events,
                fragment: false,
            };
        }
        let parts = split(&events, self.hub.fragment_bytes);
        let last = parts.len() - 1;
        for (index, events) in parts.into_iter().enumerate() {
            self.fragments.push_back(Delivery::Events {
                watch_id,
                revision,
                events,
                fragment: index < last,
            });
        }
        self.fragments
            .pop_front()
            .expect("a split response has parts")
    }
}

impl Watcher {
    /// Everything up to `published` was sent.
    fn settle(&mut self, published: i64) {
        self.next = self.next.max(published + 1);
        self.drained = true;
        self.behind = false;
    }
}

/// Catching up.
impl WatchStream {
    /// From now on the watcher reads history, until it meets the log of its group.
    fn fall_behind(&mut self, reference: WatcherRef) {
        let Some(watcher) = self.watchers.get_mut(reference.slot) else {
            return;
        };
        watcher.lagging = true;
        watcher.behind = true;
        watcher.drained = false;
        self.note_lagging(1);
        self.lagging.push_back(reference);
        self.queue_catch_up();
    }

    fn note_lagging(&mut self, change: i64) {
        self.progress.lagging += change;
        self.hub.counters().slow_watchers.fetch_add(change, Relaxed);
    }

    fn queue_catch_up(&mut self) {
        if !std::mem::replace(&mut self.catch_up_turn, true) {
            self.turns.push_back(Turn::CatchUp);
        }
    }

    fn catch_up_turn(&mut self, context: &mut Context<'_>) -> Option<Delivery> {
        self.catch_up_turn = false;
        let delivery = self
            .lagging
            .pop_front()
            .and_then(|reference| self.catch_up(reference));
        if !self.lagging.is_empty() {
            self.queue_catch_up();
        } else if !self.waiting.is_empty() && self.fetch.is_none() {
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
        let compact_revision = self.hub.compact_revision().max(self.compacted.1);
        if next < compact_revision.max(self.compacted.0) {
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
            self.lagging.push_back(reference);
            // Nothing of the ring is left below the log of the group.
            let empty_through = if window.is_empty() {
                evicted_through
            } else {
                next
            };
            return self.send_history(reference.slot, &group, &window, empty_through);
        }
        let held = self.chunk.clone().filter(|chunk| chunk.holds(next));
        let Some(chunk) = held.or_else(|| self.hub.chunks.get(next)) else {
            self.waiting.push(reference);
            return None;
        };
        self.lagging.push_back(reference);
        self.send_history(reference.slot, &group, chunk.entries_from(next), next)
    }

    /// The log of its group reaches back to the watcher's next revision: read that.
    fn meet_log(&mut self, slot: u32) {
        let watcher = self
            .watchers
            .get_mut(slot)
            .expect("the caller has found the watcher");
        watcher.lagging = false;
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
        let prev_kv = group.interest.prev_kv;
        let mut events = BytesMut::new();
        let (mut seen, mut last, mut count) = (empty_through, 0, 0);
        for entry in entries {
            let before = events.len();
            let matching = entry
                .events()
                .iter()
                .enumerate()
                .filter(|(_, event)| group.interest.matches(event));
            for (index, _) in matching {
                events.extend_from_slice(entry.encoded(index, prev_kv, &self.hub));
                count += 1;
            }
            seen = entry.revision();
            if events.len() > before {
                last = seen;
            }
            if events.len() >= RESPONSE_BYTES_MAX {
                break;
            }
        }
        let watcher = self
            .watchers
            .get_mut(slot)
            .expect("the caller has found the watcher");
        watcher.next = watcher.next.max(seen + 1);
        if count == 0 {
            return None;
        }
        Some(self.deliver(slot, last, events.freeze(), count))
    }

    fn start_fetch(&mut self) {
        let mut from = i64::MAX;
        let mut groups: Vec<Arc<Group>> = Vec::new();
        for reference in &self.waiting {
            let watcher = self
                .watchers
                .get(reference.slot)
                .filter(|watcher| watcher.serial == reference.serial);
            let Some(watcher) = watcher else { continue };
            from = from.min(watcher.next);
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
        if from == i64::MAX {
            self.waiting.clear();
            return;
        }
        self.fetch = Some(Fetch::start(self.hub.clone(), from, groups));
    }

    fn poll_fetch(&mut self, context: &mut Context<'_>) {
        let Some(fetch) = &mut self.fetch else { return };
        let Poll::Ready(fetched) = fetch.poll(context) else {
            return;
        };
        self.fetch = None;
        match fetched {
            Fetched::Chunk(chunk) => self.chunk = Some(chunk),
            Fetched::Look => {}
            Fetched::Compacted {
                from,
                compact_revision,
            } => {
                self.compacted = (compact_revision.max(from + 1), compact_revision);
            }
        }
        self.lagging.extend(self.waiting.drain(..));
        self.queue_catch_up();
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        for (_, subscription) in self.subscriptions.iter() {
            subscription
                .group
                .watchers
                .fetch_sub(subscription.watchers.len(), Relaxed);
            self.hub.leave(&subscription.group, subscription.member);
        }
        let counters = self.hub.counters();
        let watchers = i64::try_from(self.ids.len()).expect("fewer than 2^63 watchers");
        counters.watchers.fetch_sub(watchers, Relaxed);
        counters
            .slow_watchers
            .fetch_sub(self.progress.lagging, Relaxed);
        counters.streams.fetch_sub(1, Relaxed);
    }
}
