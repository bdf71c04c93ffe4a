//! What protobuf must do whatever it is given.

use proptest::prelude::*;
use serde_json::json;

use super::{Error, decode, encode, is_protobuf, open, watch};

#[test]
fn an_object_is_written_in_an_envelope_and_read_again() {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "labels": {"b": "1", "a": "2"}},
        "type": "Opaque", "data": {"k": "aGVsbG8="}, "immutable": false,
    });
    let bytes = encode(&secret).unwrap();
    assert!(is_protobuf(&bytes));
    assert_eq!(open(&bytes).unwrap().kind, "Secret");
    assert_eq!(decode(&bytes).unwrap(), secret);
}

#[test]
fn fields_of_a_newer_writer_are_skipped() {
    let mut message = vec![0x0a, 0x00];
    // Field 1000 of each wire type, before and behind what is known.
    message.extend([
        0xc0, 0x3e, 0x05, 0xc2, 0x3e, 0x01, b'x', 0xc5, 0x3e, 1, 2, 3, 4,
    ]);
    message.extend([0xc1, 0x3e, 1, 2, 3, 4, 5, 6, 7, 8]);
    message.extend([0x12, 0x06, 0x0a, 0x01, b'k', 0x12, 0x01, b'v']);
    let mut bytes = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12".to_vec();
    bytes.push(u8::try_from(message.len()).unwrap());
    bytes.extend(message);
    assert_eq!(decode(&bytes).unwrap()["data"], json!({"k": "v"}));
}

#[test]
fn what_is_no_object_of_a_known_kind_is_refused() {
    assert_eq!(decode(b"{}"), Err(Error::Magic));
    assert_eq!(decode(b"k8s\0\x0a\x7f"), Err(Error::Truncated));
    assert!(matches!(decode(b"k8s\0"), Err(Error::Kind { .. })));
    let table = json!({"apiVersion": "meta.k8s.io/v1", "kind": "Table"});
    assert!(matches!(encode(&table), Err(Error::Kind { .. })));
}

#[test]
fn what_is_nested_deeper_than_the_bound_is_refused() {
    // A schema in the `not` of a schema, and so on.
    let mut message = Vec::new();
    for _ in 0..200 {
        let mut outer = vec![0xe2, 0x01];
        let mut length = message.len();
        while length >= 0x80 {
            outer.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap());
        outer.extend(&message);
        message = outer;
    }
    let catalog = crate::catalog::Catalog::builtin();
    let schema = catalog
        .schema
        .at(catalog.schema.named(super::SCHEMA_TYPE).unwrap());
    assert_eq!(
        super::decode_message(schema, &message),
        Err(Error::Depth(crate::codec::DEPTH_MAX))
    );
}

#[test]
fn many_empty_messages_do_not_become_more_values_than_the_bound() {
    let catalog = crate::catalog::Catalog::builtin();
    let list = catalog.kind("", "v1", "PodList").unwrap();
    let message = [0x12, 0x00].repeat(500_000);
    assert!(matches!(
        super::decode_message(list, &message),
        Err(Error::Values(_))
    ));
}

#[test]
fn events_are_told_apart_by_the_length_before_them() {
    let pod = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let mut stream = watch::write("ADDED", &pod).unwrap();
    stream.extend(watch::write("DELETED", &pod).unwrap());
    stream.pop();
    let mut rest = stream.as_slice();
    let frame = watch::take_frame(&mut rest).unwrap().unwrap();
    assert_eq!(watch::read(frame).unwrap(), ("ADDED".to_owned(), pod));
    assert_eq!(watch::take_frame(&mut rest), Ok(None));
    assert!(watch::take_frame(&mut &[0xff; 8][..]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..4usize) {
        let catalog = crate::catalog::Catalog::builtin();
        let name = ["Pod", "Service", "Event", "PodList"][kind];
        let at = catalog.kind("", "v1", name).unwrap();
        if let Ok(value) = super::decode_message(at, &bytes) {
            // What was read is a fixed point.
            let written = super::encode_message(at, &value);
            prop_assert_eq!(super::decode_message(at, &written), Ok(value));
        }
        let mut framed = super::MAGIC.to_vec();
        framed.extend(&bytes);
        let _ = decode(&framed);
        let _ = watch::read(&bytes);
    }

    #[test]
    fn damaged_objects_never_panic(position in 0..200usize, byte in any::<u8>()) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "creationTimestamp": "2020-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 1}]}]},
        });
        let mut bytes = encode(&pod).unwrap();
        let position = position % bytes.len();
        bytes[position] = byte;
        let _ = decode(&bytes);
    }
}
