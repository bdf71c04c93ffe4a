//! The scenarios: which faults, under which load, and what is looked at most.

use crate::cluster::{Component, parts_program};
use crate::schedule::{Aim, Blow, FaultKind, Meanwhile, Way};
use crate::target::Target;
use crate::workload::{self, Kind};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, in words.
    pub words: &'static str,
    /// Faults that are drawn from.
    pub faults: &'static [FaultKind],
    /// Load.
    pub load: &'static [Kind],
    /// What it is about.
    pub focus: &'static str,
    /// Watches ask again and again how far they are.
    pub asks_progress: bool,
    /// Something is wrong on purpose: the run must be found violated. For proving the judge.
    pub lies: bool,
    /// Members keep a short log, if the target says how.
    pub short_log: bool,
    /// What is started on the members.
    pub above: Above,
}

/// What is started on the members of a store, and judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Above {
    /// Nothing: clients speak to the members.
    Nothing,
    /// Apiservers, which clients speak to.
    Apiservers,
    /// Apiservers, controllers, schedulers and simulated nodes.
    ControlPlane,
}

impl Scenario {
    /// Something has to stand between the members and libc.
    pub fn needs_libc(&self) -> bool {
        self.faults.iter().any(|fault| fault.needs_libc())
    }

    /// Why `all` leaves it out on a target, if it does: it cannot be carried out, or is known to find the target violated.
    pub fn left_out<'a>(&self, target: &'a Target) -> Option<&'a str> {
        let program = target.program.as_ref();
        if let Some(reason) = program.and_then(|program| program.known.get(self.name)) {
            return Some(reason);
        }
        if self.needs_libc() && program.is_none_or(|program| !program.calls_libc) {
            return Some("the target's calls of the system do not go through libc");
        }
        if self.short_log && program.is_none_or(|program| program.short_log_flags.is_empty()) {
            return Some("the target names no flags for a short log");
        }
        if program.is_none() && self.faults.iter().any(FaultKind::changes_members) {
            return Some("members are added and removed only where they are started here");
        }
        let has_parts = self.above != Above::Nothing;
        if has_parts && program.is_none() {
            return Some("apiservers are started only on members that are started here");
        }
        if has_parts && parts_program().is_none() {
            return Some("no mainstay is built to start apiservers from");
        }
        let damages = self.faults.contains(&FaultKind::Damage);
        if damages && program.is_none_or(|program| !program.rejoins_emptied) {
            return Some("the target has no way back for a member with a damaged log");
        }
        None
    }

    /// Part of `all`.
    pub fn is_ordinary(&self) -> bool {
        !self.lies
    }
}

use Aim::{Follower, Leader, Random};

const MIXED: &[Kind] = &[Kind::Registers, Kind::Txn, Kind::Ranges];

