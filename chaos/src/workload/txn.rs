//! Txns: a write that must not be lost between read and put, several keys as one, and branches within branches.

use check::history::{
    Answer, Blob, Compare, CompareResult, CompareTarget, DeleteRange, Put, Request, Txn,
};

use super::{Kind, get, key};
use crate::actor::Actor;

const KEYS: u64 = 8;

pub(super) async fn step(actor: &mut Actor) {
    match actor.random.below(100) {
        0..50 => compare_and_put(actor).await,
        50..75 => several(actor).await,
        75..90 => nested(actor).await,
        _ => {
            let key = key(actor, Kind::Txn, KEYS);
            actor.ask(get(key)).await;
        }
    }
}

fn put(key: Blob, actor: &mut Actor) -> Request {
    Request::Put(Put {
        key,
        value: actor.value(),
        prev_kv: actor.random.percent(30),
        ..Put::default()
    })
}

fn equal(key: Blob, target: CompareTarget) -> Compare {
    Compare {
        key,
        range_end: Blob::default(),
        result: CompareResult::Equal,
        target,
    }
}

/// Reads a key and writes it only if it is still as it was read.
async fn compare_and_put(actor: &mut Actor) {
    let key = key(actor, Kind::Txn, KEYS);
    let Some(answer) = actor.ask(get(key.clone())).await else {
        return;
    };
    let Answer::Range(ranged) = answer.answer else {
        return;
    };
    let target = match ranged.kvs.first() {
        None => CompareTarget::Create(0),
        Some(kv) => match actor.random.below(3) {
            0 => CompareTarget::Value(kv.value.clone()),
            1 => CompareTarget::Version(kv.version),
            _ => CompareTarget::Mod(kv.mod_revision),
        },
    };
    let txn = Txn {
        compare: vec![equal(key.clone(), target)],
        success: vec![put(key.clone(), actor)],
        failure: vec![get(key)],
    };
    actor.ask(Request::Txn(txn)).await;
}

/// Two different keys of the kind.
fn two_keys(actor: &mut Actor) -> (Blob, Blob) {
    let first = actor.random.below(KEYS);
    let second = (first + 1 + actor.random.below(KEYS - 1)) % KEYS;
    let name = |number| Blob::from(format!("{}{number:02}", Kind::Txn.prefix()));
    (name(first), name(second))
}

/// Several operations at one revision: a read among them sees the write before it.
async fn several(actor: &mut Actor) {
    let (first, second) = two_keys(actor);
    let mut success = vec![put(first.clone(), actor), get(first)];
    if actor.random.percent(50) {
        success.push(put(second.clone(), actor));
    } else {
        success.push(Request::DeleteRange(DeleteRange {
            key: second.clone(),
            prev_kv: true,
            ..DeleteRange::default()
        }));
    }
    success.push(get(second));
    let txn = Txn {
        success,
        ..Txn::default()
    };
    actor.ask(Request::Txn(txn)).await;
}

/// A txn in a branch of a txn: both compare with the state before either.
async fn nested(actor: &mut Actor) {
    let (first, second) = two_keys(actor);
    let inner = Txn {
        compare: vec![equal(second.clone(), CompareTarget::Create(0))],
        success: vec![put(second.clone(), actor)],
        failure: vec![Request::DeleteRange(DeleteRange {
            key: second.clone(),
            ..DeleteRange::default()
        })],
    };
    let outer = Txn {
        compare: vec![Compare {
            result: CompareResult::Greater,
            ..equal(first.clone(), CompareTarget::Version(0))
        }],
        success: vec![Request::Txn(inner), get(second)],
        failure: vec![put(first, actor)],
    };
    actor.ask(Request::Txn(outer)).await;
}
