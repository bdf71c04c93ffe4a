//! The encoded types write and read the same bytes as the plain ones.

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::{KeyValue, WatchResponse, put_event};
use crate::mvccpb::event::EventType;
use crate::{etcdserverpb, mvccpb, server};

fn key_value(size: usize) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: Bytes::from_static(b"/registry/pods/default/a"),
        create_revision: 5,
        mod_revision: 1 << 40,
        version: 3,
        value: vec![7; size].into(),
        lease: -9,
    }
}

fn header() -> Option<etcdserverpb::ResponseHeader> {
    Some(etcdserverpb::ResponseHeader {
        cluster_id: u64::MAX,
        member_id: 3,
        revision: 77,
        raft_term: 2,
    })
}

#[test]
fn a_range_of_encoded_key_values_is_byte_equal() {
    let plain = etcdserverpb::RangeResponse {
        header: header(),
        kvs: vec![
            key_value(0),
            key_value(127),
            key_value(70_000),
            mvccpb::KeyValue::default(),
        ],
        more: true,
        count: 9,
    };
    let encoded = server::etcdserverpb::RangeResponse {
        header: header(),
        kvs: plain.kvs.iter().map(KeyValue::from).collect(),
        more: true,
        count: 9,
    };
    let bytes = plain.encode_to_vec();
    assert_eq!(encoded.encode_to_vec(), bytes);
    assert_eq!(encoded.encoded_len(), bytes.len());
    assert_eq!(
        server::etcdserverpb::RangeResponse::decode(&bytes[..]).unwrap(),
        encoded
    );
}

#[test]
fn a_nested_txn_of_encoded_key_values_is_byte_equal() {
    use etcdserverpb::response_op::Response as Plain;
    use server::etcdserverpb::response_op::Response as Encoded;

    let put = etcdserverpb::PutResponse {
        header: None,
        prev_kv: Some(key_value(3)),
    };
    let inner = etcdserverpb::TxnResponse {
        header: header(),
        succeeded: false,
        responses: vec![etcdserverpb::ResponseOp {
            response: Some(Plain::ResponsePut(put)),
        }],
    };
    let plain = etcdserverpb::TxnResponse {
        header: header(),
        succeeded: true,
        responses: vec![etcdserverpb::ResponseOp {
            response: Some(Plain::ResponseTxn(inner)),
        }],
    };

    let put = server::etcdserverpb::PutResponse {
        header: None,
        prev_kv: Some(KeyValue::from(&key_value(3))),
    };
    let inner = server::etcdserverpb::TxnResponse {
        header: header(),
        succeeded: false,
        responses: vec![server::etcdserverpb::ResponseOp {
            response: Some(Encoded::ResponsePut(put)),
        }],
    };
    let encoded = server::etcdserverpb::TxnResponse {
        header: header(),
        succeeded: true,
        responses: vec![server::etcdserverpb::ResponseOp {
            response: Some(Encoded::ResponseTxn(inner)),
        }],
    };
    assert_eq!(encoded.encode_to_vec(), plain.encode_to_vec());
}

#[test]
fn a_watch_response_of_two_halves_is_byte_equal() {
    let tombstone = mvccpb::KeyValue {
        key: Bytes::from_static(b"gone"),
        mod_revision: 6,
        ..Default::default()
    };
    let events = [
        (EventType::Put, key_value(2), None),
        (EventType::Put, key_value(20_000), Some(key_value(1))),
        (
            EventType::Delete,
            tombstone,
            Some(mvccpb::KeyValue::default()),
        ),
    ];
    let mut plain = etcdserverpb::WatchResponse {
        header: header(),
        watch_id: -1,
        created: true,
        canceled: true,
        compact_revision: 4,
        cancel_reason: "because".into(),
        fragment: true,
        events: vec![],
    };
    let head = Bytes::from(plain.encode_to_vec());
    let mut tail = BytesMut::new();
    for (kind, kv, prev_kv) in events {
        let prev_bytes = prev_kv.as_ref().map(mvccpb::KeyValue::encode_to_vec);
        put_event(&mut tail, kind, &kv.encode_to_vec(), prev_bytes.as_deref());
        plain.events.push(mvccpb::Event {
            r#type: kind as i32,
            kv: Some(kv),
            prev_kv,
        });
    }
    let encoded = WatchResponse {
        head,
        tail: tail.freeze(),
    };

    let bytes = plain.encode_to_vec();
    assert_eq!(encoded.encode_to_vec(), bytes);
    assert_eq!(encoded.encoded_len(), bytes.len());
    assert_eq!(WatchResponse::decode(&bytes[..]).unwrap(), encoded);
    assert_eq!(WatchResponse::from(&plain).encode_to_vec(), bytes);
}

