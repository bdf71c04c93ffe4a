//! Turns the bytes of segments back into a log, record by record.

use bytes::Bytes;

use crate::Entry;
use crate::format::{
    Kind, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader, record_number,
};
use crate::log::{Log, Place};
use crate::position::{Blob, Blobs};

/// The log as far as it was replayed.
pub(crate) struct Replay {
    pub(crate) log: Log,
    pub(crate) blobs: Blobs,
    pub(crate) next_record: u64,
    /// The segment being replayed.
    pub(crate) segment: u64,
}

impl Replay {
    pub(crate) fn new(log_id: u64, window_bytes_max: usize) -> Replay {
        let log = Log::new(log_id, window_bytes_max);
        Replay {
            log,
            blobs: Blobs::default(),
            next_record: 1,
            segment: 0,
        }
    }

    pub(crate) fn begin(&mut self, header: &SegmentHeader) {
        if self.segment == 0 {
            self.next_record = header.first_record;
        }
        self.segment = header.sequence;
    }

    pub(crate) fn last_record(&self) -> u64 {
        self.next_record - 1
    }

    /// Replays records until one is not whole, sound and next in order; returns where that is.
    pub(crate) fn records(&mut self, header: &SegmentHeader, content: &[u8]) -> usize {
        let seed = header.seed();
        let mut offset = SEGMENT_HEADER_BYTES;
        while let Some((record, payload)) = RecordHeader::decode(seed, &content[offset..]) {
            let place = Place {
                segment: header.sequence,
                offset: offset as u32,
            };
            if record.number != self.next_record || !self.record(&record, payload, place) {
                break;
            }
            self.next_record += 1;
            offset += RECORD_HEADER_BYTES + payload.len();
        }
        offset
    }

    /// Replays one record; false when it does not fit the log before it.
    fn record(&mut self, record: &RecordHeader, payload: &[u8], place: Place) -> bool {
        let mark = || Blob {
            index: record.index,
            content: Some(Bytes::copy_from_slice(payload)),
            segment: place.segment,
        };
        match record.kind {
            Kind::Entry => {
                if !self.log.accepts(record.index) {
                    return false;
                }
                let payload = Bytes::copy_from_slice(payload);
                let entry = Entry {
                    index: record.index,
                    term: record.term,
                    payload,
                };
                self.log.push(entry, 0, place);
                self.log.evict();
            }
            Kind::Vote => self.blobs.vote = mark(),
            Kind::Commit => self.blobs.committed = mark(),
            Kind::Truncate => self.log.truncate(record.index),
            Kind::Purge => {
                self.blobs.purged = mark();
                self.log.purge(record.index);
            }
        }
        true
    }

    /// What is left, for a person.
    pub(crate) fn describe(&self) -> String {
        match (self.log.first_index(), self.log.last_index()) {
            (Some(first), Some(last)) => format!("with entries {first} to {last} before it"),
            _ => "with no entries before it".to_owned(),
        }
    }
}

/// What follows the last sound record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remains {
    /// Nothing that could ever be taken for a record.
    Nothing,
    /// Whole records of a batch that was never acknowledged.
    Unacknowledged,
    /// A record that proves that the records before it were on disk.
    Proof { record: u64 },
}

/// Looks for sound records behind the last replayed one, at every offset.
pub(crate) fn scan(content: &[u8], seed: u32, last_record: u64) -> Remains {
    let records_max = (content.len() / RECORD_HEADER_BYTES) as u64 + 1;
    // A torn batch never holds more records than a segment does, so a proof is at most two segments on.
    let numbers = last_record + 1..=last_record + 2 * records_max;
    let mut remains = Remains::Nothing;
    for window in 0..content.len().saturating_sub(RECORD_HEADER_BYTES - 1) {
        if !numbers.contains(&record_number(&content[window..])) {
            continue;
        }
        if let Some((record, _payload)) = RecordHeader::decode(seed, &content[window..]) {
            if record.number.saturating_sub(u64::from(record.unsynced)) > last_record {
                return Remains::Proof {
                    record: record.number,
                };
            }
            remains = Remains::Unacknowledged;
        }
    }
    remains
}
