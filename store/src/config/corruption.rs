//! When the members compare what they have stored. That they compare what they apply is no choice.

use std::time::Duration;

use super::gates;
use super::values::Values;

/// What the flags ask for beyond the digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorruptionChecks {
    /// Whether a member compares itself with the others before it serves.
    pub before_start: bool,
    /// None for never.
    pub interval: Option<Duration>,
    /// Whether hashes are compared after compactions.
    pub after_compactions: bool,
    /// How often the leader looks whether there was a compaction.
    pub compaction_interval: Duration,
}

impl CorruptionChecks {
    pub(super) fn of(values: &mut Values) -> Result<CorruptionChecks, String> {
        const COMPACTION_FLAG: &str = "compact-hash-check-time";
        let compaction_interval = values.duration(COMPACTION_FLAG);
        if compaction_interval.is_zero() {
            return Err(format!("--{COMPACTION_FLAG} must be >0 (set to 0s)"));
        }
        let gates = values.text("feature-gates").to_owned();
        for name in gates::without_effect(&gates) {
            values.remarks.push(format!(
                "feature gate {name} has no effect: what it switches is always on here, or not there"
            ));
        }
        let is_on = |gate, flag| gates::setting(&gates, gate).unwrap_or(values.bool(flag));
        let interval = values.duration("corrupt-check-time");
        Ok(CorruptionChecks {
            before_start: is_on(gates::INITIAL_CORRUPT_CHECK, "initial-corrupt-check"),
            interval: Some(interval).filter(|interval| !interval.is_zero()),
            after_compactions: is_on(gates::COMPACT_HASH_CHECK, "compact-hash-check-enabled"),
            compaction_interval,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, error};
    use super::*;

    #[test]
    fn gates_and_old_flags_ask_for_the_same() {
        let none = config("").corruption_checks;
        assert!(!none.before_start && !none.after_compactions && none.interval.is_none());
        assert_eq!(none.compaction_interval, Duration::from_secs(60));
        for line in [
            "--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true",
            "--feature-gates=AllAlpha=true",
            "--experimental-initial-corrupt-check --experimental-compact-hash-check-enabled",
        ] {
            let asked = config(line).corruption_checks;
            assert!(asked.before_start && asked.after_compactions, "{line}");
        }
        let line = "--feature-gates=AllAlpha=true,CompactHashCheck=false";
        let asked = config(line).corruption_checks;
        assert!(asked.before_start && !asked.after_compactions);
    }

    #[test]
    fn a_period_of_nothing_is_none() {
        let line = "--experimental-corrupt-check-time=0s";
        assert_eq!(config(line).corruption_checks.interval, None);
        let asked = config("--corrupt-check-time=2h").corruption_checks;
        assert_eq!(asked.interval, Some(Duration::from_secs(7200)));
        let (code, text) = error("--compact-hash-check-time=0s");
        assert_eq!(code, 1);
        assert!(
            text.contains("--compact-hash-check-time must be >0 (set to 0s)"),
            "{text}"
        );
    }
}
