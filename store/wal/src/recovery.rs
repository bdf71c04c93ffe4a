//! Reads a log back: replays its segments, cuts a torn tail, and refuses when acknowledged records are lost.
//!
//! A record that was acknowledged was synced before, so it is whole on disk. A broken record is therefore
//! either the torn tail of a batch that nobody was told about, or damage. It is damage when anything proves
//! that it once was on disk: the high-water mark, a later segment, or a later record that says so.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, Names};
use crate::error::OpenError;
use crate::format::{HeaderState, SEGMENT_HEADER_BYTES, SegmentHeader, record_seed};
use crate::log::Log;
use crate::mark::MarkFile;
use crate::options::Options;
use crate::position::{Active, Blob, InUse, Position};
use crate::replay::{Remains, Replay, scan};
use crate::segment::{self, Listing};

/// Zeros written at once over a torn tail.
const CUT_BYTES: usize = 1 << 20;

/// Entries that a start takes for a torn tail when that bug is planted.
const ENTRIES_LOST: u64 = 8;

/// A log read back, ready to be written on.
pub(crate) struct Replayed {
    pub(crate) log: Log,
    pub(crate) position: Position,
    pub(crate) mark: MarkFile,
    pub(crate) listing: Listing,
    /// Bytes of the torn tail that were overwritten with zeros.
    pub(crate) cut_bytes: u64,
    /// Segments from before the log's first, left by an interrupted purge.
    pub(crate) leftover: Vec<u64>,
}

/// A segment with a sound header.
struct Segment {
    header: SegmentHeader,
    file: DiskFile,
}

/// Replays the log in the directory, or begins a new one. Changes nothing before every check has passed.
pub(crate) fn recover(
    disk: &Disk,
    names: &Names,
    options: &Options,
    new_log_id: impl FnOnce() -> u64,
) -> Result<Replayed, OpenError> {
    let listing = segment::list(disk, names).map_err(OpenError::io(names.directory()))?;
    match MarkFile::open(disk, names)? {
        Some(mark) => Recovery {
            disk,
            names,
            options,
            mark,
            listing,
        }
        .replay(),
        None if listing.segments.is_empty() => {
            let mark = MarkFile::create(disk, names, new_log_id())
                .map_err(OpenError::io(&names.mark()))?;
            Recovery {
                disk,
                names,
                options,
                mark,
                listing,
            }
            .replay()
        }
        None => Err(OpenError::damaged(
            names.directory(),
            format!("its high-water mark {} is missing", names.mark().display()),
        )),
    }
}

struct Recovery<'a> {
    disk: &'a Disk,
    names: &'a Names,
    options: &'a Options,
    mark: MarkFile,
    listing: Listing,
}

