//! Which release of etcd the cluster passes for: the one whose API it speaks, or the one before during a downgrade.

use state_machine::Release;

/// The release whose API this server speaks, as [`crate::SERVER_VERSION`] has it.
const OWN: Release = Release { major: 3, minor: 6 };

/// What the cluster and its storage pass for.
pub(crate) fn of_cluster(downgrade: Option<Release>) -> Release {
    downgrade.unwrap_or(OWN)
}

/// The only release that a cluster may be taken back to.
pub(crate) fn before(release: Release) -> Option<Release> {
    let minor = release.minor.checked_sub(1)?;
    Some(Release { minor, ..release })
}

/// Whether etcd's storage of this release says of itself which it is: up to 3.5 it does not.
pub(crate) fn is_in_storage(release: Release) -> bool {
    release >= OWN
}

/// With a patch number, as etcd writes the version of a cluster.
pub(crate) fn full(release: Release) -> String {
    let Release { major, minor } = release;
    format!("{major}.{minor}.0")
}

/// Without one, as etcd answers and labels it.
pub(crate) fn short(release: Release) -> String {
    let Release { major, minor } = release;
    format!("{major}.{minor}")
}

/// Reads a release as etcd does: a semantic version, whose patch number may be missing and says nothing.
pub(crate) fn parse(text: &str) -> Option<Release> {
    semantic(text).or_else(|| semantic(&format!("{text}.0")))
}

fn semantic(text: &str) -> Option<Release> {
    let (text, metadata) = text.split_once('+').unwrap_or((text, ""));
    let (core, pre_release) = text.split_once('-').unwrap_or((text, ""));
    let numbers: Vec<&str> = core.split('.').collect();
    let [major, minor, patch] = numbers[..] else {
        return None;
    };
    let number = |digits: &str| -> Option<u64> {
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
        let number: i64 = digits.parse().ok().filter(|_| is_number)?;
        u64::try_from(number).ok()
    };
    number(patch)?;
    let are_identifiers = |text: &str| {
        text.is_empty()
            || text.split('.').all(|name| {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                !name.is_empty() && name.bytes().all(fits)
            })
    };
    if !are_identifiers(metadata) || !are_identifiers(pre_release) {
        return None;
    }
    Some(Release {
        major: number(major)?,
        minor: number(minor)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_servers_release_is_that_of_its_version() {
        assert_eq!(parse(crate::SERVER_VERSION), Some(OWN));
        assert_eq!((full(OWN), short(OWN)), ("3.6.0".into(), "3.6".into()));
    }

    /// Each was tried on etcd 3.6.16.
    #[test]
    fn releases_are_read_as_etcd_reads_them() {
        let release = Some(Release { major: 3, minor: 5 });
        for text in ["3.5", "3.5.0", "3.5.9", "03.5", "3.5.1-rc.1+x"] {
            assert_eq!(parse(text), release, "{text}");
        }
        for text in [
            "",
            "3",
            "3.x",
            "3.5-rc1",
            "3.5.",
            "3.5.1.1",
            "-3.5",
            "3.5.0-a_b",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn there_is_one_release_before() {
        assert_eq!(before(OWN), parse("3.5"));
        assert_eq!(before(Release { major: 4, minor: 0 }), None);
        assert!(is_in_storage(OWN) && !before(OWN).is_some_and(is_in_storage));
    }
}
