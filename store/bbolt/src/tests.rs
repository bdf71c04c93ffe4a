//! Round trips, pinned bytes, a file of bbolt's own, and damage.

mod damage;
mod golden;
mod round_trip;

use std::collections::BTreeMap;
use std::io::Cursor;

use crate::{Database, ReadError, Writer};

/// Buckets with their keys.
type Content = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

fn write(content: &Content) -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new())).unwrap();
    for (name, keys) in content {
        let mut bucket = writer.bucket(name).unwrap();
        for (key, value) in keys {
            bucket.put(key, value).unwrap();
        }
        bucket.finish().unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Everything in a file.
fn read(file: &[u8]) -> Result<Content, ReadError> {
    let database = Database::open(file, file.len() as u64)?;
    let mut content = Content::new();
    let mut buckets = database.buckets()?;
    while let Some(bucket) = buckets.next()? {
        let mut keys = BTreeMap::new();
        let mut cursor = database.bucket_at(bucket.value)?;
        while let Some(entry) = cursor.next()? {
            keys.insert(entry.key.to_vec(), entry.value.to_vec());
        }
        content.insert(bucket.key.to_vec(), keys);
    }
    Ok(content)
}
