//! A second judgement of small histories: try every order. It knows nothing of revisions' meaning but what the plain store
//! of [`crate::simulate`] does, so it and the checker can only agree by both being right.

use std::collections::HashSet;

use crate::history::{
    Barrier, Blob, Event, Operation, Outcome, Range, Record, Refusal, RefusalKind, Request,
    WatchOpened, WatchResponse,
};
use crate::simulate::{PlainStore, Plan, Random, history};

/// The search of Wing and Gong: whether some order of the operations, in which none stands before one that returned before
/// it was called, gives every answer and the revisions that were seen.
struct Search<'a> {
    operations: &'a [Operation],
    seen: &'a [Vec<Event>],
    /// Operations done, as bits, and the revision then: places that led nowhere.
    tried: HashSet<(u64, i64)>,
}

impl Search<'_> {
    fn finds(&mut self, done: u64, store: &PlainStore) -> bool {
        if !self.tried.insert((done, store.revision)) {
            return false;
        }
        let open = |index: &usize| done & (1 << index) == 0;
        let ended = (0..self.operations.len())
            .filter(open)
            .all(|index| matches!(self.operations[index].outcome, Outcome::Unknown { .. }));
        if ended && store.revision == 1 + i64::try_from(self.seen.len()).unwrap() {
            return true;
        }
        let first_return = (0..self.operations.len())
            .filter(open)
            .filter_map(|index| self.operations[index].return_ns)
            .min();
        for index in (0..self.operations.len()).filter(open) {
            let operation = &self.operations[index];
            if first_return.is_some_and(|return_ns| return_ns < operation.call_ns) {
                continue;
            }
            let mut after = store.clone();
            let answer = after.execute(&operation.request, 0);
            let fits = match (&operation.outcome, &answer) {
                (Outcome::Ok(response), Ok(answer)) => response == answer,
                (Outcome::Failed(refusal), Err(kind)) => refusal.kind == *kind,
                (Outcome::Unknown { .. }, _) => true,
                _ => false,
            };
            if fits && self.as_seen(store, &after) && self.finds(done | 1 << index, &after) {
                return true;
            }
        }
        false
    }

    /// Whether the revision that was added, if one was, is the one that was seen.
    fn as_seen(&self, before: &PlainStore, after: &PlainStore) -> bool {
        if before.revision == after.revision {
            return true;
        }
        let index = usize::try_from(after.revision - 2).unwrap();
        let events = after.events(after.revision);
        self.seen.get(index).is_some_and(|seen| {
            seen.len() == events.len()
                && seen.iter().zip(events).all(|(seen, event)| {
                    seen.kind == event.kind
                        && seen.kv.key == event.kv.key
                        && seen.kv.value == event.kv.value
                        && seen.kv.lease == event.kv.lease
                })
        })
    }
}

fn is_linearizable(operations: &[Operation], seen: &[Vec<Event>]) -> bool {
    let refused_at_the_door = |operation: &&Operation| matches!(&operation.outcome, Outcome::Failed(refusal) if refusal.kind == RefusalKind::Other);
    let operations: Vec<Operation> = operations
        .iter()
        .filter(|operation| !refused_at_the_door(operation))
        .cloned()
        .collect();
    let mut search = Search {
        operations: &operations,
        seen,
        tried: HashSet::new(),
    };
    search.finds(0, &PlainStore::new(100))
}

/// The operations a small simulation makes, and what its witnesses saw.
fn small(seed: u64) -> (Vec<Operation>, Vec<Vec<Event>>) {
    let records = history(&Plan {
        seed,
        operations: 9,
        clients: 4,
        members: 1,
        keys: 2,
        unknown_per_thousand: 200,
        watches: false,
        leases: false,
    });
    let mut operations = Vec::new();
    let mut seen = Vec::new();
    for record in records {
        match record {
            Record::Op(operation) if is_plain(&operation.request) => operations.push(operation),
            Record::Watch(response) => {
                let of_one = |a: &Event, b: &Event| a.kv.mod_revision == b.kv.mod_revision;
                seen.extend(response.events.chunk_by(of_one).map(<[Event]>::to_vec));
            }
            _ => {}
        }
    }
    (operations, seen)
}

fn is_plain(request: &Request) -> bool {
    match request {
        Request::Range(Range {
            serializable,
            revision,
            ..
        }) => !serializable && *revision == 0,
        Request::Put(_) | Request::DeleteRange(_) | Request::Txn(_) => true,
        _ => false,
    }
}

