//! Flags of our own, and etcd's warnings: what keeps one client, prefix or disk from taking the store from all others.

use std::time::Duration;

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

/// Durations above which a request is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowRequests {
    /// `--warning-apply-duration`: of a read, or of a write from its proposal until it was applied.
    pub apply: Duration,
    /// `--warning-unary-request-duration`: of a whole request.
    pub unary_request: Duration,
}

/// Bounds on what clients may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Whether the space alarm of the quota is lifted once there is space again.
    pub alarm_self_clearing: bool,
    pub disk_reserve: DiskReserve,
    pub slow_requests: SlowRequests,
}

impl Bounds {
    pub(super) fn new(values: &Values) -> Bounds {
        Bounds {
            alarm_self_clearing: values.bool("alarm-self-clearing"),
            disk_reserve: match values.signed("disk-reserve-bytes") {
                0 => DiskReserve::Usual,
                bytes => u64::try_from(bytes).map_or(DiskReserve::Off, DiskReserve::Bytes),
            },
            slow_requests: SlowRequests {
                apply: values.duration("warning-apply-duration"),
                unary_request: values.duration("warning-unary-request-duration"),
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
    fn slow_requests_have_etcds_durations_and_names() {
        let slow = |line: &str| {
            let SlowRequests {
                apply,
                unary_request,
            } = config(line).bounds.slow_requests;
            (apply.as_millis(), unary_request.as_millis())
        };
        assert_eq!(slow(""), (100, 300));
        assert_eq!(slow("--warning-apply-duration=1s"), (1000, 300));
        let old = "--experimental-warning-unary-request-duration=2s";
        assert_eq!(slow(old), (100, 2000));
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
