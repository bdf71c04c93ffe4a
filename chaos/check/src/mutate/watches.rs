//! Bugs of watches.

use std::collections::{HashMap, HashSet};

use crate::history::{Event, EventKind, Record, WatchOpened, WatchResponse};
use crate::verdict::Check;

use super::responses::revisions;
use super::scene::Scene;
use super::{Mutator, bug};

pub(super) const ALL: &[Mutator] = &[
    bug(
        "watch event dropped",
        "a watch that fell behind passes over a response",
        &[
            Check::WatchReliable,
            Check::WatchResumable,
            Check::WatchBookmark,
        ],
        dropped,
    ),
    bug(
        "watch tail dropped",
        "a watch is starved and never gets the newest events",
        &[Check::WatchReliable],
        tail_dropped,
    ),
    bug(
        "watch event duplicated",
        "a response is sent twice",
        &[Check::WatchUnique],
        duplicated,
    ),
    bug(
        "watch events reordered",
        "two responses overtake one another",
        &[
            Check::WatchReliable,
            Check::WatchResumable,
            Check::WatchOrdered,
        ],
        reordered,
    ),
    bug(
        "watch events reordered in a response",
        "the events of a response stand in the wrong order",
        &[Check::WatchOrdered],
        reordered_inside,
    ),
    bug(
        "watch revision split",
        "the events of one txn come in two responses",
        &[Check::WatchAtomic],
        split,
    ),
    bug(
        "watch bookmark early",
        "progress is told before the events it speaks of were sent",
        &[Check::WatchBookmark],
        early_bookmark,
    ),
    bug(
        "watch prev_kv wrong",
        "an event carries an older state of its key as the one before",
        &[Check::WatchPrevKv],
        wrong_prev_kv,
    ),
    bug(
        "watch prev_kv missing",
        "an event comes without what was there before, which was not compacted",
        &[Check::WatchPrevKv],
        missing_prev_kv,
    ),
    bug(
        "watch event outside the filter",
        "a watch of one key gets an event of another",
        &[Check::WatchFilter],
        outside_filter,
    ),
    bug(
        "watch event of a filtered kind",
        "a watch that wants no deletes gets one",
        &[Check::WatchFilter],
        filtered_kind,
    ),
    bug(
        "watch value wrong",
        "one watch shows another value than was written",
        &[Check::WatchContent],
        wrong_value,
    ),
    bug(
        "watch resumed one revision late",
        "a watch from a revision begins with the one after it",
        &[Check::WatchResumable],
        resumed_late,
    ),
    bug(
        "members diverge",
        "one member has another value than the others",
        &[Check::MembersAgree],
        members_diverge,
    ),
    bug(
        "watch ended as compacted",
        "a watch is ended as compacted although what it wants is there",
        &[Check::WatchCanceled],
        ended_as_compacted,
    ),
    bug(
        "watch after its end",
        "an event comes after the watch was ended",
        &[Check::WatchCanceled],
        after_its_end,
    ),
];

fn dropped(scene: &mut Scene<'_>) -> bool {
    let Some(place) = scene.pick_response(|_, opened, _| !opened.witness) else {
        return false;
    };
    scene.records.remove(place);
    true
}

fn tail_dropped(scene: &mut Scene<'_>) -> bool {
    let closed: HashSet<u64> = scene
        .records
        .iter()
        .filter_map(|record| match record {
            Record::WatchClosed(closed) => Some(closed.watch),
            Record::Watch(response) if response.canceled => Some(response.watch),
            _ => None,
        })
        .collect();
    let witnesses = scene.witnesses.clone();
    let last: HashMap<u64, i64> = scene
        .records
        .iter()
        .filter_map(|record| match record {
            Record::Watch(response) if !response.events.is_empty() => {
                Some((response.watch, revisions(response).1))
            }
            _ => None,
        })
        .collect();
    let place = scene.pick(|_, record| match record {
        Record::Watch(response) => {
            !response.events.is_empty()
                && last
                    .get(&response.watch)
                    .is_some_and(|last| *last > revisions(response).1)
                && !closed.contains(&response.watch)
                && !witnesses.contains(&response.watch)
        }
        _ => false,
    });
    let Some(place) = place else {
        return false;
    };
    let watch = scene.watch(place).watch;
    let mut index = 0;
    scene.records.retain(|record| {
        index += 1;
        let of_it = matches!(record, Record::Watch(response) if response.watch == watch);
        index <= place || !of_it
    });
    true
}

