//! Older revisions: read, and now and then given up by a compaction.

use check::history::{Compact, Put, Range, Request};

use super::{Kind, key, prefix_end};
use crate::actor::Actor;

const KEYS: u64 = 10;
/// How far behind the newest revision reads go at most: some of them beyond what a compaction leaves.
const READ_BEHIND_MAX: u64 = 600;
/// How far behind the newest revision compactions stay.
const COMPACT_BEHIND: (u64, u64) = (150, 500);

pub(super) async fn step(actor: &mut Actor) {
    let put = Request::Put(Put {
        key: key(actor, Kind::History, KEYS),
        value: actor.value(),
        ..Put::default()
    });
    let Some(answer) = actor.ask(put).await else {
        return;
    };
    if actor.random.percent(5) {
        let behind = actor.random.between(COMPACT_BEHIND.0, COMPACT_BEHIND.1);
        let revision = answer.revision - behind.cast_signed();
        if revision > 0 {
            let physical = actor.random.percent(30);
            actor
                .ask(Request::Compact(Compact { revision, physical }))
                .await;
        }
        return;
    }
    let behind = actor.random.below(READ_BEHIND_MAX).cast_signed();
    let prefix = Kind::History.prefix();
    let read = Range {
        key: prefix.into(),
        range_end: prefix_end(prefix),
        revision: (answer.revision - behind).max(1),
        ..Range::default()
    };
    actor.ask(Request::Range(read)).await;
}
