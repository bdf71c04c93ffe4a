//! Ranges: limits, orders, filters, counts and older revisions, over keys that come and go in groups.

use check::history::{Blob, DeleteRange, Put, Range, Request, SortOrder, SortTarget};

use super::{Kind, key, prefix_end};
use crate::actor::Actor;

const KEYS: u64 = 24;
/// How far back a read of an older revision goes.
const REVISIONS_BACK: u64 = 50;

pub(super) async fn step(actor: &mut Actor) {
    match actor.random.below(100) {
        0..45 => {
            let put = Put {
                key: key(actor, Kind::Ranges, KEYS),
                value: actor.value(),
                ..Put::default()
            };
            actor.ask(Request::Put(put)).await;
        }
        45..60 => delete(actor).await,
        60..85 => {
            let range = options(actor);
            actor.ask(Request::Range(range)).await;
        }
        _ => look_back(actor).await,
    }
}

/// A part of the keys.
fn part(actor: &mut Actor) -> (Blob, Blob) {
    let prefix = Kind::Ranges.prefix();
    if actor.random.percent(40) {
        return (Blob::from(prefix), prefix_end(prefix));
    }
    let first = actor.random.below(KEYS);
    let length = 1 + actor.random.below(6);
    let name = |number| Blob::from(format!("{prefix}{number:02}"));
    (name(first), name(first + length))
}

async fn delete(actor: &mut Actor) {
    let (key, range_end) = part(actor);
    let delete = DeleteRange {
        key,
        range_end,
        prev_kv: actor.random.percent(50),
    };
    actor.ask(Request::DeleteRange(delete)).await;
}

fn options(actor: &mut Actor) -> Range {
    let (key, range_end) = part(actor);
    let random = &mut actor.random;
    let mut range = Range {
        key,
        range_end,
        ..Range::default()
    };
    if random.percent(40) {
        range.limit = i64::try_from(random.between(1, 5)).expect("it is small");
    }
    match random.below(5) {
        // Members of the key order alone: keys that are equal in another order may stand in any.
        0 => range.sort_order = SortOrder::Descend,
        1 => {
            range.sort_order = SortOrder::Ascend;
            range.sort_target = SortTarget::Value;
        }
        2 => range.count_only = true,
        3 => range.keys_only = true,
        _ => {}
    }
    range.serializable = random.percent(15);
    range
}

/// Reads now, and again as it was a little before.
async fn look_back(actor: &mut Actor) {
    let (key, range_end) = part(actor);
    let mut range = Range {
        key,
        range_end,
        ..Range::default()
    };
    let Some(now) = actor.ask(Request::Range(range.clone())).await else {
        return;
    };
    let back = i64::try_from(actor.random.below(REVISIONS_BACK)).expect("it is small");
    range.revision = (now.revision - back).max(1);
    actor.ask(Request::Range(range)).await;
}
