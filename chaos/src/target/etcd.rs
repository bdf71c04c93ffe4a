//! What is known of a stock etcd, by the version that its program says.

use std::path::Path;
use std::process::{Command, Stdio};

/// A scenario that finds some versions violated.
struct Known {
    scenario: &'static str,
    reason: &'static str,
    /// The first minor version of etcd 3 that holds, if one does.
    mended_in: Option<u32>,
}

const KNOWN: &[Known] = &[
    Known {
        scenario: "pause-leader",
        reason: "a leader of the past goes on renewing leases when it wakes up (etcd's issue 15247)",
        mended_in: None,
    },
    Known {
        scenario: "progress",
        reason: "it reports progress ahead of events (etcd's issue 15220)",
        mended_in: Some(PROGRESS_MENDED_IN),
    },
    Known {
        scenario: "compaction",
        reason: "a watch from a compacted revision misses a deletion there (etcd's issue 18089)",
        mended_in: Some(6),
    },
];

/// Some patch versions of 3.4 and 3.5 have it too; what is not sure is not judged.
const PROGRESS_MENDED_IN: u32 = 6;

/// Whether a version answers a progress request only when everything up to there was sent.
pub(super) fn answers_progress_truly(minor: Option<u32>) -> bool {
    minor.is_some_and(|minor| minor >= PROGRESS_MENDED_IN)
}

/// Scenarios that a version is known not to hold under, with the reasons. One that is not known has every fault.
pub(super) fn known(minor: Option<u32>) -> impl Iterator<Item = (String, String)> {
    let holds = move |known: &Known| {
        minor
            .zip(known.mended_in)
            .is_some_and(|(is, mended)| is >= mended)
    };
    KNOWN
        .iter()
        .filter(move |known| !holds(known))
        .map(|known| (known.scenario.to_owned(), known.reason.to_owned()))
}

/// The minor version of etcd 3 that a program says it has.
pub(super) fn minor(path: &Path) -> Option<u32> {
    let said = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse(&String::from_utf8_lossy(&said.stdout))
}

fn parse(text: &str) -> Option<u32> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("etcd Version: 3."))?;
    line.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenarios(minor: Option<u32>) -> Vec<String> {
        known(minor).map(|(scenario, _)| scenario).collect()
    }

    #[test]
    fn what_a_version_has_mended_is_not_held_against_it() {
        assert_eq!(scenarios(Some(6)), ["pause-leader"]);
        let all = ["pause-leader", "progress", "compaction"];
        assert_eq!(scenarios(Some(4)), all);
        assert_eq!(scenarios(None), all);
        assert!(answers_progress_truly(Some(6)) && !answers_progress_truly(Some(4)));
        assert!(!answers_progress_truly(None));
    }

    #[test]
    fn the_version_is_read_from_what_etcd_prints() {
        let text = "etcd Version: 3.6.16\nGit SHA: Not provided\nGo Version: go1.26\n";
        assert_eq!(parse(text), Some(6));
        assert_eq!(parse("error: Unrecognized option: 'version'"), None);
        assert_eq!(minor(Path::new("/nowhere/etcd")), None);
    }
}
