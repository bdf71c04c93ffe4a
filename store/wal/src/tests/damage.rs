//! Damaged files: acknowledged records are all there, or the open says that they are not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use bytes::Bytes;

use crate::format::{
    HeaderState, Kind, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader,
};
use crate::tests::model::State;
use crate::{Entry, OpenError, Options, Wal};

fn options() -> Options {
    Options {
        segment_bytes: 4096,
        ..Options::default()
    }
}

fn entry(index: u64) -> Entry {
    Entry {
        index,
        term: 2,
        payload: Bytes::from(format!("payload of {index}")),
    }
}

/// A closed log with a vote, entries `0..count` and a purge of the first 9, each on disk before the next.
fn build(directory: &Path, count: u64) -> State {
    let (wal, _recovered) = Wal::open(directory, options()).unwrap();
    wait(|done| wal.save_vote(Bytes::from_static(b"vote"), done));
    for index in 0..count {
        wait(|done| wal.append(vec![entry(index)], done));
        if index == 10 {
            wait(|done| wal.purge(8, Bytes::from_static(b"mark"), done));
        }
    }
    drop(wal);
    reopen(directory).unwrap()
}

fn wait(operation: impl FnOnce(crate::Done)) {
    let (sender, receiver) = channel();
    operation(Box::new(move |result| sender.send(result).unwrap()));
    receiver.recv().unwrap().unwrap();
}

fn reopen(directory: &Path) -> Result<State, OpenError> {
    let (wal, recovered) = Wal::open(directory, options())?;
    Ok(State::of(&wal, &recovered))
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(directory: &Path) -> Files {
    let paths = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap()))
        .collect()
}

/// Opens a log made of these files and checks that a refusal changes nothing.
fn open_files(content: &Files) -> Result<State, OpenError> {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in content {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let result = reopen(directory.path());
    if result.is_err() {
        assert!(
            *content == files(directory.path()),
            "a refused open changed the directory"
        );
    }
    result
}

fn assert_damaged(result: Result<State, OpenError>, context: &str) {
    match result {
        Err(OpenError::Damaged { what, .. }) => assert!(!what.is_empty()),
        other => panic!("{context}: expected damage, found {other:?}"),
    }
}

/// The name of the segment with the last record, and where that record begins and ends.
fn tail(content: &Files) -> (PathBuf, usize, usize) {
    let mut found = None;
    for (name, bytes) in content {
        let HeaderState::Valid(header) = SegmentHeader::decode(bytes) else {
            continue;
        };
        if name.extension().is_none_or(|extension| extension != "wal") {
            continue;
        }
        let (mut begin, mut end) = (SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES);
        while let Some((_record, payload)) = RecordHeader::decode(header.seed(), &bytes[end..]) {
            begin = end;
            end += RECORD_HEADER_BYTES + payload.len();
        }
        found = Some((name.clone(), begin, end));
    }
    found.expect("the log has a segment")
}

#[test]
fn a_log_cut_at_any_byte_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let state = build(directory.path(), 30);
    let content = files(directory.path());
    let (name, _begin, end) = tail(&content);
    for length in 0..end {
        let mut cut = content.clone();
        cut.get_mut(&name).unwrap().truncate(length);
        assert_damaged(open_files(&cut), &format!("cut at {length}"));
    }
    let mut cut = content.clone();
    cut.get_mut(&name).unwrap().truncate(end);
    assert_eq!(open_files(&cut).unwrap(), state);
}

#[test]
fn a_log_with_zeros_from_any_byte_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    build(directory.path(), 30);
    let content = files(directory.path());
    let (name, _begin, end) = tail(&content);
    for from in 0..end - 1 {
        let mut zeroed = content.clone();
        zeroed.get_mut(&name).unwrap()[from..].fill(0);
        if zeroed[&name][..end] == content[&name][..end] {
            continue;
        }
        assert_damaged(open_files(&zeroed), &format!("zeros from {from}"));
    }
}

