//! Feature gates by the names that etcd has for them.

use super::go;

/// Every gate of etcd 3.6 and 3.7, and those that stand for all of a kind.
const GATES: [&str; 11] = [
    "AllAlpha",
    "AllBeta",
    COMPACT_HASH_CHECK,
    "FastLeaseKeepAlive",
    INITIAL_CORRUPT_CHECK,
    "LeaseCheckpoint",
    "LeaseCheckpointPersist",
    "PriorityRequest",
    "SetMemberLocalAddr",
    "StopGRPCServiceOnDefrag",
    "TxnModeWriteWithSharedBuffer",
];

pub(super) const INITIAL_CORRUPT_CHECK: &str = "InitialCorruptCheck";
pub(super) const COMPACT_HASH_CHECK: &str = "CompactHashCheck";
/// Gates that switch something here. All are alpha.
const WITH_EFFECT: [&str; 3] = ["AllAlpha", COMPACT_HASH_CHECK, INITIAL_CORRUPT_CHECK];

/// Flags of etcd 3.5, without their prefix, that became gates.
const OLD_FLAGS: [(&str, &str); 6] = [
    ("stop-grpc-service-on-defrag", "StopGRPCServiceOnDefrag"),
    ("initial-corrupt-check", INITIAL_CORRUPT_CHECK),
    ("compact-hash-check-enabled", COMPACT_HASH_CHECK),
    (
        "txn-mode-write-with-shared-buffer",
        "TxnModeWriteWithSharedBuffer",
    ),
    ("enable-lease-checkpoint", "LeaseCheckpoint"),
    ("enable-lease-checkpoint-persist", "LeaseCheckpointPersist"),
];

/// The gates that are named, and how they are set. The texts are etcd's.
pub(super) fn parse(text: &str) -> Result<Vec<(&str, bool)>, String> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    let gates = pairs.map(|pair| {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("missing bool value for {}", pair.trim()))?;
        let (name, value) = (name.trim(), value.trim());
        let Some(is_on) = go::parse_bool(value) else {
            return Err(format!(
                "invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax"
            ));
        };
        if !GATES.contains(&name) {
            return Err(format!("unrecognized feature gate: {name}"));
        }
        Ok((name, is_on))
    });
    gates.collect()
}

/// How an alpha gate is set, in a text that was checked; none when the text leaves it as it is.
pub(super) fn setting(text: &str, gate: &str) -> Option<bool> {
    let gates = parse(text).unwrap_or_default();
    let last = |wanted: &str| gates.iter().rev().find(|(name, _)| *name == wanted);
    let all = last("AllAlpha").filter(|(_, is_on)| *is_on);
    last(gate).or(all).map(|(_, is_on)| *is_on)
}

/// The gates that are named and switch nothing here.
pub(super) fn without_effect(text: &str) -> Vec<&str> {
    let gates = parse(text).unwrap_or_default().into_iter();
    gates
        .map(|(name, _)| name)
        .filter(|name| !WITH_EFFECT.contains(name))
        .collect()
}

/// Refuses what contradicts itself. `old` gives the value of a flag of etcd 3.5, if it was given.
pub(super) fn check(text: &str, old: impl Fn(&str) -> Option<bool>) -> Result<(), String> {
    let gates = parse(text)?;
    let is_on = |gate: &str| {
        let named = gates.iter().rev().find(|(name, _)| *name == gate);
        named.is_some_and(|(_, is_on)| *is_on)
    };
    for (flag, gate) in OLD_FLAGS {
        let Some(value) = old(flag) else {
            continue;
        };
        if gates.iter().any(|(name, _)| *name == gate) {
            let is_on = is_on(gate);
            return Err(format!(
                "cannot specify both flags: --experimental-{flag}={value} and --feature-gates={gate}={is_on} at the same \
                 time, please just use --feature-gates={gate}={is_on}"
            ));
        }
    }
    let has = |flag: &str, gate: &str| is_on(gate) || old(flag) == Some(true);
    if has("enable-lease-checkpoint-persist", "LeaseCheckpointPersist")
        && !has("enable-lease-checkpoint", "LeaseCheckpoint")
    {
        return Err(
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint".to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_as_etcd_reads_them() {
        assert_eq!(
            parse("InitialCorruptCheck=true, PriorityRequest = f,"),
            Ok(vec![
                ("InitialCorruptCheck", true),
                ("PriorityRequest", false)
            ])
        );
        for (text, error) in [
            ("X=true", "unrecognized feature gate: X"),
            ("PriorityRequest", "missing bool value for PriorityRequest"),
            (
                "PriorityRequest=x",
                "invalid value of PriorityRequest=x, err: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), error);
        }
    }

    #[test]
    fn gates_that_contradict_are_refused() {
        let none = |_: &str| None;
        assert_eq!(
            check("LeaseCheckpoint=true,LeaseCheckpointPersist=true", none),
            Ok(())
        );
        assert!(check("LeaseCheckpointPersist=true", none).is_err());
        let old = |flag: &str| (flag == "initial-corrupt-check").then_some(true);
        assert_eq!(check("", old), Ok(()));
        assert_eq!(
            check("InitialCorruptCheck=false", old).unwrap_err(),
            "cannot specify both flags: --experimental-initial-corrupt-check=true and \
             --feature-gates=InitialCorruptCheck=false at the same time, please just use \
             --feature-gates=InitialCorruptCheck=false"
        );
    }
}
