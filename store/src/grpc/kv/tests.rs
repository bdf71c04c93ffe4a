//! Which reads stay on the runtime's threads.

use bytes::Bytes;
use state_machine::{Compare, CompareResult, DeleteRange, Operand, Options, Put, Run};

use super::*;

const KEYS: usize = RANGE_KEYS_INLINE_MAX + 2;

fn key(number: usize) -> Bytes {
    format!("k{number:05}").into()
}

/// A state machine with [`KEYS`] keys; the folder must outlive it.
fn machine() -> (tempfile::TempDir, StateMachine) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let machine = StateMachine::open(folder.path(), &Options::default()).expect("an empty folder");
    let put = |number| {
        Command::Put(Put {
            key: key(number),
            ..Put::default()
        })
    };
    apply(&machine, (0..KEYS).map(put).collect());
    (folder, machine)
}

fn apply(machine: &StateMachine, commands: Vec<Command>) {
    let mark = Bytes::new();
    machine.apply(Run { commands, mark }).expect("a good run");
}

fn range(keys: KeyRange) -> Range {
    Range {
        keys,
        limit: 1,
        ..Range::default()
    }
}

/// The first keys, so many.
fn first(count: usize) -> KeyRange {
    KeyRange {
        start: key(0),
        end: key(count),
    }
}

fn one(number: usize) -> KeyRange {
    KeyRange {
        start: key(number),
        end: Bytes::new(),
    }
}

#[test]
fn a_limit_does_not_make_a_large_range_short() {
    let (_folder, machine) = machine();
    let large = range(first(RANGE_KEYS_INLINE_MAX + 1));
    assert!(may_be_long(&machine, [&large.keys]));
    let (_, response) = machine.range(&large).unwrap();
    assert_eq!(response.count, RANGE_KEYS_INLINE_MAX as i64 + 1);
}

#[test]
fn a_small_part_of_a_large_store_is_short() {
    let (_folder, machine) = machine();
    assert!(!may_be_long(&machine, [&first(RANGE_KEYS_INLINE_MAX)]));
    assert!(!may_be_long(&machine, [&one(7)]));
}

#[test]
fn deleted_keys_that_are_remembered_count() {
    let (_folder, machine) = machine();
    let delete = DeleteRange {
        keys: first(KEYS),
        ..DeleteRange::default()
    };
    apply(&machine, vec![Command::DeleteRange(delete)]);
    assert_eq!(machine.key_count(), 0);
    assert!(may_be_long(&machine, [&first(KEYS)]));
}

#[test]
fn the_compares_and_ranges_of_a_transaction_add_up() {
    let (_folder, machine) = machine();
    let half = || first(RANGE_KEYS_INLINE_MAX / 2);
    let compare = || Compare {
        keys: half(),
        result: CompareResult::Equal,
        operand: Operand::Lease(0),
    };
    let mut txn = Txn {
        compares: vec![compare()],
        success: vec![Op::Range(range(half()))],
        ..Txn::default()
    };
    assert!(!may_be_long(&machine, keys_of(&txn)));
    txn.failure = vec![Op::Range(range(one(7)))];
    assert!(may_be_long(&machine, keys_of(&txn)));
    txn.failure.clear();
    txn.success.clear();
    txn.compares = vec![compare(), compare(), compare()];
    assert!(may_be_long(&machine, keys_of(&txn)));
}