#[test]
fn a_flipped_bit_in_any_byte_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let state = build(directory.path(), 120);
    let content = files(directory.path());
    let (last, _begin, end) = tail(&content);
    let mut damaged = 0;
    for (name, bytes) in &content {
        if name.extension().is_none_or(|extension| extension != "wal") || *name > last {
            continue;
        }
        for at in (0..bytes.len()).step_by(5) {
            let mut flipped = content.clone();
            flipped.get_mut(name).unwrap()[at] ^= 1 << (at % 8);
            match open_files(&flipped) {
                // Behind the last record of its segment.
                Ok(found) => assert_eq!(found, state, "{} at {at}", name.display()),
                Err(OpenError::Damaged { .. }) => damaged += 1,
                Err(error) => panic!("{} at {at}: {error}", name.display()),
            }
            if *name == last && at < end {
                assert_damaged(open_files(&flipped), &format!("{} at {at}", name.display()));
            }
        }
    }
    assert!(damaged > 1000, "{damaged}");
}

#[test]
fn a_missing_file_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    build(directory.path(), 200);
    let content = files(directory.path());
    let (last, _begin, _end) = tail(&content);
    let segments: Vec<&PathBuf> = content.keys().filter(|name| **name <= last).collect();
    assert!(segments.len() >= 3, "{segments:?}");
    for name in segments.into_iter().chain([&PathBuf::from("mark")]) {
        let mut missing = content.clone();
        missing.remove(name);
        assert_damaged(open_files(&missing), &name.display().to_string());
    }
}

#[test]
fn one_damaged_slot_of_the_mark_is_survived_and_two_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let state = build(directory.path(), 30);
    let content = files(directory.path());
    let mark = PathBuf::from("mark");
    for slot in [0, 4096] {
        let mut flipped = content.clone();
        flipped.get_mut(&mark).unwrap()[slot + 20] ^= 1;
        assert_eq!(open_files(&flipped).unwrap(), state);
    }
    let mut flipped = content.clone();
    flipped.get_mut(&mark).unwrap()[20] ^= 1;
    flipped.get_mut(&mark).unwrap()[4096 + 20] ^= 1;
    assert_damaged(open_files(&flipped), "both slots");
}

/// The mark as it was before anything was written, as after a power failure that lost all its writes.
fn with_old_mark(content: &Files, old: &Files) -> Files {
    let mut content = content.clone();
    let mark = PathBuf::from("mark");
    content.insert(mark.clone(), old[&mark].clone());
    content
}

#[test]
fn damage_before_the_last_batch_is_noticed_without_the_mark() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _recovered) = Wal::open(directory.path(), options()).unwrap();
    drop(wal);
    let old = files(directory.path());
    let state = build(directory.path(), 30);
    let content = with_old_mark(&files(directory.path()), &old);
    assert_eq!(open_files(&content).unwrap(), state);
    let (name, begin, end) = tail(&content);
    for at in 0..end {
        let mut flipped = content.clone();
        flipped.get_mut(&name).unwrap()[at] ^= 0x10;
        let result = open_files(&flipped);
        if at < begin {
            assert_damaged(result, &format!("byte {at}"));
        } else {
            // The last batch cannot be told from one that was never acknowledged.
            assert!(result.is_ok_and(|found| found.entries.len() + 1 == state.entries.len()));
        }
    }
}

