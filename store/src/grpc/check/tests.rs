//! Bad requests, and what etcd finds first in them.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn key(key: &'static str) -> Bytes {
    Bytes::from_static(key.as_bytes())
}

fn op(request: Op) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}

fn get(name: &'static str) -> pb::RequestOp {
    op(Op::RequestRange(pb::RangeRequest {
        key: key(name),
        ..Default::default()
    }))
}

fn set(name: &'static str) -> pb::RequestOp {
    op(Op::RequestPut(pb::PutRequest {
        key: key(name),
        ..Default::default()
    }))
}

fn nested(txn: pb::TxnRequest) -> pb::RequestOp {
    op(Op::RequestTxn(txn))
}

fn success(success: Vec<pb::RequestOp>) -> pb::TxnRequest {
    pb::TxnRequest {
        success,
        ..Default::default()
    }
}

#[test]
fn a_range_needs_a_key_and_known_sorting() {
    let good = pb::RangeRequest {
        key: key("a"),
        sort_order: 2,
        sort_target: 4,
        ..Default::default()
    };
    assert_eq!(range(&good), Ok(()));
    let cases = [
        (pb::RangeRequest::default(), BadRequest::EmptyKey),
        (
            pb::RangeRequest {
                sort_order: 3,
                ..Default::default()
            },
            BadRequest::EmptyKey,
        ),
        (
            pb::RangeRequest {
                sort_order: 3,
                ..good.clone()
            },
            BadRequest::InvalidSortOption,
        ),
        (
            pb::RangeRequest {
                sort_order: -1,
                ..good.clone()
            },
            BadRequest::InvalidSortOption,
        ),
        (
            pb::RangeRequest {
                sort_target: 5,
                ..good
            },
            BadRequest::InvalidSortOption,
        ),
    ];
    for (request, error) in cases {
        assert_eq!(range(&request), Err(error), "{request:?}");
    }
}

#[test]
fn a_put_keeps_or_brings_value_and_lease_but_not_both() {
    let good = pb::PutRequest {
        key: key("a"),
        value: key("b"),
        lease: 1,
        ..Default::default()
    };
    let keep_value = pb::PutRequest {
        ignore_value: true,
        ..good.clone()
    };
    let keep_lease = pb::PutRequest {
        ignore_lease: true,
        ..good.clone()
    };
    let keep_both = pb::PutRequest {
        ignore_lease: true,
        ..keep_value.clone()
    };
    assert_eq!(put(&good), Ok(()));
    assert_eq!(
        put(&pb::PutRequest {
            value: Bytes::new(),
            ..keep_value.clone()
        }),
        Ok(())
    );
    assert_eq!(
        put(&pb::PutRequest {
            lease: 0,
            ..keep_lease.clone()
        }),
        Ok(())
    );
    assert_eq!(put(&keep_value), Err(BadRequest::ValueProvided));
    assert_eq!(put(&keep_lease), Err(BadRequest::LeaseProvided));
    assert_eq!(put(&keep_both), Err(BadRequest::ValueProvided));
    assert_eq!(
        put(&pb::PutRequest {
            key: Bytes::new(),
            ..keep_both
        }),
        Err(BadRequest::EmptyKey)
    );
}

#[test]
fn the_longest_list_of_a_transaction_counts() {
    let compare = pb::Compare {
        key: key("a"),
        ..Default::default()
    };
    let full = pb::TxnRequest {
        compare: vec![compare.clone(), compare.clone()],
        success: vec![get("a"), get("b")],
        failure: vec![get("a"), get("b")],
    };
    assert_eq!(txn(&full, 2), Ok(()));
    assert_eq!(txn(&full, 1), Err(BadRequest::TooManyOperations));
    let many_compares = pb::TxnRequest {
        compare: vec![compare; 3],
        ..Default::default()
    };
    assert_eq!(txn(&many_compares, 2), Err(BadRequest::TooManyOperations));
}

#[test]
fn a_nested_transaction_gets_what_is_left() {
    let inner = success(vec![get("a"), get("b")]);
    assert_eq!(txn(&success(vec![nested(inner.clone())]), 3), Ok(()));
    assert_eq!(
        txn(&success(vec![nested(inner)]), 2),
        Err(BadRequest::TooManyOperations)
    );
}

