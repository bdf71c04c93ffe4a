//! Flags of our own, and etcd's warnings: what keeps one client, prefix or disk from taking the store from all others.

use super::values::Values;

/// Bytes of a disk that are kept for compaction, deletes and leases, unless a twentieth of the disk is less.
pub const DISK_RESERVE_BYTES: u64 = 256 << 20;

/// Bytes that have to stay free on the disks of log and state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskReserve {
    Off,
    /// [`DISK_RESERVE_BYTES`], and a twentieth of a small disk.
    Usual,
    Bytes(u64),
}

/// Bounds on what clients may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Whether the space alarm of the quota is lifted once there is space again.
    pub alarm_self_clearing: bool,
    pub disk_reserve: DiskReserve,
}

impl Bounds {
    pub(super) fn new(values: &Values) -> Bounds {
        Bounds {
            alarm_self_clearing: values.bool("alarm-self-clearing"),
            disk_reserve: match values.signed("disk-reserve-bytes") {
                0 => DiskReserve::Usual,
                bytes => u64::try_from(bytes).map_or(DiskReserve::Off, DiskReserve::Bytes),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    #[test]
    fn the_alarm_lifts_itself_unless_it_is_told_not_to() {
        assert!(config("").bounds.alarm_self_clearing);
        assert!(
            !config("--alarm-self-clearing=false")
                .bounds
                .alarm_self_clearing
        );
    }

    #[test]
    fn the_disk_reserve_is_usual_off_or_given() {
        let reserve = |line: &str| config(line).bounds.disk_reserve;
        assert_eq!(reserve(""), DiskReserve::Usual);
        assert_eq!(reserve("--disk-reserve-bytes=-1"), DiskReserve::Off);
        assert_eq!(
            reserve("--disk-reserve-bytes=1000"),
            DiskReserve::Bytes(1000)
        );
    }
}
