//! What an archive holds, with everything in it looked at.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::folder::{self, Base, Member, Span};
use super::reader::{self, End, ReadError};
use super::time::Time;
use crate::backup;

/// How far a look at an archive, or a restore from one, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done_bytes: u64,
    pub total_bytes: u64,
}

/// What one member archived.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    pub path: PathBuf,
    pub cluster_id: u64,
    pub member_id: u64,
    /// In their order; between two of them is a gap.
    pub spans: Vec<SpanStatus>,
}

/// A piece of the log without a gap.
#[derive(Debug, Clone)]
pub struct SpanStatus {
    pub path: PathBuf,
    pub bases: Vec<BaseStatus>,
    /// How far its log reaches; None without a base.
    pub last: Option<(i64, Time)>,
    pub segments: usize,
    pub bytes: u64,
    /// Bytes at its end that were never whole: a write that was cut off.
    pub torn_bytes: u64,
    /// What is wrong with its log.
    pub damage: Option<String>,
}

#[derive(Debug, Clone)]
pub struct BaseStatus {
    pub path: PathBuf,
    pub revision: i64,
    pub time: Time,
    pub bytes: u64,
    /// What is wrong with it.
    pub damage: Option<String>,
}

impl MemberStatus {
    pub fn is_sound(&self) -> bool {
        let is_sound = |span: &SpanStatus| {
            span.damage.is_none() && span.bases.iter().all(|base| base.damage.is_none())
        };
        self.spans.iter().all(is_sound)
    }
}

/// The members that archive into a folder; an error when there is none.
pub(super) fn members(dir: &Path) -> anyhow::Result<Vec<Member>> {
    let members = folder::members(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    ensure!(
        !members.is_empty(),
        "{} is no archive: no member has a folder in it",
        dir.display()
    );
    Ok(members)
}

/// Reads everything in an archive.
///
/// # Errors
/// When the folder cannot be read or is no archive. Damage in it is a part of the answer.
pub fn status(dir: &Path, mut progress: impl FnMut(Progress)) -> anyhow::Result<Vec<MemberStatus>> {
    let members = members(dir)?;
    let mut found = Vec::new();
    for member in members {
        let spans = folder::spans(&member.path)
            .with_context(|| format!("cannot read {}", member.path.display()))?;
        found.push((member, spans));
    }
    let total_bytes = found
        .iter()
        .flat_map(|(_, spans)| spans)
        .map(bytes_of)
        .sum();
    let mut done_bytes = 0;
    let mut statuses = Vec::new();
    for (member, spans) in found {
        let mut looked_at = Vec::new();
        for span in spans {
            looked_at.push(look_at(&span, &mut |bytes| {
                done_bytes += bytes;
                progress(Progress {
                    done_bytes,
                    total_bytes,
                });
            }));
        }
        statuses.push(MemberStatus {
            path: member.path,
            cluster_id: member.cluster_id,
            member_id: member.member_id,
            spans: looked_at,
        });
    }
    Ok(statuses)
}

fn bytes_of(span: &Span) -> u64 {
    let segments = span.segments.iter().map(|segment| segment.bytes);
    let bases = span.bases.iter().map(|base| base.bytes);
    segments.chain(bases).sum()
}

fn look_at(span: &Span, done: &mut dyn FnMut(u64)) -> SpanStatus {
    let mut last_end = 0;
    let walked = reader::walk(span, 0, |_record, end| {
        // A smaller one is the next segment's.
        done(end.checked_sub(last_end).unwrap_or(end));
        last_end = end;
        Ok::<_, ReadError>(ControlFlow::Continue(()))
    });
    let (end, damage) = match walked {
        Ok(end) => (Some(end), detached(span)),
        Err(error) => (None, Some(error.to_string())),
    };
    let last = span.bases.first().map(|base| {
        let first = (base.revision, base.time);
        let last = end.as_ref().and_then(End::last);
        last.map_or(first, |last| last.max(first))
    });
    let bases = span.bases.iter().map(|base| {
        let status = look_at_base(base);
        done(base.bytes);
        status
    });
    SpanStatus {
        path: span.path.clone(),
        bases: bases.collect(),
        last,
        segments: span.segments.len(),
        bytes: bytes_of(span),
        torn_bytes: end.map_or(0, |end| end.torn_bytes),
        damage,
    }
}

/// Whether the log begins only behind the first base.
fn detached(span: &Span) -> Option<String> {
    let (base, segment) = (span.bases.first()?, span.segments.first()?);
    match reader::next_index(segment) {
        Ok(Some(next)) if next <= base.index + 1 => None,
        Ok(next) => Some(format!(
            "{}: the log begins with entry {}, the first base ends with {}",
            segment.path.display(),
            next.unwrap_or(0),
            base.index
        )),
        Err(error) => Some(error.to_string()),
    }
}

fn look_at_base(base: &Base) -> BaseStatus {
    let damage = backup::verify(&base.path).err();
    BaseStatus {
        path: base.path.clone(),
        revision: base.revision,
        time: base.time,
        bytes: base.bytes,
        damage: damage.map(|error| format!("{}: {error:#}", base.path.display())),
    }
}
