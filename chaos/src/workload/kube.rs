//! What a kube-apiserver asks: create if absent, update and delete if unchanged, and lists in pinned pages.

use check::history::{
    Answer, Blob, Compare, CompareResult, CompareTarget, DeleteRange, Put, Range, Request, Txn,
};

use super::{Kind, get, key, prefix_end};
use crate::actor::Actor;

const KEYS: u64 = 20;
/// Keys on one page of a list.
const PAGE_KEYS: i64 = 5;
/// Most pages of one list: more than the keys can fill.
const PAGES_MAX: usize = 8;

pub(super) async fn step(actor: &mut Actor) {
    match actor.random.below(100) {
        0..85 => change(actor).await,
        _ => list(actor).await,
    }
}

/// Looks at an object and changes it, unless somebody did so in between.
async fn change(actor: &mut Actor) {
    let key = key(actor, Kind::Kubernetes, KEYS);
    let Some(answer) = actor.ask(get(key.clone())).await else {
        return;
    };
    let Answer::Range(ranged) = answer.answer else {
        return;
    };
    let mod_revision = ranged.kvs.first().map_or(0, |kv| kv.mod_revision);
    let delete = mod_revision != 0 && actor.random.percent(20);
    let action = if delete {
        Request::DeleteRange(DeleteRange {
            key: key.clone(),
            ..DeleteRange::default()
        })
    } else {
        Request::Put(Put {
            key: key.clone(),
            value: actor.value(),
            ..Put::default()
        })
    };
    let txn = Txn {
        compare: vec![Compare {
            key: key.clone(),
            range_end: Blob::default(),
            result: CompareResult::Equal,
            target: CompareTarget::Mod(mod_revision),
        }],
        success: vec![action],
        failure: vec![get(key)],
    };
    actor.ask(Request::Txn(txn)).await;
}

/// All objects, page by page, as they were at the revision of the first page.
async fn list(actor: &mut Actor) {
    let prefix = Kind::Kubernetes.prefix();
    let mut range = Range {
        key: prefix.into(),
        range_end: prefix_end(prefix),
        limit: PAGE_KEYS,
        ..Range::default()
    };
    for _ in 0..PAGES_MAX {
        let Some(response) = actor.ask(Request::Range(range.clone())).await else {
            return;
        };
        let Answer::Range(ranged) = response.answer else {
            return;
        };
        let (true, Some(last)) = (ranged.more, ranged.kvs.last()) else {
            return;
        };
        // The next page begins with the first key behind the last one.
        let mut next = last.key.as_slice().to_vec();
        next.push(0);
        range.key = next.into();
        if range.revision == 0 {
            range.revision = response.revision;
        }
    }
}
