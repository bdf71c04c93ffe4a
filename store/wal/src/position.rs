//! Where writing goes on: the active segment, those before it, and the newest marks.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskFile;
use crate::format::{Kind, MarkSlot, SegmentHeader};

/// The segment being written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<DiskFile>,
    /// File size.
    pub(crate) capacity: u64,
    /// Where the bytes in the buffer go.
    pub(crate) offset: u64,
}

/// A segment in use, as far as purging needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InUse {
    pub(crate) sequence: u64,
    pub(crate) first_index: u64,
}

/// The newest mark of a kind. Each segment holds a copy of it or its successor, so that the segments before
/// can go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blob {
    /// Index the mark belongs to; only the purge mark has one.
    pub(crate) index: u64,
    pub(crate) content: Option<Bytes>,
    /// Segment of the newest record of this kind.
    pub(crate) segment: u64,
}

/// The newest vote, committed and purge marks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blobs {
    pub(crate) vote: Blob,
    pub(crate) committed: Blob,
    pub(crate) purged: Blob,
}

/// Where writing goes on.
pub(crate) struct Position {
    pub(crate) active: Option<Active>,
    pub(crate) in_use: VecDeque<InUse>,
    pub(crate) blobs: Blobs,
    pub(crate) next_record: u64,
    pub(crate) next_index: u64,
}

impl Position {
    /// The high-water mark of a log that is on disk up to here.
    pub(crate) fn slot(&self, active: &Active) -> MarkSlot {
        MarkSlot {
            log_id: active.header.log_id,
            counter: 0,
            sequence: active.header.sequence,
            record: self.next_record - 1,
            end: u32::try_from(active.offset).expect("segments are smaller than 4 GiB"),
            next_index: self.next_index,
        }
    }
}

impl Blobs {
    pub(crate) fn each(self) -> [(Kind, Blob); 3] {
        [
            (Kind::Vote, self.vote),
            (Kind::Commit, self.committed),
            (Kind::Purge, self.purged),
        ]
    }

    pub(crate) fn of(&mut self, kind: Kind) -> &mut Blob {
        match kind {
            Kind::Vote => &mut self.vote,
            Kind::Commit => &mut self.committed,
            Kind::Purge => &mut self.purged,
            Kind::Entry | Kind::Truncate => {
                unreachable!("entries and truncations are not carried over")
            }
        }
    }
}
