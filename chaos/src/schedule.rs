//! What is broken and when: drawn from the seed before the run, so that it can be written down and run again.

mod draw;
mod fault;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::Component;
use crate::random::Random;
use crate::scenario::Scenario;

pub use fault::Fault;

/// Load before the first fault, in milliseconds.
const LEAD_IN_MS: u64 = 500;
/// Most steps of one schedule.
const STEPS_MAX: usize = 10_000;

/// Whom a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aim {
    /// Whoever leads then.
    Leader,
    /// One of the others.
    Follower,
    /// Anyone.
    Random,
}

/// Which direction is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// What the member sends.
    Out,
    /// What the member is sent.
    In,
}

/// What happens to a follower while the leader is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meanwhile {
    /// It is frozen.
    Frozen,
    /// It is cut off from both others.
    CutOff,
}

/// What is done to a process above the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blow {
    /// SIGKILL; started again when it is over.
    Kill,
    /// SIGSTOP until it is over.
    Pause,
    /// No bytes to or from what is below it until it is over; of an apiserver, none to or from other components either.
    Cut,
    /// What it asks of what is below it arrives, and the answers do not until it is over; of an apiserver, nor do its own.
    NoAnswers,
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Blow::Kill => "kill",
            Blow::Pause => "pause",
            Blow::Cut => "cut off",
            Blow::NoAnswers => "no answers to",
        })
    }
}

/// A fault as a scenario names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// SIGKILL and a start.
    Kill(Aim),
    /// SIGKILL to everyone.
    KillAll,
    /// Several kills of one member, in the middle of its starts.
    CrashLoop(Aim),
    /// SIGSTOP and SIGCONT.
    Pause(Aim),
    /// Cut off from all others.
    Isolate(Aim),
    /// Cut off in one direction.
    OneWay(Aim, Way),
    /// The leader and one follower cut off from each other.
    Partial,
    /// Delays, resets, truncations.
    Flaky,
    /// SIGTERM and a start, member by member.
    RollingRestart,
    /// A hand-over on request.
    MoveLeader,
    /// Changed bytes in a stopped member's log.
    Damage,
    /// A power cut of one.
    PowerLoss(Aim),
    /// A power cut of everyone.
    PowerLossAll,
    /// Writes refused with ENOSPC.
    DiskFull(Aim),
    /// Syncs that take long.
    SlowDisk(Aim),
    /// A sync that fails.
    SyncError(Aim),
    /// A wall clock that jumps.
    ClockJump(Aim),
    /// The wall clocks of everyone jump, each by something else.
    ClockJumpAll,
    /// The leader killed while something happens to a follower.
    Overlap(Meanwhile),
    /// A follower down until the log does not reach back to it.
    LongAway,
    /// Killed, removed, and replaced by a new member with an empty disk.
    Replace(Aim),
    /// Removed while it runs, and added again as a new member.
    Churn(Aim),
    /// Something done to a process above the members.
    Part(Blow, Component, Aim),
}

impl FaultKind {
    /// Members are removed and added, which is done only to those that run here.
    pub fn changes_members(&self) -> bool {
        matches!(self, FaultKind::Replace(_) | FaultKind::Churn(_))
    }

    /// Something has to stand between the members and libc.
    pub fn needs_libc(&self) -> bool {
        matches!(
            self,
            FaultKind::PowerLoss(_)
                | FaultKind::PowerLossAll
                | FaultKind::DiskFull(_)
                | FaultKind::SlowDisk(_)
                | FaultKind::SyncError(_)
                | FaultKind::ClockJump(_)
                | FaultKind::ClockJumpAll
        )
    }
}

/// One fault and its times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, in milliseconds after the load did. It is later when an earlier one took longer.
    pub at_ms: u64,
    /// How long it lasts, in milliseconds.
    pub hold_ms: u64,
    /// Quiet time behind it, in milliseconds.
    pub settle_ms: u64,
    /// Decides between members of one role.
    pub pick: u64,
    /// What is done.
    #[serde(flatten)]
    pub fault: Fault,
}

