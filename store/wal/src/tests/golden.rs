//! The exact bytes of format version 1.

use crate::format::{HeaderState, Kind, MarkSlot, RecordHeader, SegmentHeader, record_seed};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn segment_header_bytes_are_fixed() {
    let header = SegmentHeader {
        log_id: 0x1122_3344_5566_7788,
        sequence: 7,
        first_index: 1000,
        first_record: 1010,
        previous_end: 4000,
    };
    let bytes = header.encode();
    assert_eq!(
        hex(&bytes),
        "4d5354415957414c010000000000000088776655443322110700000000000000\
         e803000000000000f203000000000000a00f00000000000000000000abc5bd5b"
    );
    assert_eq!(SegmentHeader::decode(&bytes), HeaderState::Valid(header));
}

#[test]
fn another_version_is_told_apart_from_damage() {
    let header = SegmentHeader {
        log_id: 1,
        sequence: 1,
        first_index: 0,
        first_record: 1,
        previous_end: 0,
    };
    let mut bytes = header.encode();
    bytes[8] = 2;
    assert_eq!(SegmentHeader::decode(&bytes), HeaderState::Absent);
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(SegmentHeader::decode(&bytes), HeaderState::OtherVersion(2));
}

#[test]
fn record_bytes_are_fixed() {
    let header = RecordHeader {
        kind: Kind::Entry,
        number: 1011,
        unsynced: 2,
        index: 1000,
        term: 5,
    };
    let seed = record_seed(0x1122_3344_5566_7788, 7);
    let mut bytes = Vec::new();
    header.encode(seed, b"payload", &mut bytes);
    assert_eq!(
        hex(&bytes),
        "0700000036c59331f3030000000000000200000001000000e803000000000000\
         05000000000000007061796c6f6164"
    );
    assert_eq!(
        RecordHeader::decode(seed, &bytes),
        Some((header, &b"payload"[..]))
    );
    let other_segment = record_seed(0x1122_3344_5566_7788, 8);
    assert_eq!(RecordHeader::decode(other_segment, &bytes), None);
    let other_log = record_seed(0x1122_3344_5566_7789, 7);
    assert_eq!(RecordHeader::decode(other_log, &bytes), None);
}

#[test]
fn every_flipped_bit_of_a_record_is_noticed() {
    let header = RecordHeader {
        kind: Kind::Vote,
        number: 3,
        unsynced: 1,
        index: 0,
        term: 0,
    };
    let mut bytes = Vec::new();
    header.encode(9, b"vote of term 4", &mut bytes);
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(RecordHeader::decode(9, &bytes), None, "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn mark_bytes_are_fixed() {
    let slot = MarkSlot {
        log_id: 0x1122_3344_5566_7788,
        counter: 12,
        sequence: 7,
        record: 1011,
        end: 111,
        next_index: 1001,
    };
    let bytes = slot.encode();
    assert_eq!(
        hex(&bytes),
        "4d5354415948574d010000000000000088776655443322110c00000000000000\
         0700000000000000f3030000000000006f00000000000000e903000000000000\
         0000000000000000000000000952bc1c"
    );
    assert_eq!(MarkSlot::decode(&bytes), Ok(Some(slot)));
}
