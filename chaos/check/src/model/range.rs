//! Ranges of keys, and what a range request answers.

use std::ops::Bound;

use crate::history::{Blob, KeyValue, Range, Ranged, SortOrder, SortTarget};

use super::signed;

/// The keys a request speaks of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys<'a> {
    key: &'a [u8],
    range_end: &'a [u8],
}

impl<'a> Keys<'a> {
    pub(crate) fn new(key: &'a Blob, range_end: &'a Blob) -> Self {
        Self {
            key: key.as_slice(),
            range_end: range_end.as_slice(),
        }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match self.range_end {
            [] => key == self.key,
            [0] => key >= self.key,
            end => key >= self.key && key < end,
        }
    }

    /// Whether this is one key, there or not.
    pub(crate) fn is_single(&self) -> bool {
        self.range_end.is_empty()
    }

    pub(super) fn bounds(&self) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
        let first = Bound::Included(self.key);
        match self.range_end {
            [] => (first, Bound::Included(self.key)),
            [0] => (first, Bound::Unbounded),
            // An empty range, which the map would refuse.
            end if end <= self.key => (Bound::Excluded(self.key), Bound::Included(self.key)),
            end => (first, Bound::Excluded(end)),
        }
    }
}

/// Whether `answer` is right for `range`, given the keys in it in order.
///
/// Keys that the sort holds for equal may stand in any order, and a limit may keep any of them: etcd's sort is not stable.
/// A sort by anything but the key without an order sorts what is left after the limit; whether the one key that is read
/// beyond the limit takes part differs between releases, and both are right.
pub(super) fn is_right(range: &Range, keys: &[&KeyValue], answer: &Ranged) -> bool {
    if answer.count != signed(keys.len()) {
        return false;
    }
    if range.count_only {
        return answer.kvs.is_empty() && !answer.more;
    }
    let mut kept: Vec<&KeyValue> = keys
        .iter()
        .copied()
        .filter(|kv| passes(range, kv))
        .collect();
    let limit = usize::try_from(range.limit).ok().filter(|limit| *limit > 0);
    if answer.more != limit.is_some_and(|limit| kept.len() > limit) {
        return false;
    }
    let early = range.sort_order == SortOrder::None && range.sort_target != SortTarget::Key;
    if early && let Some(limit) = limit {
        let beyond = kept.len().min(limit + 1);
        kept.truncate(beyond);
        let within = &kept[..beyond.min(limit)];
        return sorted_right(range, within, limit, &answer.kvs)
            || sorted_right(range, &kept, limit, &answer.kvs);
    }
    sorted_right(range, &kept, limit.unwrap_or(usize::MAX), &answer.kvs)
}

/// Whether `given` are the first `limit` of `kept` in the order asked for.
fn sorted_right(range: &Range, kept: &[&KeyValue], limit: usize, given: &[KeyValue]) -> bool {
    let mut sorted = kept.to_vec();
    if range.sort_target != SortTarget::Key {
        sorted.sort_by(|a, b| order(range.sort_target, a, b));
    }
    if range.sort_order == SortOrder::Descend {
        sorted.reverse();
    }
    sorted.truncate(limit);
    if sorted.len() != given.len() {
        return false;
    }
    if range.sort_target == SortTarget::Key {
        return sorted
            .iter()
            .zip(given)
            .all(|(kv, given)| same(range, kv, given));
    }
    ties_right(range, kept, &sorted, given)
}

/// As `sorted`, but for keys that the sort holds for equal.
fn ties_right(range: &Range, kept: &[&KeyValue], sorted: &[&KeyValue], given: &[KeyValue]) -> bool {
    let mut seen = Vec::new();
    for (kv, given) in sorted.iter().zip(given) {
        let found = kept.iter().find(|kept| kept.key == given.key);
        let Some(found) = found.filter(|found| same(range, found, given)) else {
            return false;
        };
        if order(range.sort_target, found, kv).is_ne() || seen.contains(&&found.key) {
            return false;
        }
        seen.push(&found.key);
    }
    true
}

fn passes(range: &Range, kv: &KeyValue) -> bool {
    let within =
        |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(
        kv.mod_revision,
        range.min_mod_revision,
        range.max_mod_revision,
    ) && within(
        kv.create_revision,
        range.min_create_revision,
        range.max_create_revision,
    )
}

fn order(target: SortTarget, a: &KeyValue, b: &KeyValue) -> std::cmp::Ordering {
    match target {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(&b.value),
    }
}

/// Whether a key is as it should be. A range for keys only may leave the lease out as well: etcd does so since 3.7.
fn same(range: &Range, kv: &KeyValue, given: &KeyValue) -> bool {
    if !range.keys_only {
        return kv == given;
    }
    given.value.is_empty()
        && (given.lease == kv.lease || given.lease == 0)
        && given.key == kv.key
        && given.version == kv.version
        && given.create_revision == kv.create_revision
        && given.mod_revision == kv.mod_revision
}