/// What a schedule is drawn from, beside the seed.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The name of the run.
    pub name: &'a str,
    /// The kinds of faults.
    pub faults: &'a [FaultKind],
    /// Time from one fault to the next, in milliseconds; more when a fault takes longer, and drawn if there is none.
    pub every_ms: Option<u64>,
}

/// The faults of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The scenario it was drawn for.
    pub scenario: String,
    /// What it was drawn from.
    pub seed: u64,
    /// How long the load lasts, in milliseconds.
    pub duration_ms: u64,
    /// In the order of their times.
    pub steps: Vec<Step>,
}

impl Schedule {
    /// Draws the faults of a run. The first is always there, however short the run is.
    pub fn draw(scenario: &Scenario, seed: u64, duration_ms: u64) -> Schedule {
        let wanted = Wanted {
            name: scenario.name,
            faults: scenario.faults,
            every_ms: None,
        };
        Schedule::draw_wanted(&wanted, seed, duration_ms)
    }

    /// Draws faults that are in no scenario.
    pub fn draw_wanted(wanted: &Wanted<'_>, seed: u64, duration_ms: u64) -> Schedule {
        let mut random = Random::for_purpose(seed, wanted.name, 0);
        let mut steps: Vec<Step> = Vec::new();
        let mut at_ms = LEAD_IN_MS;
        while !wanted.faults.is_empty() && steps.len() < STEPS_MAX {
            let step = draw::draw_step(wanted, &mut random, at_ms, steps.len());
            let end = at_ms + step.hold_ms + step.settle_ms;
            if end > duration_ms && !steps.is_empty() {
                break;
            }
            at_ms = end;
            steps.push(step);
        }
        Schedule {
            scenario: wanted.name.to_owned(),
            seed,
            duration_ms,
            steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{SCENARIOS, named};

    #[test]
    fn one_seed_draws_one_schedule() {
        for scenario in SCENARIOS {
            let draw = |seed| Schedule::draw(scenario, seed, 120_000);
            assert_eq!(draw(7), draw(7), "{}", scenario.name);
            if !scenario.faults.is_empty() {
                assert_ne!(draw(7).steps, draw(8).steps, "{}", scenario.name);
            }
        }
    }

    #[test]
    fn a_schedule_survives_its_file() {
        let schedule = Schedule::draw(named("everything").unwrap(), 3, 200_000);
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
    }

    #[test]
    fn every_fault_of_a_scenario_occurs_when_there_is_time() {
        let scenario = named("everything").unwrap();
        let schedule = Schedule::draw(scenario, 1, 300_000);
        let kinds: std::collections::BTreeSet<String> = schedule
            .steps
            .iter()
            .map(|step| step.fault.to_string())
            .collect();
        assert_eq!(kinds.len(), scenario.faults.len());
    }

    #[test]
    fn clocks_jump_both_ways_and_by_an_hour_at_most() {
        let schedule = Schedule::draw(named("clock-jump").unwrap(), 1, 3_600_000);
        let jumps: Vec<i64> = schedule
            .steps
            .iter()
            .flat_map(|step| match &step.fault {
                Fault::ClockJump { ahead_ms, .. } => ahead_ms.clone(),
                other => panic!("{other}"),
            })
            .collect();
        let most = draw::CLOCK_JUMP_MS_MAX.cast_signed();
        assert!(jumps.iter().all(|jump| jump.abs() <= most));
        assert!(jumps.iter().any(|jump| *jump > most / 2));
        assert!(jumps.iter().any(|jump| *jump < -most / 2));
    }

    #[test]
    fn steps_do_not_overlap_and_end_within_the_run() {
        let schedule = Schedule::draw(named("pause-leader").unwrap(), 5, 60_000);
        for pair in schedule.steps.windows(2) {
            let end = pair[0].at_ms + pair[0].hold_ms + pair[0].settle_ms;
            assert!(end <= pair[1].at_ms, "{pair:?}");
        }
        let last = schedule.steps.last().unwrap();
        assert!(last.at_ms + last.hold_ms <= 60_000);
    }
}