#[test]
fn every_part_of_a_transaction_is_checked() {
    let empty_compare = pb::TxnRequest {
        compare: vec![pb::Compare::default()],
        success: vec![pb::RequestOp::default()],
        ..Default::default()
    };
    assert_eq!(txn(&empty_compare, 9), Err(BadRequest::EmptyKey));
    let unset = success(vec![get("a"), pb::RequestOp::default()]);
    assert_eq!(txn(&unset, 9), Err(BadRequest::EmptyOperation));
    let unset = success(vec![nested(unset)]);
    assert_eq!(txn(&unset, 9), Err(BadRequest::EmptyOperation));
    let failure = pb::TxnRequest {
        failure: vec![get("")],
        ..Default::default()
    };
    assert_eq!(txn(&failure, 9), Err(BadRequest::EmptyKey));
}

#[test]
fn only_ranges_make_a_transaction_a_read() {
    let local = op(Op::RequestRange(pb::RangeRequest {
        serializable: true,
        ..Default::default()
    }));
    let cases = [
        (success(vec![]), TxnPath::Serializable),
        (success(vec![local.clone()]), TxnPath::Serializable),
        (
            success(vec![local.clone(), get("a")]),
            TxnPath::Linearizable,
        ),
        (success(vec![get("a"), set("a")]), TxnPath::Write),
        (success(vec![nested(success(vec![]))]), TxnPath::Write),
        (
            pb::TxnRequest {
                failure: vec![set("a")],
                ..success(vec![local])
            },
            TxnPath::Write,
        ),
    ];
    for (request, path) in cases {
        assert_eq!(txn_path(&request), path, "{request:?}");
    }
}

#[test]
fn the_dearer_branch_is_the_cost_of_a_transaction() {
    let put = |bytes| {
        op(Op::RequestPut(pb::PutRequest {
            key: key("k"),
            value: vec![0; bytes].into(),
            ..Default::default()
        }))
    };
    let request = pb::TxnRequest {
        success: vec![put(10), get("a"), nested(success(vec![put(999)]))],
        failure: vec![put(3), put(4)],
        ..Default::default()
    };
    assert_eq!(txn_cost(&request), 2 * (256 + 1) + 7);
    assert_eq!(txn_cost(&success(vec![get("a")])), 0);
}

/// The largest request that passes.
fn largest(member_id: u64, request_bytes_max: usize) -> usize {
    let fits = |bytes: &usize| size(*bytes, member_id, request_bytes_max).is_ok();
    let largest = (0..=request_bytes_max).rfind(fits).expect("an empty one");
    assert_eq!(
        size(largest + 1, member_id, request_bytes_max),
        Err(BadRequest::TooLarge)
    );
    largest
}

/// The members and figures are those of etcd 3.4.23 servers that were asked for ever larger puts.
#[test]
fn the_largest_put_is_etcds_to_the_byte() {
    for (member_id, bytes) in [
        (0xbd15_a5b4_7f90_4c58, 1_572_847),
        (0x205a_79be_1c75_098e, 1_572_847),
        (0x8379_ca2f_ac1c_aa80, 1_572_846),
        (0xdece_2706_6a4f_c057, 1_572_846),
    ] {
        assert_eq!(largest(member_id, 1_572_864), bytes, "{member_id:x}");
    }
}

#[test]
fn what_stands_around_a_request_grows_with_it() {
    let around = |request_bytes_max| request_bytes_max - largest(0x4c58, request_bytes_max);
    assert_eq!(
        [100, 1 << 10, 1 << 16, 4 << 20].map(around),
        [15, 16, 17, 18]
    );
}

proptest! {
    /// A transaction that passes converts without losing an operation: nothing the check lets through is unset.
    #[test]
    fn what_passes_is_whole(kinds in prop::collection::vec(0..4, 0..6), limit in 0usize..8) {
        let operations: Vec<_> = kinds.iter().map(|kind| match kind {
            0 => get("a"),
            1 => set("a"),
            2 => nested(success(vec![get("b")])),
            _ => pb::RequestOp::default(),
        }).collect();
        let request = success(operations);
        let passed = txn(&request, limit).is_ok();
        let converted = crate::grpc::convert::txn(request.clone());
        if passed {
            prop_assert_eq!(converted.success.len(), request.success.len());
            prop_assert!(request.success.len() <= limit);
        }
    }
}
