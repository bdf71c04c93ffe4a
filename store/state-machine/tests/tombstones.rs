//! A deleted key stays deleted when its tombstone could be dropped long before its value.

use bytes::Bytes;
use state_machine::*;

/// Sweeps after which nothing of what was deleted may be left.
const SWEEPS_MAX: usize = 20;

fn apply(machine: &StateMachine, commands: Vec<Command>) {
    let applied = machine
        .apply(Run {
            commands,
            mark: Bytes::new(),
        })
        .unwrap();
    assert!(applied.outcomes.iter().all(Result::is_ok));
}

fn put(key: String) -> Command {
    Command::Put(Put {
        key: key.into(),
        value: "v".into(),
        ..Put::default()
    })
}

fn compact(machine: &StateMachine) {
    apply(
        machine,
        vec![Command::Compact(Compact {
            revision: machine.revision(),
        })],
    );
    while machine.sweep(1000) {}
}

fn keys(end: &'static str) -> KeyRange {
    KeyRange {
        start: "doomed".into(),
        end: end.into(),
    }
}

fn count(machine: &StateMachine) -> i64 {
    machine
        .range(&Range {
            keys: keys(""),
            ..Range::default()
        })
        .unwrap()
        .1
        .count
}

#[test]
fn a_deleted_key_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let open = || StateMachine::open(dir.path(), &Options::default()).unwrap();
    let machine = open();
    // One file with little garbage: the value of `doomed`.
    let mut commands = vec![put("doomed".into())];
    commands.extend((0..5000).map(|number| put(format!("stays{number}"))));
    apply(&machine, commands);
    machine.flush().unwrap();
    // One file that is nearly all garbage, with the tombstone.
    let mut commands: Vec<Command> = (0..3000).map(|_| put("hot".into())).collect();
    commands.push(Command::DeleteRange(DeleteRange {
        keys: keys(""),
        prev_kv: false,
    }));
    commands.push(put("hot".into()));
    apply(&machine, commands);
    machine.flush().unwrap();
    let before = machine.disk_bytes();
    compact(&machine);
    assert!(
        machine.disk_bytes() < before,
        "the second file was not rewritten"
    );
    assert_eq!(count(&machine), 0);
    let hash = machine.hash_kv(0).unwrap();
    drop(machine);
    let machine = open();
    assert_eq!(count(&machine), 0);
    assert_eq!(machine.hash_kv(0).unwrap(), hash);
}

#[test]
fn tombstones_and_their_values_leave_the_disk_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let open = || StateMachine::open(dir.path(), &Options::default()).unwrap();
    let machine = open();
    apply(
        &machine,
        (0..20_000)
            .map(|number| put(format!("doomed{number}")))
            .collect(),
    );
    machine.flush().unwrap();
    let full = machine.disk_bytes();
    let all = DeleteRange {
        keys: keys("e"),
        prev_kv: false,
    };
    apply(
        &machine,
        vec![Command::DeleteRange(all), put("other".into())],
    );
    // A tombstone needs a sweep of its own after the values before it are gone, and files may go a while after it.
    for _ in 0..SWEEPS_MAX {
        compact(&machine);
        if machine.disk_bytes() * 10 < full {
            break;
        }
        apply(&machine, vec![put("other".into())]);
    }
    assert!(
        machine.disk_bytes() * 10 < full,
        "{} of {full} bytes are left",
        machine.disk_bytes()
    );
    drop(machine);
    assert_eq!(open().key_count(), 1);
}
