//! The messages behind the built-in types: their fields by number, those of embedded types inside of these.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::catalog::Catalog;
use crate::schema::{Field, NodeId, Shape};

/// A field of a message.
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) slot: Slot,
}

pub(super) enum Slot {
    Field {
        name: &'static str,
        field: &'static Field,
    },
    /// A message whose fields JSON shows among the outer's.
    Embedded(Vec<Entry>),
}

/// The rest of a field's numbers, its name and itself.
type Row = (&'static [u32], &'static str, &'static Field);

/// The fields of a type's message, by number.
pub(super) fn of(id: NodeId) -> &'static [Entry] {
    static LAYOUTS: LazyLock<HashMap<NodeId, Vec<Entry>>> = LazyLock::new(build);
    LAYOUTS.get(&id).map_or(&[], Vec::as_slice)
}

fn build() -> HashMap<NodeId, Vec<Entry>> {
    let schema = &Catalog::builtin().schema;
    let mut layouts = HashMap::new();
    for (_, id) in schema.names() {
        if let Shape::Object(object) = &schema.node(id).shape {
            let rows = object
                .fields
                .iter()
                .filter(|(_, field)| !field.numbers.is_empty())
                .map(|(name, field)| (&*field.numbers, &**name, field))
                .collect();
            layouts.insert(id, entries(rows));
        }
    }
    layouts
}

fn entries(mut rows: Vec<Row>) -> Vec<Entry> {
    rows.sort_by_key(|(numbers, ..)| *numbers);
    rows.chunk_by(|(left, ..), (right, ..)| left[0] == right[0])
        .map(|group| Entry {
            number: group[0].0[0],
            slot: match group {
                [([_], name, field)] => Slot::Field { name, field },
                group => Slot::Embedded(entries(
                    group
                        .iter()
                        .map(|(numbers, name, field)| (&numbers[1..], *name, *field))
                        .collect(),
                )),
            },
        })
        .collect()
}

/// The entry with a number.
pub(super) fn entry(entries: &'static [Entry], number: u32) -> Option<&'static Entry> {
    entries
        .binary_search_by_key(&number, |entry| entry.number)
        .ok()
        .map(|index| &entries[index])
}
