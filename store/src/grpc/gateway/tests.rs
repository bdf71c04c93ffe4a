//! Messages of every method through JSON and back, and garbage that must be refused.

use proptest::prelude::*;
use proptest::test_runner::TestRng;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind as FieldKind, MessageDescriptor, Value};

use super::super::method::METHODS;
use super::schema::{self, encode_request, messages};
use super::*;

/// Depth to which messages in messages are made up; `TxnRequest` may hold itself.
const DEPTH_MAX: usize = 4;

/// A message with any of its fields set to anything.
fn made_up(message: &MessageDescriptor, random: &mut TestRng, depth: usize) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if random.random_range(0..3) == 0 {
            continue;
        }
        if matches!(field.kind(), FieldKind::Message(_)) && depth >= DEPTH_MAX {
            continue;
        }
        let value = if field.is_list() {
            let length = random.random_range(0..3);
            let values = (0..length).map(|_| made_up_value(&field.kind(), random, depth));
            Value::List(values.collect())
        } else {
            made_up_value(&field.kind(), random, depth)
        };
        made.set_field(&field, value);
    }
    made
}

fn made_up_value(kind: &FieldKind, random: &mut TestRng, depth: usize) -> Value {
    match kind {
        FieldKind::Bool => Value::Bool(random.random()),
        FieldKind::Int32 => Value::I32(random.random()),
        FieldKind::Uint32 => Value::U32(random.random()),
        FieldKind::Int64 => Value::I64(random.random()),
        FieldKind::Uint64 => Value::U64(random.random()),
        FieldKind::String => Value::String(text(random)),
        FieldKind::Bytes => {
            let length = random.random_range(0..20);
            let bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
            Value::Bytes(bytes.into())
        }
        FieldKind::Enum(values) => {
            let at = random.random_range(0..values.values().len());
            let value = values.values().nth(at).expect("it is one of them");
            Value::EnumNumber(value.number())
        }
        FieldKind::Message(message) => Value::Message(made_up(message, random, depth + 1)),
        other => panic!("no message of etcd has a field of kind {other:?}"),
    }
}

fn text(random: &mut TestRng) -> String {
    let length = random.random_range(0..10);
    (0..length).map(|_| random.random::<char>()).collect()
}

proptest! {
    #[test]
    fn every_message_comes_back_from_json(index in 0..METHODS.len(), seed: [u8; 32]) {
        let mut random = TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &seed);
        let messages = messages(&METHODS[index]);
        for message in [&messages.input, &messages.output] {
            let made = made_up(message, &mut random, 0);
            let mut json = Vec::new();
            schema::write(&made, &mut json).unwrap();
            let read = schema::read(message, &json).unwrap();
            prop_assert_eq!(read.encode_to_vec(), made.encode_to_vec());
        }
    }

    #[test]
    fn no_json_panics(index in 0..METHODS.len(), json in any_json()) {
        let mut values = Values::default();
        values.extend(json.as_bytes());
        while let Ok(Some(value)) = values.next() {
            if let Ok(message) = encode_request(&METHODS[index], &value) {
                // A negative number takes ten bytes, whatever it is.
                prop_assert!(message.len() <= 5 * json.len());
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let mut values = Values::default();
        values.extend(&bytes[..]);
        while let Ok(Some(value)) = values.next() {
            let _ = encode_request(&METHODS[0], &value);
        }
    }
}

/// Text that is nearly a message: names and values of etcd's, put together by chance.
fn any_json() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"key\"",
        "\"ID\"",
        "\"TTL\"",
        "\"limit\"",
        "\"compare\"",
        "\"create_request\"",
        "\"sort_order\"",
        "\"success\"",
        "\"request_put\"",
        "\"Zm9v\"",
        "\"5\"",
        "5",
        "-1",
        "1e3",
        "1e400",
        "0.5",
        "null",
        "true",
        "\"DESCEND\"",
        "\"\\ud800\"",
        "\"=\"",
        " ",
    ]);
    let names = prop::sample::select(vec!["key", "ID", "limit", "sort_order", "create_request"]);
    let member = (names, word.clone()).prop_map(|(name, value)| format!("{{\"{name}\":{value}}}"));
    let soup = prop::collection::vec(word, 0..40).prop_map(|words| words.concat());
    prop_oneof![member, soup]
}
