//! What a log gives back after it is closed and opened again.

use std::path::Path;
use std::sync::mpsc::channel;

use bytes::Bytes;
use wal::{Entry, Options, Recovered, Wal};

fn options() -> Options {
    Options {
        segment_bytes: 4096,
        window_bytes_max: 2048,
        ..Options::default()
    }
}

fn open(directory: &Path) -> (Wal, Recovered) {
    Wal::open(directory, options()).expect("the log opens")
}

fn entry(index: u64, term: u64) -> Entry {
    Entry {
        index,
        term,
        payload: Bytes::from(format!("entry {index} of term {term} {:>100}", "")),
    }
}

/// Runs an operation and waits for its callback.
fn wait(
    operation: impl FnOnce(Box<dyn FnOnce(std::io::Result<()>) + Send>),
) -> std::io::Result<()> {
    let (sender, receiver) = channel();
    operation(Box::new(move |result| {
        sender.send(result).expect("the test waits")
    }));
    receiver.recv().expect("the callback runs")
}

fn append(wal: &Wal, indexes: std::ops::RangeInclusive<u64>, term: u64) {
    let entries = indexes.map(|index| entry(index, term)).collect();
    wait(|done| wal.append(entries, done)).expect("the entries are appended");
}

#[test]
fn a_new_log_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, recovered) = open(directory.path());
    assert_eq!(recovered, Recovered::default());
    drop(wal);
    assert_eq!(open(directory.path()).1, Recovered::default());
}

#[test]
fn entries_are_readable_before_they_are_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _recovered) = open(directory.path());
    let entries: Vec<Entry> = (0..5).map(|index| entry(index, 1)).collect();
    wal.append(entries.clone(), |result| result.unwrap());
    assert_eq!(wal.read(0..10, usize::MAX).unwrap(), entries);
    assert_eq!(wal.read(2..10, 1).unwrap(), entries[2..3]);
    assert_eq!(wal.term_of(4), Some(1));
    assert_eq!(wal.term_of(5), None);
}

#[test]
fn everything_comes_back_over_many_segments() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _recovered) = open(directory.path());
    wait(|done| wal.save_vote(Bytes::from_static(b"vote"), done)).unwrap();
    for start in 0..40 {
        append(&wal, start * 5..=start * 5 + 4, 3);
    }
    wal.note_committed(Bytes::from_static(b"committed 150"));
    let expected: Vec<Entry> = (0..200).map(|index| entry(index, 3)).collect();
    assert_eq!(wal.read(0..200, usize::MAX).unwrap(), expected);
    drop(wal);

    let (wal, recovered) = open(directory.path());
    let expected_recovered = Recovered {
        first_index: Some(0),
        last_index: Some(199),
        last_term: Some(3),
        vote: Some(Bytes::from_static(b"vote")),
        committed: Some(Bytes::from_static(b"committed 150")),
        ..Recovered::default()
    };
    assert_eq!(recovered, expected_recovered);
    assert_eq!(wal.read(0..200, usize::MAX).unwrap(), expected);
}

#[test]
fn purged_segments_are_recycled_and_the_marks_survive() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _recovered) = open(directory.path());
    wait(|done| wal.save_vote(Bytes::from_static(b"vote"), done)).unwrap();
    for round in 0..30u64 {
        append(&wal, round * 20..=round * 20 + 19, 1);
        let upto = round * 20 + 9;
        wait(|done| wal.purge(upto, Bytes::from(format!("purged {upto}")), done)).unwrap();
        assert_eq!(wal.first_index(), Some(upto + 1));
        assert!(wal.read(0..upto + 1, usize::MAX).unwrap().is_empty());
    }
    drop(wal);
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert!(files <= 8, "{files} files are left");

    let (wal, recovered) = open(directory.path());
    assert_eq!(recovered.vote, Some(Bytes::from_static(b"vote")));
    assert_eq!(
        recovered.purged,
        Some((589, Bytes::from_static(b"purged 589")))
    );
    assert_eq!(
        (recovered.first_index, recovered.last_index),
        (Some(590), Some(599))
    );
    let expected: Vec<Entry> = (590..600).map(|index| entry(index, 1)).collect();
    assert_eq!(wal.read(0..1000, usize::MAX).unwrap(), expected);
}

#[test]
fn a_purge_behind_the_last_entry_moves_the_log_there() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _recovered) = open(directory.path());
    append(&wal, 0..=9, 1);
    wait(|done| wal.purge(99, Bytes::from_static(b"mark"), done)).unwrap();
    assert_eq!(wal.last_index(), None);
    append(&wal, 100..=150, 2);
    drop(wal);
    let (_wal, recovered) = open(directory.path());
    assert_eq!(
        (recovered.first_index, recovered.last_index),
        (Some(100), Some(150))
    );
}

#[test]
fn truncated_entries_are_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _recovered) = open(directory.path());
    append(&wal, 0..=99, 1);
    wal.truncate_after(Some(49), |result| result.unwrap());
    assert_eq!(wal.last_index(), Some(49));
    append(&wal, 50..=59, 2);
    drop(wal);
    let (wal, recovered) = open(directory.path());
    assert_eq!(
        (recovered.last_index, recovered.last_term),
        (Some(59), Some(2))
    );
    assert_eq!(
        wal.read(49..51, usize::MAX).unwrap(),
        [entry(49, 1), entry(50, 2)]
    );
    wait(|done| wal.truncate_after(None, done)).unwrap();
    assert_eq!(wal.last_index(), None);
}

#[test]
fn an_entry_out_of_order_is_refused_and_the_log_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (wal, _recovered) = open(directory.path());
    append(&wal, 0..=4, 1);
    for index in [4, 6] {
        let refused = wait(|done| wal.append(vec![entry(index, 1)], done)).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    }
    let large = Entry {
        index: 5,
        term: 1,
        payload: Bytes::from(vec![0; 4096]),
    };
    let refused = wait(|done| wal.append(vec![large], done)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    append(&wal, 5..=5, 1);
    assert_eq!(wal.last_index(), Some(5));
}
