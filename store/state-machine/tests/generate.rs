//! Random commands over few keys, so that they meet.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use state_machine::*;

fn key() -> impl Strategy<Value = Bytes> {
    select(vec!["a", "b", "ba", "c", "cc", "d"]).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        8 => select(vec!["", "1", "2", "30"]).prop_map(Bytes::from),
        1 => (300..700usize).prop_map(|length| Bytes::from(vec![b'v'; length])),
    ]
}

pub(crate) fn keys() -> impl Strategy<Value = KeyRange> {
    let end = select(vec!["", "", "\0", "b", "c", "e"]).prop_map(Bytes::from);
    let start = prop_oneof![4 => key(), 1 => Just(Bytes::from_static(b"\0"))];
    (start, end).prop_map(|(start, end)| KeyRange { start, end })
}

fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0i64), 1 => 1..4i64]
}

fn put() -> impl Strategy<Value = Put> {
    let flag = || weighted(0.15, Just(())).prop_map(|set| set.is_some());
    (key(), value(), lease(), flag(), flag(), flag()).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| Put {
            key,
            value: if ignore_value { Bytes::new() } else { value },
            lease: if ignore_lease { 0 } else { lease },
            prev_kv,
            ignore_value,
            ignore_lease,
        },
    )
}

fn delete_range() -> impl Strategy<Value = DeleteRange> {
    (keys(), any::<bool>()).prop_map(|(keys, prev_kv)| DeleteRange { keys, prev_kv })
}

/// Revisions up to `newest`, and a little beyond.
pub(crate) fn range(newest: i64) -> impl Strategy<Value = Range> {
    let revision = prop_oneof![2 => Just(0), 2 => -1..newest + 3];
    let bound = move || prop_oneof![5 => Just(0), 1 => 1..newest + 2];
    let order = select(vec![SortOrder::None, SortOrder::Ascend, SortOrder::Descend]);
    let target = select(vec![
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::Create,
        SortTarget::Mod,
        SortTarget::Value,
    ]);
    let only = select(vec![
        (false, false),
        (false, false),
        (true, false),
        (false, true),
        (true, true),
    ]);
    (
        keys(),
        -1..6i64,
        revision,
        (order, target),
        only,
        (bound(), bound(), bound(), bound()),
    )
        .prop_map(
            |(
                keys,
                limit,
                revision,
                (sort_order, sort_target),
                (keys_only, count_only),
                bounds,
            )| Range {
                keys,
                limit,
                revision,
                sort_order,
                sort_target,
                keys_only,
                count_only,
                min_mod_revision: bounds.0,
                max_mod_revision: bounds.1,
                min_create_revision: bounds.2,
                max_create_revision: bounds.3,
            },
        )
}

fn compare() -> impl Strategy<Value = Compare> {
    let result = select(vec![
        CompareResult::Equal,
        CompareResult::Greater,
        CompareResult::Less,
        CompareResult::NotEqual,
    ]);
    let operand = prop_oneof![
        (0..4i64).prop_map(Operand::Version),
        (0..30i64).prop_map(Operand::CreateRevision),
        (0..30i64).prop_map(Operand::ModRevision),
        value().prop_map(Operand::Value),
        (0..4i64).prop_map(Operand::Lease),
    ];
    (keys(), result, operand).prop_map(|(keys, result, operand)| Compare {
        keys,
        result,
        operand,
    })
}

pub(crate) fn txn() -> impl Strategy<Value = Txn> {
    let plain = prop_oneof![
        2 => put().prop_map(Op::Put),
        1 => delete_range().prop_map(Op::DeleteRange),
        2 => range(30).prop_map(Op::Range),
    ];
    let leaf = txn_of(plain.clone());
    leaf.prop_recursive(2, 12, 3, move |nested| {
        txn_of(prop_oneof![3 => plain.clone(), 1 => nested.prop_map(Op::Txn)])
    })
}

fn txn_of(op: impl Strategy<Value = Op> + Clone) -> impl Strategy<Value = Txn> {
    (vec(compare(), 0..3), vec(op.clone(), 0..4), vec(op, 0..4)).prop_map(
        |(compares, success, failure)| Txn {
            compares,
            success,
            failure,
        },
    )
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        10 => put().prop_map(Command::Put),
        4 => delete_range().prop_map(Command::DeleteRange),
        8 => txn().prop_map(Command::Txn),
        2 => (-1..40i64).prop_map(|revision| Command::Compact(Compact { revision })),
        2 => (1..4i64, 1..9i64)
            .prop_map(|(id, ttl_seconds)| Command::LeaseGrant(LeaseGrant { id, ttl_seconds })),
        1 => (1..4i64).prop_map(|id| Command::LeaseRevoke(LeaseRevoke { id })),
        1 => vec((1..4i64, 0..9i64), 0..3).prop_map(|all| Command::LeaseCheckpoint(
            all.into_iter().map(|(id, remaining_seconds)| LeaseCheckpoint { id, remaining_seconds }).collect()
        )),
        1 => Just(Command::Nothing),
    ]
}
