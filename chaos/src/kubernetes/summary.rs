//! What the judge says, as reports have it.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::judge::judge;
use crate::findings;
use crate::summary::Judged;

/// Has a stored history of apiservers judged.
///
/// # Errors
/// When it cannot be read.
pub fn judge_stored(path: &Path) -> Result<Judged> {
    let started = Instant::now();
    let findings = judge(&findings::read(path)?);
    let lost = Some(findings.lost());
    Ok(Judged {
        lost,
        ..findings.told(started)?
    })
}