fn duplicated(scene: &mut Scene<'_>) -> bool {
    let Some(place) = scene.pick_response(|_, _, _| true) else {
        return false;
    };
    let again = scene.records[place].clone();
    scene.records.insert(place + 1, again);
    true
}

fn reordered(scene: &mut Scene<'_>) -> bool {
    let Some(place) = scene.pick_response(|_, opened, _| !opened.witness) else {
        return false;
    };
    let Some(next) = scene.next_response(place) else {
        return false;
    };
    let later = std::mem::take(&mut scene.watch(next).events);
    let earlier = std::mem::replace(&mut scene.watch(place).events, later);
    scene.watch(next).events = earlier;
    let revision = scene.watch(next).revision;
    scene.watch(place).revision = revision;
    true
}

fn reordered_inside(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_response(|_, _, response| {
        let (first, last) = revisions(response);
        first != last
    });
    let Some(place) = place else {
        return false;
    };
    scene.watch(place).events.reverse();
    true
}

fn split(scene: &mut Scene<'_>) -> bool {
    let place = scene.pick_response(|scene, opened, response| {
        let (_, last) = revisions(response);
        let of_last = |event: &&Event| event.kv.mod_revision == last;
        // Of a witness the other members' show the whole revision.
        let known = scene.model.revision(last).is_some();
        known && !opened.witness && response.events.iter().filter(of_last).count() > 1
    });
    let Some(place) = place else {
        return false;
    };
    let mut rest = scene.watch(place).clone();
    if let Some(last) = scene.watch(place).events.pop() {
        rest.events = vec![last];
    }
    scene.records.insert(place + 1, Record::Watch(rest));
    true
}

fn early_bookmark(scene: &mut Scene<'_>) -> bool {
    let Some(place) = scene.pick_response(|_, opened, _| !opened.witness) else {
        return false;
    };
    let response = scene.watch(place).clone();
    let (_, revision) = revisions(&response);
    let bookmark = WatchResponse {
        revision,
        events: Vec::new(),
        ..response
    };
    scene.records.insert(place, Record::Watch(bookmark));
    true
}

/// The first event of a response that has a state before it of an older generation or write.
fn with_previous(response: &WatchResponse) -> Option<usize> {
    response
        .events
        .iter()
        .position(|event| event.prev_kv.is_some())
}

fn wrong_prev_kv(scene: &mut Scene<'_>) -> bool {
    let place = scene
        .pick_response(|_, opened, response| opened.prev_kv && with_previous(response).is_some());
    let Some(place) = place else {
        return false;
    };
    let response = scene.watch(place);
    if let Some(index) = with_previous(response)
        && let Some(before) = &mut response.events[index].prev_kv
    {
        before.version += 1;
        before.mod_revision -= 1;
    }
    true
}

fn missing_prev_kv(scene: &mut Scene<'_>) -> bool {
    let compacted = scene.records.iter().filter_map(|record| match record {
        Record::Op(operation) => match &operation.request {
            crate::history::Request::Compact(compact) => {
                Some((operation.call_ns, compact.revision))
            }
            _ => None,
        },
        _ => None,
    });
    let compacted: Vec<(u64, i64)> = compacted.collect();
    let kept = |response: &WatchResponse, index: usize| {
        let revision = response.events[index].kv.mod_revision;
        compacted
            .iter()
            .all(|(call_ns, by)| *call_ns > response.time_ns || *by < revision)
    };
    let place = scene.pick_response(|_, opened, response| {
        opened.prev_kv && with_previous(response).is_some_and(|index| kept(response, index))
    });
    let Some(place) = place else {
        return false;
    };
    let response = scene.watch(place);
    if let Some(index) = with_previous(response) {
        response.events[index].prev_kv = None;
    }
    true
}

fn outside_filter(scene: &mut Scene<'_>) -> bool {
    let wider = |scene: &Scene<'_>, opened: &WatchOpened, response: &WatchResponse| {
        let (first, last) = revisions(response);
        (first..last)
            .filter_map(|revision| scene.model.revision(revision))
            .flat_map(|entry| &entry.events)
            .find(|event| event.kv.key < opened.key)
            .cloned()
    };
    let place = scene.pick_response(|scene, opened, response| {
        !opened.witness && wider(scene, opened, response).is_some()
    });
    let Some(place) = place else {
        return false;
    };
    let response = scene.watch(place).clone();
    let opened = scene.opened(response.watch).cloned();
    let stray = opened.and_then(|opened| wider(scene, &opened, &response));
    if let Some(stray) = stray {
        let events = &mut scene.watch(place).events;
        let index = events
            .iter()
            .position(|event| event.kv.mod_revision > stray.kv.mod_revision);
        events.insert(index.unwrap_or(events.len()), stray);
    }
    true
}

