//! Power failures: any unsynced sector may be lost, and nothing acknowledged is.

use std::path::Path;
use std::sync::Arc;

use crate::disk::Disk;
use crate::tests::model::{Driver, Random, State};
use crate::tests::observer::Observer;
use crate::{Options, Wal};

const SEEDS: u64 = 60;
const FAILURES_EACH: usize = 8;

fn options() -> Options {
    Options {
        segment_bytes: 8192,
        window_bytes_max: 2000,
        queue_bytes_max: 4000,
        ..Options::default()
    }
}

fn open(directory: &Path, seed: u64) -> (Wal, State, Arc<Observer>) {
    let observer = Arc::new(Observer::adopt(directory));
    let disk = Disk::observed(Arc::clone(&observer));
    let opened = Wal::open_on(disk, directory, options());
    let (wal, recovered) = opened.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let state = State::of(&wal, &recovered);
    (wal, state, observer)
}

/// Fails the power again and again, also while the log before is being read back and written on.
fn run(seed: u64) {
    let mut random = Random(seed);
    let mut directory = tempfile::tempdir().unwrap();
    let (wal, state, mut observer) = open(directory.path(), seed);
    let mut driver = Driver::new(wal, state);
    for _failure in 0..FAILURES_EACH {
        for _operation in 0..random.below(60) {
            driver.operate(&mut random);
        }
        let acknowledged = driver.acknowledged();
        let left = tempfile::tempdir().unwrap();
        observer.power_failure(left.path(), &mut |bound| random.below(bound));
        let (wal, found, next_observer) = open(left.path(), seed);
        let steps = driver.matching_step(acknowledged, &found);
        assert!(
            steps.is_some(),
            "seed {seed}: {acknowledged} of {} steps were acknowledged, found {found:?}",
            driver.steps.len()
        );
        driver = Driver::new(wal, found);
        observer = next_observer;
        directory = left;
    }
    driver.wait();
    drop(driver);
    drop(directory);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails() {
    for seed in 0..SEEDS {
        run(seed);
    }
}
