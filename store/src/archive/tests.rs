//! What is archived comes back byte by byte, a torn end is the end, and damage is told with its place.

mod age;
mod damage;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::folder::{self, Span};
use super::format::{Header, Milestone, Record};
use super::reader::{self, End, ReadError};
use super::time::Time;
use super::writer::SpanWriter;

fn header() -> Header {
    Header {
        log_id: 0x1122_3344_5566_7788,
        sequence: 5,
        first_record: 1,
        next_index: 10,
        cluster_id: 0xc1,
        member_id: 0xa1,
        previous_end: 0,
    }
}

fn entry(index: u64, payload: &[u8]) -> wal::Entry {
    wal::Entry {
        index,
        term: 3,
        payload: Bytes::copy_from_slice(payload),
    }
}

fn milestone(index: u64) -> Milestone {
    Milestone {
        index,
        term: 3,
        time: Time(1_000 + index),
        revision: (!index.is_multiple_of(3)).then_some(index as i64 * 2),
    }
}

/// Writes batches of entries with these sizes, each synced or not; the records as they have to come back.
fn write(writer: &mut SpanWriter, batches: &[(Vec<usize>, bool)]) -> Vec<Record> {
    let mut records = Vec::new();
    for (sizes, is_synced) in batches {
        let next = writer.next_index();
        let entries: Vec<wal::Entry> = (next..)
            .zip(sizes)
            .map(|(index, size)| entry(index, &vec![index as u8; *size]))
            .collect();
        let milestone = milestone(next + sizes.len() as u64 - 1);
        writer.write(&entries, milestone).unwrap();
        records.extend(entries.into_iter().map(|entry| Record::Entry {
            index: entry.index,
            payload: entry.payload,
        }));
        records.push(Record::Milestone(milestone));
        if *is_synced {
            writer.sync().unwrap();
        }
    }
    records
}

fn the_span(member: &Path) -> Span {
    folder::spans(member).unwrap().pop().unwrap()
}

/// The records of a span up to its last milestone.
fn read(span: &Span) -> Result<(Vec<Record>, End), ReadError> {
    let (mut settled, mut open) = (Vec::new(), Vec::new());
    let end = reader::walk(span, 0, |record, _end| {
        let is_milestone = matches!(record, Record::Milestone(_));
        open.push(record);
        if is_milestone {
            settled.append(&mut open);
        }
        Ok::<_, ReadError>(ControlFlow::Continue(()))
    })?;
    Ok((settled, end))
}

#[test]
fn a_segment_has_these_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SpanWriter::create(dir.path(), header()).unwrap();
    writer.write(&[entry(10, b"abc")], milestone(10)).unwrap();
    writer.sync().unwrap();
    writer
        .write(
            &[],
            Milestone {
                revision: None,
                ..milestone(10)
            },
        )
        .unwrap();
    let bytes = fs::read(&the_span(dir.path()).segments[0].path).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = include_str!("tests/testdata/segment.hex");
    let expected: String = expected.split_whitespace().collect();
    assert_eq!(hex, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_was_written_comes_back_from_any_number_of_segments(
        batches in prop::collection::vec((prop::collection::vec(0_usize..400, 0..5), any::<bool>()), 1..20),
        segment_bytes in 100_u64..2_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = SpanWriter::create(dir.path(), header()).unwrap();
        writer.segment_bytes = segment_bytes;
        let records = write(&mut writer, &batches);
        let span = the_span(dir.path());
        let (found, end) = read(&span).unwrap();
        prop_assert_eq!(&found, &records);
        prop_assert_eq!(end.torn_bytes, 0);
        prop_assert_eq!(end.milestone, writer.milestone());
        // Found from behind, it is the same end.
        let from_behind = reader::end(&span).unwrap();
        if from_behind.revision.is_some() {
            prop_assert_eq!(from_behind, end);
        }
    }

    #[test]
    fn a_span_goes_on_behind_a_torn_end(
        batches in prop::collection::vec((prop::collection::vec(0_usize..100, 0..4), any::<bool>()), 2..8),
        torn in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = SpanWriter::create(dir.path(), header()).unwrap();
        writer.segment_bytes = 300;
        let mut records = write(&mut writer, &batches);
        drop(writer);
        let span = the_span(dir.path());
        let last = &span.segments.last().unwrap().path;
        let mut bytes = fs::read(last).unwrap();
        bytes.extend_from_slice(&torn);
        fs::write(last, bytes).unwrap();
        let end = reader::end(&span).unwrap();
        let (Some(header), Some(milestone)) = (end.header, end.milestone) else {
            return Ok(());
        };
        let mut writer = SpanWriter::resume(&span, (header, milestone), &end).unwrap();
        let known = read(&the_span(dir.path())).unwrap().0;
        prop_assert!(records.starts_with(&known));
        records.truncate(known.len());
        writer.segment_bytes = 300;
        records.extend(write(&mut writer, &batches));
        let (found, end) = read(&the_span(dir.path())).unwrap();
        prop_assert_eq!(found, records);
        prop_assert_eq!(end.torn_bytes, 0);
    }
}

#[test]
fn an_empty_span_and_one_without_a_header_end_where_they_begin() {
    let dir = tempfile::tempdir().unwrap();
    drop(SpanWriter::create(dir.path(), header()).unwrap());
    let span = the_span(dir.path());
    assert_eq!(reader::end(&span).unwrap().milestone, None);
    for length in 0..folder_header_bytes() {
        let file = fs::File::options()
            .write(true)
            .open(&span.segments[0].path)
            .unwrap();
        file.set_len(length).unwrap();
        let end = reader::end(&span).unwrap();
        assert_eq!((end.milestone, end.header), (None, None));
    }
}

fn folder_header_bytes() -> u64 {
    super::format::HEADER_BYTES as u64
}