fn filtered_kind(scene: &mut Scene<'_>) -> bool {
    // Nothing but the request changes: whoever asked for no deletes and gets one sees this.
    let place = scene.pick_response(|_, opened, response| {
        !opened.witness
            && response
                .events
                .iter()
                .any(|event| event.kind == EventKind::Delete)
    });
    let Some(place) = place else {
        return false;
    };
    let watch = scene.watch(place).watch;
    for record in scene.records.iter_mut() {
        if let Record::WatchOpened(opened) = record
            && opened.id == watch
        {
            opened.no_delete = true;
        }
    }
    true
}

fn wrong_value(scene: &mut Scene<'_>) -> bool {
    let put = |event: &Event| event.kind == EventKind::Put;
    let place = scene
        .pick_response(|_, opened, response| !opened.witness && response.events.iter().any(put));
    let Some(place) = place else {
        return false;
    };
    let value = scene.fresh_value();
    if let Some(event) = scene
        .watch(place)
        .events
        .iter_mut()
        .find(|event| put(event))
    {
        event.kv.value = value.into();
    }
    true
}

fn resumed_late(scene: &mut Scene<'_>) -> bool {
    let wanted: HashMap<u64, i64> = scene
        .records
        .iter()
        .filter_map(|record| match record {
            Record::WatchOpened(opened)
                if !opened.witness && !opened.fragment && opened.start_revision > 0 =>
            {
                Some((opened.id, opened.start_revision))
            }
            _ => None,
        })
        .collect();
    let mut begun = HashSet::new();
    let mut firsts = Vec::new();
    for (place, record) in scene.records.iter().enumerate() {
        let Record::Watch(response) = record else {
            continue;
        };
        let (first, last) = revisions(response);
        let of_it = wanted.contains_key(&response.watch) && first > 0;
        if of_it && begun.insert(response.watch) && first < last {
            firsts.push(place);
        }
    }
    if firsts.is_empty() {
        return false;
    }
    let place = firsts[scene.random.index(firsts.len())];
    let response = scene.watch(place);
    let (first, _) = revisions(response);
    response
        .events
        .retain(|event| event.kv.mod_revision > first);
    true
}

fn members_diverge(scene: &mut Scene<'_>) -> bool {
    let put = |event: &Event| event.kind == EventKind::Put;
    let place = scene
        .pick_response(|_, opened, response| opened.witness && response.events.iter().any(put));
    let Some(place) = place else {
        return false;
    };
    let value = scene.fresh_value();
    if let Some(event) = scene
        .watch(place)
        .events
        .iter_mut()
        .find(|event| put(event))
    {
        event.kv.value = value.into();
    }
    true
}

fn ended_as_compacted(scene: &mut Scene<'_>) -> bool {
    let Some(place) = scene.pick_response(|_, opened, _| !opened.witness) else {
        return false;
    };
    let response = scene.watch(place).clone();
    // What it has got already: it wants more than that.
    let got = scene.records[..place]
        .iter()
        .rev()
        .find_map(|record| match record {
            Record::Watch(before)
                if before.watch == response.watch && !before.events.is_empty() =>
            {
                Some(revisions(before).1)
            }
            _ => None,
        });
    scene.records[place] = Record::Watch(WatchResponse {
        canceled: true,
        compact_revision: got.unwrap_or(1),
        events: Vec::new(),
        ..response
    });
    let watch = response.watch;
    let mut index = 0;
    scene.records.retain(|record| {
        index += 1;
        let of_it = matches!(record, Record::Watch(response) if response.watch == watch);
        index <= place + 1 || !of_it
    });
    true
}

fn after_its_end(scene: &mut Scene<'_>) -> bool {
    let Some(place) = scene.pick_response(|_, opened, _| !opened.witness) else {
        return false;
    };
    let response = scene.watch(place).clone();
    scene.records.insert(
        place,
        Record::Watch(WatchResponse {
            canceled: true,
            cancel_reason: "watch canceled".to_owned(),
            events: Vec::new(),
            ..response
        }),
    );
    true
}
