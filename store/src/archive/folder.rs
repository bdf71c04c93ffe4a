//! Names in an archive: members' folders, their spans, and the segments and bases of each.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::time::Time;
use crate::replica::Identity;

const SPAN: &str = "span-";
const SEGMENT: &str = ".log";
const BASE: &str = "base-";
const BASE_END: &str = ".db";
/// Behind the name of a base that is not whole.
pub(super) const PART: &str = ".part";
/// Held by the process that writes.
pub(super) const LOCK: &str = "LOCK";

/// What one member archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) path: PathBuf,
    pub(super) cluster_id: u64,
    pub(super) member_id: u64,
}

/// A piece of the log without a gap, with its bases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) path: PathBuf,
    /// That of its first segment.
    pub(super) sequence: u64,
    /// In their order.
    pub(super) segments: Vec<SegmentFile>,
    /// By their log index.
    pub(super) bases: Vec<Base>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) sequence: u64,
    pub(super) bytes: u64,
}

/// A snapshot of the state, and what its name says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) path: PathBuf,
    pub(super) revision: i64,
    pub(super) index: u64,
    pub(super) time: Time,
    pub(super) bytes: u64,
}

pub(super) fn member_name(identity: Identity) -> String {
    format!("{:016x}-{:016x}", identity.cluster_id, identity.member_id)
}

pub(super) fn span_name(sequence: u64) -> String {
    format!("{SPAN}{sequence:016x}")
}

pub(super) fn segment_name(sequence: u64) -> String {
    format!("{sequence:016x}{SEGMENT}")
}

pub(super) fn base_name(revision: i64, index: u64, time: Time) -> String {
    format!("{BASE}{revision}-{index}-{}{BASE_END}", time.0)
}

/// Sixteen hex digits, no more and no other.
fn hexadecimal(text: &str) -> Option<u64> {
    let is_exact = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_exact.then(|| u64::from_str_radix(text, 16).ok())?
}

/// A number that another one may come behind.
fn with_successor(number: u64) -> Option<u64> {
    (number < u64::MAX).then_some(number)
}

/// Cluster and member of a member's folder.
fn parse_member(name: &str) -> Option<(u64, u64)> {
    let (cluster, member) = name.split_once('-')?;
    Some((hexadecimal(cluster)?, hexadecimal(member)?))
}

/// Revision, log index and time of a base.
fn parse_base(name: &str) -> Option<(i64, u64, Time)> {
    let numbers = name.strip_prefix(BASE)?.strip_suffix(BASE_END)?;
    let mut numbers = numbers.split('-');
    let revision: i64 = numbers.next()?.parse().ok()?;
    let index = numbers.next()?.parse().ok().and_then(with_successor)?;
    let time = Time(numbers.next()?.parse().ok()?);
    (numbers.next().is_none() && revision > 0).then_some((revision, index, time))
}

/// Names and paths in a folder; what is no text is nobody's of ours.
fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            // Whoever writes the archive may remove what is too old.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path(), metadata));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// The members that archive into `dir`; `dir` itself may be the folder of one.
pub(super) fn members(dir: &Path) -> io::Result<Vec<Member>> {
    let member = |name: &str, path: &Path| {
        let (cluster_id, member_id) = parse_member(name)?;
        let path = path.to_owned();
        Some(Member {
            path,
            cluster_id,
            member_id,
        })
    };
    let whole = fs::canonicalize(dir)?;
    let own_name = whole.file_name().and_then(|name| name.to_str());
    if let Some(own) = own_name.and_then(|name| member(name, dir)) {
        return Ok(vec![own]);
    }
    let found = entries(dir)?.into_iter();
    Ok(found
        .filter(|(_, _, about)| about.is_dir())
        .filter_map(|(name, path, _)| member(&name, &path))
        .collect())
}

/// A member's spans in their order.
pub(super) fn spans(member: &Path) -> io::Result<Vec<Span>> {
    let mut spans = Vec::new();
    for (name, path, about) in entries(member)? {
        let Some(sequence) = name
            .strip_prefix(SPAN)
            .and_then(hexadecimal)
            .and_then(with_successor)
        else {
            continue;
        };
        if about.is_dir() {
            spans.push(span(path, sequence)?);
        }
    }
    Ok(spans)
}

fn span(path: PathBuf, sequence: u64) -> io::Result<Span> {
    let (mut segments, mut bases) = (Vec::new(), Vec::new());
    for (name, path, about) in entries(&path)? {
        let bytes = about.len();
        if let Some(sequence) = name
            .strip_suffix(SEGMENT)
            .and_then(hexadecimal)
            .and_then(with_successor)
        {
            segments.push(SegmentFile {
                path,
                sequence,
                bytes,
            });
        } else if let Some((revision, index, time)) = parse_base(&name) {
            bases.push(Base {
                path,
                revision,
                index,
                time,
                bytes,
            });
        }
    }
    bases.sort_by_key(|base| (base.index, base.time));
    Ok(Span {
        path,
        sequence,
        segments,
        bases,
    })
}

/// Removes bases that never became whole.
pub(super) fn remove_parts(member: &Path) -> io::Result<()> {
    for span in spans(member)? {
        for (name, path, _) in entries(&span.path)? {
            if name.ends_with(PART) {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_went() {
        let identity = Identity {
            cluster_id: 0xfeed,
            member_id: u64::MAX,
        };
        let name = member_name(identity);
        assert_eq!(name, "000000000000feed-ffffffffffffffff");
        assert_eq!(parse_member(&name), Some((0xfeed, u64::MAX)));
        let name = base_name(7, 9, Time(11));
        assert_eq!(name, "base-7-9-11.db");
        assert_eq!(parse_base(&name), Some((7, 9, Time(11))));
        for name in [
            "base-7-9.db",
            "base-7-9-11-1.db",
            "base--7-9-11.db",
            "base-7-9-11.db.part",
        ] {
            assert_eq!(parse_base(name), None, "{name}");
        }
        for name in [
            "feed-1",
            "000000000000feed-+fffffffffffffff",
            "000000000000feed",
        ] {
            assert_eq!(parse_member(name), None, "{name}");
        }
    }
}
