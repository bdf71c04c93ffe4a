//! Looks at every member ten times a second: who answers, who leads, in which term.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::cluster::Roles;

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// One look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When, in milliseconds of the run's clock.
    pub at_ms: u64,
    /// The leader a majority agrees on.
    pub leader: Option<usize>,
    /// Its term; 0 without one.
    pub term: u64,
    /// Which members answered.
    pub answered: Vec<bool>,
}

/// Looks until told to stop.
pub async fn run(urls: Vec<String>, clock: Clock, mut stop: watch::Receiver<bool>) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return looks,
        }
        let at_ms = clock.millis();
        let roles = Roles::read(&urls).await;
        looks.push(Look {
            at_ms,
            leader: roles.leader,
            term: roles.term,
            answered: roles.members.iter().map(Option::is_some).collect(),
        });
    }
}
