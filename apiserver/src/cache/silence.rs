//! When a watch of the store is given up that neither ends nor tells what others wait for.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use super::Position;

/// How long a watch may tell nothing while somebody waits for what the store has: a member that is alive and stuck is left then.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How many looks there are in that time.
const SILENCE_LOOKS: u32 = 10;

/// How long a watch has told nothing that somebody waits for.
pub(super) struct Silence {
    looks: Interval,
    /// Looks in a row at the same position, which was not enough for somebody.
    missed: u32,
    seen: i64,
}

impl Silence {
    pub(super) fn new(max: Duration) -> Silence {
        let mut looks = tokio::time::interval(max / SILENCE_LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Silence {
            looks,
            missed: 0,
            seen: 0,
        }
    }

    /// Ends when it was too long. Dropping the future loses nothing.
    pub(super) async fn look(&mut self, position: &Position) {
        while self.missed < SILENCE_LOOKS {
            self.looks.tick().await;
            let now = position.get();
            let is_silent = position.is_behind() && now == self.seen;
            self.missed = if is_silent { self.missed + 1 } else { 0 };
            self.seen = now;
        }
    }
}
