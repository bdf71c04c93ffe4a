//! The pods that wait for a node: those to try now, those to try after a while, those that wait for an event, and those that may not
//! be tried yet.
//!
//! One loop owns the queue and gives it the time. A pod that was taken out to be tried is no longer in it until it is put back.

mod arrivals;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use arrivals::Into;
pub use arrivals::{Arrivals, Cause};
use jiff::Timestamp;

use crate::{framework::EventKinds, pod::PodView, profile::PluginSet};

/// Longest that a pod waits for an event.
pub const UNSCHEDULABLE_SECONDS_MAX: u64 = 300;

/// How long pods wait before they are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub initial: Duration,
    /// At most; it doubles with every failure.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    fn after(&self, failures: u32) -> Duration {
        let doubled = 1u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.initial.saturating_mul(doubled).min(self.max)
    }
}

/// A pod that waits, with what is remembered of it from try to try.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub pod: Arc<PodView>,
    /// When it came into the queue first.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last, and first.
    pub tried: Timestamp,
    pub first_tried: Option<Timestamp>,
    /// How often it failed.
    failures: u32,
    /// When it failed last.
    failed: Timestamp,
    /// The plugins that rejected it last; none after an error.
    pub rejected_by: PluginSet,
    /// The kinds of events that these plugins wait for.
    events: EventKinds,
}

type Order = (Reverse<i32>, Timestamp, u64, Arc<str>);

/// Where a pod waits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Active(Order),
    /// Until a time.
    Backoff(Timestamp),
    /// Since a time, for an event.
    Unschedulable(Timestamp),
    /// Until it changes.
    Gated,
}

/// All pods that wait, by UID.
#[derive(Debug, Default)]
pub struct Queue {
    backoff: Backoff,
    pods: HashMap<Arc<str>, (Waiting, Place)>,
    active: BTreeSet<Order>,
    backing_off: BTreeSet<(Timestamp, Arc<str>)>,
    unschedulable: BTreeSet<(Timestamp, Arc<str>)>,
    /// By kind of event (as a bit): how many unschedulable pods wait for it.
    awaited: [usize; 32],
    /// Told apart pods that came at the same time.
    arrivals: u64,
    counted: Arrivals,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(backoff: Backoff) -> Queue {
        Queue {
            backoff,
            ..Queue::default()
        }
    }

    /// How many pods could be tried now.
    #[must_use]
    pub fn active_len(&self) -> usize {
        self.active.len()
    }

    /// How many pods are in the places `active`, `backoff`, `unschedulable` and `gated`.
    #[must_use]
    pub fn lens(&self) -> [usize; 4] {
        let placed = [
            self.active.len(),
            self.backing_off.len(),
            self.unschedulable.len(),
        ];
        let gated = self.pods.len() - placed.iter().sum::<usize>();
        [placed[0], placed[1], placed[2], gated]
    }

    /// How many pods came into which place, and why.
    #[must_use]
    pub fn counted(&self) -> &Arrivals {
        &self.counted
    }

