//! Which reads stay on the runtime's threads.

use bytes::Bytes;
use state_machine::{
    Command, Compare, CompareResult, DeleteRange, KeyRange, Operand, Options, Put, Run,
};

use super::*;
use crate::grpc::bulk::{SMALL, is_large};

const KEYS: usize = SMALL.keys + 2;

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
    let large = range(first(SMALL.keys + 1));
    assert!(is_large(&machine, &[look(&large)]));
    let (_, response) = machine.range(&large).unwrap();
    assert_eq!(response.count, SMALL.keys as i64 + 1);
}

#[test]
fn a_small_part_of_a_large_store_is_short() {
    let (_folder, machine) = machine();
    assert!(!is_large(&machine, &[look(&range(first(SMALL.keys)))]));
    assert!(!is_large(&machine, &[look(&range(one(7)))]));
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
    assert!(is_large(&machine, &[look(&range(first(KEYS)))]));
}

#[test]
fn the_compares_and_ranges_of_a_transaction_add_up() {
    let (_folder, machine) = machine();
    let half = || first(SMALL.keys / 2);
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
    assert!(!is_large(&machine, &looks(&txn)));
    txn.failure = vec![Op::Range(range(one(7)))];
    assert!(is_large(&machine, &looks(&txn)));
    txn.failure.clear();
    txn.success.clear();
    txn.compares = vec![compare(), compare(), compare()];
    assert!(is_large(&machine, &looks(&txn)));
}

#[test]
fn few_keys_with_many_bytes_are_large_unless_a_limit_or_their_values_are_left_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let machine = StateMachine::open(folder.path(), &Options::default()).expect("an empty folder");
    let put = |number| {
        Command::Put(Put {
            key: key(number),
            value: vec![b'v'; 300 << 10].into(),
            ..Put::default()
        })
    };
    apply(&machine, (0..4).map(put).collect());
    let all = Range {
        limit: 0,
        ..range(first(4))
    };
    assert!(is_large(&machine, &[look(&all)]));
    assert!(!is_large(&machine, &[look(&range(first(4)))]));
    let keys_only = Range {
        keys_only: true,
        ..all.clone()
    };
    assert!(!is_large(&machine, &[look(&keys_only)]));
    let count_only = Range {
        count_only: true,
        ..all
    };
    assert!(!is_large(&machine, &[look(&count_only)]));
}