/// Small changes, some of which break the history and some of which do not.
fn disturb(random: &mut Random, operations: &mut Vec<Operation>, seen: &mut Vec<Vec<Event>>) {
    let (a, b) = (
        random.index(operations.len()),
        random.index(operations.len()),
    );
    match random.below(9) {
        0 => {
            let outcome = operations[a].outcome.clone();
            let other = std::mem::replace(&mut operations[b].outcome, outcome);
            operations[a].outcome = other;
        }
        1 => {
            if let Outcome::Ok(response) = &mut operations[a].outcome {
                response.revision += random.between(-1, 1);
            }
        }
        2 | 3 => {
            // Everything that was called so early that it overlapped is now ordered by time.
            let operation = &mut operations[a];
            if let Some(return_ns) = operation.return_ns {
                operation.call_ns = return_ns - 1;
            }
        }
        4 => {
            let operation = &mut operations[a];
            if operation.return_ns.is_some() {
                operation.return_ns = Some(operation.call_ns + 1);
            }
        }
        5 => {
            operations[a].outcome = Outcome::Unknown {
                error: String::new(),
            };
            operations[a].return_ns = None;
        }
        6 => {
            // A put that keeps a value can be refused for want of one.
            let mut kind = RefusalKind::Other;
            if let Request::Put(put) = &mut operations[a].request
                && random.chance(700)
            {
                put.ignore_value = true;
                put.value = Blob::default();
                kind = RefusalKind::KeyNotFound;
            }
            operations[a].outcome = Outcome::Failed(Refusal {
                kind,
                text: String::new(),
            });
            let call_ns = operations[a].call_ns;
            operations[a].return_ns.get_or_insert(call_ns + 1);
        }
        7 if seen.len() > 1 => {
            let index = random.index(seen.len() - 1);
            seen.swap(index, index + 1);
        }
        8 if random.chance(500) => {
            seen.pop();
        }
        _ => {
            operations.remove(a);
        }
    }
    for operation in operations {
        if matches!(operation.outcome, Outcome::Unknown { .. }) {
            operation.return_ns = None;
        } else {
            let call_ns = operation.call_ns;
            operation.return_ns.get_or_insert(call_ns + 1_000_000_000);
        }
    }
}

/// The same for the checker: one witness that got everything when all was over.
fn records(operations: &[Operation], seen: &[Vec<Event>]) -> Vec<Record> {
    let time_ns = u64::MAX / 2;
    let revision = 1 + i64::try_from(seen.len()).unwrap();
    let mut records: Vec<Record> = operations.iter().cloned().map(Record::Op).collect();
    records.push(Record::WatchOpened(WatchOpened {
        id: 1,
        witness: true,
        key: [0].as_slice().into(),
        range_end: [0].as_slice().into(),
        start_revision: 1,
        ..WatchOpened::default()
    }));
    let response = |created, events| {
        Record::Watch(WatchResponse {
            watch: 1,
            time_ns,
            revision,
            created,
            events,
            ..WatchResponse::default()
        })
    };
    records.push(response(true, Vec::new()));
    // Numbered anew; the rest of what an event carries is not what is judged here.
    let mut model = crate::model::Model::new();
    for events in seen {
        model.append(events);
        let made = model.revision(model.top()).map(|entry| {
            let events = entry.events.iter().cloned();
            events
                .map(|event| Event {
                    prev_kv: None,
                    ..event
                })
                .collect()
        });
        records.push(response(false, made.unwrap()));
    }
    records.push(Record::Barrier(Barrier { time_ns, revision }));
    records
}

fn seed() -> u64 {
    let given = std::env::var("MAINSTAY_SEED").ok();
    let seed = given.map_or(1, |text| text.parse().unwrap());
    println!("MAINSTAY_SEED={seed}");
    seed
}

#[test]
fn the_checker_and_a_search_of_all_orders_agree() {
    const HISTORIES: u64 = 4000;
    let seed = seed();
    let mut held = 0;
    for number in 0..HISTORIES {
        let seed = seed.wrapping_add(number);
        let mut random = Random::new(seed);
        let (mut operations, mut seen) = small(seed);
        for _ in 0..random.below(3) {
            if operations.len() > 2 {
                disturb(&mut random, &mut operations, &mut seen);
            }
        }
        if !operations
            .iter()
            .any(|operation| matches!(operation.outcome, Outcome::Ok(_)))
        {
            continue;
        }
        let expected = is_linearizable(&operations, &seen);
        let records = records(&operations, &seen);
        let report = crate::check(records.clone());
        assert_eq!(
            report.verdict.is_held(),
            expected,
            "seed {seed}: {report}\n{records:#?}"
        );
        held += u64::from(expected);
    }
    assert!(held > HISTORIES / 5, "only {held} of {HISTORIES} held");
    assert!(
        held < HISTORIES * 4 / 5,
        "as many as {held} of {HISTORIES} held"
    );
}
