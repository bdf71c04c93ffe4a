//! Ranges over a full copy of the keys.

use crate::history::{Blob, KeyValue, Range, Ranged, SortOrder, SortTarget};

use super::Keys;

pub(super) fn holds(key: &Blob, range_end: &Blob, candidate: &Blob) -> bool {
    if range_end.is_empty() {
        return candidate == key;
    }
    let open = range_end.as_slice() == [0];
    candidate >= key && (open || candidate < range_end)
}

pub(super) fn answer(range: &Range, keys: &Keys) -> Ranged {
    let all: Vec<&KeyValue> = keys
        .values()
        .filter(|kv| holds(&range.key, &range.range_end, &kv.key))
        .collect();
    let mut answer = Ranged {
        count: i64::try_from(all.len()).expect("few keys"),
        ..Ranged::default()
    };
    if range.count_only {
        return answer;
    }
    let mut kvs: Vec<KeyValue> = all
        .into_iter()
        .filter(|kv| range.min_mod_revision == 0 || kv.mod_revision >= range.min_mod_revision)
        .filter(|kv| range.max_mod_revision == 0 || kv.mod_revision <= range.max_mod_revision)
        .filter(|kv| {
            range.min_create_revision == 0 || kv.create_revision >= range.min_create_revision
        })
        .filter(|kv| {
            range.max_create_revision == 0 || kv.create_revision <= range.max_create_revision
        })
        .cloned()
        .collect();
    let limit = usize::try_from(range.limit).unwrap_or(0);
    answer.more = limit > 0 && kvs.len() > limit;
    // Without an order the limit comes first and the sort after it.
    if range.sort_order == SortOrder::None && answer.more {
        kvs.truncate(limit);
    }
    sort(range, &mut kvs);
    if answer.more {
        kvs.truncate(limit);
    }
    if range.keys_only {
        for kv in &mut kvs {
            kv.value = Blob::default();
        }
    }
    answer.kvs = kvs;
    answer
}

fn sort(range: &Range, kvs: &mut [KeyValue]) {
    match range.sort_target {
        SortTarget::Key => kvs.sort_by(|a, b| a.key.cmp(&b.key)),
        SortTarget::Version => kvs.sort_by_key(|kv| kv.version),
        SortTarget::Create => kvs.sort_by_key(|kv| kv.create_revision),
        SortTarget::Mod => kvs.sort_by_key(|kv| kv.mod_revision),
        SortTarget::Value => kvs.sort_by(|a, b| a.value.cmp(&b.value)),
    }
    if range.sort_order == SortOrder::Descend {
        kvs.reverse();
    }
}
