//! Room for writes: the quota on live bytes with an alarm that goes when there is room again, and the disk's reserve.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use state_machine::{AlarmAction, AlarmChange, AlarmKind, Caller, Command};

use crate::blocking;
use crate::config::{Config, DISK_RESERVE_BYTES, DiskReserve};
use crate::metrics::Counter;
use crate::raft::{LeadershipWatch, StateFolder};
use crate::replica::Proposals;

/// How often quota and disks are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Share of the quota below which the alarm is lifted. Between it and the quota nothing changes, so that an alarm does
/// not come and go with every write.
const LOW_WATER_PERCENT: u64 = 95;
/// The usual reserve is at most this part of the disk.
const RESERVE_DISK_PARTS: u64 = 20;
/// Free bytes above the reserve at which a member takes puts again: this part of the reserve, and not more than that.
const RESERVE_MARGIN_PARTS: u64 = 8;
const RESERVE_MARGIN_BYTES_MAX: u64 = 64 << 20;

/// How much room there is, for whoever is about to admit a write.
#[derive(Debug)]
pub(crate) struct Space {
    /// `--quota-backend-bytes`, on live bytes; none for no quota.
    quota_bytes: Option<u64>,
    clears_itself: bool,
    reserve: DiskReserve,
    /// Of the disk with the least, when last looked.
    free_bytes: AtomicU64,
    reserve_bytes: AtomicU64,
    disk_is_low: AtomicBool,
    looks: Counter,
}

impl Space {
    pub(crate) fn new(config: &Config) -> Space {
        Space {
            quota_bytes: config.quota_bytes,
            clears_itself: config.bounds.alarm_self_clearing,
            reserve: config.bounds.disk_reserve,
            free_bytes: AtomicU64::new(0),
            reserve_bytes: AtomicU64::new(0),
            disk_is_low: AtomicBool::new(false),
            looks: Counter::default(),
        }
    }

    /// Whether the quota has no room for a write that takes `cost_bytes`.
    pub(crate) fn exceeds_quota(&self, live_bytes: u64, cost_bytes: u64) -> bool {
        self.quota_bytes
            .is_some_and(|quota| live_bytes.saturating_add(cost_bytes) >= quota)
    }

    /// Whether a write that the quota has no room for is reason for an alarm. While so much is free that the alarm
    /// would be lifted at once, the write is too large and nothing else is wrong.
    pub(crate) fn raises_alarm(&self, live_bytes: u64) -> bool {
        !self.clears_itself || !self.is_below_low_water(live_bytes)
    }

    fn is_below_low_water(&self, live_bytes: u64) -> bool {
        self.quota_bytes
            .is_none_or(|quota| live_bytes < percent(quota, LOW_WATER_PERCENT))
    }

    /// Whether the disk is so full that what is left is kept for compaction, deletes and leases that end.
    pub(crate) fn disk_is_low(&self) -> bool {
        self.disk_is_low.load(Ordering::Relaxed)
    }

    /// Free bytes of the disk with the least, and what is kept of them. Zeros while nothing is kept.
    pub(crate) fn disk(&self) -> (u64, u64) {
        let free_bytes = self.free_bytes.load(Ordering::Relaxed);
        (free_bytes, self.reserve_bytes.load(Ordering::Relaxed))
    }

    /// How often quota and disks were looked at.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.get()
    }

    /// Takes note of a disk's free bytes. Whether it became low or ceased to be.
    fn note_disk(&self, free_bytes: u64, reserve_bytes: u64) -> bool {
        self.free_bytes.store(free_bytes, Ordering::Relaxed);
        self.reserve_bytes.store(reserve_bytes, Ordering::Relaxed);
        let was_low = self.disk_is_low();
        let margin = if was_low {
            (reserve_bytes / RESERVE_MARGIN_PARTS).min(RESERVE_MARGIN_BYTES_MAX)
        } else {
            0
        };
        let is_low = free_bytes < reserve_bytes.saturating_add(margin);
        self.disk_is_low.store(is_low, Ordering::Relaxed);
        was_low != is_low
    }

    /// Looks at the disks of these folders.
    fn look_at_disks(&self, folders: &[PathBuf]) -> io::Result<()> {
        let mut least: Option<(u64, u64)> = None;
        for folder in folders {
            let (free_bytes, all_bytes) = disk_bytes(folder)?;
            let reserve_bytes = match self.reserve {
                DiskReserve::Off => return Ok(()),
                DiskReserve::Usual => DISK_RESERVE_BYTES.min(all_bytes / RESERVE_DISK_PARTS),
                DiskReserve::Bytes(bytes) => bytes,
            };
            // Each disk has a reserve of its own: what is above it counts.
            let spare = |free: u64, reserve: u64| i128::from(free) - i128::from(reserve);
            let own = spare(free_bytes, reserve_bytes);
            if least.is_none_or(|(free, reserve)| own < spare(free, reserve)) {
                least = Some((free_bytes, reserve_bytes));
            }
        }
        let Some((free_bytes, reserve_bytes)) = least else {
            return Ok(());
        };
        if self.note_disk(free_bytes, reserve_bytes) {
            if self.disk_is_low() {
                tracing::error!(
                    free_bytes,
                    reserve_bytes,
                    "the disk is nearly full: this member takes no puts until there is room"
                );
            } else {
                tracing::info!(
                    free_bytes,
                    reserve_bytes,
                    "the disk has room for puts again"
                );
            }
        }
        Ok(())
    }
}

