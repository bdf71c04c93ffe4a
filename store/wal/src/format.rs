//! Bytes on disk: the segment header, the record, and the slot of the high-water mark.
//!
//! All numbers are little-endian; all checksums are CRC-32C.

pub(crate) const FORMAT_VERSION: u8 = 1;
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// Bytes of a record before its payload.
pub const RECORD_HEADER_BYTES: usize = 40;
pub(crate) const MARK_SLOT_BYTES: usize = 80;

const SEGMENT_MAGIC: [u8; 8] = *b"MSTAYWAL";
const MARK_MAGIC: [u8; 8] = *b"MSTAYHWM";

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(
        bytes[at..at + 4]
            .try_into()
            .expect("the slice has four bytes"),
    )
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(
        bytes[at..at + 8]
            .try_into()
            .expect("the slice has eight bytes"),
    )
}

/// The first 64 bytes of a segment in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Random number of this log; a segment of another log never passes for one of ours.
    pub(crate) log_id: u64,
    /// Position of the segment in the log, from 1; never used twice.
    pub(crate) sequence: u64,
    /// Index the next appended entry had when the segment was begun.
    pub(crate) first_index: u64,
    /// Number of the first record.
    pub(crate) first_record: u64,
    /// Where the records of the previous segment end; 0 in the first segment.
    pub(crate) previous_end: u32,
}

/// What the first bytes of a segment file say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderState {
    Valid(SegmentHeader),
    OtherVersion(u8),
    /// Not written, torn or damaged.
    Absent,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[0..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8] = FORMAT_VERSION;
        out[16..24].copy_from_slice(&self.log_id.to_le_bytes());
        out[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        out[32..40].copy_from_slice(&self.first_index.to_le_bytes());
        out[40..48].copy_from_slice(&self.first_record.to_le_bytes());
        out[48..52].copy_from_slice(&self.previous_end.to_le_bytes());
        let checksum = crc32c::crc32c(&out[..60]);
        out[60..64].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> HeaderState {
        if bytes.len() < SEGMENT_HEADER_BYTES
            || bytes[0..8] != SEGMENT_MAGIC
            || u32_at(bytes, 60) != crc32c::crc32c(&bytes[..60])
        {
            return HeaderState::Absent;
        }
        if bytes[8] != FORMAT_VERSION {
            return HeaderState::OtherVersion(bytes[8]);
        }
        HeaderState::Valid(SegmentHeader {
            log_id: u64_at(bytes, 16),
            sequence: u64_at(bytes, 24),
            first_index: u64_at(bytes, 32),
            first_record: u64_at(bytes, 40),
            previous_end: u32_at(bytes, 48),
        })
    }

    /// Where the checksum of every record in this segment starts from.
    pub(crate) fn seed(&self) -> u32 {
        record_seed(self.log_id, self.sequence)
    }
}

/// Start value of record checksums: stale records of a recycled file, or of another log, fail theirs.
pub fn record_seed(log_id: u64, sequence: u64) -> u32 {
    crc32c::crc32c_append(
        crc32c::crc32c(&log_id.to_le_bytes()),
        &sequence.to_le_bytes(),
    )
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Entry = 1,
    Vote = 2,
    Commit = 3,
    /// `index` is the first entry removed.
    Truncate = 4,
    /// `index` is the last entry removed.
    Purge = 5,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Entry,
            2 => Kind::Vote,
            3 => Kind::Commit,
            4 => Kind::Truncate,
            5 => Kind::Purge,
            _ => return None,
        })
    }
}

/// A record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    pub kind: Kind,
    /// Running number over the whole log, without gaps.
    pub number: u64,
    /// How many records before and including this one were not synced when it was written. A readable
    /// record thus proves that every record up to `number - unsynced` was on disk.
    pub unsynced: u32,
    /// 0 when the kind has none.
    pub index: u64,
    /// 0 when the kind has none.
    pub term: u64,
}

