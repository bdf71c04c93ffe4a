//! Reading a span back, and looking at everything in it: a torn end is the end, anything else that is wrong is an error.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use wal::RECORD_HEADER_BYTES;

use super::SEGMENT_BYTES_MAX;
use super::folder::{SegmentFile, Span};
use super::format::{BadHeader, FORMAT_VERSION, HEADER_BYTES, Header, Milestone, Record, decode};
use super::time::Time;

/// Why a span cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("{} is damaged at offset {offset}: {what}", path.display())]
    Damaged {
        path: PathBuf,
        offset: u64,
        what: &'static str,
    },
    #[error("{} has format version {version}, this program reads version {FORMAT_VERSION}", path.display())]
    Version { path: PathBuf, version: u8 },
    #[error("cannot read {}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// How far a span is whole: behind its last milestone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) milestone: Option<Milestone>,
    /// The last revision that a milestone says.
    pub(super) revision: Option<i64>,
    /// Header of the segment that the last milestone stands in.
    pub(super) header: Option<Header>,
    /// Where that milestone ends in it, and its number.
    pub(super) offset: u64,
    pub(super) number: u64,
    /// Bytes behind it that were never whole.
    pub(super) torn_bytes: u64,
}

impl End {
    /// The last revision and the last time that are known to belong to the span.
    pub(super) fn last(&self) -> Option<(i64, Time)> {
        Some((self.revision?, self.milestone?.time))
    }
}

/// What a record has to be, seen from those before it.
struct Expected {
    header: Option<Header>,
    /// Where the segment before ended.
    previous_end: u64,
    number: u64,
    next_index: u64,
    end: End,
}

/// A segment in memory.
struct Segment<'a> {
    file: &'a SegmentFile,
    bytes: Bytes,
}

impl Segment<'_> {
    fn damaged(&self, offset: usize, what: &'static str) -> ReadError {
        damaged(&self.file.path, offset, what)
    }
}

fn damaged(path: &Path, offset: usize, what: &'static str) -> ReadError {
    ReadError::Damaged {
        path: path.to_owned(),
        offset: offset as u64,
        what,
    }
}

fn load(file: &SegmentFile) -> Result<Segment<'_>, ReadError> {
    let failed = |error| ReadError::Io {
        path: file.path.clone(),
        error,
    };
    let mut bytes = Vec::new();
    let opened = File::open(&file.path).map_err(failed)?;
    let mut most = opened.take(SEGMENT_BYTES_MAX + 1);
    most.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SEGMENT_BYTES_MAX {
        return Err(damaged(
            &file.path,
            bytes.len(),
            "it is longer than any segment",
        ));
    }
    Ok(Segment {
        file,
        bytes: bytes.into(),
    })
}

/// Visits the records of a span from one of its segments on, up to its end, or until the visitor breaks off. What stands
/// behind the last milestone is visited too and counts for nothing.
pub(super) fn walk<E: From<ReadError>>(
    span: &Span,
    first: usize,
    mut visit: impl FnMut(Record, u64) -> Result<ControlFlow<()>, E>,
) -> Result<End, E> {
    let mut expected = Expected {
        header: None,
        previous_end: 0,
        number: 0,
        next_index: 0,
        end: End {
            milestone: None,
            revision: None,
            header: None,
            offset: 0,
            number: 0,
            torn_bytes: 0,
        },
    };
    let segments = &span.segments[first.min(span.segments.len())..];
    for (at, file) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        let segment = load(file)?;
        let Some(header) = expected.header_of(&segment, is_last)? else {
            expected.end.torn_bytes += segment.bytes.len() as u64;
            break;
        };
        let mut offset = HEADER_BYTES;
        while let Some(read) = decode(header.seed(), &segment.bytes, offset)
            .filter(|read| read.number == expected.number)
        {
            expected.check(&segment, offset, &read.record)?;
            expected.number += 1;
            if let Record::Milestone(milestone) = &read.record {
                expected.pass(*milestone, &header, read.end);
            }
            if visit(read.record, read.end as u64)?.is_break() {
                return Ok(expected.end);
            }
            offset = read.end;
        }
        expected.finish(&segment, &header, (offset, is_last))?;
    }
    Ok(expected.end)
}

