//! Bytes of a segment of the archive: its header, and the raft log's records behind it.
//!
//! All numbers are little-endian; all checksums are CRC-32C.

use bytes::{Buf, BufMut, Bytes};
use wal::{Kind, RECORD_HEADER_BYTES, RecordHeader, record_seed};

use super::time::Time;

pub(super) const FORMAT_VERSION: u8 = 1;
pub(super) const HEADER_BYTES: usize = 80;
const MAGIC: [u8; 8] = *b"MSTAYARC";
const MILESTONE_BYTES: usize = 16;

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The raft log that the entries come from.
    pub(super) log_id: u64,
    /// Position among the segments of a member, from 1; never used twice.
    pub(super) sequence: u64,
    /// Number of the first record; records are counted through a span, from 1.
    pub(super) first_record: u64,
    /// Log index of the next entry.
    pub(super) next_index: u64,
    pub(super) cluster_id: u64,
    pub(super) member_id: u64,
    /// Where the records of the segment before end; 0 in the first of a span.
    pub(super) previous_end: u32,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    Unsound,
    OtherVersion(u8),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.put_slice(&MAGIC);
        bytes.put_u8(FORMAT_VERSION);
        bytes.put_bytes(0, 7);
        for number in [
            self.log_id,
            self.sequence,
            self.first_record,
            self.next_index,
            self.cluster_id,
            self.member_id,
        ] {
            bytes.put_u64_le(number);
        }
        bytes.put_u32_le(self.previous_end);
        bytes.put_bytes(0, 8);
        bytes.put_u32_le(crc32c::crc32c(&bytes));
        bytes
            .try_into()
            .expect("the fields are as long as a header")
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Header, BadHeader> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(BadHeader::Unsound)?;
        let (checked, mut checksum) = bytes.split_at(HEADER_BYTES - 4);
        if checked[..8] != MAGIC || checksum.get_u32_le() != crc32c::crc32c(checked) {
            return Err(BadHeader::Unsound);
        }
        if checked[8] != FORMAT_VERSION {
            return Err(BadHeader::OtherVersion(checked[8]));
        }
        let mut fields = &checked[16..];
        Ok(Header {
            log_id: fields.get_u64_le(),
            sequence: fields.get_u64_le(),
            first_record: fields.get_u64_le(),
            next_index: fields.get_u64_le(),
            cluster_id: fields.get_u64_le(),
            member_id: fields.get_u64_le(),
            previous_end: fields.get_u32_le(),
        })
    }

    /// Where the checksums of the segment's records start from.
    pub(super) fn seed(&self) -> u32 {
        record_seed(self.log_id, self.sequence)
    }
}

/// Says that everything up to a log index was applied at some time, and what the revision was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Milestone {
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) time: Time,
    /// None where the archiver was behind and could not know it.
    pub(super) revision: Option<i64>,
}

/// What one record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// An entry of the raft log as it stands there.
    Entry {
        index: u64,
        payload: Bytes,
    },
    Milestone(Milestone),
}

/// A record that was read, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) record: Record,
    pub(super) number: u64,
    /// The last record that was on disk for certain when this one was written.
    pub(super) synced: u64,
    pub(super) end: usize,
}

/// Numbers of a record that is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) seed: u32,
    pub(super) number: u64,
    /// The last record that is on disk for certain.
    pub(super) synced: u64,
}

fn header(place: Place, kind: Kind, (index, term): (u64, u64)) -> RecordHeader {
    let unsynced = u32::try_from(place.number - place.synced);
    RecordHeader {
        kind,
        number: place.number,
        // A record that proves less is still true.
        unsynced: unsynced.unwrap_or(u32::MAX),
        index,
        term,
    }
}

pub(super) fn encode_entry(place: Place, entry: &wal::Entry, out: &mut Vec<u8>) {
    let header = header(place, Kind::Entry, (entry.index, entry.term));
    header.encode(place.seed, &entry.payload, out);
}

pub(super) fn encode_milestone(place: Place, milestone: &Milestone, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(MILESTONE_BYTES);
    payload.put_u64_le(milestone.time.0);
    payload.put_i64_le(milestone.revision.unwrap_or(0));
    let header = header(place, Kind::Commit, (milestone.index, milestone.term));
    header.encode(place.seed, &payload, out);
}

/// The record at a place in a segment; None when there is no whole, sound one.
pub(super) fn decode(seed: u32, segment: &Bytes, at: usize) -> Option<Read> {
    let rest = segment.get(at..)?;
    // Checked first: who looks for a record at every place must not add up everything behind each of them.
    if rest.len() < RECORD_HEADER_BYTES || rest[21..24] != [0; 3] {
        return None;
    }
    let (header, payload) = RecordHeader::decode(seed, rest)?;
    let start = at + RECORD_HEADER_BYTES;
    let end = start + payload.len();
    let record = match header.kind {
        Kind::Entry => Record::Entry {
            index: header.index,
            payload: segment.slice(start..end),
        },
        Kind::Commit => Record::Milestone(milestone(&header, payload)?),
        _ => return None,
    };
    let synced = header.number.checked_sub(u64::from(header.unsynced));
    Some(Read {
        record,
        number: header.number,
        synced: synced.unwrap_or(0),
        end,
    })
}

fn milestone(header: &RecordHeader, mut payload: &[u8]) -> Option<Milestone> {
    if payload.len() != MILESTONE_BYTES {
        return None;
    }
    let time = Time(payload.get_u64_le());
    let revision = payload.get_i64_le();
    Some(Milestone {
        index: header.index,
        term: header.term,
        time,
        revision: (revision > 0).then_some(revision),
    })
}
