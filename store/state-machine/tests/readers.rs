//! Readers beside the applier and the sweep see whole runs and never a torn one.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use state_machine::*;

const RUNS: i64 = 3000;
/// Keys that every run sets to one value.
const KEYS: i64 = 7;

fn run(number: i64) -> Run {
    let put = |key: i64| {
        Command::Put(Put {
            key: format!("k{key}").into(),
            value: number.to_string().into(),
            ..Put::default()
        })
    };
    let mut commands: Vec<Command> = (0..KEYS).map(put).collect();
    if number % 16 == 0 {
        // Up to the end of the run before.
        commands.push(Command::Compact(Compact {
            revision: 1 + (number - 1) * KEYS,
        }));
    }
    Run {
        commands,
        mark: Bytes::new(),
    }
}

fn all(revision: i64) -> Range {
    let keys = KeyRange {
        start: Bytes::from_static(b"k"),
        end: Bytes::from_static(b"l"),
    };
    Range {
        keys,
        revision,
        ..Range::default()
    }
}

/// Checks one read at the newest revision and one at an older one.
fn check(machine: &StateMachine) -> i64 {
    let (revision, found) = machine.range(&all(0)).unwrap();
    assert_eq!((revision - 1) % KEYS, 0, "a run is seen whole");
    if revision == 1 {
        return revision;
    }
    let number = ((revision - 1) / KEYS).to_string();
    assert_eq!(found.count, KEYS);
    for kv in &found.kvs {
        assert_eq!(decode_key_value(&kv.0).unwrap().value, number);
    }
    let older = (revision - KEYS).max(2);
    match machine.range(&all(older)) {
        Ok((_, found)) => {
            let newest = found
                .kvs
                .iter()
                .map(|kv| decode_key_value(&kv.0).unwrap().mod_revision)
                .max();
            assert_eq!(newest, Some(older));
        }
        Err(rejection) => assert!(
            matches!(rejection, Rejection::Compacted { .. }),
            "{rejection:?}"
        ),
    }
    match machine.history(older, 100, 1 << 20) {
        Ok(found) => assert!(
            found
                .iter()
                .zip(older..)
                .all(|(events, at)| events.revision == at)
        ),
        Err(rejection) => assert!(
            matches!(rejection, Rejection::Compacted { .. }),
            "{rejection:?}"
        ),
    }
    revision
}

#[test]
fn readers_see_whole_runs() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        write_buffer_bytes: 64 << 10,
        block_cache_bytes: 64 << 10,
        value_cache_bytes: 2048,
    };
    let machine = StateMachine::open(dir.path(), &options).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                let mut newest = 0;
                while !done.load(Ordering::Acquire) {
                    let revision = check(&machine);
                    assert!(revision >= newest, "revisions do not go back");
                    newest = revision;
                }
            });
        }
        threads.spawn(|| {
            while !done.load(Ordering::Acquire) {
                if !machine.sweep(3) {
                    std::thread::yield_now();
                }
            }
        });
        for number in 1..=RUNS {
            machine.apply(run(number)).unwrap();
        }
        done.store(true, Ordering::Release);
    });
    while machine.sweep(100) {}
    assert_eq!(check(&machine), 1 + RUNS * KEYS);
    let hash = machine.hash_kv(0).unwrap();
    machine.flush().unwrap();
    drop(machine);
    assert_eq!(
        StateMachine::open(dir.path(), &options)
            .unwrap()
            .hash_kv(0)
            .unwrap(),
        hash
    );
}