impl Expected {
    /// The header of the next segment; None when it is the last and was never whole.
    fn header_of(
        &mut self,
        segment: &Segment<'_>,
        is_last: bool,
    ) -> Result<Option<Header>, ReadError> {
        let header = match Header::decode(&segment.bytes) {
            Ok(header) => header,
            Err(BadHeader::OtherVersion(version)) => {
                let path = segment.file.path.clone();
                return Err(ReadError::Version { path, version });
            }
            Err(BadHeader::Unsound) if is_last && segment.bytes.len() <= HEADER_BYTES => {
                return Ok(None);
            }
            Err(BadHeader::Unsound) => return Err(segment.damaged(0, "its header is not sound")),
        };
        if header.sequence != segment.file.sequence {
            return Err(segment.damaged(24, "it is another segment than its name says"));
        }
        match &self.header {
            None => {
                self.number = header.first_record;
                self.next_index = header.next_index;
            }
            Some(before) => {
                let follows = header.log_id == before.log_id
                    && header.cluster_id == before.cluster_id
                    && header.member_id == before.member_id
                    && Some(header.sequence) == before.sequence.checked_add(1)
                    && header.first_record == self.number
                    && header.next_index == self.next_index;
                if !follows {
                    return Err(segment.damaged(0, "it does not follow the segment before it"));
                }
                if u64::from(header.previous_end) != self.previous_end {
                    return Err(segment.damaged(64, "the segment before it ends elsewhere"));
                }
            }
        }
        self.header = Some(header);
        Ok(Some(header))
    }

    fn check(
        &mut self,
        segment: &Segment<'_>,
        offset: usize,
        record: &Record,
    ) -> Result<(), ReadError> {
        match record {
            Record::Entry { index, .. } if *index == self.next_index && *index < u64::MAX => {
                self.next_index += 1;
                Ok(())
            }
            Record::Entry { .. } => Err(segment.damaged(offset, "an entry is out of order")),
            Record::Milestone(milestone) => {
                let before = self.end.milestone;
                let in_order = milestone.index.checked_add(1) == Some(self.next_index)
                    && before.is_none_or(|before| before.time <= milestone.time)
                    && (milestone.revision.is_none() || milestone.revision >= self.end.revision);
                if in_order {
                    Ok(())
                } else {
                    Err(segment.damaged(offset, "a milestone contradicts those before it"))
                }
            }
        }
    }

    fn pass(&mut self, milestone: Milestone, header: &Header, offset: usize) {
        self.end.milestone = Some(milestone);
        self.end.revision = milestone.revision.or(self.end.revision);
        self.end.header = Some(*header);
        self.end.offset = offset as u64;
        self.end.number = self.number - 1;
    }

    /// Looks at what stands behind the last sound record of a segment.
    fn finish(
        &mut self,
        segment: &Segment<'_>,
        header: &Header,
        (offset, is_last): (usize, bool),
    ) -> Result<(), ReadError> {
        let is_settled = self.end.header == Some(*header) && self.end.offset == offset as u64;
        let is_whole = offset == segment.bytes.len();
        self.previous_end = offset as u64;
        if !is_last {
            if !is_whole {
                return Err(segment.damaged(offset, "a record is not sound"));
            }
            if !is_settled {
                return Err(segment.damaged(offset, "it does not end with a milestone"));
            }
            return Ok(());
        }
        if !is_whole && was_synced(segment, header, (offset, self.number)) {
            return Err(segment.damaged(offset, "a record that was on disk is not sound"));
        }
        let whole = if self.end.header == Some(*header) {
            self.end.offset
        } else {
            HEADER_BYTES as u64
        };
        self.end.torn_bytes += segment.bytes.len() as u64 - whole;
        Ok(())
    }
}

/// Whether a later record proves that the one with this number was on disk.
fn was_synced(segment: &Segment<'_>, header: &Header, (offset, number): (usize, u64)) -> bool {
    let length = segment.bytes.len();
    let most = ((length - offset) / RECORD_HEADER_BYTES) as u64;
    let places = offset + 1..length.saturating_sub(RECORD_HEADER_BYTES - 1);
    let later = places.filter(|at| {
        let numbered = segment.bytes[at + 8..at + 16].try_into();
        let numbered = u64::from_le_bytes(numbered.expect("the slice has eight bytes"));
        numbered.checked_sub(number).is_some_and(|by| by <= most)
    });
    later
        .filter_map(|at| decode(header.seed(), &segment.bytes, at))
        .any(|read| read.synced >= number)
}

/// The end of a span, found from its last segments alone.
pub(super) fn end(span: &Span) -> Result<End, ReadError> {
    let mut torn_bytes = 0;
    for first in (0..span.segments.len()).rev() {
        let end = walk(span, first, |_, _| {
            Ok::<_, ReadError>(ControlFlow::Continue(()))
        })?;
        torn_bytes = end.torn_bytes;
        if end.revision.is_some() {
            return Ok(end);
        }
    }
    walk(span, span.segments.len(), |_, _| {
        Ok::<_, ReadError>(ControlFlow::Continue(()))
    })
    .map(|end| End { torn_bytes, ..end })
}

/// The log index with which a segment begins, if it has a header.
pub(super) fn next_index(file: &SegmentFile) -> Result<Option<u64>, ReadError> {
    let failed = |error| ReadError::Io {
        path: file.path.clone(),
        error,
    };
    let mut bytes = Vec::new();
    let opened = File::open(&file.path).map_err(failed)?;
    let mut most = opened.take(HEADER_BYTES as u64);
    most.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Header::decode(&bytes).ok().map(|header| header.next_index))
}
