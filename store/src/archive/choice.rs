//! Which span and which base a restore begins with, and why none does.

use anyhow::{Context, bail};

use super::folder::{self, Base, Member, Span};
use super::reader;
use super::restore::Target;
use super::time::Time;

/// Where a restore begins.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) span: Span,
    pub(super) base: Base,
    /// The segment that goes on behind the base.
    pub(super) first_segment: usize,
}

/// From where to where a span can be restored.
struct Reach {
    span: Span,
    first: (i64, Time),
    /// Where its log ends. Beyond everything when that is damaged: a replay finds out whether the target lies before it.
    last: (i64, Time),
    /// The newest entry that it knows; that of a base may lie behind the end of the log.
    last_index: u64,
    /// Whether it is the last one of its member.
    is_newest: bool,
}

pub(super) fn choose(members: &[Member], target: Target) -> anyhow::Result<Choice> {
    let clusters: Vec<u64> = members.iter().map(|member| member.cluster_id).collect();
    if clusters.iter().any(|cluster| *cluster != clusters[0]) {
        let paths: Vec<String> = members
            .iter()
            .map(|member| member.path.display().to_string())
            .collect();
        bail!(
            "several clusters archive into this folder; name the folder of one member: {}",
            paths.join(", ")
        );
    }
    let mut reaches = Vec::new();
    for member in members {
        let spans = folder::spans(&member.path)
            .with_context(|| format!("cannot read {}", member.path.display()))?;
        let mut of_member: Vec<Reach> = spans.into_iter().rev().filter_map(reach).collect();
        if let Some(newest) = of_member.first_mut() {
            newest.is_newest = true;
        }
        reaches.extend(of_member);
    }
    for reach in &reaches {
        if let Some(base) = base_for(reach, target, &reaches) {
            return begin(reach, base.clone());
        }
    }
    // A base of that very revision may know later changes of leases and users; the earliest knows the fewest.
    if let Target::Revision(revision) = target {
        for reach in &reaches {
            if let Some(base) = reach
                .span
                .bases
                .iter()
                .find(|base| base.revision == revision)
            {
                return begin(reach, base.clone());
            }
        }
    }
    Err(refusal(&reaches, target))
}

fn reach(span: Span) -> Option<Reach> {
    let (oldest, newest) = (span.bases.first()?, span.bases.last()?);
    let first = (oldest.revision, oldest.time);
    let (last, last_index) = match reader::end(&span) {
        Ok(end) => {
            let index = end.milestone.map_or(0, |milestone| milestone.index);
            let last = end.last().map_or(first, |last| last.max(first));
            (last, index.max(newest.index))
        }
        Err(_damaged) => ((i64::MAX, Time(u64::MAX)), newest.index),
    };
    Some(Reach {
        first,
        last,
        last_index,
        is_newest: false,
        span,
    })
}

/// The newest base of a span that lies before the target, if the span reaches to it.
fn base_for<'a>(reach: &'a Reach, target: Target, all: &[Reach]) -> Option<&'a Base> {
    let bases = &reach.span.bases;
    match target {
        Target::End => {
            let mut newest = all.iter().filter(|other| other.is_newest);
            let is_furthest = newest.all(|other| other.last_index <= reach.last_index);
            bases.last().filter(|_| reach.is_newest && is_furthest)
        }
        Target::Revision(revision) if revision <= reach.last.0 => {
            bases.iter().rfind(|base| base.revision < revision)
        }
        Target::Time(time) if time <= reach.last.1 => bases.iter().rfind(|base| base.time <= time),
        Target::Revision(_) | Target::Time(_) => None,
    }
}

fn begin(reach: &Reach, base: Base) -> anyhow::Result<Choice> {
    let mut first_segment = None;
    for (at, segment) in reach.span.segments.iter().enumerate() {
        match reader::next_index(segment)? {
            Some(next) if next <= base.index + 1 => first_segment = Some(at),
            // Later ones begin later, and a last one may have been cut off before it began.
            _ => break,
        }
    }
    let first_segment = first_segment.with_context(|| {
        format!(
            "the log that belongs behind {} is not there",
            base.path.display()
        )
    })?;
    Ok(Choice {
        span: reach.span.clone(),
        base,
        first_segment,
    })
}

fn refusal(reaches: &[Reach], target: Target) -> anyhow::Error {
    let at = |(revision, time): (i64, Time)| format!("revision {revision} ({time})");
    let is_before = |(revision, time): (i64, Time)| match target {
        Target::Revision(wanted) => revision < wanted,
        Target::Time(wanted) => time < wanted,
        Target::End => true,
    };
    let wanted = match target {
        Target::Revision(revision) => format!("revision {revision}"),
        Target::Time(time) => time.to_string(),
        Target::End => "a base".to_owned(),
    };
    let before = reaches
        .iter()
        .map(|reach| reach.last)
        .filter(|last| is_before(*last));
    let behind = reaches
        .iter()
        .map(|reach| reach.first)
        .filter(|first| !is_before(*first));
    let key = |place: &(i64, Time)| match target {
        Target::Time(_) => (place.1.0, place.0),
        _ => (place.0.unsigned_abs(), place.1.0.cast_signed()),
    };
    match (before.max_by_key(key), behind.min_by_key(key)) {
        (Some(last), Some(first)) => anyhow::anyhow!(
            "{wanted} lies in a gap of the archive: it has everything up to {} and again from {}",
            at(last),
            at(first)
        ),
        (Some(last), None) => anyhow::anyhow!(
            "{wanted} lies behind the end of the archive, which is {}",
            at(last)
        ),
        (None, Some(first)) => anyhow::anyhow!(
            "{wanted} lies before the beginning of the archive, which is {}",
            at(first)
        ),
        (None, None) => {
            anyhow::anyhow!("the archive holds no base yet, so nothing can be restored")
        }
    }
}
