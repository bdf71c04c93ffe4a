//! The order of merged lists, down to what upstream's merge in place does to it.

use std::collections::HashMap;

use super::Place;
use crate::{Value, status::Status};

/// What upstream finds in the memory of the original's list after a merge that worked in place: elements move forward over those that go, what is
/// new takes the slots at the end that are free. The order of a list that has both comes from there.
pub(super) struct Slots {
    identities: Vec<String>,
    len: usize,
}

impl Slots {
    pub(super) fn of(original: &[Value], key: &str) -> Slots {
        let identities: Vec<String> = original
            .iter()
            .map(|element| element.get(key).unwrap_or(&Value::Null).to_string())
            .collect();
        Slots {
            len: identities.len(),
            identities,
        }
    }

    /// Elements of these identities go one after the other, and each leaves a copy of the element that was last before it behind.
    pub(super) fn remove(&mut self, gone: &[String]) {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, identity) in self.identities.iter().enumerate() {
            places.entry(identity).or_default().push(place);
        }
        let mut is_there = vec![true; self.identities.len()];
        let mut left_behind = Vec::new();
        let mut last = self.identities.len();
        for place in gone
            .iter()
            .filter_map(|identity| places.remove(identity.as_str()))
            .flatten()
        {
            while last > 0 && !is_there[last - 1] {
                last -= 1;
            }
            left_behind.extend(
                last.checked_sub(1)
                    .map(|last| self.identities[last].clone()),
            );
            is_there[place] = false;
        }
        let mut is_there = is_there.into_iter();
        self.identities
            .retain(|_| is_there.next().unwrap_or_default());
        self.len = self.identities.len();
        self.identities.extend(left_behind.into_iter().rev());
    }

    /// A list that has grown to this length has this element at its end.
    pub(super) fn append(&mut self, identity: &str, len: usize) {
        if len == self.len + 1 && len <= self.identities.len() {
            self.identities[self.len] = identity.to_owned();
            self.len = len;
        }
    }

    pub(super) fn identities(self) -> Vec<String> {
        self.identities
    }
}

/// Puts elements in order: those of the patch as the patch has them, the others as the server has them, and each of the others before the
/// first of the patch's that the server has behind it.
pub(super) fn arrange(
    elements: Vec<Value>,
    patch_order: &[String],
    server_order: &[String],
    place: Place<'_>,
) -> Result<Vec<Value>, Status> {
    let patch_ranks = ranks(patch_order);
    let server_ranks = ranks(server_order);
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for element in elements {
        let identity = place.identity(&element)?;
        let server_rank = server_ranks.get(identity.as_str()).copied();
        match patch_ranks.get(identity.as_str()) {
            Some(rank) => ours.push((*rank, server_rank, element)),
            None => theirs.push((server_rank, element)),
        }
    }
    ours.sort_by_key(|(rank, _, _)| *rank);
    sort_theirs(&mut theirs);
    let mut theirs = theirs.into_iter().peekable();
    let mut arranged = Vec::new();
    for (_, ours_rank, element) in ours {
        let before = |theirs_rank: Option<usize>| matches!((theirs_rank, ours_rank), (Some(theirs), Some(ours)) if theirs < ours);
        while let Some((_, element)) = theirs.next_if(|(rank, _)| before(*rank)) {
            arranged.push(element);
        }
        arranged.push(element);
    }
    arranged.extend(theirs.map(|(_, element)| element));
    Ok(arranged)
}

/// Sorts by the server's order. Where there are elements that the server does not have, upstream's comparison contradicts itself, and the order
/// is what its sort makes of that: an insertion sort up to this length.
const INSERTION_SORT_MAX: usize = 20;

fn sort_theirs(theirs: &mut [(Option<usize>, Value)]) {
    if theirs.len() > INSERTION_SORT_MAX || theirs.iter().all(|(rank, _)| rank.is_some()) {
        theirs.sort_by_key(|(rank, _)| rank.unwrap_or(usize::MAX));
        return;
    }
    let is_before = |left: Option<usize>, right: Option<usize>| match (left, right) {
        (Some(left), Some(right)) => left < right,
        _ => true,
    };
    for end in 1..theirs.len() {
        for at in (1..=end).rev() {
            if !is_before(theirs[at].0, theirs[at - 1].0) {
                break;
            }
            theirs.swap(at, at - 1);
        }
    }
}

/// The first place of each identity.
fn ranks(order: &[String]) -> HashMap<&str, usize> {
    let mut ranks = HashMap::new();
    for (rank, identity) in order.iter().enumerate() {
        ranks.entry(identity.as_str()).or_insert(rank);
    }
    ranks
}
