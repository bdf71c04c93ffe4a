//! The queues of one level: who runs, who waits, and who comes next. Pure: the time is a parameter, and nothing waits here.
//!
//! Time is shared as if every queue with work got an equal part of the seats at every moment. How much such work was done for a
//! queue since the beginning is the virtual time; the request that would end first in it is started first.

use std::collections::{BTreeMap, VecDeque};

use super::deal;
use super::level::number;

/// Who a request is here.
pub(super) type Ticket = u64;

/// How long a request is thought to take, until it is known.
const SERVICE_SECONDS: f64 = 0.003;

/// What becomes of requests that find no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// All find one.
    Exempt,
    /// They are refused.
    Reject,
    /// They wait, and are refused only when the queue is full.
    Queues {
        count: usize,
        hand: usize,
        length_max: usize,
    },
}

/// Why a request gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// All seats are taken, and nobody waits here.
    ConcurrencyLimit,
    QueueFull,
    /// Its client has gone.
    Cancelled,
    /// It has waited long enough.
    TimeOut,
}

impl Refusal {
    /// Upstream's word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Refusal::ConcurrencyLimit => "concurrency-limit",
            Refusal::QueueFull => "queue-full",
            Refusal::Cancelled => "cancelled",
            Refusal::TimeOut => "time-out",
        }
    }
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    flow: u64,
    seats: usize,
    /// The virtual time at which it came.
    arrival: f64,
}

#[derive(Debug)]
struct Running {
    queue: Option<usize>,
    seats: usize,
    began: f64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    running: usize,
    /// The virtual time at which its next request begins.
    next_start: f64,
}

impl Queue {
    fn is_active(&self) -> bool {
        self.running > 0 || !self.waiting.is_empty()
    }

    fn work_waiting(&self) -> usize {
        self.waiting.iter().map(|one| one.seats).sum()
    }
}

/// The requests of one level.
#[derive(Debug)]
pub(super) struct Queues {
    shape: Shape,
    /// Seats that may be taken at a time.
    limit: usize,
    queues: Vec<Queue>,
    running: BTreeMap<Ticket, Running>,
    waiting: BTreeMap<Ticket, usize>,
    seats_running: usize,
    seats_waiting: usize,
    virtual_time: f64,
    /// The real time up to which the virtual one was counted.
    counted_to: f64,
    /// The queue that was started from last: of equal ones, it comes last.
    turn: usize,
    arrivals: usize,
}

