//! One step after the other, drawn from a seed.

use super::{Aim, Blow, Fault, FaultKind, Step, Wanted};
use crate::cluster::{Component, LEASE_SECONDS};
use crate::random::Random;

/// Bounds of the quiet time behind a fault, in milliseconds.
const SETTLE_MS_MIN: u64 = 1_000;
const SETTLE_MS_MAX: u64 = 2_500;
/// The picks of a step are below this.
const PICKS: u64 = 1 << 32;
/// The farthest a wall clock jumps, in milliseconds.
pub(super) const CLOCK_JUMP_MS_MAX: u64 = 3_600_000;

pub(super) fn draw_step(
    wanted: &Wanted<'_>,
    random: &mut Random,
    at_ms: u64,
    number: usize,
) -> Step {
    // Each kind once before any comes again by chance.
    let kind = match wanted.faults.get(number) {
        Some(kind) => *kind,
        None => *random.pick(wanted.faults),
    };
    let (fault, hold_ms) = draw_fault(kind, random);
    let settle_ms = random.between(SETTLE_MS_MIN, SETTLE_MS_MAX);
    Step {
        at_ms,
        hold_ms,
        settle_ms: match wanted.every_ms {
            Some(every_ms) => every_ms.saturating_sub(hold_ms).max(SETTLE_MS_MIN),
            None => settle_ms,
        },
        pick: random.below(PICKS),
        fault,
    }
}

/// A fault of a kind, and how long it lasts.
fn draw_fault(kind: FaultKind, random: &mut Random) -> (Fault, u64) {
    match kind {
        FaultKind::Kill(aim) => (Fault::Kill { aim }, random.between(200, 3_000)),
        FaultKind::KillAll => (Fault::KillAll, random.between(0, 1_000)),
        FaultKind::CrashLoop(aim) => {
            let times = random.between(3, 6);
            let gaps_ms: Vec<u64> = (0..times).map(|_| random.between(50, 1_500)).collect();
            let hold = gaps_ms.iter().sum();
            (Fault::CrashLoop { aim, gaps_ms }, hold)
        }
        FaultKind::Pause(aim) => (Fault::Pause { aim }, random.between(300, 4_000)),
        FaultKind::Isolate(aim) => (Fault::Isolate { aim }, random.between(1_500, 5_000)),
        FaultKind::OneWay(aim, way) => (Fault::OneWay { aim, way }, random.between(1_500, 4_000)),
        FaultKind::Partial => (Fault::Partial, random.between(1_500, 4_000)),
        FaultKind::Flaky => {
            let fault = Fault::Flaky {
                delay_ms: random.between(5, 75),
                jitter_ms: random.between(5, 50),
                bursts: random.between(4, 12),
            };
            (fault, random.between(3_000, 6_000))
        }
        FaultKind::RollingRestart => (Fault::RollingRestart, 0),
        FaultKind::MoveLeader => (Fault::MoveLeader, 0),
        FaultKind::Damage => (Fault::Damage, 0),
        FaultKind::PowerLoss(aim) => (Fault::PowerLoss { aim }, random.between(0, 1_500)),
        FaultKind::PowerLossAll => (Fault::PowerLossAll, random.between(0, 300)),
        FaultKind::DiskFull(aim) => (Fault::DiskFull { aim }, random.between(1_500, 4_000)),
        FaultKind::SlowDisk(aim) => {
            let delay_ms = random.between(50, 2_000);
            (
                Fault::SlowDisk { aim, delay_ms },
                random.between(2_500, 5_000),
            )
        }
        FaultKind::SyncError(aim) => (Fault::SyncError { aim }, random.between(0, 1_500)),
        FaultKind::ClockJump(aim) => draw_jumps(Some(aim), random),
        FaultKind::ClockJumpAll => draw_jumps(None, random),
        FaultKind::Overlap(meanwhile) => (Fault::Overlap { meanwhile }, random.between(500, 3_000)),
        FaultKind::LongAway => (Fault::LongAway, random.between(500, 2_500)),
        FaultKind::Replace(aim) => (Fault::Replace { aim }, random.between(0, 1_500)),
        FaultKind::Part(blow, component, aim) => {
            let fault = Fault::Part {
                blow,
                component,
                aim,
            };
            (fault, draw_blow(blow, component, random))
        }
        FaultKind::Churn(aim) => (Fault::Churn { aim }, random.between(0, 1_500)),
    }
}

/// How long a part is away. Of those that are elected, half as long as others wait at least, so that another leads.
fn draw_blow(blow: Blow, component: Component, random: &mut Random) -> u64 {
    let outlives_lease = component.lease().is_some() && random.percent(50);
    match (blow, component) {
        (Blow::Kill, _) => random.between(200, 3_000),
        (Blow::Pause | Blow::Cut | Blow::NoAnswers, _) if outlives_lease => {
            LEASE_SECONDS * 1_000 + random.between(1_500, 4_000)
        }
        (Blow::Pause, _) => random.between(300, 4_000),
        (Blow::Cut | Blow::NoAnswers, _) => random.between(1_500, 5_000),
    }
}

/// One jump in a half of all cases, many in the others.
fn draw_jumps(aim: Option<Aim>, random: &mut Random) -> (Fault, u64) {
    let jumps = if random.percent(50) {
        1
    } else {
        random.between(5, 30)
    };
    let ahead_ms = (0..jumps).map(|_| draw_jump(random)).collect();
    (
        Fault::ClockJump { aim, ahead_ms },
        random.between(3_000, 6_000),
    )
}

/// Up to an hour ahead or behind; small ones as likely as great ones.
fn draw_jump(random: &mut Random) -> i64 {
    let most = *random.pick(&[30_000, 600_000, CLOCK_JUMP_MS_MAX]);
    let jump = random.between(most / 2, most).cast_signed();
    if random.percent(50) { jump } else { -jump }
}
