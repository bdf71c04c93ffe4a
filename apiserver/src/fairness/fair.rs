//! All levels together, and the requests that are in them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use super::configuration::{CATCH_ALL, Configuration};
use super::gate::Marks;
use super::level::{Level, number};
use super::matching::Schema;
use super::queues::{Refusal, Ticket};
use super::shares::{Claim, bounds, divide};
use crate::attributes::Attributes;

/// Seconds between two times at which levels lend seats to one another.
const BORROWING_SECONDS: f64 = 10.0;

/// The requests of a server, and how they share it.
#[derive(Debug)]
pub(super) struct Fairness {
    began: Instant,
    /// Seats of the whole server.
    seats: f64,
    /// How long a request keeps its seats at most.
    hold_max: Duration,
    schemas: RwLock<Arc<Vec<Arc<Schema>>>>,
    state: Mutex<State>,
}

/// The levels and who is there.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) levels: BTreeMap<Arc<str>, Level>,
    guests: HashMap<Ticket, Guest>,
    last: Ticket,
    adjusted: f64,
}

/// A request that runs or waits.
#[derive(Debug)]
struct Guest {
    level: Arc<str>,
    schema: Arc<str>,
    seats: usize,
    came: f64,
    /// When it began to run.
    began: Option<f64>,
    /// Whom to tell that it may run.
    wake: Option<oneshot::Sender<()>>,
}

/// The seats of a request, which are free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    owner: Arc<Fairness>,
    ticket: Ticket,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let now = self.owner.now();
        self.owner.state.lock().leave(now, self.ticket, None);
    }
}

/// A request that arrived: its seats, and what tells it to run where it has to wait.
type Arrived = (Ticket, Option<oneshot::Receiver<()>>);

impl Fairness {
    pub(super) fn new(seats: usize, hold_max: Duration) -> Arc<Fairness> {
        let fairness = Fairness {
            began: Instant::now(),
            seats: number(seats),
            hold_max,
            schemas: RwLock::default(),
            state: Mutex::default(),
        };
        fairness.configure(Configuration::initial());
        Arc::new(fairness)
    }

    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Seats for a request, which it may have to wait for; or none, if that takes too long or too many wait.
    pub(super) async fn enter(
        self: &Arc<Self>,
        attributes: &Attributes,
        seats: usize,
        patience: Duration,
    ) -> (Option<Seat>, Option<Marks>) {
        let schemas = self.schemas.read().clone();
        // The last schema is for everybody, and still there may be a user without a group.
        let found = schemas.iter().find(|one| one.matches(attributes));
        let Some(schema) = found.or(schemas.last()) else {
            return (None, None);
        };
        let flow = schema.flow(attributes);
        let now = self.now();
        let (arrived, marks) = self.state.lock().arrive(now, schema, flow, seats);
        let Some((ticket, woken)) = arrived else {
            return (None, Some(marks));
        };
        let seat = Seat {
            owner: self.clone(),
            ticket,
        };
        let Some(woken) = woken else {
            return (Some(seat), Some(marks));
        };
        let started = matches!(tokio::time::timeout(patience, woken).await, Ok(Ok(())));
        // Whoever was told to run in the last moment runs.
        let runs = started || !self.state.lock().give_up(self.now(), ticket);
        (runs.then_some(seat), Some(marks))
    }

    /// For how many seconds a client is to stay away that a level refused.
    pub(super) fn push_back(&self, marks: &Marks) -> u32 {
        let second = self.began.elapsed().as_secs();
        let mut state = self.state.lock();
        let level = state.levels.values_mut().find(|one| one.uid == marks.level);
        level.map_or(1, |level| level.pushback.refuse(second))
    }

    /// Puts other levels and schemas in place. Requests stay where they are.
    pub(super) fn configure(&self, configuration: Configuration) {
        let now = self.now();
        let Configuration { levels, schemas } = configuration;
        let sum: f64 = levels.values().map(|level| level.shares.nominal).sum();
        let mut state = self.state.lock();
        let mut started = Vec::new();
        for (name, level) in &mut state.levels {
            level.gone = !levels.contains_key(name);
        }
        for (name, declared) in &levels {
            let bounds = bounds(&declared.shares, sum, self.seats);
            match state.levels.get_mut(name) {
                Some(level) => {
                    level.uid = declared.uid.clone();
                    level.bounds = bounds;
                    started.extend(level.queues.reshape(now, declared.shape));
                }
                None => {
                    state
                        .levels
                        .insert(name.clone(), Level::new(declared, bounds));
                }
            }
        }
        state.run(now, started);
        let known = |name: &Arc<str>| schemas.iter().any(|schema| schema.name == *name);
        for level in state.levels.values_mut() {
            level
                .counts
                .retain(|name, counts| known(name) || counts.executing > 0 || counts.waiting > 0);
        }
        state.adjust(now);
        drop(state);
        *self.schemas.write() = Arc::new(schemas);
    }

    /// What is due from time to time: levels lend and borrow, and seats that were held too long are free again.
    pub(super) fn tick(&self) {
        let now = self.now();
        let mut state = self.state.lock();
        let hold_seconds = self.hold_max.as_secs_f64();
        let overdue = |(ticket, guest): (&Ticket, &Guest)| {
            let began = guest.began?;
            (now - began > hold_seconds).then_some(*ticket)
        };
        let overdue: Vec<Ticket> = state.guests.iter().filter_map(overdue).collect();
        for ticket in overdue {
            state.leave(now, ticket, None);
        }
        if now - state.adjusted >= BORROWING_SECONDS {
            state.adjust(now);
        }
    }

