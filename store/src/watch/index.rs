//! From the key of an event to the groups that watch it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use state_machine::KeyRange;

use super::NO_END;
use super::intervals::{End, Intervals};

/// Groups by what they watch: single keys in a hash map, ranges in a tree.
#[derive(Debug)]
pub(super) struct Index {
    keys: HashMap<Bytes, Vec<u32>>,
    ranges: Intervals,
}

impl Index {
    pub(super) fn new() -> Index {
        let seed = RandomState::new().hash_one(0_u64);
        Index {
            keys: HashMap::new(),
            ranges: Intervals::new(seed),
        }
    }

    pub(super) fn insert(&mut self, keys: &KeyRange, group: u32) {
        if keys.end.is_empty() {
            self.keys.entry(keys.start.clone()).or_default().push(group);
        } else {
            self.ranges.insert(keys.start.clone(), end_of(keys), group);
        }
    }

    pub(super) fn remove(&mut self, keys: &KeyRange, group: u32) {
        if !keys.end.is_empty() {
            self.ranges.remove(&keys.start, &end_of(keys), group);
            return;
        }
        if let Some(groups) = self.keys.get_mut(&keys.start) {
            groups.retain(|other| *other != group);
            if groups.is_empty() {
                self.keys.remove(&keys.start);
            }
        }
    }

    /// Appends the groups that watch `key`.
    pub(super) fn find(&self, key: &[u8], found: &mut Vec<u32>) {
        if let Some(groups) = self.keys.get(key) {
            found.extend_from_slice(groups);
        }
        self.ranges.find(key, found);
    }
}

fn end_of(keys: &KeyRange) -> End {
    if keys.end == NO_END {
        End::Never
    } else {
        End::At(keys.end.clone())
    }
}
