//! A snapshot file: the database, and its checksum behind it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

use super::CHECKSUM_BYTES;

/// A database's length is a multiple of this, the smallest sector, so a rest tells that a checksum follows.
const SECTOR_BYTES: u64 = 512;
/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

pub(super) struct BackupFile {
    pub(super) file: File,
    /// Length of the database.
    pub(super) database_bytes: u64,
    checksum: Option<[u8; CHECKSUM_BYTES]>,
}

impl BackupFile {
    pub(super) fn open(path: &Path) -> anyhow::Result<BackupFile> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let about = file.metadata()?;
        ensure!(about.is_file(), "{} is not a file", path.display());
        let length = about.len();
        let (database_bytes, checksum) = if length % SECTOR_BYTES == CHECKSUM_BYTES as u64 {
            let database_bytes = length - CHECKSUM_BYTES as u64;
            let mut checksum = [0; CHECKSUM_BYTES];
            file.read_exact_at(&mut checksum, database_bytes)?;
            (database_bytes, Some(checksum))
        } else {
            (length, None)
        };
        Ok(BackupFile {
            file,
            database_bytes,
            checksum,
        })
    }

    /// Reads the whole database and compares its checksum. The texts are etcdutl's.
    pub(super) fn verify(&self, mut progress: impl FnMut(u64)) -> anyhow::Result<()> {
        let Some(expected) = self.checksum else {
            bail!("snapshot missing hash but --skip-hash-check=false");
        };
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut done = 0;
        while done < self.database_bytes {
            let part = (self.database_bytes - done).min(READ_BYTES as u64) as usize;
            self.file.read_exact_at(&mut buffer[..part], done)?;
            hasher.update(&buffer[..part]);
            done += part as u64;
            progress(done);
        }
        let got: [u8; CHECKSUM_BYTES] = hasher.finalize().into();
        ensure!(
            got == expected,
            "expected sha256 {}, got {}",
            list(&expected),
            list(&got)
        );
        Ok(())
    }
}

/// As Go prints bytes.
fn list(bytes: &[u8]) -> String {
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    format!("[{}]", numbers.join(" "))
}
