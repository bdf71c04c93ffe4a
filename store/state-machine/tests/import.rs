//! An image of one store makes another that reads and hashes the same.

use bytes::Bytes;
use state_machine::{
    Command, Compact, DeleteRange, Fatal, Import, ImportError, KeyRange, LeaseGrant, LeaseInfo, Op,
    Options, Put, Run, StateMachine, Txn,
};
use tempfile::TempDir;

fn put(key: &str, value: &str, lease: i64) -> Put {
    Put {
        key: Bytes::from(key.to_owned()),
        value: Bytes::from(value.to_owned()),
        lease,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
    }
}

fn delete(key: &str) -> DeleteRange {
    DeleteRange {
        keys: KeyRange {
            start: Bytes::from(key.to_owned()),
            end: Bytes::new(),
        },
        prev_kv: false,
    }
}

fn apply(machine: &StateMachine, commands: Vec<Command>) {
    let run = Run {
        commands,
        mark: Bytes::from_static(b"mark"),
    };
    machine.apply(run).unwrap();
}

fn fill(machine: &StateMachine) {
    let grant = LeaseGrant {
        id: 7,
        ttl_seconds: 600,
    };
    apply(machine, vec![Command::LeaseGrant(grant)]);
    for round in 0..5 {
        for key in ["a", "b", "c"] {
            apply(machine, vec![Command::Put(put(key, &round.to_string(), 0))]);
        }
        let both = Txn {
            compares: Vec::new(),
            success: vec![
                Op::Put(put("x", "1", 7)),
                Op::DeleteRange(delete("a")),
                Op::Put(put("y", "2", 0)),
            ],
            failure: Vec::new(),
        };
        apply(machine, vec![Command::Txn(both)]);
    }
}

fn fill_more(machine: &StateMachine) {
    for round in 0..50 {
        for key in ["a", "b", "c", "x", "y"] {
            apply(machine, vec![Command::Put(put(key, &round.to_string(), 0))]);
            apply(machine, vec![Command::DeleteRange(delete(key))]);
        }
    }
}

/// Makes a store in `to` from an image.
fn copy(machine: &StateMachine, to: &TempDir) -> StateMachine {
    let dir = to.path().join("copy");
    let image = machine.image().unwrap();
    let mut import = Import::create(&dir, &Options::default()).unwrap();
    image.leases().iter().for_each(|lease| import.lease(lease));
    let compact_revision = image.compact_revision();
    // What is written meanwhile is in no image.
    apply(machine, vec![Command::Put(put("later", "", 0))]);
    image
        .rows(|key, kv| import.row(key, kv))
        .unwrap_or_else(|error: ImportError| panic!("{error}"));
    let revision = import.newest_revision();
    import.finish(revision, compact_revision, b"other").unwrap();
    StateMachine::open(&dir, &Options::default()).unwrap()
}

fn store(dir: &TempDir) -> StateMachine {
    StateMachine::open(&dir.path().join("first"), &Options::default()).unwrap()
}

#[test]
fn a_copy_has_the_same_hashes_leases_and_history() {
    let dir = tempfile::tempdir().unwrap();
    let machine = store(&dir);
    fill(&machine);
    let revision = machine.revision();
    let copy = copy(&machine, &dir);
    assert_eq!(copy.revision(), revision);
    assert_eq!(copy.hash_kv(0).unwrap(), machine.hash_kv(revision).unwrap());
    assert_eq!(copy.leases(), machine.leases());
    assert_eq!(copy.lease_keys(7), machine.lease_keys(7));
    assert_eq!(copy.applied_mark(), Some(Bytes::from_static(b"other")));
    let history = |machine: &StateMachine| {
        let mut history = machine.history(2, 1000, usize::MAX).unwrap();
        history.retain(|events| events.revision <= revision);
        history
    };
    assert_eq!(history(&copy), history(&machine));
}

#[test]
fn an_image_of_a_compacted_store_holds_what_reads_see() {
    let dir = tempfile::tempdir().unwrap();
    let machine = store(&dir);
    fill(&machine);
    let compact = Compact { revision: 15 };
    apply(&machine, vec![Command::Compact(compact)]);
    let revision = machine.revision();
    let mut below = Vec::new();
    let image = machine.image().unwrap();
    image
        .rows(|key, _| {
            let main = i64::from_be_bytes(key[..8].try_into().unwrap());
            below.extend((main <= 15).then_some(main));
            Ok::<(), Fatal>(())
        })
        .unwrap();
    // Of the ten revisions up to there, the newest value of each key that is not deleted then.
    assert!(below.len() <= 5, "{below:?}");
    let copy = copy(&machine, &dir);
    assert_eq!(copy.compact_revision(), 15);
    assert_eq!(copy.hash_kv(0).unwrap(), machine.hash_kv(revision).unwrap());
}

#[test]
fn a_compaction_and_its_sweep_change_nothing_in_an_image() {
    let dir = tempfile::tempdir().unwrap();
    let machine = store(&dir);
    fill(&machine);
    apply(&machine, vec![Command::Compact(Compact { revision: 10 })]);
    machine.flush().unwrap();
    let expected = (machine.revision(), machine.hash_kv(0).unwrap());
    let image = machine.image().unwrap();
    fill_more(&machine);
    let compact = Compact {
        revision: machine.revision(),
    };
    apply(&machine, vec![Command::Compact(compact)]);
    while machine.sweep(1000) {}
    let dir = dir.path().join("copy");
    let mut import = Import::create(&dir, &Options::default()).unwrap();
    image.leases().iter().for_each(|lease| import.lease(lease));
    assert_eq!(image.compact_revision(), Some(10));
    image
        .rows(|key, kv| import.row(key, kv))
        .unwrap_or_else(|error: ImportError| panic!("{error}"));
    let revision = import.newest_revision();
    import.finish(revision, Some(10), b"").unwrap();
    let copy = StateMachine::open(&dir, &Options::default()).unwrap();
    assert_eq!((copy.revision(), copy.hash_kv(0).unwrap()), expected);
}

#[test]
fn rows_that_no_store_writes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut import = Import::create(dir.path(), &Options::default()).unwrap();
    let name = |main: i64, sub: i64| [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes()].concat();
    let kv = b"\x0a\x01k\x10\x02\x18\x02\x20\x01";
    import.row(&name(2, 0), kv).unwrap();
    import.row(&name(9, 0), b"").unwrap();
    assert_eq!(import.newest_revision(), 9);
    for (key, kv) in [
        (b"short".to_vec(), &kv[..]),
        (name(2, 0), kv),
        (name(10, 0), kv),
        (name(10, 0), b"garbage"),
        (name(10, 0), b"\x10\x0a\x18\x0a\x20\x01"),
        (name(10, i64::MAX), kv),
    ] {
        let error = import.row(&key, kv).unwrap_err();
        assert!(matches!(error, ImportError::Row(_)), "{error}");
    }
    let lost = LeaseInfo {
        id: 1,
        ttl_seconds: 5,
        remaining_seconds: 0,
    };
    import.lease(&lost);
    import.finish(9, None, b"").unwrap();
}
