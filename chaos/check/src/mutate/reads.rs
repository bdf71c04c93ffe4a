//! Bugs of reads.

use crate::history::{
    Answer, Blob, Compact, KeyValue, Operation, Outcome, Ranged, Refusal, RefusalKind, Request,
    Response,
};
use crate::verdict::Check;

use super::scene::{Scene, is_get};
use super::{Mutator, bug};

pub(super) const ALL: &[Mutator] = &[
    bug(
        "stale read",
        "a member answers from its own state without asking a majority",
        &[Check::RealTime],
        stale_read,
    ),
    bug(
        "stale content",
        "the header is of now, the value of before",
        &[Check::RangeAnswer],
        stale_content,
    ),
    bug(
        "read from the future",
        "a read shows a write that was called after the read had returned",
        &[Check::RealTime],
        read_from_the_future,
    ),
    bug(
        "dirty read",
        "a read shows a write that never came to be",
        &[Check::RangeAnswer],
        dirty_read,
    ),
    bug(
        "torn read",
        "a range over several keys mixes two revisions",
        &[Check::RangeAnswer],
        torn_read,
    ),
    bug(
        "key left out",
        "a range passes over a key, and counts accordingly",
        &[Check::RangeAnswer, Check::PastAnswer],
        key_left_out,
    ),
    bug(
        "wrong count",
        "a range counts what the limit left",
        &[Check::RangeAnswer, Check::PastAnswer],
        wrong_count,
    ),
    bug(
        "wrong order",
        "a sorted range is sorted the other way round",
        &[Check::RangeAnswer, Check::PastAnswer],
        wrong_order,
    ),
    bug(
        "wrong more",
        "a range says the limit cut nothing off, or the opposite",
        &[Check::RangeAnswer, Check::PastAnswer],
        wrong_more,
    ),
    bug(
        "wrong version",
        "the version is not the number of writes",
        &[Check::RangeAnswer],
        |scene| spoil(scene, |kv| kv.version += 1),
    ),
    bug(
        "wrong create_revision",
        "a delete did not end the key's generation",
        &[Check::RangeAnswer],
        |scene| spoil(scene, |kv| kv.create_revision -= 1),
    ),
    bug(
        "wrong mod_revision",
        "the key's last revision is not that of its last write",
        &[Check::RangeAnswer],
        |scene| spoil(scene, |kv| kv.mod_revision += 1),
    ),
    bug(
        "wrong lease",
        "a key is shown with a lease it is not attached to",
        &[Check::RangeAnswer],
        |scene| spoil(scene, |kv| kv.lease += 1),
    ),
    bug(
        "past changed",
        "a compaction changes what an older revision that is kept holds",
        &[Check::PastAnswer],
        past_changed,
    ),
    bug(
        "compacted revision answered",
        "a range is answered from revisions that were given up",
        &[Check::Compacted],
        compacted_answered,
    ),
    bug(
        "refused as compacted",
        "a range is refused as compacted although nothing was compacted that far",
        &[Check::Compacted],
        refused_as_compacted,
    ),
    bug(
        "refused as future",
        "a revision that is there is refused as not there yet",
        &[Check::Refusal],
        refused_as_future,
    ),
    bug(
        "unstable serializable read",
        "a serializable read shows a state no member ever had",
        &[Check::Serializable],
        unstable_serializable,
    ),
    bug(
        "hash mismatch",
        "a member's keys differ from the others'",
        &[Check::Hash],
        hash_mismatch,
    ),
];

fn stale_read(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|scene, operation, _| {
        is_get(&operation.request) && scene.newest_before(operation.call_ns) > 10
    });
    let Some(place) = place else {
        return false;
    };
    let call_ns = scene.operation(place).call_ns;
    let back = scene.random.between(1, 5);
    let revision = scene.newest_before(call_ns) - back;
    answer_get(scene, place, revision)
}

fn answer_get(scene: &mut Scene<'_>, place: usize, revision: i64) -> bool {
    let Request::Range(range) = scene.operation(place).request.clone() else {
        return false;
    };
    let answer = scene.get(range.key.as_slice(), revision);
    *scene.response(place) = Response { revision, answer };
    true
}

