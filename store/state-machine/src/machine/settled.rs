//! Rows at or below the compact revision, gathered so that one lock of the index judges many of them.

use super::Fatal;
use crate::disk::Row;
use crate::key_value::Fields;
use crate::outcome::Revision;
use crate::state::State;

/// Rows judged under one lock of the index.
const ROWS_MAX: usize = 256;
/// Bytes of rows that wait for that, unless one row is larger.
const BYTES_MAX: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Settled {
    rows: Vec<Place>,
    bytes: Vec<u8>,
}

struct Place {
    at: Revision,
    tombstone: bool,
    start: usize,
    row_key_length: usize,
    kv_length: usize,
}

/// Whether a read at `revision` finds this row.
pub(super) fn is_visible(state: &State, row: &Row<'_>, revision: i64) -> Result<bool, Fatal> {
    let fields = Fields::decode(row.kv)
        .map_err(|error| Fatal::Damaged(format!("the row at {:?}: {error}", row.at)))?;
    let meta = state.index.get(fields.key);
    Ok(meta.and_then(|meta| meta.visible_at(revision)) == Some(row.at))
}

impl Settled {
    pub(super) fn push(&mut self, row: &Row<'_>) {
        self.rows.push(Place {
            at: row.at,
            tombstone: row.tombstone,
            start: self.bytes.len(),
            row_key_length: row.row_key.len(),
            kv_length: row.kv.len(),
        });
        self.bytes.extend_from_slice(row.row_key);
        self.bytes.extend_from_slice(row.kv);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX || self.bytes.len() >= BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in the order in which they came.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|place| {
            let (row_key, rest) = self.bytes[place.start..].split_at(place.row_key_length);
            Row {
                at: place.at,
                tombstone: place.tombstone,
                row_key,
                kv: &rest[..place.kv_length],
            }
        })
    }
}
