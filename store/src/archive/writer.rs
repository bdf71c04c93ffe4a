//! Writing a span: records behind one another, in segments of bounded size.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::SEGMENT_BYTES;
use super::folder::{self, Span};
use super::format::{HEADER_BYTES, Header, Milestone, Place, encode_entry, encode_milestone};
use super::reader::End;

/// The end of a span that is written.
pub(super) struct SpanWriter {
    path: PathBuf,
    file: File,
    header: Header,
    /// Where the next record goes.
    offset: u64,
    /// Number of the last record.
    number: u64,
    /// Number of the last record that is on disk for certain.
    synced: u64,
    milestone: Option<Milestone>,
    next_index: u64,
    /// Size from which a segment is followed by the next.
    pub(super) segment_bytes: u64,
}

impl SpanWriter {
    /// Begins a span whose first segment has this header, in a folder of its own.
    pub(super) fn create(member: &Path, header: Header) -> io::Result<SpanWriter> {
        let path = member.join(folder::span_name(header.sequence));
        fs::create_dir(&path)?;
        let begun = create_segment(&path, &header).and_then(|file| {
            sync_folder(member)?;
            Ok(file)
        });
        // A span that did not come to be leaves nothing, so that its number may be used again.
        let file = begun.inspect_err(|_| drop(fs::remove_dir_all(&path)))?;
        Ok(SpanWriter {
            path,
            file,
            header,
            offset: HEADER_BYTES as u64,
            number: header.first_record - 1,
            synced: header.first_record - 1,
            milestone: None,
            next_index: header.next_index,
            segment_bytes: SEGMENT_BYTES,
        })
    }

    /// Goes on behind the last milestone of a span; what stands behind it was never whole and is cut off.
    pub(super) fn resume(
        span: &Span,
        (header, milestone): (Header, Milestone),
        end: &End,
    ) -> io::Result<SpanWriter> {
        for segment in &span.segments {
            if segment.sequence > header.sequence {
                fs::remove_file(&segment.path)?;
            }
        }
        let path = span.path.join(folder::segment_name(header.sequence));
        let file = File::options().read(true).write(true).open(path)?;
        file.set_len(end.offset)?;
        file.sync_all()?;
        sync_folder(&span.path)?;
        Ok(SpanWriter {
            path: span.path.clone(),
            file,
            header,
            offset: end.offset,
            number: end.number,
            synced: end.number,
            milestone: Some(milestone),
            next_index: milestone.index + 1,
            segment_bytes: SEGMENT_BYTES,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Log index of the next entry.
    pub(super) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// That of its first segment in use; grows through a member's archive.
    pub(super) fn sequence(&self) -> u64 {
        self.header.sequence
    }

    pub(super) fn milestone(&self) -> Option<Milestone> {
        self.milestone
    }

    pub(super) fn is_synced(&self) -> bool {
        self.synced == self.number
    }

    /// Writes entries and the milestone behind them; the bytes that took. They are on disk after the next sync.
    pub(super) fn write(
        &mut self,
        entries: &[wal::Entry],
        milestone: Milestone,
    ) -> io::Result<u64> {
        if self.offset >= self.segment_bytes {
            self.begin_segment()?;
        }
        let mut bytes = Vec::new();
        let mut number = self.number;
        let mut place = || {
            number += 1;
            Place {
                seed: self.header.seed(),
                number,
                synced: self.synced,
            }
        };
        for entry in entries {
            encode_entry(place(), entry, &mut bytes);
        }
        encode_milestone(place(), &milestone, &mut bytes);
        self.file
            .write_all_at(&bytes, self.offset)
            // What is left of it is torn; without it, the next reader has less to think about.
            .inspect_err(|_| drop(self.file.set_len(self.offset)))?;
        self.number = number;
        self.offset += bytes.len() as u64;
        self.next_index = milestone.index + 1;
        self.milestone = Some(milestone);
        Ok(bytes.len() as u64)
    }

    /// Puts everything written on disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = self.number;
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        self.sync()?;
        let header = Header {
            sequence: self.header.sequence + 1,
            first_record: self.number + 1,
            next_index: self.next_index,
            previous_end: u32::try_from(self.offset).expect("a segment is bounded far below 4 GiB"),
            ..self.header
        };
        self.file = create_segment(&self.path, &header)?;
        self.header = header;
        self.offset = HEADER_BYTES as u64;
        Ok(())
    }
}

/// A new segment with its header, on disk.
fn create_segment(span: &Path, header: &Header) -> io::Result<File> {
    let path = span.join(folder::segment_name(header.sequence));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        // Keys, values and the hashes of passwords are in it.
        .mode(0o600)
        .open(&path)?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync_all()?;
    sync_folder(span)?;
    Ok(file)
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