impl Recovery<'_> {
    fn replay(mut self) -> Result<Replayed, OpenError> {
        let (segments, prepared) = self.open_segments()?;
        let newest = *self.mark.newest();
        let mut replay = Replay::new(newest.log_id, self.options.window_bytes_max);
        let mut end = SEGMENT_HEADER_BYTES;
        let mut content = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            content = segment
                .file
                .content()
                .map_err(self.io(segment.header.sequence))?;
            replay.begin(&segment.header);
            end = replay.records(&segment.header, &content);
            if let Some(next) = segments.get(at + 1) {
                self.check_joint(&replay, segment, end, &next.header)?;
            }
        }
        self.check_tail(&replay, end)?;
        let mut remains = Remains::Nothing;
        if let Some(last) = segments.last() {
            remains = scan(&content[end..], last.header.seed(), replay.last_record());
            self.check_remains(&replay, &remains, last.header.sequence, end)?;
        }
        let tail_bytes = (content.len().max(end) - end) as u64;
        drop(content);
        let prepared = self.check_prepared(&replay, prepared)?;
        self.check_start(&replay, segments.first())?;

        // Every check has passed; from here on the directory may change.
        let mut cut_bytes = 0;
        if let Some(last) = segments.last() {
            if remains == Remains::Unacknowledged {
                cut_bytes = tail_bytes;
                tracing::warn!(
                    segment = last.header.sequence,
                    offset = end,
                    "cutting the torn tail of the raft log; it was never acknowledged"
                );
                self.cut(&last.file, end as u64, cut_bytes)
                    .map_err(self.io(last.header.sequence))?;
            }
            // The tail may have been read from the page cache of a process that died before its sync.
            self.disk
                .sync(&last.file)
                .map_err(self.io(last.header.sequence))?;
        }
        self.tidy(prepared)?;
        self.assemble(replay, segments, end as u64, cut_bytes)
    }

    fn io(&self, sequence: u64) -> impl FnOnce(io::Error) -> OpenError + use<> {
        OpenError::io(&self.names.segment(sequence))
    }

    fn damaged(&self, what: String) -> OpenError {
        OpenError::damaged(self.names.directory(), what)
    }

    /// The segments in use, without a gap up to the last, and the one prepared behind them.
    fn open_segments(&self) -> Result<(Vec<Segment>, Option<u64>), OpenError> {
        let log_id = self.mark.newest().log_id;
        let mut segments: Vec<Segment> = Vec::new();
        let mut prepared = None;
        for (&sequence, path) in &self.listing.segments {
            if let Some(broken) = prepared {
                return Err(self.damaged(format!("the header of segment {broken} is unreadable")));
            }
            let file = self.disk.open(path).map_err(OpenError::io(path))?;
            let length = file.len().map_err(OpenError::io(path))?;
            let mut head = vec![0; SEGMENT_HEADER_BYTES.min(length as usize)];
            file.read_at(&mut head, 0).map_err(OpenError::io(path))?;
            match SegmentHeader::decode(&head) {
                HeaderState::OtherVersion(version) => {
                    return Err(OpenError::Format {
                        path: path.clone(),
                        version,
                    });
                }
                HeaderState::Valid(header)
                    if header.log_id == log_id && header.sequence == sequence =>
                {
                    if segments
                        .last()
                        .is_some_and(|last| last.header.sequence + 1 != sequence)
                    {
                        segments.clear();
                    }
                    segments.push(Segment { header, file });
                }
                HeaderState::Valid(_) | HeaderState::Absent => prepared = Some(sequence),
            }
        }
        if let (Some(last), Some(prepared)) = (segments.last(), prepared)
            && last.header.sequence + 1 != prepared
        {
            return Err(self.damaged(format!("the header of segment {prepared} is unreadable")));
        }
        Ok((segments, prepared))
    }

    /// A segment that has a successor must be whole.
    fn check_joint(
        &self,
        replay: &Replay,
        segment: &Segment,
        end: usize,
        next: &SegmentHeader,
    ) -> Result<(), OpenError> {
        if end == next.previous_end as usize && replay.next_record == next.first_record {
            return Ok(());
        }
        Err(self.damaged(format!(
            "segment {} is unreadable from offset {end}, {}; records {} to {} are lost, up to the next \
             segment, which begins at entry {}",
            segment.header.sequence,
            replay.describe(),
            replay.next_record,
            next.first_record.saturating_sub(1),
            next.first_index,
        )))
    }

    /// The log must reach the high-water mark.
    fn check_tail(&self, replay: &Replay, end: usize) -> Result<(), OpenError> {
        let mark = self.mark.newest();
        if mark.record <= replay.last_record() {
            return Ok(());
        }
        Err(self.damaged(format!(
            "it was acknowledged up to record {} in segment {} (entries before index {}), but it is readable \
             only up to record {}, offset {end} of segment {}, {}",
            mark.record,
            mark.sequence,
            mark.next_index,
            replay.last_record(),
            replay.segment,
            replay.describe(),
        )))
    }

    fn check_remains(
        &self,
        replay: &Replay,
        remains: &Remains,
        sequence: u64,
        end: usize,
    ) -> Result<(), OpenError> {
        let Remains::Proof { record } = remains else {
            return Ok(());
        };
        Err(self.damaged(format!(
            "record {} at offset {end} is unreadable although the later record {record} in segment {sequence} \
             says that it was on disk, {}",
            replay.next_record,
            replay.describe(),
        )))
    }

    /// A prepared segment may hold what was left of a first batch, but no proof of more. Returns it with
    /// whether it is clean enough to be used.
    fn check_prepared(
        &self,
        replay: &Replay,
        prepared: Option<u64>,
    ) -> Result<Option<(u64, bool)>, OpenError> {
        let Some(sequence) = prepared else {
            return Ok(None);
        };
        let path = self.names.segment(sequence);
        let content = self
            .disk
            .open(&path)
            .and_then(|file| file.content())
            .map_err(OpenError::io(&path))?;
        let seed = record_seed(self.mark.newest().log_id, sequence);
        let remains = scan(&content, seed, replay.last_record());
        self.check_remains(replay, &remains, sequence, 0)?;
        Ok(Some((sequence, remains == Remains::Nothing)))
    }

    /// Entries that are not purged must not lie before the first segment.
    fn check_start(&self, replay: &Replay, first: Option<&Segment>) -> Result<(), OpenError> {
        let Some(first) = first else { return Ok(()) };
        let needed = replay.log.purged().map_or(0, |purged| purged + 1);
        if first.header.first_index <= needed {
            return Ok(());
        }
        Err(self.damaged(format!(
            "entries {needed} to {} are missing: they were in segments before {}",
            first.header.first_index - 1,
            first.header.sequence,
        )))
    }

    fn cut(&self, file: &DiskFile, mut offset: u64, mut bytes: u64) -> io::Result<()> {
        let zeros = vec![0; CUT_BYTES];
        while bytes > 0 {
            let length = bytes.min(CUT_BYTES as u64);
            self.disk
                .write_at(file, &zeros[..length as usize], offset)?;
            offset += length;
            bytes -= length;
        }
        Ok(())
    }

    /// Removes files that were being made, and a prepared segment with remains in it.
    fn tidy(&mut self, prepared: Option<(u64, bool)>) -> Result<(), OpenError> {
        for path in &self.listing.unfinished {
            self.disk.remove(path).map_err(OpenError::io(path))?;
        }
        if let Some((sequence, clean)) = prepared
            && !clean
        {
            let path = self.names.segment(sequence);
            self.disk.remove(&path).map_err(OpenError::io(&path))?;
        }
        Ok(())
    }

    fn assemble(
        self,
        mut replay: Replay,
        segments: Vec<Segment>,
        end: u64,
        cut_bytes: u64,
    ) -> Result<Replayed, OpenError> {
        if planted::is_on(planted::Bug::TailLost) {
            let kept = replay.log.next_index().saturating_sub(ENTRIES_LOST);
            replay.log.truncate(kept);
            replay.blobs.committed = Blob::default();
        }
        let first = segments
            .first()
            .map_or(u64::MAX, |segment| segment.header.sequence);
        let leftover = self
            .listing
            .segments
            .range(..first)
            .map(|(&sequence, _path)| sequence);
        let leftover = if segments.is_empty() {
            Vec::new()
        } else {
            leftover.collect()
        };
        let mut active = None;
        let mut in_use = VecDeque::new();
        for Segment { header, file } in segments {
            let capacity = file.len().map_err(self.io(header.sequence))?;
            let file = Arc::new(file);
            replay.log.add_file(header.sequence, Arc::clone(&file));
            in_use.push_back(InUse {
                sequence: header.sequence,
                first_index: header.first_index,
            });
            active = Some(Active {
                header,
                file,
                capacity,
                offset: end,
            });
        }
        let position = Position {
            active,
            in_use,
            next_record: replay.next_record,
            next_index: replay.log.next_index(),
            blobs: replay.blobs,
        };
        let Recovery { mark, listing, .. } = self;
        Ok(Replayed {
            log: replay.log,
            position,
            mark,
            listing,
            cut_bytes,
            leftover,
        })
    }
}
