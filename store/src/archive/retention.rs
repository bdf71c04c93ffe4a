//! Removing what no restore within the retention needs.

use std::fs;
use std::io;
use std::path::Path;

use super::folder::{self, Span};
use super::reader;
use super::time::Time;

/// Removes what lies before the newest base that is at least so old, and spans without a base that are not written any
/// more. A base that a restore could begin with goes before the log behind it.
pub(super) fn prune(member: &Path, current: u64, oldest: Option<Time>) -> anyhow::Result<()> {
    let spans = folder::spans(member)?;
    let Some((newest, done)) = spans.split_last() else {
        return Ok(());
    };
    debug_assert!(
        newest.sequence <= current,
        "the newest span is the one that is written"
    );
    for span in done {
        if span.bases.is_empty() {
            remove(span)?;
        }
    }
    let Some(oldest) = oldest else {
        return Ok(());
    };
    let old_enough = |span: &&Span| span.bases.iter().any(|base| base.time <= oldest);
    let Some(anchor) = spans.iter().rev().find(old_enough) else {
        return Ok(());
    };
    for span in spans
        .iter()
        .take_while(|span| span.sequence < anchor.sequence)
    {
        if !span.bases.is_empty() {
            remove(span)?;
        }
    }
    trim(anchor, oldest)
}

fn remove(span: &Span) -> io::Result<()> {
    for base in &span.bases {
        fs::remove_file(&base.path)?;
    }
    fs::remove_dir_all(&span.path)?;
    tracing::info!(span = %span.path.display(), "removed a span of the archive");
    Ok(())
}

/// Removes what lies before the base that a restore to `oldest` begins with.
fn trim(span: &Span, oldest: Time) -> anyhow::Result<()> {
    let kept = span.bases.iter().rposition(|base| base.time <= oldest);
    let kept = kept.expect("the span was chosen for such a base");
    for base in &span.bases[..kept] {
        fs::remove_file(&base.path)?;
    }
    let index = span.bases[kept].index;
    for pair in span.segments.windows(2) {
        let [segment, next] = pair else { continue };
        // Everything before the next segment is in the base.
        if reader::next_index(next)?.is_none_or(|next| next > index + 1) {
            break;
        }
        fs::remove_file(&segment.path)?;
    }
    Ok(())
}
