//! A priority level as it is now: its queues, its seats, and what is counted of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::configuration::Declared;
use super::demand::Demand;
use super::histogram::Histogram;
use super::pushback::Pushback;
use super::queues::{Queues, Refusal, Shape};
use super::shares::Bounds;

/// Of a level's seats, the most that one request may take.
const WIDEST_PART: f64 = 0.15;

/// A level.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) uid: Arc<str>,
    pub(super) bounds: Bounds,
    /// Seats that it has now.
    pub(super) current: f64,
    pub(super) queues: Queues,
    pub(super) demand: Demand,
    pub(super) pushback: Pushback,
    /// Whether its object is no more: it stays until its last request has ended.
    pub(super) gone: bool,
    /// By the name of the flow schema.
    pub(super) counts: BTreeMap<Arc<str>, Counts>,
}

/// What is counted of the requests of one schema at one level.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) dispatched: u64,
    pub(super) rejected: BTreeMap<Refusal, u64>,
    pub(super) waiting: usize,
    pub(super) executing: usize,
    pub(super) seats: usize,
    /// How long those waited that ran, and those that did not.
    pub(super) waited: Histogram,
    pub(super) waited_in_vain: Histogram,
    pub(super) executed: Histogram,
}

impl Level {
    pub(super) fn new(declared: &Declared, bounds: Bounds) -> Level {
        // It begins with half of what it lends, as nothing is known of what is wanted.
        let current = (bounds.nominal - ((bounds.nominal - bounds.lower) / 2.0).floor()).max(0.0);
        Level {
            uid: declared.uid.clone(),
            bounds,
            current,
            queues: Queues::new(declared.shape, whole(current)),
            demand: Demand::default(),
            pushback: Pushback::default(),
            gone: false,
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn is_exempt(&self) -> bool {
        self.queues.shape() == Shape::Exempt
    }

    /// The counts of a schema.
    pub(super) fn of(&mut self, schema: &Arc<str>) -> &mut Counts {
        self.counts.entry(schema.clone()).or_default()
    }

    /// The seats of a request that wants so many.
    pub(super) fn widest(&self, seats: usize) -> usize {
        let Shape::Queues { hand, .. } = self.queues.shape() else {
            return seats.max(1);
        };
        let part = whole((self.bounds.nominal * WIDEST_PART).ceil());
        let of_hand = whole(self.bounds.nominal) / hand.max(1);
        seats.clamp(1, part.min(of_hand).max(1))
    }

    /// Notes how many seats are wanted from now on.
    pub(super) fn note(&mut self, now: f64) {
        self.demand.note(now, number(self.queues.demand()));
    }

    /// Gives it so many seats.
    pub(super) fn set_seats(&mut self, now: f64, seats: f64) {
        self.current = seats;
        self.queues.set_limit(now, whole(seats));
    }
}

/// A number of seats that was computed.
pub(super) fn whole(seats: f64) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and no server has so many seats"
    )]
    let seats = seats.round() as u32;
    usize::try_from(seats).unwrap_or(usize::MAX)
}

/// A count to compute with.
pub(super) fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