fn stale_content(scene: &mut Scene<'_>) -> bool {
    let older = |scene: &Scene<'_>, operation: &Operation, response: &Response| {
        let Request::Range(range) = &operation.request else {
            return None;
        };
        let kv = scene.model.get(range.key.as_slice(), response.revision)?;
        is_get(&operation.request).then_some(kv.mod_revision - 1)
    };
    let place = scene
        .pick_answered(|scene, operation, response| older(scene, operation, response).is_some());
    let Some(place) = place else {
        return false;
    };
    let operation = scene.operation(place).clone();
    let response = scene.response(place).clone();
    let Some(before) = older(scene, &operation, &response) else {
        return false;
    };
    answer_get(scene, place, before);
    scene.response(place).revision = response.revision;
    true
}

fn read_from_the_future(scene: &mut Scene<'_>) -> bool {
    let top = scene.model.top();
    let place = scene.pick_answered(|_, operation, response| {
        is_get(&operation.request) && response.revision + 100 < top
    });
    let Some(place) = place else {
        return false;
    };
    let revision = scene.response(place).revision + 100;
    answer_get(scene, place, revision)
}

/// Changes the first key of a linearizable get that found something.
fn spoil(scene: &mut Scene<'_>, change: impl Fn(&mut KeyValue)) -> bool {
    let place = scene.pick_answered(|_, operation, response| {
        is_get(&operation.request)
            && matches!(&response.answer, Answer::Range(ranged) if !ranged.kvs.is_empty())
    });
    let Some(place) = place else {
        return false;
    };
    if let Answer::Range(ranged) = &mut scene.response(place).answer {
        change(&mut ranged.kvs[0]);
    }
    true
}

fn dirty_read(scene: &mut Scene<'_>) -> bool {
    let value: Blob = scene.fresh_value().into();
    spoil(scene, |kv| kv.value = value.clone())
}

/// Changes a range for which `fits`.
fn change_range(
    scene: &mut Scene<'_>,
    fits: impl Fn(&crate::history::Range, &Ranged) -> bool,
    change: impl Fn(&mut Ranged),
) -> bool {
    let place = scene.pick_answered(|_, operation, response| {
        match (&operation.request, &response.answer) {
            (Request::Range(range), Answer::Range(ranged)) => {
                !range.serializable && fits(range, ranged)
            }
            _ => false,
        }
    });
    let Some(place) = place else {
        return false;
    };
    if let Answer::Range(ranged) = &mut scene.response(place).answer {
        change(ranged);
    }
    true
}

fn torn_read(scene: &mut Scene<'_>) -> bool {
    let older = |scene: &Scene<'_>, kv: &KeyValue| {
        let before = scene.model.get(kv.key.as_slice(), kv.mod_revision - 1);
        before.cloned()
    };
    let place = scene.pick_answered(|scene, operation, response| {
        match (&operation.request, &response.answer) {
            (Request::Range(range), Answer::Range(ranged)) => {
                range.revision == 0
                    && !range.serializable
                    && !range.keys_only
                    && ranged.kvs.len() > 1
                    && older(scene, &ranged.kvs[1]).is_some()
            }
            _ => false,
        }
    });
    let Some(place) = place else {
        return false;
    };
    let Answer::Range(mut ranged) = scene.response(place).answer.clone() else {
        return false;
    };
    if let Some(before) = older(scene, &ranged.kvs[1]) {
        ranged.kvs[1] = before;
    }
    scene.response(place).answer = Answer::Range(ranged);
    true
}

fn key_left_out(scene: &mut Scene<'_>) -> bool {
    change_range(
        scene,
        |_, ranged| ranged.kvs.len() > 1,
        |ranged| {
            ranged.kvs.remove(1);
            ranged.count -= 1;
        },
    )
}

fn wrong_count(scene: &mut Scene<'_>) -> bool {
    change_range(
        scene,
        |range, ranged| range.limit > 0 && ranged.more,
        |ranged| ranged.count = i64::try_from(ranged.kvs.len()).unwrap_or(0),
    )
}

