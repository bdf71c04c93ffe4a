//! A fault with everything that was drawn for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Aim, Blow, Meanwhile, Way};
use crate::cluster::Component;

/// A fault with everything that was drawn for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL; started again when it is over.
    Kill {
        /// Whom.
        aim: Aim,
    },
    /// SIGKILL to everyone; started again when it is over.
    KillAll,
    /// SIGKILL again and again.
    CrashLoop {
        /// Whom.
        aim: Aim,
        /// Time from each start to the next kill, in milliseconds.
        gaps_ms: Vec<u64>,
    },
    /// SIGSTOP until it is over.
    Pause {
        /// Whom.
        aim: Aim,
    },
    /// No bytes to or from the others until it is over.
    Isolate {
        /// Whom.
        aim: Aim,
    },
    /// No bytes one way until it is over.
    OneWay {
        /// Whom.
        aim: Aim,
        /// Which way.
        way: Way,
    },
    /// No bytes between the leader and one follower until it is over.
    Partial,
    /// Every link is slow, and some connections break.
    Flaky {
        /// Time every byte is kept, in milliseconds.
        delay_ms: u64,
        /// Up to this much more, in milliseconds.
        jitter_ms: u64,
        /// Resets and truncations spread over the time.
        bursts: u64,
    },
    /// SIGTERM and a start, member by member.
    RollingRestart,
    /// The leader is asked to hand over.
    MoveLeader,
    /// Bytes of a stopped follower's log are changed.
    Damage,
    /// The power of one goes; started again when it is over.
    PowerLoss {
        /// Whom.
        aim: Aim,
    },
    /// The power of everyone goes; started again when it is over.
    PowerLossAll,
    /// Every write to a disk is refused until it is over.
    DiskFull {
        /// Whose.
        aim: Aim,
    },
    /// Every sync of a disk takes longer until it is over.
    SlowDisk {
        /// Whose.
        aim: Aim,
        /// How much longer, in milliseconds.
        delay_ms: u64,
    },
    /// One sync fails; the member is started again when it is over.
    SyncError {
        /// Whose.
        aim: Aim,
    },
    /// A wall clock jumps.
    ClockJump {
        /// Whose; everyone's, each by something else, if nothing is said.
        aim: Option<Aim>,
        /// How far it is ahead after each jump, in milliseconds.
        ahead_ms: Vec<i64>,
    },
    /// The leader is killed while something happens to a follower.
    Overlap {
        /// What happens to the follower.
        meanwhile: Meanwhile,
    },
    /// A follower is killed and stays down.
    LongAway,
    /// SIGKILL; removed, and another one added in its place when it is over.
    Replace {
        /// Whom.
        aim: Aim,
    },
    /// Removed; another one is added in its place when it is over.
    Churn {
        /// Whom.
        aim: Aim,
    },
    /// Something is done to a process above the members.
    Part {
        /// What.
        blow: Blow,
        /// Of which kind it is.
        component: Component,
        /// Whom, where one of them leads.
        aim: Aim,
    },
}

impl Fault {
    /// Whom it is for, if it is for one by role.
    pub fn aim(&self) -> Option<Aim> {
        match self {
            Fault::Kill { aim }
            | Fault::CrashLoop { aim, .. }
            | Fault::Pause { aim }
            | Fault::Isolate { aim }
            | Fault::OneWay { aim, .. }
            | Fault::PowerLoss { aim }
            | Fault::DiskFull { aim }
            | Fault::SlowDisk { aim, .. }
            | Fault::SyncError { aim }
            | Fault::Replace { aim }
            | Fault::Churn { aim }
            | Fault::Part { aim, .. } => Some(*aim),
            Fault::ClockJump { aim, .. } => *aim,
            Fault::MoveLeader | Fault::Partial | Fault::Overlap { .. } => Some(Aim::Leader),
            Fault::Damage | Fault::LongAway => Some(Aim::Follower),
            Fault::KillAll | Fault::PowerLossAll | Fault::Flaky { .. } | Fault::RollingRestart => {
                None
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Fault::Part {
            blow, component, ..
        } = self
        {
            return write!(f, "{blow} {component}");
        }
        f.write_str(match self {
            Fault::Kill { .. } => "kill",
            Fault::KillAll => "kill all",
            Fault::CrashLoop { .. } => "crash loop",
            Fault::Pause { .. } => "pause",
            Fault::Isolate { .. } => "isolate",
            Fault::OneWay { way: Way::Out, .. } => "cut outgoing",
            Fault::OneWay { way: Way::In, .. } => "cut incoming",
            Fault::Partial => "cut one pair",
            Fault::Flaky { .. } => "flaky net",
            Fault::RollingRestart => "rolling restart",
            Fault::MoveLeader => "move leader",
            Fault::Damage => "damage",
            Fault::PowerLoss { .. } => "power loss",
            Fault::PowerLossAll => "power loss of all",
            Fault::DiskFull { .. } => "disk full",
            Fault::SlowDisk { .. } => "slow disk",
            Fault::SyncError { .. } => "sync error",
            Fault::ClockJump { aim: Some(_), .. } => "clock jump",
            Fault::ClockJump { aim: None, .. } => "clock jump of all",
            Fault::Overlap {
                meanwhile: Meanwhile::Frozen,
            } => "kill while a follower is frozen",
            Fault::Overlap {
                meanwhile: Meanwhile::CutOff,
            } => "kill while a follower is cut off",
            Fault::LongAway => "long away",
            Fault::Replace { .. } => "replace",
            Fault::Churn { .. } => "remove and add",
            Fault::Part { .. } => unreachable!("it was written above"),
        })
    }
}
