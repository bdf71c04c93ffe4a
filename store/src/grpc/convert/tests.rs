//! What of the wire reaches the state machine, and what of its answers reaches the wire.

use bytes::Bytes;
use prost::Message;

use super::*;

fn kv(name: &str) -> EncodedKeyValue {
    let plain = proto::mvccpb::KeyValue {
        key: Bytes::copy_from_slice(name.as_bytes()),
        create_revision: 2,
        mod_revision: 3,
        version: 2,
        value: Bytes::from_static(b"value"),
        lease: 7,
    };
    EncodedKeyValue(plain.encode_to_vec().into())
}

fn header() -> pb::ResponseHeader {
    pb::ResponseHeader {
        cluster_id: 1,
        member_id: 2,
        revision: 3,
        raft_term: 4,
    }
}

#[test]
fn every_option_of_a_range_arrives() {
    let request = pb::RangeRequest {
        key: "a".into(),
        range_end: "b".into(),
        limit: 1,
        revision: 2,
        sort_order: 2,
        sort_target: 3,
        serializable: true,
        keys_only: true,
        count_only: true,
        min_mod_revision: 3,
        max_mod_revision: 4,
        min_create_revision: 5,
        max_create_revision: 6,
    };
    let expected = Range {
        keys: KeyRange {
            start: "a".into(),
            end: "b".into(),
        },
        limit: 1,
        revision: 2,
        sort_order: SortOrder::Descend,
        sort_target: SortTarget::Mod,
        keys_only: true,
        count_only: true,
        min_mod_revision: 3,
        max_mod_revision: 4,
        min_create_revision: 5,
        max_create_revision: 6,
    };
    assert_eq!(range(request), expected);
}

#[test]
fn every_option_of_a_put_arrives_without_a_copy() {
    let value = Bytes::from_static(b"value");
    let request = pb::PutRequest {
        key: "k".into(),
        value: value.clone(),
        lease: 9,
        prev_kv: true,
        ignore_value: true,
        ignore_lease: true,
    };
    let converted = put(request);
    assert_eq!(converted.value.as_ptr(), value.as_ptr());
    let expected = Put {
        key: "k".into(),
        value,
        lease: 9,
        prev_kv: true,
        ignore_value: true,
        ignore_lease: true,
    };
    assert_eq!(converted, expected);
}

#[test]
fn compares_take_the_operand_of_their_target() {
    let keys = KeyRange {
        start: "k".into(),
        end: Bytes::new(),
    };
    let wire = |result: i32, target: i32, target_union: Option<TargetUnion>| {
        compare(pb::Compare {
            result,
            target,
            key: "k".into(),
            target_union,
            range_end: Bytes::new(),
        })
    };
    let expected = |result, operand| {
        Some(Compare {
            keys: keys.clone(),
            result,
            operand,
        })
    };
    use CompareResult::{Equal, Greater, Less, NotEqual};
    let cases = [
        (
            wire(0, 0, Some(TargetUnion::Version(1))),
            expected(Equal, Operand::Version(1)),
        ),
        (
            wire(1, 1, Some(TargetUnion::CreateRevision(2))),
            expected(Greater, Operand::CreateRevision(2)),
        ),
        (
            wire(2, 2, Some(TargetUnion::ModRevision(3))),
            expected(Less, Operand::ModRevision(3)),
        ),
        (
            wire(3, 3, Some(TargetUnion::Value("v".into()))),
            expected(NotEqual, Operand::Value("v".into())),
        ),
        (
            wire(0, 4, Some(TargetUnion::Lease(5))),
            expected(Equal, Operand::Lease(5)),
        ),
        // A union of another target counts as unset.
        (
            wire(0, 2, Some(TargetUnion::Version(1))),
            expected(Equal, Operand::ModRevision(0)),
        ),
        (
            wire(0, 3, None),
            expected(Equal, Operand::Value(Bytes::new())),
        ),
        // Numbers that mean nothing: always true, never true, and true for every key there is.
        (wire(0, 9, None), None),
        (wire(1, 9, None), expected(Less, Operand::Version(0))),
        (wire(9, 0, Some(TargetUnion::Version(1))), None),
        (wire(9, 3, None), expected(Greater, Operand::Version(0))),
    ];
    for (index, (converted, expected)) in cases.into_iter().enumerate() {
        assert_eq!(converted, expected, "case {index}");
    }
}

