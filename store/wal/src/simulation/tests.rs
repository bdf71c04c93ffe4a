//! The log on a disk in memory, through kills, power failures, failing syncs, a full disk and flipped bits.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use bytes::Bytes;

use super::{SimulatedDisk, Stepper, open};
use crate::tests::model::{Driver, Random, State};
use crate::{Entry, OpenError, Options, Wal};

const SEEDS: u64 = 200;
const FAILURES_EACH: usize = 8;

fn options() -> Options {
    Options {
        segment_bytes: 8192,
        window_bytes_max: 2000,
        ..Options::default()
    }
}

fn start(disk: &SimulatedDisk) -> Result<(Wal, State, Stepper), OpenError> {
    let (wal, recovered, stepper) = open(disk, Path::new("/log"), options(), || {})?;
    let state = State::of(&wal, &recovered);
    Ok((wal, state, stepper))
}

fn entry(index: u64) -> Entry {
    Entry {
        index,
        term: 1,
        payload: Bytes::from(vec![7; 100]),
    }
}

/// Appends entries and syncs them.
fn append(wal: &Wal, stepper: &mut Stepper, indexes: std::ops::Range<u64>) -> std::io::Result<()> {
    let (tx, rx) = channel();
    wal.append(indexes.map(entry).collect(), move |result| {
        tx.send(result).expect("the test waits");
    });
    assert!(stepper.begin());
    stepper.finish();
    rx.try_recv().expect("the callback ran")
}

/// Crashes again and again at any step; returns how many writes a failure tore.
fn run(seed: u64) -> u64 {
    let mut random = Random(seed);
    let disk = SimulatedDisk::default();
    let mut torn = 0;
    let (wal, state, mut stepper) = start(&disk).unwrap();
    let mut driver = Driver::new(wal, state);
    driver.stepped = true;
    for _failure in 0..FAILURES_EACH {
        for _operation in 0..random.below(60) {
            driver.operate(&mut random);
            if random.below(4) == 0 && stepper.begin() {
                stepper.finish();
            }
        }
        if random.below(2) == 0 {
            stepper.begin();
        }
        let acknowledged = driver.acknowledged();
        drop(stepper);
        if random.below(3) > 0 {
            torn += disk
                .power_failure(&mut |bound| random.below(bound))
                .torn_writes;
        }
        let (next_wal, found, next_stepper) =
            start(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(
            driver.matching_step(acknowledged, &found).is_some(),
            "seed {seed}: {acknowledged} of {} steps were acknowledged, found {found:?}",
            driver.steps.len()
        );
        driver = Driver::new(next_wal, found);
        driver.stepped = true;
        stepper = next_stepper;
    }
    torn
}

#[test]
fn nothing_acknowledged_is_lost_by_kills_and_power_failures() {
    let torn: u64 = (0..SEEDS).map(run).sum();
    assert!(torn > SEEDS, "only {torn} writes were torn");
}

#[test]
fn what_is_queued_is_not_acknowledged_before_the_sync() {
    let disk = SimulatedDisk::default();
    let (wal, _, mut stepper) = start(&disk).unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&done);
    wal.append(vec![entry(1)], move |result| {
        result.unwrap();
        noted.fetch_add(1, Ordering::Relaxed);
    });
    assert!(stepper.begin());
    assert_eq!(done.load(Ordering::Relaxed), 0);
    stepper.finish();
    assert_eq!(done.load(Ordering::Relaxed), 1);
}

#[test]
fn a_failing_sync_ends_the_log() {
    let disk = SimulatedDisk::default();
    let (wal, _, mut stepper) = start(&disk).unwrap();
    append(&wal, &mut stepper, 1..3).unwrap();
    disk.set_failing_syncs(true);
    assert!(append(&wal, &mut stepper, 3..4).is_err());
    disk.set_failing_syncs(false);
    let (tx, rx) = channel();
    wal.append(vec![entry(4)], move |result| tx.send(result).unwrap());
    assert!(rx.try_recv().unwrap().is_err());
}

#[test]
fn a_full_disk_is_noticed_ahead_and_recovers() {
    let disk = SimulatedDisk::default();
    let (wal, _, mut stepper) = start(&disk).unwrap();
    append(&wal, &mut stepper, 1..3).unwrap();
    disk.set_full(true);
    let mut next = 3;
    while wal.check_reserve().is_ok() {
        append(&wal, &mut stepper, next..next + 1).unwrap();
        next += 1;
    }
    disk.set_full(false);
    stepper.tend();
    wal.check_reserve().unwrap();
    append(&wal, &mut stepper, next..next + 1).unwrap();
}

#[test]
fn a_flipped_bit_of_what_was_acknowledged_is_refused() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let disk = SimulatedDisk::default();
        let (wal, _, mut stepper) = start(&disk).unwrap();
        for index in 1..2 + random.below(100) as u64 {
            append(&wal, &mut stepper, index..index + 1).unwrap();
        }
        drop((wal, stepper));
        assert!(disk.flip_acknowledged_bit(Path::new("/log"), &mut |bound| random.below(bound)));
        assert!(start(&disk).is_err(), "seed {seed}");
    }
}
