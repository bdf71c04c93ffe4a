//! The clock of leases. Every replica keeps one, by what the log says; only the leader's is asked and acts.
//!
//! A renewal is answered at once as long as every replica already allows the lease that much time: a replicated grant
//! or renewal reaches a little further than the time to live ([`slack`]). A new leader goes on with its own clock, so a
//! lease never ends before an acknowledged renewal says, and at most the slack later; it does not start over.

mod leader_loop;

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use planted::Bug;
use state_machine::{LeaseChange, LeaseCheckpoint, StateMachine};
use tokio::time::Instant;

pub(crate) use leader_loop::LeaderLoop;

use crate::replica::{LeaseTime, Unavailable};

/// Leases revoked in one look, as in etcd.
const REVOKES_AT_ONCE: usize = 500;
/// Leases in one replicated note of what is left, as in etcd.
const CHECKPOINTS_AT_ONCE: usize = 1000;
/// How often the time left of long leases is written down, for a start of the whole cluster.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// Leases shorter than this start over with the cluster: nothing is written down for them.
const CHECKPOINT_TTL_SECONDS: i64 = 300;

/// How much too early a lease ends when that bug is planted.
const LOOK_AHEAD: Duration = Duration::from_secs(1);

/// What became of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    NotLeading,
    Unknown,
    Done {
        ttl_seconds: i64,
    },
    /// The other replicas have to hear of it first.
    Replicate {
        term: u64,
        ttl_seconds: i64,
        asked_at: Instant,
    },
}

#[derive(Debug, Clone, Copy)]
struct Timer {
    ttl_seconds: i64,
    /// When the lease ends, by this replica's clock.
    deadline: Instant,
    /// The leader may promise time up to here without telling anyone: no replica ends the lease before.
    bound: Instant,
    /// How long replicated renewals of others let it live; counts once this replica stops or begins to lead.
    allowed: Instant,
    /// A replicated renewal is under way: what is left must not be written down behind it.
    renewing: bool,
    revoking: bool,
}

#[derive(Default)]
struct Clock {
    /// The term this replica leads in.
    leading: Option<u64>,
    timers: HashMap<i64, Timer>,
    /// The lease that the last note of what is left ended with; the next one goes on behind it.
    noted_through: i64,
}

/// Time left of every lease.
#[derive(Default)]
pub(crate) struct Lessor {
    clock: Mutex<Clock>,
}

