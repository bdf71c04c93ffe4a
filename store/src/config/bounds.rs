//! Flags of our own, and etcd's warnings: what keeps one client, prefix or disk from taking the store from all others.

use std::time::Duration;

use super::build::list;
use super::rate_limits::{self, RateLimit};
use super::values::Values;
use crate::metrics::NAMES_MAX;

/// Bytes of a disk that are kept for compaction, deletes and leases, unless a twentieth of the disk is less.
pub const DISK_RESERVE_BYTES: u64 = 256 << 20;

/// Memory that answers of large ranges may take together.
const RANGE_ANSWERS_BYTES: u64 = 512 << 20;
/// The least of it: answers that are not large have a share, and each of them has to fit.
const RANGE_ANSWERS_BYTES_MIN: u64 = 16 << 20;
/// Large ranges that run at a time: so many for each processor, and never fewer than the least.
const BULK_RANGES_PER_PROCESSOR: usize = 2;
const BULK_RANGES_MIN: usize = 4;
/// More than this the process has no threads for.
const BULK_RANGES_MAX: usize = 512;

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

/// What large ranges may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeBounds {
    /// That run at a time.
    pub running_max: usize,
    /// Of answers that are made and sent.
    pub answers_bytes_max: u64,
}

/// Bounds on what clients may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Whether the space alarm of the quota is lifted once there is space again.
    pub alarm_self_clearing: bool,
    pub disk_reserve: DiskReserve,
    pub slow_requests: SlowRequests,
    pub ranges: RangeBounds,
    pub rate_limits: Vec<RateLimit>,
    /// Prefixes whose traffic is counted; empty for the first segments of keys.
    pub metric_prefixes: Vec<String>,
}

impl Bounds {
    pub(super) fn new(values: &Values) -> Result<Bounds, String> {
        Ok(Bounds {
            alarm_self_clearing: values.bool("alarm-self-clearing"),
            disk_reserve: match values.signed("disk-reserve-bytes") {
                0 => DiskReserve::Usual,
                bytes => u64::try_from(bytes).map_or(DiskReserve::Off, DiskReserve::Bytes),
            },
            slow_requests: SlowRequests {
                apply: values.duration("warning-apply-duration"),
                unary_request: values.duration("warning-unary-request-duration"),
            },
            ranges: range_bounds(values)?,
            rate_limits: rate_limits::parse(values.text("rate-limit"))?,
            metric_prefixes: metric_prefixes(values)?,
        })
    }
}

fn metric_prefixes(values: &Values) -> Result<Vec<String>, String> {
    let names = list(values.text("metric-prefixes"));
    if names.len() > NAMES_MAX {
        return Err(format!(
            "--metric-prefixes names {} prefixes, and {NAMES_MAX} are the most",
            names.len()
        ));
    }
    Ok(names)
}

/// Zero is the default of both.
fn range_bounds(values: &Values) -> Result<RangeBounds, String> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let running_max = match values.unsigned("bulk-ranges-max") {
        0 => (processors * BULK_RANGES_PER_PROCESSOR).max(BULK_RANGES_MIN),
        ranges => usize::try_from(ranges).unwrap_or(usize::MAX),
    };
    let answers_bytes_max = match values.unsigned("range-answers-bytes-max") {
        0 => RANGE_ANSWERS_BYTES,
        bytes if bytes < RANGE_ANSWERS_BYTES_MIN => {
            return Err(format!(
                "--range-answers-bytes-max[{bytes}] is too small: it takes at least {RANGE_ANSWERS_BYTES_MIN} bytes, or 0 for the default"
            ));
        }
        bytes => bytes,
    };
    Ok(RangeBounds {
        running_max: running_max.min(BULK_RANGES_MAX),
        answers_bytes_max,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, error};
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
    fn large_ranges_have_their_bounds() {
        let ranges = |line: &str| config(line).bounds.ranges;
        assert_eq!(ranges("").answers_bytes_max, RANGE_ANSWERS_BYTES);
        assert!(ranges("").running_max >= BULK_RANGES_MIN);
        let given = ranges("--bulk-ranges-max=3 --range-answers-bytes-max=20000000");
        assert_eq!(
            (given.running_max, given.answers_bytes_max),
            (3, 20_000_000)
        );
        let (code, text) = error("--range-answers-bytes-max=1000");
        assert_eq!(code, 1);
        assert!(text.contains("at least 16777216 bytes"), "{text}");
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
