//! What was written is read, whatever the sizes.

use std::collections::BTreeMap;
use std::io::Cursor;

use proptest::prelude::*;

use super::{Content, read, write};
use crate::{WriteError, Writer};

fn numbered(count: u32, value: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    (0..count)
        .map(|number| (number.to_be_bytes().to_vec(), value.to_vec()))
        .collect()
}

#[test]
fn trees_of_three_levels_come_back() {
    let content = Content::from([
        (b"empty".to_vec(), BTreeMap::new()),
        (b"long".to_vec(), numbered(40_000, b"value of some length")),
        (b"one".to_vec(), numbered(1, b"")),
    ]);
    assert_eq!(read(&write(&content)).unwrap(), content);
}

#[test]
fn values_and_keys_above_a_page_come_back() {
    let long_keys = (0..50_u8)
        .map(|number| ([vec![number], vec![7; 20_000]].concat(), vec![number]))
        .collect();
    let content = Content::from([
        (b"keys".to_vec(), long_keys),
        (b"values".to_vec(), numbered(30, &[5; 9_000])),
    ]);
    assert_eq!(read(&write(&content)).unwrap(), content);
}

#[test]
fn what_the_format_does_not_allow_is_refused() {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    let mut bucket = writer.bucket(b"b").unwrap();
    bucket.put(b"k", b"").unwrap();
    assert!(matches!(bucket.put(b"k", b""), Err(WriteError::Order(_))));
    assert!(matches!(bucket.put(b"", b""), Err(WriteError::Size(..))));
    assert!(matches!(
        bucket.put(&[b'x'; 40_000], b""),
        Err(WriteError::Size(..))
    ));
    bucket.finish().unwrap();
    assert!(matches!(writer.bucket(b"a"), Err(WriteError::Order(_))));
}

pub(super) fn any_content() -> impl Strategy<Value = Content> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 1..most);
    let value = prop_oneof![8 => prop::collection::vec(any::<u8>(), 0..60), 1 => prop::collection::vec(any::<u8>(), 3_000..9_000)];
    let keys = prop::collection::btree_map(bytes(24), value, 0..150);
    prop::collection::btree_map(bytes(12), keys, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_read(content in any_content()) {
        prop_assert_eq!(read(&write(&content)).unwrap(), content);
    }
}