/// How much longer than promised a replicated renewal lets a lease live on the other replicas.
fn slack(ttl_seconds: i64) -> Duration {
    seconds(ttl_seconds) / 10
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

impl Timer {
    fn new(ttl_seconds: i64, left: Duration, now: Instant) -> Self {
        Timer {
            ttl_seconds,
            deadline: now + left,
            bound: now,
            allowed: now,
            renewing: false,
            revoking: false,
        }
    }
}

impl Lessor {
    /// Starts the clock of every lease of a state that was opened or received. A renewal may have been promised since
    /// the last replicated one, so the slack is added.
    pub(crate) fn reset(&self, machine: &StateMachine) {
        let now = Instant::now();
        let timers = machine.leases().into_iter().map(|lease| {
            let whole = lease.remaining_seconds <= 0;
            let left = if whole {
                lease.ttl_seconds
            } else {
                lease.remaining_seconds
            };
            let left = seconds(left) + slack(lease.ttl_seconds);
            (lease.id, Timer::new(lease.ttl_seconds, left, now))
        });
        self.clock.lock().timers = timers.collect();
    }

    /// Told by the applier what a run did to leases.
    pub(crate) fn changed(&self, changes: &[LeaseChange], now: Instant) {
        if changes.is_empty() {
            return;
        }
        let mut clock = self.clock.lock();
        let leading = clock.leading.is_some();
        for change in changes {
            match *change {
                LeaseChange::Granted { id, ttl_seconds } => {
                    let more = if leading {
                        Duration::ZERO
                    } else {
                        slack(ttl_seconds)
                    };
                    clock.timers.insert(
                        id,
                        Timer::new(ttl_seconds, seconds(ttl_seconds) + more, now),
                    );
                }
                LeaseChange::Revoked { id } => {
                    clock.timers.remove(&id);
                }
                LeaseChange::Renewed { id } => {
                    if let Some(timer) = clock.timers.get_mut(&id) {
                        let until = now + seconds(timer.ttl_seconds) + slack(timer.ttl_seconds);
                        timer.allowed = timer.allowed.max(until);
                        if !leading {
                            timer.deadline = timer.deadline.max(until);
                        }
                    }
                }
            }
        }
    }

    fn lead(&self, leading: Option<u64>, now: Instant) {
        let mut clock = self.clock.lock();
        clock.leading = leading;
        for timer in clock.timers.values_mut() {
            timer.deadline = timer.deadline.max(timer.allowed);
            timer.bound = now;
            timer.renewing = false;
            timer.revoking = false;
        }
    }

    /// Renews a lease by the leader's clock.
    pub(crate) fn renew(&self, id: i64, now: Instant) -> Renewal {
        let mut clock = self.clock.lock();
        let Some(term) = clock.leading else {
            return Renewal::NotLeading;
        };
        match clock.timers.get_mut(&id) {
            Some(timer) if !timer.revoking && now < timer.deadline => {
                let (ttl_seconds, deadline) = (timer.ttl_seconds, now + seconds(timer.ttl_seconds));
                if deadline > timer.bound && !planted::is_on(Bug::RenewalNotReplicated) {
                    timer.renewing = true;
                    return Renewal::Replicate {
                        term,
                        ttl_seconds,
                        asked_at: now,
                    };
                }
                timer.deadline = timer.deadline.max(deadline);
                Renewal::Done { ttl_seconds }
            }
            _ => Renewal::Unknown,
        }
    }

    /// A renewal that began at `asked_at` is replicated. False when the lease is gone, or about to go, all the same.
    pub(crate) fn renewed(&self, id: i64, asked_at: Instant) -> bool {
        let mut clock = self.clock.lock();
        let Some(timer) = clock.timers.get_mut(&id).filter(|timer| !timer.revoking) else {
            return false;
        };
        let whole = seconds(timer.ttl_seconds);
        timer.renewing = false;
        timer.deadline = timer.deadline.max(asked_at + whole);
        timer.bound = timer.bound.max(asked_at + whole + slack(timer.ttl_seconds));
        true
    }

    /// A renewal was not replicated.
    pub(crate) fn not_renewed(&self, id: i64) {
        if let Some(timer) = self.clock.lock().timers.get_mut(&id) {
            timer.renewing = false;
        }
    }

    pub(crate) fn time_to_live(
        &self,
        id: i64,
        now: Instant,
    ) -> Result<Option<LeaseTime>, Unavailable> {
        let clock = self.clock.lock();
        if clock.leading.is_none() {
            return Err(Unavailable::NotLeader);
        }
        Ok(clock
            .timers
            .get(&id)
            .filter(|timer| timer.deadline > now)
            .map(|timer| {
                let left = timer
                    .deadline
                    .saturating_duration_since(now)
                    .as_secs_f64()
                    .floor();
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a time to live is below 2^53 seconds"
                )]
                let remaining_seconds = left as i64;
                LeaseTime {
                    granted_seconds: timer.ttl_seconds,
                    remaining_seconds,
                }
            }))
    }

    /// Leases whose time is over, the longest overdue first.
    fn expired(&self, mut now: Instant) -> Vec<i64> {
        if planted::is_on(Bug::LeaseEndsAhead) {
            now += LOOK_AHEAD;
        }
        let mut clock = self.clock.lock();
        let mut due: Vec<(Instant, i64)> = clock
            .timers
            .iter()
            .filter(|(_, timer)| timer.deadline <= now && !timer.revoking)
            .map(|(id, timer)| (timer.deadline, *id))
            .collect();
        due.sort_unstable();
        due.truncate(REVOKES_AT_ONCE);
        for (_, id) in &due {
            if let Some(timer) = clock.timers.get_mut(id) {
                timer.revoking = true;
            }
        }
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// A revoke that was not replicated is tried again at the next look.
    fn not_revoked(&self, id: i64) {
        if let Some(timer) = self.clock.lock().timers.get_mut(&id) {
            timer.revoking = false;
        }
    }

    /// What is left of long leases that were not renewed lately. From here on their renewals are replicated first.
    fn checkpoints(&self, now: Instant) -> Vec<LeaseCheckpoint> {
        let mut clock = self.clock.lock();
        let after = clock.noted_through;
        let is_due = |timer: &Timer| {
            let left = timer.deadline.saturating_duration_since(now);
            let whole = seconds(timer.ttl_seconds);
            !timer.renewing
                && timer.ttl_seconds >= CHECKPOINT_TTL_SECONDS
                && left + CHECKPOINT_INTERVAL <= whole
        };
        let timers = clock.timers.iter().filter(|(_, timer)| is_due(timer));
        let mut due: Vec<i64> = timers.map(|(id, _)| *id).collect();
        // Everyone's turn comes: in a circle, from where the last note ended.
        due.sort_unstable_by_key(|id| (*id <= after, *id));
        due.truncate(CHECKPOINTS_AT_ONCE);
        clock.noted_through = due.last().copied().unwrap_or(after);
        let mut note = |id: i64| {
            let timer = clock.timers.get_mut(&id)?;
            timer.bound = now;
            let left = timer.deadline.saturating_duration_since(now);
            let remaining_seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX).max(1);
            Some(LeaseCheckpoint {
                id,
                remaining_seconds,
            })
        };
        due.into_iter().filter_map(&mut note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: i64 = 10;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    fn granted(start: Instant, ttl_seconds: i64) -> Lessor {
        let lessor = Lessor::default();
        lessor.changed(&[LeaseChange::Granted { id: 1, ttl_seconds }], start);
        lessor
    }

    fn leader(start: Instant, ttl_seconds: i64) -> Lessor {
        let lessor = Lessor::default();
        lessor.lead(Some(1), start);
        lessor.changed(&[LeaseChange::Granted { id: 1, ttl_seconds }], start);
        lessor
    }

    fn replicate(lessor: &Lessor, now: Instant) {
        let Renewal::Replicate { asked_at, .. } = lessor.renew(1, now) else {
            panic!("this renewal is replicated")
        };
        lessor.changed(&[LeaseChange::Renewed { id: 1 }], now);
        assert!(lessor.renewed(1, asked_at));
    }

    #[test]
    fn renewals_within_the_slack_are_answered_at_once() {
        let start = Instant::now();
        assert_eq!(granted(start, TTL).renew(1, start), Renewal::NotLeading);
        let lessor = leader(start, TTL);
        replicate(&lessor, after(start, 1));
        assert_eq!(
            lessor.renew(1, after(start, 900)),
            Renewal::Done { ttl_seconds: TTL }
        );
        assert!(matches!(
            lessor.renew(1, after(start, 1100)),
            Renewal::Replicate { .. }
        ));
    }

    #[test]
    fn a_new_leader_neither_resets_a_lease_nor_ends_it_before_it_was_promised() {
        let start = Instant::now();
        let (old, new) = (leader(start, TTL), granted(start, TTL));
        replicate(&old, after(start, 5000));
        new.changed(&[LeaseChange::Renewed { id: 1 }], after(start, 5002));
        let renewed = after(start, 5500);
        assert_eq!(old.renew(1, renewed), Renewal::Done { ttl_seconds: TTL });
        new.lead(Some(1), after(renewed, 1000));
        let promised = renewed + seconds(TTL);
        assert!(new.expired(promised).is_empty(), "it was promised");
        assert_eq!(
            new.expired(promised + slack(TTL)),
            [1],
            "no full time to live again"
        );
    }

    #[test]
    fn renewals_replicated_by_another_leader_count_when_this_one_leads_again() {
        let start = Instant::now();
        let lessor = leader(start, TTL);
        // Still leading by its own word while another leader renews.
        lessor.changed(&[LeaseChange::Renewed { id: 1 }], after(start, 5000));
        lessor.lead(None, after(start, 6000));
        lessor.lead(Some(1), after(start, 7000));
        assert!(
            lessor.expired(after(start, 15_000)).is_empty(),
            "the other leader promised it"
        );
        assert_eq!(lessor.expired(after(start, 16_001)), [1]);
    }

    #[test]
    fn a_renewal_is_not_promised_for_a_lease_that_is_being_revoked() {
        let start = Instant::now();
        let lessor = leader(start, TTL);
        let Renewal::Replicate { asked_at, .. } = lessor.renew(1, after(start, 9900)) else {
            panic!("this renewal is replicated")
        };
        assert_eq!(lessor.expired(after(start, 10_001)), [1]);
        assert!(!lessor.renewed(1, asked_at));
    }

    #[test]
    fn an_expired_lease_cannot_be_renewed_and_is_revoked_once() {
        let start = Instant::now();
        let lessor = leader(start, TTL);
        let end = start + seconds(TTL);
        assert_eq!(lessor.renew(1, end), Renewal::Unknown);
        assert_eq!(lessor.time_to_live(1, end), Ok(None));
        assert_eq!(lessor.expired(end), [1]);
        assert!(lessor.expired(end).is_empty());
        lessor.not_revoked(1);
        assert_eq!(lessor.expired(end), [1]);
    }

    #[test]
    fn a_checkpoint_makes_the_next_renewal_a_replicated_one() {
        let start = Instant::now();
        let lessor = leader(start, 3600);
        replicate(&lessor, after(start, 1));
        assert!(lessor.checkpoints(after(start, 10)).is_empty());
        let later = after(start, 100_001);
        assert_eq!(
            lessor.checkpoints(later),
            [LeaseCheckpoint {
                id: 1,
                remaining_seconds: 3500
            }]
        );
        assert!(matches!(lessor.renew(1, later), Renewal::Replicate { .. }));
    }

    #[test]
    fn every_long_lease_has_its_turn_to_be_noted() {
        let start = Instant::now();
        let lessor = Lessor::default();
        lessor.lead(Some(1), start);
        let (count, ttl_seconds) = (2 * CHECKPOINTS_AT_ONCE as i64 + 500, CHECKPOINT_TTL_SECONDS);
        let grants: Vec<LeaseChange> = (1..=count)
            .map(|id| LeaseChange::Granted { id, ttl_seconds })
            .collect();
        lessor.changed(&grants, start);
        let mut noted = std::collections::BTreeSet::new();
        for turn in 1..=3 {
            let notes = lessor.checkpoints(start + turn * CHECKPOINT_INTERVAL);
            assert_eq!(notes.len(), CHECKPOINTS_AT_ONCE);
            noted.extend(notes.into_iter().map(|note| note.id));
        }
        assert_eq!(noted.len(), count as usize);
    }
}
