//! Which promise a wrong watch response breaks.

use std::collections::HashSet;

use crate::history::{Blob, Event, EventKind};
use crate::model::Model;
use crate::verdict::{Check, Violation};

use super::{Ready, Watch};

/// What is wrong with a response.
pub(super) struct Found {
    pub(super) violation: Violation,
    /// The revision of which only a part came.
    pub(super) torn: Option<i64>,
    /// The events that were passed over.
    pub(super) missed: Vec<Event>,
}

/// Whether an event is as it should be, but for what was there before.
pub(super) fn same(expected: &Event, given: &Event) -> bool {
    expected.kind == given.kind && expected.kv == given.kv
}

fn place(event: &Event) -> (i64, &Blob) {
    (event.kv.mod_revision, &event.kv.key)
}

pub(super) fn classify(watch: &Watch, ready: &Ready, expected: &[&Event], model: &Model) -> Found {
    let given: HashSet<_> = ready.events.iter().map(place).collect();
    let missed: Vec<Event> = expected
        .iter()
        .filter(|expected| !given.contains(&place(expected)))
        .map(|expected| (*expected).clone())
        .collect();
    let mut before: Option<&Event> = None;
    let mut seen = HashSet::new();
    for event in &ready.events {
        let wrong = unexpected(watch, event, model)
            .or_else(|| out_of_order(event, before, !seen.insert(place(event))));
        if let Some((check, text)) = wrong {
            return Found {
                violation: Violation::new(check, text).at(event.kv.mod_revision),
                torn: None,
                missed,
            };
        }
        before = Some(event);
    }
    match missed.first() {
        Some(first) => Found {
            missed: missed.clone(),
            ..missing(watch, ready, first)
        },
        None => differing(watch, ready, expected),
    }
}

/// An event that should not have come at all, or not now.
fn unexpected(watch: &Watch, event: &Event, model: &Model) -> Option<(Check, String)> {
    let revision = event.kv.mod_revision;
    let known = model.revision(revision).is_some_and(|entry| {
        entry
            .events
            .iter()
            .any(|known| known.kind == event.kind && known.kv.key == event.kv.key)
    });
    if !known {
        let check = if watch.opened.witness {
            Check::MembersAgree
        } else {
            Check::WatchContent
        };
        return Some((
            check,
            format!("revision {revision} has no such event: {event:?}"),
        ));
    }
    if !watch.wants(event) {
        return Some((Check::WatchFilter, format!("not asked for: {event:?}")));
    }
    if revision < watch.start {
        let text = format!("before the start at {}: {event:?}", watch.start);
        return Some((Check::WatchResumable, text));
    }
    if watch.next.is_some_and(|next| revision >= next) {
        return None;
    }
    if revision > watch.delivered && revision <= watch.bookmark {
        let text = format!("after progress {}: {event:?}", watch.bookmark);
        return Some((Check::WatchBookmark, text));
    }
    if watch.torn == Some(revision) {
        let text = format!("the rest of a revision in a response of its own: {event:?}");
        return Some((Check::WatchAtomic, text));
    }
    let late = watch
        .missed
        .iter()
        .any(|(missed, key)| *missed == revision && *key == event.kv.key);
    if late {
        let text = format!("after an event of revision {}: {event:?}", watch.delivered);
        return Some((Check::WatchOrdered, text));
    }
    Some((Check::WatchUnique, format!("again: {event:?}")))
}

fn out_of_order(event: &Event, before: Option<&Event>, again: bool) -> Option<(Check, String)> {
    if again {
        return Some((
            Check::WatchUnique,
            format!("twice in a response: {event:?}"),
        ));
    }
    let before = before?.kv.mod_revision;
    (event.kv.mod_revision < before).then(|| {
        (
            Check::WatchOrdered,
            format!("after revision {before}: {event:?}"),
        )
    })
}

fn missing(watch: &Watch, ready: &Ready, missed: &Event) -> Found {
    let revision = missed.kv.mod_revision;
    let of_same = |event: &Event| event.kv.mod_revision == revision;
    let (check, torn) = if ready.events.iter().any(of_same) {
        (Check::WatchAtomic, Some(revision))
    } else if watch.delivered == 0 {
        (Check::WatchResumable, None)
    } else {
        (Check::WatchReliable, None)
    };
    let text = format!("passed over: {missed:?}");
    Found {
        violation: Violation::new(check, text).at(revision),
        torn,
        missed: Vec::new(),
    }
}

/// All events are there, so one of them says something else, or they stand in another order within a revision.
fn differing(watch: &Watch, ready: &Ready, expected: &[&Event]) -> Found {
    for event in &ready.events {
        let known = expected.iter().find(|known| place(known) == place(event));
        if let Some(known) = known.filter(|known| !same(known, event)) {
            let check = if watch.opened.witness && event.kind == EventKind::Put {
                Check::MembersAgree
            } else {
                Check::WatchContent
            };
            let text = format!("the event is {:?}, the watch got {:?}", known.kv, event.kv);
            return Found {
                violation: Violation::new(check, text).at(event.kv.mod_revision),
                torn: None,
                missed: Vec::new(),
            };
        }
    }
    let text = "events of one revision in another order than they were made in";
    Found {
        violation: Violation::new(Check::WatchOrdered, text).at(ready.needs()),
        torn: None,
        missed: Vec::new(),
    }
}
