//! Finding a watch response to damage.

use std::collections::{HashMap, HashSet};

use crate::history::{Record, WatchOpened, WatchResponse};

use super::scene::Scene;

impl Scene<'_> {
    pub(super) fn opened(&self, watch: u64) -> Option<&WatchOpened> {
        self.records.iter().find_map(|record| match record {
            Record::WatchOpened(opened) if opened.id == watch => Some(opened),
            _ => None,
        })
    }

    /// A whole response with events, neither the first nor the last of its watch.
    pub(super) fn pick_response(
        &mut self,
        fits: impl Fn(&Self, &WatchOpened, &WatchResponse) -> bool,
    ) -> Option<usize> {
        let whole: Vec<(usize, u64)> = self
            .records
            .iter()
            .enumerate()
            .filter_map(|(place, record)| match record {
                Record::Watch(response) if !response.events.is_empty() => {
                    Some((place, response.watch))
                }
                _ => None,
            })
            .collect();
        let mut ends = HashMap::new();
        for (place, watch) in &whole {
            let (_, last) = ends.entry(*watch).or_insert((*place, *place));
            *last = *place;
        }
        let opened: HashMap<u64, WatchOpened> = self
            .records
            .iter()
            .filter_map(|record| match record {
                Record::WatchOpened(opened) => Some((opened.id, opened.clone())),
                _ => None,
            })
            .collect();
        let inner: HashSet<usize> = whole
            .iter()
            .filter(|(place, watch)| ends[watch].0 < *place && *place < ends[watch].1)
            .map(|(place, _)| *place)
            .collect();
        let mut places = Vec::new();
        for (place, record) in self.records.iter().enumerate() {
            if let Record::Watch(response) = record
                && inner.contains(&place)
                && opened
                    .get(&response.watch)
                    .is_some_and(|opened| !opened.fragment && fits(self, opened, response))
            {
                places.push(place);
            }
        }
        (!places.is_empty()).then(|| places[self.random.index(places.len())])
    }

    /// The next response with events of the same watch.
    pub(super) fn next_response(&self, place: usize) -> Option<usize> {
        let Record::Watch(this) = &self.records[place] else {
            return None;
        };
        let found = self.records[place + 1..].iter().position(|record| {
            matches!(record, Record::Watch(next)
                if next.watch == this.watch && !next.events.is_empty())
        });
        found.map(|offset| place + 1 + offset)
    }
}

/// The revisions of the first and the last event.
pub(super) fn revisions(response: &WatchResponse) -> (i64, i64) {
    let first = response
        .events
        .first()
        .map_or(0, |event| event.kv.mod_revision);
    let last = response
        .events
        .last()
        .map_or(0, |event| event.kv.mod_revision);
    (first, last)
}