#[test]
fn a_cut_off_message_is_refused() {
    let plain = etcdserverpb::RangeResponse {
        kvs: vec![key_value(9)],
        ..Default::default()
    };
    let bytes = plain.encode_to_vec();
    for length in 1..bytes.len() {
        let cut = server::etcdserverpb::RangeResponse::decode(&bytes[..length]);
        assert!(
            cut.is_err(),
            "the first {length} bytes were taken for a message"
        );
    }
}

/// What a real etcd server answered to a range over the keys `a` and `b`.
const RANGE_OF_ETCD: &[u8] = &[
    0x0a, 0x18, 0x08, 0xd9, 0xe1, 0xbe, 0xf0, 0x99, 0xbe, 0xba, 0xe3, 0x31, 0x10, 0x8d, 0xd1, 0xb7,
    0x9c, 0xf1, 0xd8, 0xe2, 0xd9, 0x69, 0x18, 0x03, 0x20, 0x02, 0x12, 0x0e, 0x0a, 0x01, 0x61, 0x10,
    0x02, 0x18, 0x02, 0x20, 0x01, 0x2a, 0x03, 0x6f, 0x6e, 0x65, 0x12, 0x0e, 0x0a, 0x01, 0x62, 0x10,
    0x03, 0x18, 0x03, 0x20, 0x01, 0x2a, 0x03, 0x74, 0x77, 0x6f, 0x20, 0x02,
];

/// What it answered to a delete of `a` that asked for the state before.
const DELETE_OF_ETCD: &[u8] = &[
    0x0a, 0x18, 0x08, 0xd9, 0xe1, 0xbe, 0xf0, 0x99, 0xbe, 0xba, 0xe3, 0x31, 0x10, 0x8d, 0xd1, 0xb7,
    0x9c, 0xf1, 0xd8, 0xe2, 0xd9, 0x69, 0x18, 0x04, 0x20, 0x02, 0x10, 0x01, 0x1a, 0x0e, 0x0a, 0x01,
    0x61, 0x10, 0x02, 0x18, 0x02, 0x20, 0x01, 0x2a, 0x03, 0x6f, 0x6e, 0x65,
];

#[test]
fn bytes_of_a_real_etcd_read_and_write_back() {
    let first = |key: &'static str, revision, value: &'static str| mvccpb::KeyValue {
        key: key.into(),
        create_revision: revision,
        mod_revision: revision,
        version: 1,
        value: value.into(),
        lease: 0,
    };
    let range = etcdserverpb::RangeResponse::decode(RANGE_OF_ETCD).unwrap();
    assert_eq!(range.kvs, [first("a", 2, "one"), first("b", 3, "two")]);
    assert_eq!(
        (range.count, range.more, range.header.unwrap().revision),
        (2, false, 3)
    );
    assert_eq!(range.encode_to_vec(), RANGE_OF_ETCD);

    let encoded = server::etcdserverpb::RangeResponse::decode(RANGE_OF_ETCD).unwrap();
    assert_eq!(encoded.encode_to_vec(), RANGE_OF_ETCD);

    let delete = etcdserverpb::DeleteRangeResponse::decode(DELETE_OF_ETCD).unwrap();
    assert_eq!(
        (delete.deleted, &delete.prev_kvs[..]),
        (1, &[first("a", 2, "one")][..])
    );
    assert_eq!(delete.encode_to_vec(), DELETE_OF_ETCD);
}