const fn row(
    name: &'static str,
    words: &'static str,
    faults: &'static [FaultKind],
    load: &'static [Kind],
    focus: &'static str,
) -> Scenario {
    Scenario {
        name,
        words,
        faults,
        load,
        focus,
        asks_progress: false,
        lies: false,
        short_log: false,
        above: Above::Nothing,
    }
}

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    row(
        "kill-leader",
        "SIGKILL to the leader, started again after up to 3 s",
        &[FaultKind::Kill(Leader)],
        &[Kind::Registers, Kind::Txn],
        "no acknowledged write is lost; time to the next leader",
    ),
    row(
        "kill-follower",
        "SIGKILL to a follower, started again after up to 3 s",
        &[FaultKind::Kill(Follower)],
        &[Kind::Registers, Kind::Txn],
        "nobody but its own clients notices",
    ),
    row(
        "kill-all",
        "SIGKILL to all members at once, started again in another order",
        &[FaultKind::KillAll],
        &[Kind::Registers, Kind::Txn, Kind::Kubernetes],
        "no acknowledged write is lost; revisions are not used twice",
    ),
    row(
        "crash-loop",
        "one member is killed again and again, also while it starts",
        &[FaultKind::CrashLoop(Random)],
        MIXED,
        "recovery from every moment of a start",
    ),
    row(
        "pause-leader",
        "SIGSTOP to the leader for up to 4 s, then SIGCONT",
        &[FaultKind::Pause(Leader)],
        &[Kind::Registers, Kind::Lease],
        "no stale read after the pause; no lease renewed by a leader of the past",
    ),
    row(
        "pause-follower",
        "SIGSTOP to a follower for up to 4 s, then SIGCONT",
        &[FaultKind::Pause(Follower)],
        MIXED,
        "reads of a member that wakes up are not stale",
    ),
    row(
        "isolate-leader",
        "the leader is cut off from both others, both ways",
        &[FaultKind::Isolate(Leader)],
        MIXED,
        "a minority neither writes nor answers linearizable reads",
    ),
    row(
        "isolate-follower",
        "a follower is cut off from both others, both ways",
        &[FaultKind::Isolate(Follower)],
        MIXED,
        "its return does not disturb the others",
    ),
    row(
        "one-way",
        "what one member sends, or what it is sent, is lost",
        &[
            FaultKind::OneWay(Leader, Way::Out),
            FaultKind::OneWay(Leader, Way::In),
            FaultKind::OneWay(Follower, Way::Out),
            FaultKind::OneWay(Follower, Way::In),
        ],
        MIXED,
        "no two leaders are obeyed; elections end",
    ),
    row(
        "partial",
        "the leader and one follower do not reach each other; both reach the third",
        &[FaultKind::Partial],
        MIXED,
        "somebody makes progress",
    ),
    row(
        "flaky-net",
        "delay with jitter on every link, connections reset or cut in the middle",
        &[FaultKind::Flaky],
        &[Kind::Kubernetes, Kind::Registers],
        "watches lose nothing, txns are applied once",
    ),
    row(
        "rolling-restart",
        "SIGTERM and start, one member after the other",
        &[FaultKind::RollingRestart],
        &[Kind::Kubernetes, Kind::Registers],
        "planned work is hardly seen",
    ),
    row(
        "move-leader",
        "the leader hands over on request",
        &[FaultKind::MoveLeader],
        &[Kind::Registers, Kind::Lease],
        "writes go on through a hand-over",
    ),
    row(
        "damage",
        "bytes of a stopped follower's log are changed; it has to refuse, and joins again emptied",
        &[FaultKind::Damage],
        MIXED,
        "damage is noticed, never shortened in silence",
    ),
    row(
        "power-loss-all",
        "the power of all members goes at once: what was not synced is lost by chance",
        &[FaultKind::PowerLossAll],
        &[Kind::Registers, Kind::Txn, Kind::Kubernetes],
        "an acknowledged write is on the disks of a majority",
    ),
    row(
        "power-loss-one",
        "the power of one member goes",
        &[FaultKind::PowerLoss(Leader), FaultKind::PowerLoss(Follower)],
        &[Kind::Registers, Kind::Txn],
        "a vote and a log entry are on disk before they are spoken of",
    ),
    row(
        "disk-full",
        "every write to one member's disk is refused for a while",
        &[FaultKind::DiskFull(Follower), FaultKind::DiskFull(Leader)],
        MIXED,
        "nothing is acknowledged that could not be written; the member comes back once there is room",
    ),
    row(
        "slow-disk",
        "every sync of one member takes up to 2 s longer",
        &[FaultKind::SlowDisk(Follower), FaultKind::SlowDisk(Leader)],
        MIXED,
        "one slow disk neither stops the others nor breaks a promise",
    ),
    row(
        "sync-error",
        "one sync of one member fails; it has to stop, and is started again",
        &[FaultKind::SyncError(Follower), FaultKind::SyncError(Leader)],
        MIXED,
        "a failed sync is not tried again, and what it was for is not acknowledged",
    ),
    row(
        "clock-jump",
        "wall clocks jump by up to an hour, once or again and again",
        &[FaultKind::ClockJump(Leader), FaultKind::ClockJumpAll],
        &[Kind::Lease, Kind::Registers],
        "no lease ends early or lives on because of a wall clock",
    ),
    row(
        "overlap",
        "a follower is frozen or cut off, and meanwhile the leader is killed",
        &[
            FaultKind::Overlap(Meanwhile::Frozen),
            FaultKind::Overlap(Meanwhile::CutOff),
        ],
        MIXED,
        "without a majority nothing is acknowledged; with one again everything goes on",
    ),
    Scenario {
        short_log: true,
        ..row(
            "snapshot-catch-up",
            "a follower is down for longer than the log reaches back, and needs a snapshot",
            &[FaultKind::LongAway],
            MIXED,
            "what comes in a snapshot is whole, and watches go on over it",
        )
    },
    row(
        "compaction",
        "history is compacted all the time while members are killed and frozen; watches begin in the past and ask how far they are",
        &[
            FaultKind::Kill(Random),
            FaultKind::Pause(Follower),
            FaultKind::Kill(Leader),
        ],
        &[Kind::Registers, Kind::Txn, Kind::History],
        "what is compacted is refused and nothing else is; progress is not told early",
    ),
    row(
        "replace-member",
        "a member dies, is removed, and a new one with an empty disk takes its place",
        &[FaultKind::Replace(Follower), FaultKind::Replace(Leader)],
        MIXED,
        "nothing is lost with the disk, and the new one votes only with what the others have",
    ),
    row(
        "membership-churn",
        "members are removed while they run and come back as new ones, as voters or as learners that are promoted",
        &[
            FaultKind::Churn(Leader),
            FaultKind::Churn(Follower),
            FaultKind::Kill(Random),
        ],
        MIXED,
        "no change of the members loses a write or leaves two majorities",
    ),
    row(
        "everything",
        "faults of every kind, one after the other",
        &[
            FaultKind::Kill(Random),
            FaultKind::KillAll,
            FaultKind::Pause(Random),
            FaultKind::Isolate(Random),
            FaultKind::OneWay(Random, Way::Out),
            FaultKind::OneWay(Random, Way::In),
            FaultKind::Partial,
            FaultKind::Flaky,
            FaultKind::CrashLoop(Random),
            FaultKind::RollingRestart,
        ],
        workload::ALL,
        "all of it",
    ),
    Scenario {
        above: Above::Apiservers,
        ..row(
            "kubernetes",
            "clients and informers of three apiservers, while members and apiservers are killed, frozen and cut off",
            &[
                FaultKind::Kill(Random),
                FaultKind::Part(Blow::Kill, Component::Apiserver, Random),
                FaultKind::Kill(Leader),
                FaultKind::Part(Blow::Pause, Component::Apiserver, Random),
                FaultKind::Isolate(Random),
                FaultKind::Part(Blow::Kill, Component::Apiserver, Random),
            ],
            &[],
            "no acknowledged write is lost, no list is stale, no watch misses an event",
        )
    },
    Scenario {
        above: Above::ControlPlane,
        ..row(
            "control-plane",
            "stores, apiservers, controllers, schedulers and nodes are killed, frozen and cut off while workloads roll",
            &[
                FaultKind::Part(Blow::Kill, Component::Controllers, Leader),
                FaultKind::Part(Blow::Pause, Component::Scheduler, Leader),
                FaultKind::Part(Blow::Cut, Component::Controllers, Leader),
                FaultKind::Part(Blow::Kill, Component::Apiserver, Random),
                FaultKind::Kill(Leader),
                FaultKind::Part(Blow::Pause, Component::Controllers, Leader),
                FaultKind::Part(Blow::NoAnswers, Component::Controllers, Leader),
                FaultKind::Part(Blow::Cut, Component::Apiserver, Random),
                FaultKind::Part(Blow::Kill, Component::Node, Random),
                FaultKind::Part(Blow::Cut, Component::Scheduler, Leader),
                FaultKind::Part(Blow::Pause, Component::Apiserver, Random),
                FaultKind::Part(Blow::NoAnswers, Component::Apiserver, Random),
                FaultKind::Isolate(Leader),
                FaultKind::Part(Blow::Pause, Component::Node, Random),
                FaultKind::Part(Blow::Kill, Component::Scheduler, Leader),
                FaultKind::Part(Blow::NoAnswers, Component::Scheduler, Leader),
                FaultKind::Part(Blow::Cut, Component::Node, Random),
                FaultKind::Pause(Leader),
                FaultKind::Part(Blow::Kill, Component::Controllers, Random),
                FaultKind::Part(Blow::Pause, Component::Controllers, Random),
                FaultKind::Part(Blow::Cut, Component::Controllers, Random),
                FaultKind::Part(Blow::Pause, Component::Scheduler, Random),
            ],
            &[],
            "desired equals observed in the end, as without faults; nothing is bound, run or counted twice",
        )
    },
    row(
        "calm",
        "nothing is broken",
        &[],
        workload::ALL,
        "the control: the load alone",
    ),
    Scenario {
        asks_progress: true,
        ..row(
            "progress",
            "nothing is broken, and watches ask again and again how far they are",
            &[],
            &[Kind::Registers, Kind::Txn],
            "no event comes at or below a revision that was reported as reached",
        )
    },
    Scenario {
        above: Above::ControlPlane,
        lies: true,
        ..row(
            "many-leaders",
            "nothing is broken, and every process of controllers leads: must be found violated",
            &[],
            &[],
            "the judge of a control plane",
        )
    },
    Scenario {
        lies: true,
        ..row(
            "stale-reads",
            "serializable reads passed off as linearizable, while a follower is cut off: must be found violated",
            &[FaultKind::Isolate(Follower)],
            &[Kind::Registers],
            "the checker itself",
        )
    },
];

/// The scenario of a name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(words: &str) -> Target {
        let text = format!("name = \"x\"\nprogram = {{ path = \"/x\"{words} }}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_target_that_does_not_call_libc_misses_what_stands_in_front_of_it() {
        let scenario = named("power-loss-all").unwrap();
        assert!(scenario.left_out(&target("")).is_some());
        assert!(scenario.left_out(&target(", calls_libc = true")).is_none());
        assert!(named("kill-all").unwrap().left_out(&target("")).is_none());
    }

    #[test]
    fn a_target_without_flags_for_it_misses_a_short_log() {
        let scenario = named("snapshot-catch-up").unwrap();
        assert!(scenario.left_out(&target("")).is_some());
        let flags = ", short_log_flags = [\"--snapshot-count=10\"]";
        assert!(scenario.left_out(&target(flags)).is_none());
    }
}
