//! Whether what clients were answered is what really happened.

use std::collections::{BTreeMap, BTreeSet};

use super::truth::Truth;
use super::{Findings, Promise};
use crate::kubernetes::history::{Change, KINDS, Key, Kind, Object, Operation, Outcome, Request};

/// HTTP's code for a write that lost against another.
const CONFLICT: u16 = 409;
/// HTTP's code for an object that is not there.
const NOT_FOUND: u16 = 404;

/// Where each word of a request first shows.
type Words<'a> = BTreeMap<&'a str, Vec<(&'a Key, u64)>>;

pub(super) fn judge(operations: &[&Operation], truth: &Truth, findings: &mut Findings) {
    let words = words(truth);
    let floors = Floors::of(operations, truth);
    let ceilings = Ceilings::of(operations, truth);
    for operation in operations {
        let span = (floors.before(operation), ceilings.after(operation));
        look_at_read(operation, span, truth, findings);
        look_at_write(operation, truth, &words, findings);
    }
    look_at_causes(operations, truth, &words, findings);
}

fn words(truth: &Truth) -> Words<'_> {
    let mut words = Words::new();
    for (key, at, version, before) in truth.all() {
        if version.change == Change::Deleted {
            continue;
        }
        let now = [&version.object.value, &version.object.patch];
        let was = before.map(|before| [&before.value, &before.patch]);
        for (place, word) in now.into_iter().enumerate() {
            if !word.is_empty() && was.is_none_or(|was| was[place] != word) {
                words.entry(word).or_default().push((key, at));
            }
        }
    }
    words
}

/// What had been told before an operation began, by kind.
struct Floors(BTreeMap<Kind, Vec<(u64, u64)>>);

impl Floors {
    fn of(operations: &[&Operation], truth: &Truth) -> Floors {
        let mut floors = BTreeMap::new();
        for kind in KINDS {
            let mut told: Vec<(u64, u64)> = operations
                .iter()
                .filter(|one| one.request.kind() == kind)
                .filter_map(|one| Some((one.return_ns, told(one, truth)?)))
                .collect();
            told.sort_unstable();
            let mut highest = 0;
            for (_, revision) in &mut told {
                highest = highest.max(*revision);
                *revision = highest;
            }
            floors.insert(kind, told);
        }
        Floors(floors)
    }

    fn before(&self, operation: &Operation) -> u64 {
        let told = &self.0[&operation.request.kind()];
        let count = told.partition_point(|(when_ns, _)| *when_ns < operation.call_ns);
        count.checked_sub(1).map_or(0, |last| told[last].1)
    }
}

/// The revisions that were not reached when an operation was over, for they are of writes that were asked for later.
struct Ceilings(Vec<(u64, u64)>);

impl Ceilings {
    fn of(operations: &[&Operation], truth: &Truth) -> Ceilings {
        let mut writes: Vec<(u64, u64)> = operations
            .iter()
            .filter(|one| one.request.writes())
            .filter_map(|one| Some((one.call_ns, told(one, truth)?)))
            .collect();
        writes.sort_unstable();
        let mut lowest = u64::MAX;
        for (_, revision) in writes.iter_mut().rev() {
            lowest = lowest.min(*revision);
            *revision = lowest;
        }
        Ceilings(writes)
    }

    fn after(&self, operation: &Operation) -> u64 {
        let earlier = self
            .0
            .partition_point(|(when_ns, _)| *when_ns <= operation.return_ns);
        self.0
            .get(earlier)
            .map_or(u64::MAX, |(_, revision)| *revision)
    }
}

/// The revision that an answer proves to be reached.
fn told(operation: &Operation, truth: &Truth) -> Option<u64> {
    match (&operation.outcome, &operation.request) {
        (Outcome::Object(object), _) => Some(object.version),
        (Outcome::Objects { revision, .. }, _) => Some(*revision),
        (Outcome::Deleted, Request::Delete { key, uid, .. }) => truth.deletion(key, uid),
        _ => None,
    }
}

/// A read has to be of a revision from the floor on and below the ceiling.
fn look_at_read(
    operation: &Operation,
    (floor, ceiling): (u64, u64),
    truth: &Truth,
    findings: &mut Findings,
) {
    match (&operation.request, &operation.outcome) {
        (Request::List { kind }, Outcome::Objects { revision, items }) => {
            findings.check(Promise::Fresh, *revision >= floor, || {
                format!(
                    "{} listed {kind:?}s at {revision}, and {floor} had been told before",
                    who(operation)
                )
            });
            truth.look_at_list(*kind, *revision, items, findings);
        }
        (Request::Get { key }, Outcome::Object(object)) => {
            let there = truth.change(key, object.version);
            let there = there.is_some_and(|version| version.object == *object);
            findings.check(Promise::Snapshot, there, || {
                format!("{} got {object:?}, which never was", who(operation))
            });
            let next = truth.next(key, object.version);
            findings.check(Promise::Fresh, next.is_none_or(|next| next > floor), || {
                format!(
                    "{} got {key} of {}, which {next:?} had replaced, and {floor} had been told before",
                    who(operation),
                    object.version
                )
            });
        }
        (Request::Get { key }, Outcome::Refused { code, .. }) if *code == NOT_FOUND => {
            // It was absent at the floor, or somebody deleted it before the answer.
            let gone =
                truth.at(key, floor).is_none() || truth.is_deleted_between(key, floor, ceiling);
            findings.check(Promise::Fresh, gone, || {
                format!(
                    "{} was told that there is no {key}, which there was from {floor} on, below {ceiling}",
                    who(operation)
                )
            });
        }
        _ => {}
    }
}

