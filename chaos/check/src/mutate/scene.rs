//! A history to be damaged, and what is known of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::history::{
    Answer, Event, Operation, Outcome, Range, Ranged, Record, Request, Response, WatchResponse,
};
use crate::model::Model;
use crate::simulate::Random;

pub(super) struct Scene<'a> {
    pub(super) records: &'a mut Vec<Record>,
    pub(super) random: Random,
    /// What the witnesses saw.
    pub(super) model: Model,
    /// Watches that are witnesses.
    pub(super) witnesses: HashSet<u64>,
    /// Times of return and the newest revision returned by then, ascending.
    returned: Vec<(u64, i64)>,
    pub(super) fresh: u64,
}

impl<'a> Scene<'a> {
    pub(super) fn new(records: &'a mut Vec<Record>, seed: u64) -> Self {
        let witnesses: HashSet<u64> = records
            .iter()
            .filter_map(|record| match record {
                Record::WatchOpened(opened) if opened.witness => Some(opened.id),
                _ => None,
            })
            .collect();
        let model = past(records, &witnesses);
        let mut returned: Vec<(u64, i64)> = records
            .iter()
            .filter_map(|record| match record {
                Record::Op(Operation {
                    return_ns: Some(return_ns),
                    outcome: Outcome::Ok(response),
                    ..
                }) => Some((*return_ns, response.revision)),
                _ => None,
            })
            .collect();
        returned.sort_unstable();
        let mut newest = 0;
        for (_, revision) in &mut returned {
            newest = newest.max(*revision);
            *revision = newest;
        }
        Self {
            random: Random::new(seed),
            model,
            witnesses,
            returned,
            fresh: 0,
            records,
        }
    }

    /// The newest revision that had been answered before this time, in nanoseconds.
    pub(super) fn newest_before(&self, time_ns: u64) -> i64 {
        let count = self.returned.partition_point(|(at, _)| *at < time_ns);
        count.checked_sub(1).map_or(1, |last| self.returned[last].1)
    }

    /// A place among the records for which `fits`.
    pub(super) fn pick(&mut self, fits: impl Fn(&Self, &Record) -> bool) -> Option<usize> {
        let places: Vec<usize> = self
            .records
            .iter()
            .enumerate()
            .filter(|(_, record)| fits(self, record))
            .map(|(place, _)| place)
            .collect();
        (!places.is_empty()).then(|| places[self.random.index(places.len())])
    }

    /// A place among the answered operations for which `fits`.
    pub(super) fn pick_answered(
        &mut self,
        fits: impl Fn(&Self, &Operation, &Response) -> bool,
    ) -> Option<usize> {
        self.pick(|scene, record| match record {
            Record::Op(operation) => match &operation.outcome {
                Outcome::Ok(response) => fits(scene, operation, response),
                _ => false,
            },
            _ => false,
        })
    }

    pub(super) fn operation(&mut self, place: usize) -> &mut Operation {
        match &mut self.records[place] {
            Record::Op(operation) => operation,
            other => unreachable!("a place of an operation holds {other:?}"),
        }
    }

    pub(super) fn response(&mut self, place: usize) -> &mut Response {
        match &mut self.operation(place).outcome {
            Outcome::Ok(response) => response,
            other => unreachable!("a place of an answered operation holds {other:?}"),
        }
    }

    pub(super) fn watch(&mut self, place: usize) -> &mut WatchResponse {
        match &mut self.records[place] {
            Record::Watch(response) => response,
            other => unreachable!("a place of a watch response holds {other:?}"),
        }
    }

    /// A value that nobody wrote.
    pub(super) fn fresh_value(&mut self) -> String {
        self.fresh += 1;
        format!("nobody's-{}-{}", self.fresh, self.random.next())
    }

    /// An operation that was not there, put where it belongs in time.
    pub(super) fn insert(&mut self, mut operation: Operation) {
        operation.id = u64::MAX - self.random.below(1 << 40);
        let at_ns = operation.return_ns.unwrap_or(operation.call_ns);
        let later = |record: &Record| match record {
            // What has no answer stands where it was given up.
            Record::Op(operation) => operation.return_ns.is_some_and(|time_ns| time_ns > at_ns),
            other => other.time_ns() > at_ns,
        };
        let place = self.records.iter().position(later);
        let place = place.unwrap_or(self.records.len());
        self.records.insert(place, Record::Op(operation));
    }

    /// Changes the events of one revision in all watches. A response that has none left was never sent.
    pub(super) fn rewrite(&mut self, revision: i64, mut change: impl FnMut(&mut Vec<Event>)) {
        self.records.retain_mut(|record| {
            let Record::Watch(response) = record else {
                return true;
            };
            let of_it = |event: &Event| event.kv.mod_revision == revision;
            let Some(first) = response.events.iter().position(of_it) else {
                return true;
            };
            let mut events: Vec<Event> = response
                .events
                .extract_if(.., |event| of_it(event))
                .collect();
            change(&mut events);
            response.events.splice(first..first, events);
            !response.events.is_empty()
        });
    }

    /// What a get of this key answers at a revision.
    pub(super) fn get(&self, key: &[u8], revision: i64) -> Answer {
        let kvs: Vec<_> = self.model.get(key, revision).cloned().into_iter().collect();
        Answer::Range(Ranged {
            count: i64::from(!kvs.is_empty()),
            kvs,
            more: false,
        })
    }
}

/// Whether this is a linearizable get of one key without options.
pub(super) fn is_get(request: &Request) -> bool {
    match request {
        Request::Range(range) => {
            let plain = Range {
                key: range.key.clone(),
                ..Range::default()
            };
            *range == plain
        }
        _ => false,
    }
}

fn past(records: &[Record], witnesses: &HashSet<u64>) -> Model {
    let mut revisions: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
    let mut pieces: HashMap<u64, Vec<Event>> = HashMap::new();
    for record in records {
        let Record::Watch(response) = record else {
            continue;
        };
        if !witnesses.contains(&response.watch) {
            continue;
        }
        let events = pieces.entry(response.watch).or_default();
        events.extend(response.events.iter().cloned());
        if response.fragment {
            continue;
        }
        let events = std::mem::take(events);
        for events in events.chunk_by(|a, b| a.kv.mod_revision == b.kv.mod_revision) {
            let revision = events[0].kv.mod_revision;
            revisions.entry(revision).or_insert_with(|| events.to_vec());
        }
    }
    let mut model = Model::new();
    for (revision, events) in revisions {
        if revision == model.top() + 1 {
            model.append(&events);
        }
    }
    model
}
