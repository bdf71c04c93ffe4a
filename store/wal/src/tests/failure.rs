//! A failed write, sync or preparation is told to everyone and never tried again.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;

use crate::disk::Disk;
use crate::tests::observer::Observer;
use crate::{Entry, Options, Wal};

/// How long it is watched that nothing more is let in.
const SILENCE: Duration = Duration::from_millis(100);

fn watched() -> (tempfile::TempDir, Arc<Observer>, Wal) {
    let directory = tempfile::tempdir().unwrap();
    let observer = Arc::new(Observer::adopt(directory.path()));
    let disk = Disk::observed(Arc::clone(&observer));
    let options = Options {
        segment_bytes: 4096,
        ..Options::default()
    };
    let (wal, _recovered) = Wal::open_on(disk, directory.path(), options).unwrap();
    (directory, observer, wal)
}

fn entry(index: u64) -> Entry {
    Entry {
        index,
        term: 1,
        payload: Bytes::from(vec![7; 1000]),
    }
}

fn append(wal: &Wal, index: u64) -> io::Result<()> {
    let (sender, receiver) = channel();
    wal.append(vec![entry(index)], move |result| {
        sender.send(result).unwrap()
    });
    receiver.recv().unwrap()
}

#[test]
fn a_failed_sync_ends_the_log() {
    let (_directory, observer, wal) = watched();
    append(&wal, 0).unwrap();
    observer.fail_sync.store(true, Ordering::SeqCst);
    assert!(append(&wal, 1).is_err());
    observer.fail_sync.store(false, Ordering::SeqCst);
    assert!(append(&wal, 2).is_err());
    assert!(wal.check_reserve().is_err());
    let (sender, receiver) = channel();
    wal.save_vote(Bytes::from_static(b"vote"), move |result| {
        sender.send(result).unwrap()
    });
    assert!(receiver.recv().unwrap().is_err());
}

#[test]
fn a_full_disk_is_told_before_the_log_needs_the_room() {
    let (_directory, observer, wal) = watched();
    observer.fail_create.store(true, Ordering::SeqCst);
    // A segment holds three of these entries; the next one was due when the first was on disk.
    (0..3).for_each(|index| append(&wal, index).unwrap());
    while wal.check_reserve().is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(
        wal.check_reserve().unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert_eq!(append(&wal, 3).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(append(&wal, 4).unwrap_err().kind(), ErrorKind::StorageFull);
}

#[test]
fn the_reserve_comes_back_once_there_is_room() {
    let (_directory, observer, wal) = watched();
    observer.fail_create.store(true, Ordering::SeqCst);
    append(&wal, 0).unwrap();
    while wal.check_reserve().is_ok() {
        std::thread::yield_now();
    }
    observer.fail_create.store(false, Ordering::SeqCst);
    while wal.check_reserve().is_err() {
        std::thread::yield_now();
    }
    for index in 1..10 {
        append(&wal, index).unwrap();
    }
}

#[test]
fn a_panicking_callback_ends_the_log_and_nobody_waits_for_it() {
    let (_directory, _observer, wal) = watched();
    wal.flush(|_result| panic!("a callback of the test panics"));
    while wal.check_reserve().is_ok() {
        std::thread::yield_now();
    }
    let message = append(&wal, 0).unwrap_err().to_string();
    assert!(message.contains("panicked"), "{message}");
}

#[test]
fn a_full_queue_holds_its_callers_back_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        queue_bytes_max: 1,
        ..Options::default()
    };
    let options = Options {
        segment_bytes: 1 << 20,
        ..options
    };
    let (wal, _recovered) = Wal::open(directory.path(), options).unwrap();
    let (gate, closed) = channel::<()>();
    wal.flush(move |_result| closed.recv().unwrap());
    let entered = Arc::new(AtomicU64::new(0));
    let writer = std::thread::spawn({
        let (wal, entered) = (wal.clone(), Arc::clone(&entered));
        move || {
            for index in 0..10 {
                wal.append(vec![entry(index)], |result| result.unwrap());
                entered.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    while entered.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    std::thread::sleep(SILENCE);
    // One waits in the queue, and another came before the flush was taken from it.
    assert!(entered.load(Ordering::SeqCst) <= 2);
    gate.send(()).unwrap();
    writer.join().unwrap();
    append(&wal, 10).unwrap();
    assert_eq!(wal.last_index(), Some(10));
}
