//! The conditions of a txn.

use std::cmp::Ordering;

use crate::history::{Compare, CompareResult, CompareTarget, KeyValue};

use super::{Keys, Model};

/// Whether all conditions hold at `revision`.
pub(super) fn all_hold(model: &Model, compares: &[Compare], revision: i64) -> bool {
    compares
        .iter()
        .all(|compare| holds(model, compare, revision))
}

fn holds(model: &Model, compare: &Compare, revision: i64) -> bool {
    let keys = Keys::new(&compare.key, &compare.range_end);
    let found = model.scan(&keys, revision);
    if found.is_empty() {
        return key_holds(compare, None);
    }
    found.into_iter().all(|kv| key_holds(compare, Some(kv)))
}

fn key_holds(compare: &Compare, kv: Option<&KeyValue>) -> bool {
    let number = |of: fn(&KeyValue) -> i64, than: &i64| kv.map_or(0, of).cmp(than);
    let ordering = match &compare.target {
        CompareTarget::Version(than) => number(|kv| kv.version, than),
        CompareTarget::Create(than) => number(|kv| kv.create_revision, than),
        CompareTarget::Mod(than) => number(|kv| kv.mod_revision, than),
        CompareTarget::Lease(than) => number(|kv| kv.lease, than),
        CompareTarget::Value(than) => {
            let Some(kv) = kv else {
                return false;
            };
            kv.value.cmp(than)
        }
    };
    match compare.result {
        CompareResult::Equal => ordering == Ordering::Equal,
        CompareResult::NotEqual => ordering != Ordering::Equal,
        CompareResult::Greater => ordering == Ordering::Greater,
        CompareResult::Less => ordering == Ordering::Less,
    }
}
