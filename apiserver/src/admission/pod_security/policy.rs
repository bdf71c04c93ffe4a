//! The labels of a namespace that say what its pods may do.

use std::fmt;

use objects::invalid::{Faults, Invalid};
use objects::path::Path;
use objects::{Value, meta};

const PREFIX: &str = "pod-security.kubernetes.io/";

/// How much is forbidden, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level as it was in a version of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) level: Level,
    /// The minor number; none for the latest.
    version: Option<u32>,
}

impl Standard {
    /// Whether it has what came with a version.
    pub(super) fn is_since(&self, minor: u32) -> bool {
        self.version.is_none_or(|version| version >= minor)
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.version {
            Some(minor) => write!(formatter, "{level}:v1.{minor}"),
            None => write!(formatter, "{level}:latest"),
        }
    }
}

/// What is refused, and what is only warned of or noted in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: Standard,
    pub(super) warn: Standard,
    pub(super) audit: Standard,
}

impl Policy {
    /// The policy of a namespace, and what is wrong with its labels.
    pub(super) fn of(namespace: &Value) -> (Policy, Faults) {
        let mut faults = Faults::new();
        let mut mode = |name: &str, on_fault: Level| {
            let label = format!("{PREFIX}{name}");
            let level = meta::label(namespace, &label);
            let parsed = level.map(|text| parse_level(text).ok_or(text));
            let standard_level = match parsed {
                None => Level::Privileged,
                Some(Ok(level)) => level,
                Some(Err(text)) => {
                    let why = "must be one of privileged, baseline, restricted";
                    faults.push(fault(&label, text, why));
                    on_fault
                }
            };
            let label = format!("{PREFIX}{name}-version");
            let version = meta::label(namespace, &label);
            let standard_version = version.and_then(|text| {
                parse_version(text).unwrap_or_else(|| {
                    faults.push(fault(&label, text, "must be \"latest\" or \"v1.x\""));
                    None
                })
            });
            let standard = Standard {
                level: standard_level,
                version: standard_version,
            };
            let says_level = matches!(parsed, Some(Ok(_)));
            (standard, says_level, level.is_some(), version.is_some())
        };
        let (enforce, enforces, ..) = mode("enforce", Level::Restricted);
        let (audit, ..) = mode("audit", Level::Privileged);
        let (mut warn, _, warns, warns_version) = mode("warn", Level::Privileged);
        if !warns && enforces && enforce.level > warn.level {
            warn.level = enforce.level;
            if !warns_version {
                warn.version = enforce.version;
            }
        }
        let policy = Policy {
            enforce,
            warn,
            audit,
        };
        (policy, faults)
    }
}

fn fault(label: &str, text: &str, why: &str) -> Invalid {
    Invalid::value(&Path::new("metadata.labels").key(label), text, why)
}

fn parse_level(text: &str) -> Option<Level> {
    match text {
        "privileged" => Some(Level::Privileged),
        "baseline" => Some(Level::Baseline),
        "restricted" => Some(Level::Restricted),
        _ => None,
    }
}

/// The minor number, or none for the latest; the outer none is a text that is no version.
fn parse_version(text: &str) -> Option<Option<u32>> {
    if text == "latest" {
        return Some(None);
    }
    let digits = text.strip_prefix("v1.")?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    digits.parse().ok().map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(labels: Value) -> (Policy, Faults) {
        Policy::of(&json!({"metadata": {"labels": labels}}))
    }

    #[test]
    fn what_is_refused_is_warned_of() {
        let labels = json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "v1.20"});
        let (policy, faults) = policy(labels);
        assert!(faults.is_empty());
        assert_eq!(policy.warn.to_string(), "baseline:v1.20");
    }

    #[test]
    fn wrong_labels_are_named() {
        let labels = json!({"pod-security.kubernetes.io/warn": "x", "pod-security.kubernetes.io/audit-version": "v1.01"});
        let (_, faults) = policy(labels);
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "metadata.labels[pod-security.kubernetes.io/audit-version]: Invalid value: \"v1.01\": must be \"latest\" or \"v1.x\"",
                "metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: \"x\": must be one of privileged, baseline, restricted",
            ]
        );
    }
}
