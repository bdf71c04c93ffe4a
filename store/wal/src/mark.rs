//! The high-water mark: a file with two slots that says how far the log was on disk when last acknowledged.
//!
//! A slot is written after each sync of the log and before the callbacks, and is itself not synced. So the
//! mark is never ahead of the log. After the end of a process it is exact, because the page cache stays;
//! after a power failure it may be older than the log, which only makes it notice less.

use std::io;

use crate::disk::{Disk, DiskFile, Names};
use crate::error::OpenError;
use crate::format::{MARK_SLOT_BYTES, MarkSlot};

/// Slots lie in different pages, so that no torn write reaches both.
const SLOT_STRIDE_BYTES: u64 = 4096;
const FILE_BYTES: usize = 2 * SLOT_STRIDE_BYTES as usize;

#[derive(Debug)]
pub(crate) struct MarkFile {
    disk: Disk,
    file: DiskFile,
    newest: MarkSlot,
}

impl MarkFile {
    /// Makes the mark of a new log, durably. It exists before the first segment does.
    pub(crate) fn create(disk: &Disk, names: &Names, log_id: u64) -> io::Result<MarkFile> {
        let newest = MarkSlot {
            log_id,
            counter: 1,
            sequence: 0,
            record: 0,
            end: 0,
            next_index: 0,
        };
        let unfinished = names.unfinished("mark");
        let file = disk.create(&unfinished)?;
        let mut content = vec![0; FILE_BYTES];
        for counter in 0..2u64 {
            let at = (counter * SLOT_STRIDE_BYTES) as usize;
            let slot = MarkSlot { counter, ..newest };
            content[at..at + MARK_SLOT_BYTES].copy_from_slice(&slot.encode());
        }
        disk.write_at(&file, &content, 0)?;
        disk.sync(&file)?;
        disk.rename(&unfinished, &names.mark())?;
        disk.sync_directory(names.directory())?;
        Ok(MarkFile {
            disk: disk.clone(),
            file,
            newest,
        })
    }

    /// The mark of an existing log; `None` when there is no mark file.
    pub(crate) fn open(disk: &Disk, names: &Names) -> Result<Option<MarkFile>, OpenError> {
        let path = names.mark();
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io(&path)(error)),
        };
        let content = file.content().map_err(OpenError::io(&path))?;
        let mut slots = [None; 2];
        for (number, slot) in slots.iter_mut().enumerate() {
            let bytes = content
                .get(number * SLOT_STRIDE_BYTES as usize..)
                .unwrap_or_default();
            *slot = MarkSlot::decode(bytes).map_err(|version| OpenError::Format {
                path: path.clone(),
                version,
            })?;
            if slot.is_none() {
                tracing::warn!(
                    slot = number,
                    "a slot of the raft log's high-water mark is unreadable"
                );
            }
        }
        let newest = slots.into_iter().flatten().max_by_key(|slot| slot.counter);
        let Some(newest) = newest else {
            return Err(OpenError::damaged(
                names.directory(),
                "its high-water mark is unreadable, so it cannot be told whether records are missing"
                    .to_owned(),
            ));
        };
        Ok(Some(MarkFile {
            disk: disk.clone(),
            file,
            newest,
        }))
    }

    pub(crate) fn newest(&self) -> &MarkSlot {
        &self.newest
    }

    /// Moves the mark. The caller has synced the log up to there.
    pub(crate) fn advance(&mut self, to: MarkSlot) -> io::Result<()> {
        let counter = self.newest.counter + 1;
        self.newest = MarkSlot {
            counter,
            log_id: self.newest.log_id,
            ..to
        };
        let offset = counter % 2 * SLOT_STRIDE_BYTES;
        self.disk
            .write_at(&self.file, &self.newest.encode(), offset)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.file)
    }
}
