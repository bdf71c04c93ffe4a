//! The table of real clusters: what is planted or not, what provokes it, and which invariant has to be named.

use check::Check;

use crate::run::CORRUPT_ALARM;
use crate::schedule::{Aim, Fault, Step};

/// Which server is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// A stock etcd.
    Etcd,
    /// The store as it is.
    Ours,
    /// The store as it is built with bugs.
    Planted,
}

/// What a run has to come to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// Nothing is wrong.
    Held,
    /// One of these invariants is found broken.
    Named(&'static [Check]),
    /// One of these invariants is found broken, or there are these words: a member has ended by itself, or an alarm was
    /// raised, for the store has noticed what was done to it.
    NamedOrNoticed(&'static [Check], &'static str),
}

impl Wanted {
    /// Whether a broken invariant is what was wanted.
    pub(super) fn names(self, check: Check) -> bool {
        match self {
            Held => false,
            Named(checks) | NamedOrNoticed(checks, _) => checks.contains(&check),
        }
    }

    /// Whether the store itself has said what was wanted.
    pub(super) fn notices(self, violation: &str) -> bool {
        matches!(self, NamedOrNoticed(_, words) if violation.contains(words))
    }
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    /// Its row in the matrix.
    pub(super) name: &'static str,
    /// The server.
    pub(super) on: On,
    /// The bug, if one is planted.
    pub(super) bug: Option<&'static str>,
    /// Load and, unless there are steps, faults.
    pub(super) scenario: &'static str,
    /// How long.
    pub(super) seconds: u64,
    /// Faults in place of those that would be drawn.
    pub(super) steps: &'static [Step],
    /// Behind the flags every member gets.
    pub(super) flags: &'static [&'static str],
    /// What it has to come to.
    pub(super) wanted: Wanted,
}

impl Case {
    /// Server and scenario in words.
    pub(super) fn place(&self) -> String {
        let server = match self.on {
            On::Etcd => "etcd",
            On::Ours => "ours",
            On::Planted => "planted",
        };
        format!("{server}, {}", self.scenario)
    }
}

const fn control(name: &'static str, on: On, scenario: &'static str, seconds: u64) -> Case {
    Case {
        name,
        on,
        bug: None,
        scenario,
        seconds,
        steps: &[],
        flags: &[],
        wanted: Held,
    }
}

const fn bug(
    name: &'static str,
    scenario: &'static str,
    seconds: u64,
    steps: &'static [Step],
    wanted: Wanted,
) -> Case {
    Case {
        name,
        on: On::Planted,
        bug: Some(name),
        scenario,
        seconds,
        steps,
        flags: &[],
        wanted,
    }
}

const fn step(at_ms: u64, hold_ms: u64, settle_ms: u64, fault: Fault) -> Step {
    Step {
        at_ms,
        hold_ms,
        settle_ms,
        pick: 0,
        fault,
    }
}

const KILL_FOLLOWER: Fault = Fault::Kill { aim: Aim::Follower };

/// The leader is alone for as long as the others need to have another.
const ISOLATED_LEADER: &[Step] = &[step(500, 2_500, 500, Fault::Isolate { aim: Aim::Leader })];
const PAUSED_LEADER: &[Step] = &[step(1_500, 2_500, 1_000, Fault::Pause { aim: Aim::Leader })];
/// Slow links keep batches under way for long, and connections break meanwhile.
const BROKEN_CONNECTIONS: &[Step] = &[step(
    500,
    4_000,
    500,
    Fault::Flaky {
        delay_ms: 20,
        jitter_ms: 10,
        bursts: 20,
    },
)];
const KILLED_FOLLOWERS: &[Step] = &[
    step(500, 200, 1_000, KILL_FOLLOWER),
    step(2_200, 200, 1_000, KILL_FOLLOWER),
];
const ALL_KILLED_ONCE: &[Step] = &[all_killed(800)];
const ALL_KILLED: &[Step] = &[all_killed(800), all_killed(2_800), all_killed(4_800)];
/// What differs in the logs of members that are killed is left to chance, so they are killed often.
const ALL_KILLED_OFTEN: &[Step] = &[
    all_killed(800),
    all_killed(1_800),
    all_killed(2_800),
    all_killed(3_800),
    all_killed(4_800),
    all_killed(5_800),
    all_killed(6_800),
    all_killed(7_800),
];
/// A new leader within half a second.
const QUICK_ELECTIONS: &[&str] = &["--heartbeat-interval=50", "--election-timeout=250"];

const fn all_killed(at_ms: u64) -> Step {
    step(at_ms, 0, 700, Fault::KillAll)
}

use Check::{
    AnsweredWrite, AppliedOnce, Cause, Hash, LeaseAtomic, LeaseEarly, MembersAgree, RangeAnswer,
    RealTime, RevisionUnique, TxnAnswer, WatchAtomic, WatchBookmark, WatchOrdered, WatchPrevKv,
    WatchReliable, WatchResumable, WatchUnique, Witness,
};
use Wanted::{Held, Named, NamedOrNoticed};

