//! Segment files: what is in the directory, and how a new one is made.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::disk::{Disk, DiskFile, Names};

/// Written at once while a new segment is filled with zeros.
const FILL_BYTES: usize = 1 << 20;
/// The filling is synced this often, so that the log's own syncs never wait behind a whole segment.
const FILL_SYNC_BYTES: u64 = 4 << 20;

/// What the log's directory holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) segments: BTreeMap<u64, PathBuf>,
    pub(crate) spares: BTreeMap<u64, PathBuf>,
    pub(crate) unfinished: Vec<PathBuf>,
}

/// Reads the directory. Files with names that are not ours are left alone.
pub(crate) fn list(disk: &Disk, names: &Names) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for path in disk.list(names.directory())? {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let sequence = if stem.len() == 16 {
            u64::from_str_radix(stem, 16).ok()
        } else {
            None
        };
        match (extension, sequence) {
            (Some("wal"), Some(sequence)) => drop(listing.segments.insert(sequence, path)),
            (Some("spare"), Some(sequence)) => drop(listing.spares.insert(sequence, path)),
            (Some("unfinished"), _) => listing.unfinished.push(path),
            _ => {}
        }
    }
    Ok(listing)
}

/// Makes a zero-filled segment file. Its blocks are written, not only reserved, so that syncing records
/// into it later changes no file metadata.
pub(crate) fn create(
    disk: &Disk,
    names: &Names,
    sequence: u64,
    bytes: u64,
) -> io::Result<DiskFile> {
    let path = names.segment(sequence);
    let unfinished = names.unfinished("segment");
    let file = disk.create(&unfinished)?;
    if let Err(error) = fill(disk, &file, bytes) {
        // The space is needed more than the error of giving it back.
        let _ = disk.remove(&unfinished);
        return Err(error);
    }
    disk.rename(&unfinished, &path)?;
    disk.sync_directory(names.directory())?;
    Ok(file)
}

fn fill(disk: &Disk, file: &DiskFile, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; FILL_BYTES.min(usize::try_from(bytes).unwrap_or(FILL_BYTES))];
    let mut offset = 0;
    while offset < bytes {
        let length = zeros
            .len()
            .min(usize::try_from(bytes - offset).unwrap_or(FILL_BYTES));
        disk.write_at(file, &zeros[..length], offset)?;
        offset += length as u64;
        if offset % FILL_SYNC_BYTES == 0 || offset == bytes {
            disk.sync(file)?;
        }
    }
    Ok(())
}