impl RecordHeader {
    /// Puts the record behind what is in `out`.
    pub fn encode(&self, seed: u32, payload: &[u8], out: &mut Vec<u8>) {
        let length = u32::try_from(payload.len()).expect("payloads are smaller than a segment");
        let mut head = [0; RECORD_HEADER_BYTES];
        head[0..4].copy_from_slice(&length.to_le_bytes());
        head[8..16].copy_from_slice(&self.number.to_le_bytes());
        head[16..20].copy_from_slice(&self.unsynced.to_le_bytes());
        head[20] = self.kind as u8;
        head[24..32].copy_from_slice(&self.index.to_le_bytes());
        head[32..40].copy_from_slice(&self.term.to_le_bytes());
        let checksum = checksum(seed, &head, payload);
        head[4..8].copy_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(payload);
    }

    /// The record at the start of `bytes` with its payload; `None` when there is no whole, sound one.
    pub fn decode(seed: u32, bytes: &[u8]) -> Option<(RecordHeader, &[u8])> {
        let head = bytes.get(..RECORD_HEADER_BYTES)?;
        let kind = Kind::from_byte(head[20])?;
        let end = RECORD_HEADER_BYTES.checked_add(u32_at(head, 0) as usize)?;
        let payload = bytes.get(RECORD_HEADER_BYTES..end)?;
        if u32_at(head, 4) != checksum(seed, head, payload) {
            return None;
        }
        let header = RecordHeader {
            kind,
            number: record_number(head),
            unsynced: u32_at(head, 16),
            index: u64_at(head, 24),
            term: u64_at(head, 32),
        };
        Some((header, payload))
    }
}

/// The number field of the record that would start at `bytes`, which has at least a header's length.
pub(crate) fn record_number(bytes: &[u8]) -> u64 {
    u64_at(bytes, 8)
}

fn checksum(seed: u32, head: &[u8], payload: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(seed, &head[0..4]);
    let sum = crc32c::crc32c_append(sum, &head[8..RECORD_HEADER_BYTES]);
    crc32c::crc32c_append(sum, payload)
}

/// One slot of the high-water mark: how far the log was on disk when something was last acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarkSlot {
    pub(crate) log_id: u64,
    /// Grows with each write of the mark; the larger one of the two slots counts.
    pub(crate) counter: u64,
    /// Segment of the last record on disk; 0 before the first.
    pub(crate) sequence: u64,
    /// Number of the last record on disk; 0 before the first.
    pub(crate) record: u64,
    /// Where that record ends in its segment.
    pub(crate) end: u32,
    /// Index after the last entry of the log.
    pub(crate) next_index: u64,
}

impl MarkSlot {
    pub(crate) fn encode(&self) -> [u8; MARK_SLOT_BYTES] {
        let mut out = [0; MARK_SLOT_BYTES];
        out[0..8].copy_from_slice(&MARK_MAGIC);
        out[8] = FORMAT_VERSION;
        out[16..24].copy_from_slice(&self.log_id.to_le_bytes());
        out[24..32].copy_from_slice(&self.counter.to_le_bytes());
        out[32..40].copy_from_slice(&self.sequence.to_le_bytes());
        out[40..48].copy_from_slice(&self.record.to_le_bytes());
        out[48..52].copy_from_slice(&self.end.to_le_bytes());
        out[56..64].copy_from_slice(&self.next_index.to_le_bytes());
        let checksum = crc32c::crc32c(&out[..76]);
        out[76..80].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// `None` when the slot is torn or damaged; `Err` holds the version when it is not ours.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<MarkSlot>, u8> {
        if bytes.len() < MARK_SLOT_BYTES
            || bytes[0..8] != MARK_MAGIC
            || u32_at(bytes, 76) != crc32c::crc32c(&bytes[..76])
        {
            return Ok(None);
        }
        if bytes[8] != FORMAT_VERSION {
            return Err(bytes[8]);
        }
        Ok(Some(MarkSlot {
            log_id: u64_at(bytes, 16),
            counter: u64_at(bytes, 24),
            sequence: u64_at(bytes, 32),
            record: u64_at(bytes, 40),
            end: u32_at(bytes, 48),
            next_index: u64_at(bytes, 56),
        }))
    }
}