impl Queues {
    pub(super) fn new(shape: Shape, limit: usize) -> Queues {
        let count = match shape {
            Shape::Queues { count, .. } => count.max(1),
            _ => 0,
        };
        Queues {
            shape,
            limit,
            queues: (0..count).map(|_| Queue::default()).collect(),
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            seats_running: 0,
            seats_waiting: 0,
            virtual_time: 0.0,
            counted_to: 0.0,
            turn: 0,
            arrivals: 0,
        }
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn is_running(&self, ticket: Ticket) -> bool {
        self.running.contains_key(&ticket)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Seats that are taken or waited for.
    pub(super) fn demand(&self) -> usize {
        self.seats_running + self.seats_waiting
    }

    /// Changes how many seats there are.
    pub(super) fn set_limit(&mut self, now: f64, limit: usize) {
        self.count_to(now);
        self.limit = limit;
    }

    /// A request comes: it runs, or waits until `start` tells of it.
    pub(super) fn arrive(
        &mut self,
        now: f64,
        ticket: Ticket,
        flow: u64,
        seats: usize,
    ) -> Result<(), Refusal> {
        self.count_to(now);
        let Shape::Queues { length_max, .. } = self.shape else {
            if !self.has_room(seats) {
                return Err(Refusal::ConcurrencyLimit);
            }
            self.run(now, ticket, None, seats);
            return Ok(());
        };
        let at = self.choose(flow);
        if self.seats_running >= self.limit && self.queues[at].waiting.len() >= length_max {
            return Err(Refusal::QueueFull);
        }
        self.enqueue(at, ticket, flow, seats);
        Ok(())
    }

    /// Starts those who wait as long as there are seats, and tells who they are.
    pub(super) fn start(&mut self, now: f64) -> Vec<Ticket> {
        self.count_to(now);
        let mut started = Vec::new();
        while let Some(at) = self.next() {
            let seats = self.queues[at].waiting.front().map_or(0, |one| one.seats);
            if !self.has_room(seats) {
                break;
            }
            let Some(first) = self.queues[at].waiting.pop_front() else {
                break;
            };
            self.turn = at;
            self.waiting.remove(&first.ticket);
            self.seats_waiting -= first.seats;
            let queue = &mut self.queues[at];
            queue.running += 1;
            queue.next_start += work(first.seats);
            self.bound(at);
            self.run(now, first.ticket, Some(at), first.seats);
            started.push(first.ticket);
        }
        started
    }

    /// A request ends or is no longer waited for; tells whether it was here.
    pub(super) fn finish(&mut self, now: f64, ticket: Ticket) -> bool {
        self.count_to(now);
        if let Some(at) = self.waiting.remove(&ticket) {
            let queue = &mut self.queues[at].waiting;
            if let Some(index) = queue.iter().position(|one| one.ticket == ticket)
                && let Some(gone) = queue.remove(index)
            {
                self.seats_waiting -= gone.seats;
            }
            self.bound(at);
            return true;
        }
        let Some(gone) = self.running.remove(&ticket) else {
            return false;
        };
        self.seats_running -= gone.seats;
        if let Some(at) = gone.queue {
            let queue = &mut self.queues[at];
            queue.running -= 1;
            // What was thought to be done for it is replaced by what was.
            queue.next_start += seat_seconds(gone.seats, now - gone.began) - work(gone.seats);
            self.bound(at);
        }
        true
    }

    /// Gives the level another shape. Those who wait wait on, in the queues of their flows; where there are none they run, and it is
    /// told who they are.
    pub(super) fn reshape(&mut self, now: f64, shape: Shape) -> Vec<Ticket> {
        self.count_to(now);
        if self.shape == shape {
            return Vec::new();
        }
        let mut started = Vec::new();
        let mut other = Queues::new(shape, self.limit);
        other.virtual_time = self.virtual_time;
        other.counted_to = self.counted_to;
        let mut waiting: Vec<Waiting> = self
            .queues
            .drain(..)
            .flat_map(|queue| queue.waiting)
            .collect();
        waiting.sort_by_key(|one| one.ticket);
        for (ticket, running) in std::mem::take(&mut self.running) {
            other.run(running.began, ticket, None, running.seats);
        }
        for one in waiting {
            match shape {
                Shape::Queues { .. } => {
                    let at = other.choose(one.flow);
                    other.enqueue(at, one.ticket, one.flow, one.seats);
                }
                // Nobody may wait here, and whoever was told to is not sent away.
                _ => {
                    other.run(now, one.ticket, None, one.seats);
                    started.push(one.ticket);
                }
            }
        }
        *self = other;
        started
    }

    fn enqueue(&mut self, at: usize, ticket: Ticket, flow: u64, seats: usize) {
        let arrival = self.virtual_time;
        let queue = &mut self.queues[at];
        if !queue.is_active() {
            // A queue that had nothing to do has saved nothing up, and owes nothing.
            queue.next_start = arrival;
        }
        queue.waiting.push_back(Waiting {
            ticket,
            flow,
            seats,
            arrival,
        });
        self.waiting.insert(ticket, at);
        self.seats_waiting += seats;
    }

    fn run(&mut self, now: f64, ticket: Ticket, queue: Option<usize>, seats: usize) {
        let running = Running {
            queue,
            seats,
            began: now,
        };
        self.running.insert(ticket, running);
        self.seats_running += seats;
    }

    /// Whether a request may start: there are seats for it, or it is wider than the level and has that to itself.
    fn has_room(&self, seats: usize) -> bool {
        if self.shape == Shape::Exempt {
            return true;
        }
        if seats > self.limit {
            return self.running.is_empty() && self.limit > 0;
        }
        self.seats_running + seats <= self.limit
    }

    /// The queue of a flow's hand in which the least is waited for.
    fn choose(&mut self, flow: u64) -> usize {
        let size = match self.shape {
            Shape::Queues { hand, .. } => hand.max(1),
            _ => 1,
        };
        let hand = deal::hand(flow, self.queues.len(), size);
        let offset = self.arrivals;
        self.arrivals = self.arrivals.wrapping_add(1);
        // Each time another one is looked at first, so that hands that overlap share evenly.
        (0..hand.len())
            .map(|index| hand[(offset.wrapping_add(index)) % hand.len()])
            .min_by_key(|at| self.queues[*at].work_waiting())
            .unwrap_or_default()
    }

    /// The queue whose first request would end first.
    fn next(&self) -> Option<usize> {
        if self.waiting.is_empty() {
            return None;
        }
        let count = self.queues.len();
        let mut best: Option<(usize, f64)> = None;
        for step in 1..=count {
            let at = (self.turn + step) % count;
            let queue = &self.queues[at];
            let Some(first) = queue.waiting.front() else {
                continue;
            };
            let end = queue.next_start + work(first.seats);
            if best.is_none_or(|(_, earliest)| end < earliest) {
                best = Some((at, end));
            }
        }
        best.map(|(at, _)| at)
    }

    /// No request begins before it came.
    fn bound(&mut self, at: usize) {
        let queue = &mut self.queues[at];
        if let Some(first) = queue.waiting.front() {
            queue.next_start = queue.next_start.max(first.arrival);
        }
    }

    fn count_to(&mut self, now: f64) {
        let passed = (now - self.counted_to).max(0.0);
        self.counted_to = self.counted_to.max(now);
        if self.queues.is_empty() || self.is_idle() {
            return;
        }
        let active = self.queues.iter().filter(|queue| queue.is_active()).count();
        if active > 0 {
            let seats = self.demand().min(self.limit);
            self.virtual_time += seat_seconds(seats, passed) / number(active);
        }
    }
}

/// The work that a request is thought to be.
fn work(seats: usize) -> f64 {
    seat_seconds(seats, SERVICE_SECONDS)
}

fn seat_seconds(seats: usize, seconds: f64) -> f64 {
    number(seats) * seconds
}

#[cfg(test)]
mod tests;