#[test]
fn a_transaction_keeps_its_shape() {
    let get = pb::RangeRequest {
        key: "r".into(),
        ..Default::default()
    };
    let set = pb::PutRequest {
        key: "p".into(),
        ..Default::default()
    };
    let delete = pb::DeleteRangeRequest {
        key: "d".into(),
        range_end: "e".into(),
        prev_kv: true,
    };
    let op = |request| pb::RequestOp {
        request: Some(request),
    };
    let inner = pb::TxnRequest {
        success: vec![op(WireOp::RequestPut(set.clone()))],
        ..Default::default()
    };
    let outer = pb::TxnRequest {
        compare: vec![pb::Compare {
            key: "c".into(),
            ..Default::default()
        }],
        success: vec![
            op(WireOp::RequestRange(get.clone())),
            op(WireOp::RequestTxn(inner)),
        ],
        failure: vec![op(WireOp::RequestDeleteRange(delete.clone()))],
    };
    let converted = txn(outer);
    let inner = Txn {
        success: vec![Op::Put(put(set))],
        ..Txn::default()
    };
    assert_eq!(converted.compares.len(), 1);
    assert_eq!(converted.success, [Op::Range(range(get)), Op::Txn(inner)]);
    assert_eq!(converted.failure, [Op::DeleteRange(delete_range(delete))]);
}

#[test]
fn an_answer_of_stored_bytes_is_the_answer_of_plain_messages() {
    let response = RangeResponse {
        kvs: vec![kv("a"), kv("b")],
        more: true,
        count: 9,
    };
    let encoded = range_response(header(), response).encode_to_vec();
    let plain =
        proto::etcdserverpb::RangeResponse::decode(&encoded[..]).expect("it is well formed");
    assert_eq!(plain.encode_to_vec(), encoded);
    assert_eq!(plain.header, Some(header()));
    assert_eq!((plain.more, plain.count), (true, 9));
    let keys: Vec<_> = plain.kvs.iter().map(|kv| kv.key.clone()).collect();
    assert_eq!(keys, ["a", "b"]);
    assert!(
        plain
            .kvs
            .iter()
            .all(|kv| kv.lease == 7 && kv.value == "value")
    );
}

#[test]
fn headers_inside_a_transaction_carry_the_revision_alone() {
    let inner = TxnResponse {
        succeeded: true,
        responses: Vec::new(),
    };
    let response = TxnResponse {
        succeeded: true,
        responses: vec![
            OpResponse::Put {
                revision: 5,
                response: PutResponse {
                    prev_kv: Some(kv("p")),
                },
            },
            OpResponse::DeleteRange {
                revision: 5,
                response: DeleteRangeResponse {
                    deleted: 1,
                    prev_kvs: vec![kv("d")],
                },
            },
            OpResponse::Range {
                revision: 4,
                response: RangeResponse::default(),
            },
            OpResponse::Txn {
                revision: 5,
                response: inner,
            },
        ],
    };
    let encoded = txn_response(header(), response).encode_to_vec();
    let plain = proto::etcdserverpb::TxnResponse::decode(&encoded[..]).expect("it is well formed");
    assert_eq!(plain.header, Some(header()));
    use proto::etcdserverpb::response_op::Response as Plain;
    let headers: Vec<_> = plain
        .responses
        .iter()
        .map(
            |op| match op.response.as_ref().expect("every operation is answered") {
                Plain::ResponsePut(put) => put.header,
                Plain::ResponseDeleteRange(delete) => delete.header,
                Plain::ResponseRange(range) => range.header,
                Plain::ResponseTxn(txn) => txn.header,
            },
        )
        .collect();
    let only = |revision| {
        Some(pb::ResponseHeader {
            revision,
            ..Default::default()
        })
    };
    assert_eq!(headers, [only(5), only(5), only(4), only(5)]);
}

#[test]
fn alarms_keep_etcds_numbers_and_names() {
    assert_eq!(alarm_kind(0), Some(AlarmKind::Any));
    assert_eq!(alarm_kind(1), Some(AlarmKind::NoSpace));
    assert_eq!(alarm_kind(2), Some(AlarmKind::Corrupt));
    assert_eq!(alarm_kind(3), None);
    let members = alarm_members(vec![(4, AlarmKind::NoSpace)]);
    assert_eq!(
        members,
        [pb::AlarmMember {
            member_id: 4,
            alarm: 1
        }]
    );
    assert_eq!(alarm_name(AlarmKind::Corrupt), "CORRUPT");
}