/// Rounded down, without running over.
fn percent(bytes: u64, percent: u64) -> u64 {
    bytes / 100 * percent + bytes % 100 * percent / 100
}

/// Bytes that we may still take on a folder's disk, and the size of the disk.
fn disk_bytes(folder: &Path) -> io::Result<(u64, u64)> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok((
        disk.f_bavail.saturating_mul(disk.f_frsize),
        disk.f_blocks.saturating_mul(disk.f_frsize),
    ))
}

/// Watches room on one replica.
pub(crate) struct SpaceLoop {
    pub(crate) space: Arc<Space>,
    pub(crate) folder: Arc<StateFolder>,
    /// Where log and state lie.
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) proposals: Proposals,
    pub(crate) leadership: LeadershipWatch,
    pub(crate) member_id: u64,
}

impl SpaceLoop {
    pub(crate) async fn run(self) {
        let mut tick = tokio::time::interval(LOOK_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.look_at_disks().await;
            if self.space.clears_itself && self.leadership.leader() == Some(self.member_id) {
                self.lift_alarms().await;
            }
            self.space.looks.add(1);
        }
    }

    async fn look_at_disks(&self) {
        if self.space.reserve == DiskReserve::Off {
            return;
        }
        let (space, folders) = (Arc::clone(&self.space), self.folders.clone());
        let looked = blocking::run(move || space.look_at_disks(&folders)).await;
        if let Ok(Err(error)) = looked {
            tracing::warn!(%error, "cannot see how full the disk is");
        }
    }

    /// Lifts the alarms that the store raised for its quota, once there is room again. An alarm that somebody raised
    /// stays until somebody lifts it.
    async fn lift_alarms(&self) {
        let machine = self.folder.machine();
        let live_bytes = machine.live_bytes();
        if !self.space.is_below_low_water(live_bytes) {
            return;
        }
        let members = machine.own_space_alarms();
        drop(machine);
        for member in members {
            let change = AlarmChange {
                action: AlarmAction::Deactivate,
                member,
                alarm: AlarmKind::NoSpace,
            };
            let command = Command::Alarm(change).by(Caller::System);
            match self.proposals.propose(&command).await {
                Ok(Ok(_)) => tracing::info!(
                    alarmed_member = format_args!("{member:x}"),
                    live_bytes,
                    "there is space below the quota again; lifted the no space alarm"
                ),
                Ok(Err(error)) => tracing::warn!(%error, "no space alarm was not lifted"),
                Err(error) => tracing::warn!(%error, "no space alarm was not lifted"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(quota_bytes: u64, clears_itself: bool) -> Space {
        Space {
            quota_bytes: Some(quota_bytes),
            clears_itself,
            reserve: DiskReserve::Usual,
            free_bytes: AtomicU64::new(0),
            reserve_bytes: AtomicU64::new(0),
            disk_is_low: AtomicBool::new(false),
            looks: Counter::default(),
        }
    }

    #[test]
    fn the_alarm_has_a_gap_between_its_coming_and_going() {
        let space = space(1000, true);
        assert!(space.exceeds_quota(990, 10));
        assert!(!space.exceeds_quota(990, 9));
        assert!(space.raises_alarm(950));
        assert!(!space.is_below_low_water(950));
        assert!(space.is_below_low_water(949));
    }

    #[test]
    fn a_write_that_is_too_large_by_itself_raises_no_alarm_that_would_go_at_once() {
        assert!(!space(1000, true).raises_alarm(100));
        assert!(space(1000, false).raises_alarm(100));
    }

    #[test]
    fn a_low_disk_is_low_until_there_is_more_than_the_reserve() {
        let space = space(1000, true);
        assert!(!space.note_disk(800, 800));
        assert!(space.note_disk(799, 800));
        assert!(!space.note_disk(899, 800));
        assert!(space.disk_is_low());
        assert!(space.note_disk(900, 800));
        assert!(!space.disk_is_low());
    }
}