const NONE: &[Step] = &[];
/// An acknowledged write that is gone leaves a hole, or another write in its place.
const LOST: &[Check] = &[
    AnsweredWrite,
    RevisionUnique,
    MembersAgree,
    Witness,
    RealTime,
];

/// Every case. Controls come first: what they are found wrong for would be found in the others too.
pub(super) const CASES: &[Case] = &[
    control("etcd calm", On::Etcd, "calm", 4),
    Case {
        wanted: Named(&[RealTime]),
        ..control("serializable reads passed off", On::Etcd, "stale-reads", 4)
    },
    control("ours calm", On::Ours, "calm", 4),
    control("ours kill-leader", On::Ours, "kill-leader", 6),
    control("no bug: calm", On::Planted, "calm", 4),
    control("no bug: kill-all", On::Planted, "kill-all", 6),
    control("no bug: progress", On::Planted, "progress", 3),
    // Reads.
    bug("no-read-barrier", "calm", 3, NONE, Named(&[RealTime])),
    bug("old-read-round", "calm", 3, NONE, Named(&[RealTime])),
    bug(
        "read-without-quorum",
        "isolate-leader",
        4,
        ISOLATED_LEADER,
        Named(&[RealTime]),
    ),
    bug("more-off-by-one", "calm", 3, NONE, Named(&[RangeAnswer])),
    bug("count-of-page", "calm", 3, NONE, Named(&[RangeAnswer])),
    // Writes. Members that differ are found by the store itself, too, when the run is long enough.
    bug("stale-compare", "calm", 3, NONE, Named(&[TxnAnswer])),
    bug("txn-reads-before", "calm", 3, NONE, Named(&[TxnAnswer])),
    bug(
        "hash-order",
        "calm",
        3,
        NONE,
        NamedOrNoticed(&[Hash, WatchOrdered], CORRUPT_ALARM),
    ),
    // What is not on disk is missing for watches that read it, and for who starts from it.
    bug(
        "tombstone-elided",
        "calm",
        8,
        NONE,
        NamedOrNoticed(&[Hash, Witness, MembersAgree], CORRUPT_ALARM),
    ),
    bug(
        "forwarded-again",
        "flaky-net",
        5,
        BROKEN_CONNECTIONS,
        Named(&[AppliedOnce]),
    ),
    // The log.
    bug(
        "ack-before-write",
        "kill-all",
        7,
        ALL_KILLED,
        NamedOrNoticed(LOST, CORRUPT_ALARM),
    ),
    bug(
        "tail-lost",
        "kill-all",
        3,
        ALL_KILLED_ONCE,
        NamedOrNoticed(LOST, CORRUPT_ALARM),
    ),
    Case {
        flags: QUICK_ELECTIONS,
        ..bug(
            "vote-in-memory",
            "kill-all",
            9,
            ALL_KILLED_OFTEN,
            NamedOrNoticed(LOST, CORRUPT_ALARM),
        )
    },
    Case {
        flags: &["--snapshot-count=20"],
        ..bug(
            "mark-behind",
            "kill-follower",
            4,
            KILLED_FOLLOWERS,
            NamedOrNoticed(&[MembersAgree, AppliedOnce, Witness, Hash], CORRUPT_ALARM),
        )
    },
    // A log that lost what it had promised refuses to open.
    bug(
        "sync-skipped",
        "power-loss-all",
        5,
        NONE,
        NamedOrNoticed(LOST, "is damaged"),
    ),
    // Watches.
    bug("shared-previous", "calm", 3, NONE, Named(&[WatchPrevKv])),
    bug("unasked-fragments", "calm", 3, NONE, Named(&[WatchAtomic])),
    bug(
        "one-event-a-revision",
        "calm",
        3,
        NONE,
        Named(&[WatchReliable, TxnAnswer, Cause]),
    ),
    bug(
        "resumes-early",
        "kill-follower",
        4,
        KILLED_FOLLOWERS,
        Named(&[WatchResumable, WatchUnique, WatchOrdered]),
    ),
    bug(
        "resumes-late",
        "kill-follower",
        4,
        KILLED_FOLLOWERS,
        Named(&[WatchReliable, WatchResumable]),
    ),
    bug(
        "early-progress",
        "progress",
        3,
        NONE,
        Named(&[WatchBookmark]),
    ),
    // Leases.
    bug(
        "renewal-not-replicated",
        "pause-leader",
        6,
        PAUSED_LEADER,
        Named(&[LeaseEarly]),
    ),
    bug("lease-ends-ahead", "calm", 5, NONE, Named(&[LeaseEarly])),
    bug(
        "lease-keys-one-by-one",
        "calm",
        4,
        NONE,
        Named(&[LeaseAtomic]),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenario;

    #[test]
    fn each_case_has_a_scenario_and_a_name_of_its_own() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        for case in CASES {
            assert!(scenario::named(case.scenario).is_some(), "{}", case.name);
        }
    }

    #[test]
    fn every_planted_bug_has_to_be_found_and_every_control_to_hold() {
        for case in CASES {
            let is_control = matches!(case.wanted, Held);
            let lies = scenario::named(case.scenario).is_some_and(|scenario| scenario.lies);
            assert_eq!(is_control, case.bug.is_none() && !lies, "{}", case.name);
        }
    }
}