#[test]
fn a_torn_batch_is_cut_and_its_rest_never_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let state = build(directory.path(), 20);
    let mut content = files(directory.path());
    let (name, _begin, end) = tail(&content);
    let bytes = content.get_mut(&name).unwrap();
    let HeaderState::Valid(header) = SegmentHeader::decode(bytes) else {
        panic!("a header")
    };
    let (_, last) = last_record(&header, bytes, end);
    // A batch of three entries of one size, of which the first was lost.
    let mut batch = Vec::new();
    for at in 0..3 {
        let record = RecordHeader {
            kind: Kind::Entry,
            number: last.number + 1 + at,
            unsynced: at as u32 + 1,
            index: 20 + at,
            term: 3,
        };
        record.encode(header.seed(), b"never acknowledged", &mut batch);
    }
    batch[..RECORD_HEADER_BYTES].fill(0);
    bytes[end..end + batch.len()].copy_from_slice(&batch);

    let torn = tempfile::tempdir().unwrap();
    for (name, bytes) in &content {
        fs::write(torn.path().join(name), bytes).unwrap();
    }
    let (wal, recovered) = Wal::open(torn.path(), options()).unwrap();
    assert_eq!(recovered.cut_bytes, 4096 - end as u64);
    assert_eq!(State::of(&wal, &recovered), state);
    // A new entry of the same size ends where the second of the torn batch began.
    let payload = Bytes::from_static(b"of the next leader");
    wait(|done| {
        wal.append(
            vec![Entry {
                index: 20,
                term: 4,
                payload,
            }],
            done,
        )
    });
    drop(wal);
    let (wal, recovered) = Wal::open(torn.path(), options()).unwrap();
    assert_eq!(
        (recovered.last_index, recovered.last_term),
        (Some(20), Some(4))
    );
    assert_eq!(wal.read(20..30, usize::MAX).unwrap().len(), 1);
}

#[test]
fn the_vote_survives_a_segment_begun_by_a_torn_batch() {
    let directory = tempfile::tempdir().unwrap();
    build(directory.path(), 20);
    let content = files(directory.path());
    let (name, _begin, end) = tail(&content);
    let HeaderState::Valid(header) = SegmentHeader::decode(&content[&name]) else {
        panic!("a header")
    };
    // Of the first batch in the next segment only the header reached the disk.
    let next = SegmentHeader {
        sequence: header.sequence + 1,
        first_index: 20,
        first_record: last_record(&header, &content[&name], end).1.number + 1,
        previous_end: end as u32,
        ..header
    };
    let path = directory.path().join(format!("{:016x}.wal", next.sequence));
    let mut begun = fs::read(&path).unwrap();
    begun[..SEGMENT_HEADER_BYTES].copy_from_slice(&next.encode());
    fs::write(&path, begun).unwrap();

    let (wal, _recovered) = Wal::open(directory.path(), options()).unwrap();
    wait(|done| wal.append(vec![entry(20)], done));
    wait(|done| wal.purge(19, Bytes::from_static(b"mark"), done));
    drop(wal);
    assert!(
        !directory.path().join(name).exists(),
        "the segment before was not retired"
    );
    assert_eq!(
        reopen(directory.path()).unwrap().vote,
        Some(Bytes::from_static(b"vote"))
    );
}

fn last_record(header: &SegmentHeader, bytes: &[u8], end: usize) -> (usize, RecordHeader) {
    let mut at = SEGMENT_HEADER_BYTES;
    loop {
        let (record, payload) = RecordHeader::decode(header.seed(), &bytes[at..]).unwrap();
        let next = at + RECORD_HEADER_BYTES + payload.len();
        if next == end {
            return (at, record);
        }
        at = next;
    }
}

#[test]
fn a_segment_of_another_log_is_not_taken() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    build(first.path(), 30);
    build(second.path(), 30);
    let mut content = files(first.path());
    let (name, _begin, _end) = tail(&content);
    content.insert(name.clone(), files(second.path())[&name].clone());
    assert_damaged(open_files(&content), "a segment of another log");
}

#[test]
fn damage_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    build(directory.path(), 30);
    let mut content = files(directory.path());
    let (name, begin, _end) = tail(&content);
    content.get_mut(&name).unwrap()[begin + 4] ^= 1;
    let message = open_files(&content).unwrap_err().to_string();
    for part in ["entries before index 30", "with entries 9 to 28"] {
        assert!(message.contains(part), "{message}");
    }
}
