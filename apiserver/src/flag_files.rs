//! Files that flags name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What a file holds.
///
/// # Errors
///
/// If it cannot be read; the error names it.
pub(crate) fn read(file: impl AsRef<Path>) -> Result<Vec<u8>> {
    let file = file.as_ref();
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The text that a file holds.
///
/// # Errors
///
/// If it cannot be read; the error names it.
pub(crate) fn read_text(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The files of a certificate and its key, each with the flag that names it: both or none.
///
/// # Errors
///
/// If one is named without the other.
pub(crate) fn pair<'a>(
    certificate: (&str, &'a Option<PathBuf>),
    key: (&str, &'a Option<PathBuf>),
) -> Result<Option<(&'a Path, &'a Path)>> {
    match (certificate.1, key.1) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => bail!("{} and {} go together", certificate.0, key.0),
    }
}

/// What the files of a [`pair`] hold.
///
/// # Errors
///
/// Those of both.
pub(crate) fn read_pair(
    certificate: (&str, &Option<PathBuf>),
    key: (&str, &Option<PathBuf>),
) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    pair(certificate, key)?
        .map(|(certificate, key)| Ok((read(certificate)?, read(key)?)))
        .transpose()
}