    /// How many pods wait, wherever.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether no pod waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// A pod that waits.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<&Waiting> {
        self.pods.get(uid).map(|(waiting, _)| waiting)
    }

    /// UIDs of the pods that wait.
    pub fn uids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.pods.keys()
    }

    /// Puts a new pod in: to be tried at once, or gated.
    pub fn add(&mut self, pod: Arc<PodView>, gated: bool, now: Timestamp) {
        let waiting = Waiting {
            pod,
            since: now,
            attempts: 0,
            tried: now,
            first_tried: None,
            failures: 0,
            failed: now,
            rejected_by: PluginSet::default(),
            events: EventKinds::NONE,
        };
        if gated {
            self.place(waiting, Place::Gated)
        } else {
            self.activate(waiting, Cause::ADDED)
        }
    }

    /// A pod changed while it waits. `gated` as it is now; a pod whose gates are gone is to be tried.
    pub fn update(&mut self, pod: Arc<PodView>, gated: bool) {
        let Some((mut waiting, place)) = self.take(&pod.uid) else {
            return;
        };
        let priority_changed = waiting.pod.priority != pod.priority;
        waiting.pod = pod;
        match place {
            _ if gated => self.place(waiting, Place::Gated),
            Place::Gated => self.activate(waiting, Cause::CHANGED),
            Place::Active(_) if priority_changed => self.activate(waiting, Cause::CHANGED),
            place => self.place(waiting, place),
        }
    }

    /// Takes a pod out for good.
    pub fn remove(&mut self, uid: &str) -> Option<Waiting> {
        self.take(uid).map(|(waiting, _)| waiting)
    }

    /// Takes out the pod to be tried next, counted as tried. With nothing else to do a pod that backs off after it was rejected is tried
    /// before its time; one that failed with an error is not.
    pub fn pop(&mut self, now: Timestamp) -> Option<Waiting> {
        let uid = match self.active.first() {
            Some((.., uid)) => uid.clone(),
            None => {
                let early = self.early()?;
                self.counted
                    .count(Into::Active, Cause::BEFORE_BACKOFF_IS_OVER);
                early
            }
        };
        self.take_to_try(&uid, now)
    }

    /// Takes out a certain pod to be tried, if it may be.
    pub fn take_to_try(&mut self, uid: &str, now: Timestamp) -> Option<Waiting> {
        if matches!(self.pods.get(uid)?.1, Place::Gated) {
            return None;
        }
        let (mut waiting, _) = self.take(uid)?;
        waiting.attempts += 1;
        waiting.tried = now;
        waiting.first_tried.get_or_insert(now);
        Some(waiting)
    }

    /// Puts a pod back that was rejected by plugins: it waits for one of the events that those wait for.
    pub fn reject(
        &mut self,
        mut waiting: Waiting,
        by: PluginSet,
        events: EventKinds,
        now: Timestamp,
    ) {
        waiting.failures += 1;
        waiting.failed = now;
        waiting.rejected_by = by;
        waiting.events = events;
        self.counted.count(Into::Unschedulable, Cause::FAILED);
        self.place(waiting, Place::Unschedulable(now));
    }

    /// Puts a pod back that failed for a reason that is not its own: it is tried again after a while.
    pub fn fail(&mut self, mut waiting: Waiting, now: Timestamp) {
        waiting.failures += 1;
        waiting.failed = now;
        waiting.rejected_by = PluginSet::default();
        waiting.events = EventKinds::NONE;
        self.after_backoff(waiting, Cause::FAILED, now);
    }

    /// Puts a pod back that was not to be tried yet: it waits as before, and this try does not count.
    pub fn hold(&mut self, mut waiting: Waiting, now: Timestamp) {
        waiting.attempts = waiting.attempts.saturating_sub(1);
        self.place(waiting, Place::Unschedulable(now));
    }

    /// A pod that waits for an event or backs off is tried at once.
    pub fn hurry(&mut self, uid: &str) {
        let waits = matches!(
            self.pods.get(uid),
            Some((_, Place::Unschedulable(_) | Place::Backoff(_)))
        );
        if waits && let Some((waiting, _)) = self.take(uid) {
            self.activate(waiting, Cause::FORCED);
        }
    }

    /// Whether a pod waits for events of such kinds.
    #[must_use]
    pub fn awaits(&self, kinds: EventKinds) -> bool {
        kinds.bits().any(|bit| self.awaited[bit] > 0)
    }

    /// An event has happened: of the pods that wait for its kind, those that it `helps` are tried again, after their time.
    pub fn happened(
        &mut self,
        kinds: EventKinds,
        helps: impl Fn(&Waiting) -> bool,
        now: Timestamp,
    ) {
        if !self.awaits(kinds) {
            return;
        }
        let waiting = self.unschedulable.iter().map(|(_, uid)| uid);
        let helped: Vec<Arc<str>> = waiting
            .filter(|uid| {
                let (waiting, _) = &self.pods[*uid];
                waiting.events.intersects(kinds) && helps(waiting)
            })
            .cloned()
            .collect();
        let cause = Cause::of(kinds);
        helped.iter().for_each(|uid| self.release(uid, cause, now));
    }

    /// A pod that waits for an event is tried again, after its time.
    pub fn release(&mut self, uid: &str, cause: Cause, now: Timestamp) {
        if matches!(self.pods.get(uid), Some((_, Place::Unschedulable(_))))
            && let Some((waiting, _)) = self.take(uid)
        {
            self.after_backoff(waiting, cause, now);
        }
    }

    /// Moves the pods whose time has come.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((until, uid)) = self.backing_off.first().cloned()
            && until <= now
        {
            if let Some((waiting, _)) = self.take(&uid) {
                self.activate(waiting, Cause::BACKOFF_OVER);
            }
        }
        let longest = Duration::from_secs(UNSCHEDULABLE_SECONDS_MAX);
        while let Some((since, uid)) = self.unschedulable.first().cloned()
            && now.duration_since(since).unsigned_abs() >= longest
        {
            self.release(&uid, Cause::TIMED_OUT, now);
        }
    }

    /// When `tick` has something to do next.
    #[must_use]
    pub fn next_tick(&self) -> Option<Timestamp> {
        let longest = Duration::from_secs(UNSCHEDULABLE_SECONDS_MAX);
        let flush = self
            .unschedulable
            .first()
            .and_then(|(since, _)| since.checked_add(longest).ok());
        let backoff = self.backing_off.first().map(|(until, _)| *until);
        flush.into_iter().chain(backoff).min()
    }

    fn early(&self) -> Option<Arc<str>> {
        let rejected = |uid: &&Arc<str>| !self.pods[*uid].0.rejected_by.is_empty();
        self.backing_off
            .iter()
            .map(|(_, uid)| uid)
            .find(rejected)
            .cloned()
    }

    fn activate(&mut self, waiting: Waiting, cause: Cause) {
        self.counted.count(Into::Active, cause);
        self.arrivals += 1;
        let pod = &waiting.pod;
        let order = (
            Reverse(pod.priority),
            waiting.since,
            self.arrivals,
            pod.uid.clone(),
        );
        self.place(waiting, Place::Active(order));
    }

    fn after_backoff(&mut self, waiting: Waiting, cause: Cause, now: Timestamp) {
        let wait = self.backoff.after(waiting.failures);
        match waiting.failed.checked_add(wait) {
            Ok(until) if until > now => {
                self.counted.count(Into::Backoff, cause);
                self.place(waiting, Place::Backoff(until));
            }
            _ => self.activate(waiting, cause),
        }
    }

    fn place(&mut self, waiting: Waiting, place: Place) {
        let uid = waiting.pod.uid.clone();
        match &place {
            Place::Active(order) => drop(self.active.insert(order.clone())),
            Place::Backoff(until) => drop(self.backing_off.insert((*until, uid.clone()))),
            Place::Unschedulable(since) => {
                self.unschedulable.insert((*since, uid.clone()));
                waiting.events.bits().for_each(|bit| self.awaited[bit] += 1);
            }
            Place::Gated => {}
        }
        self.pods.insert(uid, (waiting, place));
    }

    fn take(&mut self, uid: &str) -> Option<(Waiting, Place)> {
        let (waiting, place) = self.pods.remove(uid)?;
        let uid = waiting.pod.uid.clone();
        match &place {
            Place::Active(order) => drop(self.active.remove(order)),
            Place::Backoff(until) => drop(self.backing_off.remove(&(*until, uid))),
            Place::Unschedulable(since) => {
                self.unschedulable.remove(&(*since, uid));
                waiting.events.bits().for_each(|bit| self.awaited[bit] -= 1);
            }
            Place::Gated => {}
        }
        Some((waiting, place))
    }
}
