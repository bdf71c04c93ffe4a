//! The scenarios: which faults, under which load, and what is looked at most.

use crate::schedule::{Aim, FaultKind, Way};
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
    /// Serializable reads are recorded as linearizable: the run must be found violated. For proving the checker.
    pub lies: bool,
}

impl Scenario {
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