fn look_at_write(operation: &Operation, truth: &Truth, words: &Words<'_>, findings: &mut Findings) {
    let (key, word, on) = match &operation.request {
        Request::Create { key, value } => (key, value, None),
        Request::Update {
            key,
            version,
            value,
        } => (key, value, Some(*version)),
        Request::Patch { key, patch } => (key, patch, None),
        Request::Delete { key, uid, version } => {
            return look_at_delete(operation, (key, uid, *version), truth, findings);
        }
        Request::Get { .. } | Request::List { .. } => return,
    };
    let places = words.get(word.as_str()).map_or(&[][..], Vec::as_slice);
    match &operation.outcome {
        Outcome::Object(object) => {
            let there = truth.change(key, object.version);
            let as_told = there.is_some_and(|version| {
                let added = matches!(operation.request, Request::Create { .. });
                version.object == *object && (version.change == Change::Added) == added
            });
            findings.check(Promise::Acknowledged, as_told && !places.is_empty(), || {
                format!(
                    "{} was told {object:?}, and what happened to {key} then was {there:?}",
                    who(operation)
                )
            });
        }
        Outcome::Refused { code, .. } => {
            findings.check(Promise::Refused, places.is_empty(), || {
                format!(
                    "{} was refused {word} of {key} with {code}, and it is there at {}",
                    who(operation),
                    places[0].1
                )
            });
            if let (Some(on), CONFLICT) = (on, *code) {
                let replaced = truth.next(key, on).is_some();
                findings.check(Promise::Refused, replaced, || {
                    format!(
                        "{} was refused an update of {key} on {on}, which nobody ever replaced",
                        who(operation)
                    )
                });
            }
        }
        _ => {}
    }
    for (_, at) in places {
        look_at_base(operation, (key, *at, on), truth, findings);
    }
}

/// A write that is there, acknowledged or not: what it was made on, and what it left as it was.
fn look_at_base(
    operation: &Operation,
    (key, at, on): (&Key, u64, Option<u64>),
    truth: &Truth,
    findings: &mut Findings,
) {
    let before = truth.at(key, at - 1);
    let now = truth.at(key, at);
    let value = |object: Option<&Object>| object.map(|object| object.value.clone());
    let patch = |object: Option<&Object>| object.map(|object| object.patch.clone());
    let holds = match &operation.request {
        Request::Update { .. } => {
            before.map(|object| object.version) == on && patch(before) == patch(now)
        }
        Request::Patch { .. } => value(before) == value(now),
        _ => before.is_none(),
    };
    findings.check(Promise::Optimistic, holds, || {
        format!(
            "{} asked for {:?}, which made {now:?} of {before:?}",
            who(operation),
            operation.request
        )
    });
}

fn look_at_delete(
    operation: &Operation,
    (key, uid, version): (&Key, &str, Option<u64>),
    truth: &Truth,
    findings: &mut Findings,
) {
    if operation.outcome != Outcome::Deleted {
        return;
    }
    let at = truth.deletion(key, uid);
    findings.check(Promise::Acknowledged, at.is_some(), || {
        format!(
            "{} was told that {key} {uid} is deleted, and it never was",
            who(operation)
        )
    });
    if let (Some(at), Some(version)) = (at, version) {
        let before = truth.at(key, at - 1).map(|object| object.version);
        findings.check(Promise::Optimistic, before == Some(version), || {
            format!(
                "{} deleted {key} on {version}, and it was {before:?}",
                who(operation)
            )
        });
    }
}

/// Everything that happened was asked for and not refused, and happened once.
fn look_at_causes(
    operations: &[&Operation],
    truth: &Truth,
    words: &Words<'_>,
    findings: &mut Findings,
) {
    let mut asked = BTreeSet::new();
    let mut deletes: BTreeMap<&str, u64> = BTreeMap::new();
    for operation in operations {
        match &operation.request {
            Request::Create { value: word, .. }
            | Request::Update { value: word, .. }
            | Request::Patch { patch: word, .. } => {
                asked.insert(word.as_str());
            }
            Request::Delete { uid, .. } => {
                let refused = matches!(operation.outcome, Outcome::Refused { .. });
                let told = u64::from(operation.outcome == Outcome::Deleted);
                if !refused {
                    *deletes.entry(uid).or_default() += told;
                }
            }
            Request::Get { .. } | Request::List { .. } => {}
        }
    }
    for (word, places) in words {
        findings.check(
            Promise::Once,
            asked.contains(word) && places.len() == 1,
            || {
                format!(
                    "{word} is asked for: {}, and is there at {places:?}",
                    asked.contains(word)
                )
            },
        );
    }
    for (key, at, version, _) in truth.all() {
        if version.change == Change::Deleted {
            let told = deletes.get(version.object.uid.as_str());
            findings.check(Promise::Once, told.is_some_and(|told| *told <= 1), || {
                format!("{key} is deleted at {at}; those who were told that they did it: {told:?}")
            });
        }
    }
}

fn who(operation: &Operation) -> String {
    format!(
        "client {} of apiserver {} at {:.3} s",
        operation.client,
        operation.server,
        operation.call_ns as f64 / 1e9
    )
}