fn wrong_order(scene: &mut Scene<'_>) -> bool {
    change_range(
        scene,
        |range, ranged| {
            let first = ranged.kvs.first();
            // Whatever it is sorted by: the ends differ, so the order is not the same both ways.
            let ends_differ = first.zip(ranged.kvs.last()).is_some_and(|(first, last)| {
                first.version != last.version
                    && first.create_revision != last.create_revision
                    && first.mod_revision != last.mod_revision
            });
            !range.keys_only && ends_differ
        },
        |ranged| ranged.kvs.reverse(),
    )
}

fn wrong_more(scene: &mut Scene<'_>) -> bool {
    change_range(
        scene,
        |range, _| range.limit > 0 && !range.count_only,
        |ranged| ranged.more = !ranged.more,
    )
}

fn past_changed(scene: &mut Scene<'_>) -> bool {
    change_range(
        scene,
        |range, ranged| range.revision > 0 && ranged.kvs.len() > 1,
        |ranged| {
            ranged.kvs.remove(0);
            ranged.count -= 1;
        },
    )
}

fn is_past(request: &Request) -> Option<i64> {
    match request {
        Request::Range(range) if range.revision > 0 && !range.serializable => Some(range.revision),
        _ => None,
    }
}

fn compacted_answered(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|scene, operation, _| {
        is_past(&operation.request)
            .is_some_and(|revision| revision < scene.newest_before(operation.call_ns - 2))
    });
    let Some(place) = place else {
        return false;
    };
    let read = scene.operation(place).clone();
    let Some(revision) = is_past(&read.request) else {
        return false;
    };
    let newest = scene.newest_before(read.call_ns - 2);
    scene.insert(Operation {
        call_ns: read.call_ns - 2,
        return_ns: Some(read.call_ns - 1),
        request: Request::Compact(Compact {
            revision: revision + 1,
            physical: false,
        }),
        outcome: Outcome::Ok(Response {
            revision: newest,
            answer: Answer::Compact,
        }),
        ..read
    });
    true
}

fn refuse(scene: &mut Scene<'_>, place: usize, kind: RefusalKind) -> bool {
    scene.operation(place).outcome = Outcome::Failed(Refusal {
        kind,
        text: String::new(),
    });
    true
}

fn refused_as_compacted(scene: &mut Scene<'_>) -> bool {
    let compactions: Vec<(u64, i64)> = scene
        .records
        .iter()
        .filter_map(|record| match record {
            crate::history::Record::Op(operation) => match &operation.request {
                Request::Compact(compact) => Some((operation.call_ns, compact.revision)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let place = scene.pick_answered(|_, operation, _| {
        is_past(&operation.request).is_some_and(|revision| {
            let return_ns = operation.return_ns.unwrap_or(u64::MAX);
            compactions
                .iter()
                .all(|(call_ns, compacted)| *call_ns > return_ns || *compacted <= revision)
        })
    });
    place.is_some_and(|place| refuse(scene, place, RefusalKind::Compacted))
}

fn refused_as_future(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_answered(|scene, operation, _| {
        is_past(&operation.request)
            .is_some_and(|revision| revision <= scene.newest_before(operation.call_ns))
    });
    place.is_some_and(|place| refuse(scene, place, RefusalKind::FutureRevision))
}

fn unstable_serializable(scene: &mut Scene<'_>) -> bool {
    let value: Blob = scene.fresh_value().into();
    let place = scene.pick_answered(|_, operation, response| {
        matches!(&operation.request, Request::Range(range) if range.serializable)
            && matches!(&response.answer, Answer::Range(ranged) if !ranged.kvs.is_empty())
    });
    let Some(place) = place else {
        return false;
    };
    if let Answer::Range(ranged) = &mut scene.response(place).answer {
        ranged.kvs[0].value = value;
    }
    true
}

fn hash_mismatch(scene: &mut Scene<'_>) -> bool {
    let last = scene.model.top();
    let place = scene.pick_answered(|_, operation, _| {
        matches!(&operation.request, Request::HashKv(question) if question.revision == last)
    });
    let Some(place) = place else {
        return false;
    };
    if let Answer::HashKv(hashed) = &mut scene.response(place).answer {
        hashed.hash ^= 1;
    }
    true
}
