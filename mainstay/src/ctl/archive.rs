//! archive status and restore: what members wrote into their --archive-dir.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use store::archive::{self, BaseStatus, MemberStatus, SpanStatus, Target};
use store::backup;

use super::arguments::{Archive, Format, RestoreArchive};
use super::json::Json;
use super::print::unsupported;
use super::progress::{self, Line};
use super::snapshot::{restore_of, say_restored, step};
use super::{Session, go, table};

pub(super) fn run(session: &Session, command: Archive) -> Result<()> {
    match command {
        Archive::Status { dir } => status(session.printer.format, &dir),
        Archive::Restore(arguments) => restore(arguments),
    }
}

fn restore(arguments: RestoreArchive) -> Result<()> {
    let target = match (arguments.to_revision, arguments.to_time) {
        (Some(revision), _) => Target::Revision(revision),
        (None, Some(time)) => Target::Time(time),
        (None, None) => Target::End,
    };
    let restore = backup::Restore {
        bump_revision: arguments.bump.bump_revision,
        mark_compacted: arguments.bump.mark_compacted,
        ..restore_of(PathBuf::new(), arguments.member)
    };
    let mut line = Line::new();
    let restored = archive::restore(&arguments.dir, target, restore.clone(), |at| {
        line.say(|| step(at));
    });
    line.end();
    let (restored, from) = restored?;
    outln!(
        "Took the base of revision {} in {} and the log behind it up to {}",
        from.base_revision,
        from.base.display(),
        from.time
    );
    say_restored("Archive", &restore, &restored);
    Ok(())
}

fn status(format: Format, dir: &Path) -> Result<()> {
    let mut line = Line::new();
    let members = archive::status(dir, |at| {
        line.say(|| progress::bytes("checked", at.done_bytes, at.total_bytes));
    });
    line.end();
    let members = members?;
    out!("{}", text(format, &members)?);
    if !members.iter().all(MemberStatus::is_sound) {
        bail!("the archive is damaged");
    }
    Ok(())
}

fn text(format: Format, members: &[MemberStatus]) -> Result<String> {
    Ok(match format {
        Format::Simple => members.iter().map(simple).collect(),
        Format::Json => format!("{}\n", Json::List(members.iter().map(json).collect())),
        Format::Table => {
            let headings = [
                "CLUSTER ID",
                "MEMBER ID",
                "BASES",
                "FROM REVISION",
                "TO REVISION",
                "FROM",
                "TO",
                "SIZE",
                "SOUND",
            ];
            let rows: Vec<_> = members.iter().flat_map(rows).collect();
            table::draw(&headings, &rows)
        }
        Format::Fields | Format::Protobuf => return unsupported(format),
    })
}

/// Everything that is wrong with a span.
fn damage(span: &SpanStatus) -> impl Iterator<Item = &str> {
    let bases = span.bases.iter().filter_map(|base| base.damage.as_deref());
    span.damage.as_deref().into_iter().chain(bases)
}

/// From where to where a span can be restored, in words.
fn simple(member: &MemberStatus) -> String {
    let mut text = format!(
        "member {:x} of cluster {:x}, in {}\n",
        member.member_id,
        member.cluster_id,
        member.path.display()
    );
    for (at, span) in member.spans.iter().enumerate() {
        if at > 0 {
            text.push_str("  a gap\n");
        }
        let reach = match (span.bases.first(), span.last) {
            (Some(first), Some((revision, time))) => format!(
                "revisions {} to {revision}, {} to {time}",
                first.revision, first.time
            ),
            _ => "no base yet, so nothing that can be restored".to_owned(),
        };
        text.push_str(&format!(
            "  {reach}; {} bases, {} segments, {}\n",
            span.bases.len(),
            span.segments,
            go::bytes(span.bytes)
        ));
        for BaseStatus { revision, time, .. } in &span.bases {
            text.push_str(&format!("    base of revision {revision}, {time}\n"));
        }
        if span.torn_bytes > 0 {
            let bytes = span.torn_bytes;
            text.push_str(&format!("    ends with {bytes} bytes that were cut off\n"));
        }
        for what in damage(span) {
            text.push_str(&format!("    damaged: {what}\n"));
        }
    }
    text
}

fn rows(member: &MemberStatus) -> Vec<Vec<String>> {
    let row = |span: &SpanStatus| {
        let first = span.bases.first();
        let number = |number: Option<i64>| number.map_or_else(String::new, |n| n.to_string());
        vec![
            format!("{:x}", member.cluster_id),
            format!("{:x}", member.member_id),
            span.bases.len().to_string(),
            number(first.map(|base| base.revision)),
            number(span.last.map(|(revision, _)| revision)),
            first.map_or_else(String::new, |base| base.time.to_string()),
            span.last
                .map_or_else(String::new, |(_, time)| time.to_string()),
            go::bytes(span.bytes),
            damage(span).next().is_none().to_string(),
        ]
    };
    member.spans.iter().map(row).collect()
}

fn json(member: &MemberStatus) -> Json {
    let base = |base: &BaseStatus| {
        Json::Object(vec![
            ("file", Json::Text(base.path.display().to_string())),
            ("revision", Json::number(base.revision)),
            ("time", Json::Text(base.time.to_string())),
            ("size", Json::number(base.bytes)),
        ])
    };
    let span = |span: &SpanStatus| {
        let (revision, time) = span.last.unwrap_or_default();
        let first = span.bases.first();
        Json::Object(vec![
            ("folder", Json::Text(span.path.display().to_string())),
            ("bases", Json::List(span.bases.iter().map(base).collect())),
            (
                "firstRevision",
                Json::number(first.map_or(0, |base| base.revision)),
            ),
            (
                "firstTime",
                Json::Text(first.map_or_else(String::new, |base| base.time.to_string())),
            ),
            ("lastRevision", Json::number(revision)),
            (
                "lastTime",
                Json::Text(span.last.map_or_else(String::new, |_| time.to_string())),
            ),
            ("segments", Json::number(span.segments as u64)),
            ("size", Json::number(span.bytes)),
            ("tornBytes", Json::number(span.torn_bytes)),
            (
                "damage",
                Json::List(
                    damage(span)
                        .map(|what| Json::Text(what.to_owned()))
                        .collect(),
                ),
            ),
        ])
    };
    Json::Object(vec![
        ("folder", Json::Text(member.path.display().to_string())),
        ("clusterID", Json::Text(format!("{:x}", member.cluster_id))),
        ("memberID", Json::Text(format!("{:x}", member.member_id))),
        ("spans", Json::List(member.spans.iter().map(span).collect())),
    ])
}