    /// Shows the levels to somebody who writes of them.
    pub(super) fn look(&self, write: impl FnOnce(&BTreeMap<Arc<str>, Level>)) {
        write(&self.state.lock().levels);
    }
}

impl State {
    fn arrive(
        &mut self,
        now: f64,
        schema: &Schema,
        flow: u64,
        seats: usize,
    ) -> (Option<Arrived>, Marks) {
        let name = if self.levels.contains_key(&schema.level) {
            schema.level.clone()
        } else {
            Arc::from(CATCH_ALL)
        };
        self.last += 1;
        let ticket = self.last;
        let mut marks = Marks {
            schema: schema.uid.clone(),
            level: Arc::from(""),
        };
        let Some(level) = self.levels.get_mut(&name) else {
            return (None, marks);
        };
        marks.level = level.uid.clone();
        let seats = level.widest(seats);
        if let Err(refusal) = level.queues.arrive(now, ticket, flow, seats) {
            let counts = level.of(&schema.name);
            *counts.rejected.entry(refusal).or_default() += 1;
            return (None, marks);
        }
        level.of(&schema.name).waiting += 1;
        let (wake, woken) = oneshot::channel();
        let guest = Guest {
            level: name.clone(),
            schema: schema.name.clone(),
            seats,
            came: now,
            began: None,
            wake: Some(wake),
        };
        self.guests.insert(ticket, guest);
        let mut started = level.queues.start(now);
        let runs = level.queues.is_running(ticket);
        if runs && !started.contains(&ticket) {
            started.push(ticket);
        }
        level.note(now);
        self.run(now, started);
        (Some((ticket, (!runs).then_some(woken))), marks)
    }

    /// Requests begin to run.
    fn run(&mut self, now: f64, started: Vec<Ticket>) {
        for ticket in started {
            let Some(guest) = self.guests.get_mut(&ticket) else {
                continue;
            };
            guest.began = Some(now);
            if let Some(wake) = guest.wake.take() {
                // Whoever no longer waits gives its seats back at once.
                let _ = wake.send(());
            }
            if let Some(level) = self.levels.get_mut(&guest.level) {
                let counts = level.of(&guest.schema);
                counts.waiting = counts.waiting.saturating_sub(1);
                counts.executing += 1;
                counts.seats += guest.seats;
                counts.dispatched += 1;
                counts.waited.add(now - guest.came);
            }
        }
    }

    /// A request is gone, by itself or for a reason; others take its seats.
    fn leave(&mut self, now: f64, ticket: Ticket, refusal: Option<Refusal>) {
        let Some(guest) = self.guests.remove(&ticket) else {
            return;
        };
        let Some(level) = self.levels.get_mut(&guest.level) else {
            return;
        };
        level.queues.finish(now, ticket);
        let counts = level.of(&guest.schema);
        if let Some(began) = guest.began {
            counts.executing = counts.executing.saturating_sub(1);
            counts.seats = counts.seats.saturating_sub(guest.seats);
            counts.executed.add(now - began);
        } else {
            counts.waiting = counts.waiting.saturating_sub(1);
            counts.waited_in_vain.add(now - guest.came);
            let refusal = refusal.unwrap_or(Refusal::Cancelled);
            *counts.rejected.entry(refusal).or_default() += 1;
        }
        let started = level.queues.start(now);
        level.note(now);
        self.run(now, started);
        self.forget();
    }

    /// Ends the wait of a request, unless it runs by now.
    fn give_up(&mut self, now: f64, ticket: Ticket) -> bool {
        let waits = self
            .guests
            .get(&ticket)
            .is_some_and(|guest| guest.began.is_none());
        if waits {
            self.leave(now, ticket, Some(Refusal::TimeOut));
        }
        waits
    }

    /// Levels lend what they do not want to those that want more.
    fn adjust(&mut self, now: f64) {
        self.adjusted = now;
        let (mut total, mut exempt) = (0.0, 0.0);
        let (mut names, mut claims) = (Vec::new(), Vec::new());
        for (name, level) in self.levels.iter_mut().filter(|(_, level)| !level.gone) {
            let seen = level.demand.look(now);
            total += level.bounds.nominal;
            if level.is_exempt() {
                let taken = level.bounds.lower.max(seen.most);
                level.set_seats(now, taken);
                exempt += taken;
                continue;
            }
            names.push(name.clone());
            claims.push(Claim {
                bounds: level.bounds,
                most: seen.most,
                smoothed: seen.smoothed,
            });
        }
        for (name, seats) in names.iter().zip(divide(total, exempt, &claims)) {
            if let Some(level) = self.levels.get_mut(name) {
                level.set_seats(now, seats);
            }
        }
        let mut started = Vec::new();
        for level in self.levels.values_mut() {
            started.extend(level.queues.start(now));
        }
        self.run(now, started);
        self.forget();
    }

    /// Levels whose objects are gone go when nobody is in them.
    fn forget(&mut self) {
        self.levels
            .retain(|_, level| !level.gone || !level.queues.is_idle());
    }
}

#[cfg(test)]
mod tests;
