//! The watches of one gRPC stream: makes them, and picks what the stream sends next.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use planted::Bug;

use super::encode::split;
use super::group::{Group, Interest, Member, Taken};
use super::hub::{Hub, Joined};
use super::inbox::Inbox;
use super::lagging::CatchingUp;
use super::progress::Progress;
use super::slab::Slab;
use super::subscription::{NO_NEWS, Subscription, Watcher, WatcherRef};
use super::{CreateError, Delivery, NO_END, WatchSpec};

/// Watchers visited in one turn of a subscription when none of them has anything.
const VISITS_PER_TURN: usize = 256;
/// Turns before a stream that found nothing to send lets other tasks run.
const TURNS_PER_POLL: usize = 16;

/// Largest part of a response that is cut although nobody asked, when that bug is planted.
const UNASKED_PART_BYTES: usize = 128;

/// One per gRPC Watch stream; dropping it ends its watches.
pub struct WatchStream {
    pub(super) hub: Arc<Hub>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) watchers: Slab<Watcher>,
    pub(super) subscriptions: Slab<Subscription>,
    pub(super) progress: Progress,
    /// Who may send next, in order.
    pub(super) turns: VecDeque<Turn>,
    pub(super) catching_up: CatchingUp,
    ids: HashMap<i64, u32>,
    by_group: HashMap<u32, u32>,
    next_id: i64,
    next_serial: u32,
    created_revision: i64,
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
            catching_up: CatchingUp::default(),
            ids: HashMap::new(),
            by_group: HashMap::new(),
            next_id: 0,
            next_serial: 0,
            created_revision: 0,
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

    pub(super) fn watch_count(&self) -> usize {
        self.ids.len()
    }

    /// Whether a response was sent in part. The rest is there without waiting, and the caller sends nothing else before
    /// it.
    pub fn is_mid_response(&self) -> bool {
        !self.fragments.is_empty()
    }

    /// What to send next; waits until there is something. Cancel-safe.
    pub async fn next(&mut self) -> Delivery {
        poll_fn(|context| {
            let polled = self.poll_delivery(context);
            self.catching_up.set_awaited(polled.is_pending());
            polled
        })
        .await
    }

    /// Whether there is more to do before the stream can only wait for the hub.
    #[cfg(test)]
    pub(super) fn is_busy(&self) -> bool {
        !self.turns.is_empty() || self.catching_up.is_reading()
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
            if planted::is_on(Bug::EarlyProgress)
                && let Some(delivery) = self.early_progress()
            {
                return Poll::Ready(delivery);
            }
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
            self.wait_for_start(reference);
        }
    }

    pub(super) fn remove(&mut self, slot: u32) {
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

    pub(super) fn ask_for_pass(&mut self, number: u32, revision: i64) {
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
                let (events, fitting) = group.join(&entries, &self.hub);
                let more = more || fitting < entries.len();
                let entries = &entries[..fitting];
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
        self.hub.note_encoded();
        Some(self.deliver(slot, revision, events, count))
    }

    pub(super) fn deliver(
        &mut self,
        slot: u32,
        revision: i64,
        events: Bytes,
        count: usize,
    ) -> Delivery {
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
        let (mut whole, mut part_bytes) = (!watcher.fragment, self.hub.fragment_bytes);
        if planted::is_on(Bug::UnaskedFragments) {
            (whole, part_bytes) = (false, UNASKED_PART_BYTES);
        }
        if whole || events.len() <= part_bytes {
            return Delivery::Events {
                watch_id,
                revision,
                events,
                fragment: false,
            };
        }
        let is_asked = watcher.fragment;
        let parts = split(&events, part_bytes);
        let last = parts.len() - 1;
        for (index, events) in parts.into_iter().enumerate() {
            self.fragments.push_back(Delivery::Events {
                watch_id,
                revision,
                events,
                fragment: is_asked && index < last,
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
