//! Bytes that were changed, cut off or never ours.

use std::path::PathBuf;

use super::super::format::HEADER_BYTES;
use super::*;

/// A span of several segments whose records are synced but for the last two batches.
fn a_span(member: &Path) -> (Span, Vec<Record>) {
    let mut writer = SpanWriter::create(member, header()).unwrap();
    writer.segment_bytes = 400;
    let mut batches = vec![(vec![20, 0, 30], true); 8];
    batches.extend([(vec![10], false), (vec![10, 10], false)]);
    let records = write(&mut writer, &batches);
    (the_span(member), records)
}

/// The place that an error names.
fn place(error: &ReadError) -> (PathBuf, u64) {
    match error {
        ReadError::Damaged { path, offset, .. } => (path.clone(), *offset),
        ReadError::Version { path, .. } => (path.clone(), 8),
        ReadError::Io { .. } => panic!("{error}"),
    }
}

#[test]
fn a_changed_byte_is_damage_where_it_stands_or_part_of_a_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let (span, records) = a_span(dir.path());
    let count = span.segments.len();
    assert!(count > 2);
    for (number, segment) in span.segments.iter().enumerate() {
        let whole = fs::read(&segment.path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&segment.path, &bytes).unwrap();
            match read(&span) {
                Ok((found, end)) => {
                    assert!(number + 1 == count && at >= HEADER_BYTES, "{number} {at}");
                    assert!(end.torn_bytes > 0 && found.len() < records.len());
                    assert!(records.starts_with(&found));
                }
                Err(error) => {
                    let (path, offset) = place(&error);
                    assert_eq!(path, segment.path, "{error}");
                    assert!(offset <= at as u64, "{error}");
                }
            }
        }
        fs::write(&segment.path, &whole).unwrap();
    }
    assert_eq!(read(&span).unwrap().0, records);
}

#[test]
fn a_record_that_a_later_one_proves_to_have_been_on_disk_is_no_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SpanWriter::create(dir.path(), header()).unwrap();
    write(
        &mut writer,
        &[(vec![5], true), (vec![6], true), (vec![7], false)],
    );
    let span = the_span(dir.path());
    let path = &span.segments[0].path;
    let mut bytes = fs::read(path).unwrap();
    bytes[HEADER_BYTES + 41] ^= 1;
    fs::write(path, bytes).unwrap();
    let error = read(&span).unwrap_err();
    assert_eq!(place(&error), (path.clone(), HEADER_BYTES as u64));
    let text = error.to_string();
    assert!(text.contains("is damaged at offset 80"), "{text}");
}

#[test]
fn a_file_that_is_cut_off_ends_with_its_last_milestone() {
    let dir = tempfile::tempdir().unwrap();
    let (span, records) = a_span(dir.path());
    let (last, others) = span.segments.split_last().unwrap();
    let whole = fs::read(&last.path).unwrap();
    for length in 0..whole.len() {
        fs::write(&last.path, &whole[..length]).unwrap();
        let (found, end) = read(&span).unwrap();
        assert!(records.starts_with(&found) && found.len() < records.len());
        assert!(matches!(found.last(), Some(Record::Milestone(_))));
        assert_eq!(end.milestone.map(Record::Milestone).as_ref(), found.last());
    }
    fs::write(&last.path, &whole).unwrap();
    // In the middle it is damage, whatever is left.
    let cut = &others[0].path;
    let whole = fs::read(cut).unwrap();
    for length in 0..whole.len() {
        fs::write(cut, &whole[..length]).unwrap();
        let error = read(&span).unwrap_err();
        assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_segment_that_is_missing_or_another_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (span, _records) = a_span(dir.path());
    let mut without = span.clone();
    without.segments.remove(1);
    let error = read(&without).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not follow the segment before it"),
        "{error}"
    );
    fs::copy(&span.segments[0].path, &span.segments[1].path).unwrap();
    let error = read(&span).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("another segment than its name says"),
        "{error}"
    );
}

#[test]
fn another_version_is_told_apart_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (span, _records) = a_span(dir.path());
    let path = &span.segments[0].path;
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = 9;
    let checksum = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, bytes).unwrap();
    let error = read(&span).unwrap_err();
    assert!(
        error.to_string().contains("has format version 9"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn garbage_is_refused_or_a_torn_end_and_never_more(
        header_is_ours in any::<bool>(),
        garbage in prop::collection::vec(any::<u8>(), 0..600),
        copied in prop::collection::vec((0_usize..500, 0_usize..500, 0_usize..80), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (span, records) = a_span(dir.path());
        let last = &span.segments.last().unwrap().path;
        let whole = fs::read(last).unwrap();
        let mut bytes = if header_is_ours { whole[..HEADER_BYTES].to_vec() } else { Vec::new() };
        bytes.extend_from_slice(&garbage);
        // Pieces of what is sound, in wrong places.
        for (from, to, length) in copied {
            let from = from.min(whole.len());
            let piece = whole[from..(from + length).min(whole.len())].to_vec();
            let to = to.min(bytes.len());
            bytes.splice(to..(to + piece.len()).min(bytes.len()), piece);
        }
        fs::write(last, bytes).unwrap();
        if let Ok((found, _end)) = read(&span) {
            prop_assert!(records.starts_with(&found));
        }
    }
}

#[test]
fn a_file_longer_than_any_segment_is_not_read_into_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (span, _records) = a_span(dir.path());
    let path = &span.segments[0].path;
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = read(&span).unwrap_err();
    assert!(
        error.to_string().contains("longer than any segment"),
        "{error}"
    );
}
