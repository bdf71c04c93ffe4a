//! The state in memory, made again from the rows on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::codec::read_auth;
use crate::disk::{Disk, Marks};
use crate::index::{Index, KeyMeta, NewValue};
use crate::key_value::Fields;
use crate::machine::{Fatal, Garbage};
use crate::outcome::Revision;
use crate::state::{Lease, State};

/// Rows sorted at a time: bounds the memory of opening.
const ROWS_PER_BATCH: usize = 256 << 10;

pub(crate) struct Rebuilt {
    pub(crate) state: State,
    /// Rows that the index does not refer to.
    pub(crate) garbage: Garbage,
}

/// Scans all rows. The index comes out trimmed to the compact revision.
pub(crate) fn state(disk: &Disk, marks: &Marks) -> Result<Rebuilt, Fatal> {
    let fresh = State::default();
    let revision = marks
        .applied
        .as_ref()
        .map_or(fresh.revision, |applied| applied.revision);
    let compact_revision = marks.compact_revision.unwrap_or(fresh.compact_revision);
    let mut keys = Keys {
        compact_revision,
        ..Keys::default()
    };
    let mut rows = Rows::default();
    disk.scan(Revision::default(), |row| {
        if row.at.main > revision {
            return Err(Fatal::Damaged(format!(
                "a row at {:?} is newer than the store",
                row.at
            )));
        }
        let fields = Fields::decode(row.kv)
            .map_err(|error| Fatal::Damaged(format!("the row at {:?}: {error}", row.at)))?;
        rows.push(row.at, row.tombstone, &fields);
        if rows.rows.len() >= ROWS_PER_BATCH {
            keys.add(&mut rows);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    keys.add(&mut rows);
    let alarms: BTreeSet<_> = marks.alarms.iter().copied().collect();
    let leases = leases(marks, &keys.keys)?;
    let index = Index::of(keys.keys);
    Ok(Rebuilt {
        state: State {
            index,
            leases,
            alarms,
            alarms_by_hand: BTreeSet::new(),
            auth: read_auth(&marks.auth)
                .map_err(|error| Fatal::Damaged(format!("users and roles: {error}")))?,
            downgrade: marks.downgrade,
            revision,
            compact_revision,
        },
        garbage: keys.garbage,
    })
}

fn leases(
    marks: &Marks,
    keys: &BTreeMap<Box<[u8]>, KeyMeta>,
) -> Result<BTreeMap<i64, Lease>, Fatal> {
    let mut leases = BTreeMap::new();
    for info in &marks.leases {
        let (ttl_seconds, remaining_seconds) = (info.ttl_seconds, info.remaining_seconds);
        leases.insert(
            info.id,
            Lease {
                ttl_seconds,
                remaining_seconds,
                keys: BTreeSet::new(),
            },
        );
    }
    for (key, meta) in keys.iter().filter(|(_, meta)| meta.lease() != 0) {
        let lease = leases.get_mut(&meta.lease()).ok_or_else(|| {
            Fatal::Damaged(format!(
                "a key at {:?} has a lease that does not exist",
                meta.newest()
            ))
        })?;
        lease.keys.insert(key.clone());
    }
    Ok(leases)
}

/// A batch of rows, cheap to fill and to sort by key.
#[derive(Default)]
struct Rows {
    rows: Vec<RowMeta>,
    keys: Vec<u8>,
}

struct RowMeta {
    value: NewValue,
    key_start: usize,
    key_length: usize,
}

impl Rows {
    fn push(&mut self, at: Revision, tombstone: bool, fields: &Fields<'_>) {
        let value = NewValue {
            at,
            create_revision: fields.create_revision,
            version: if tombstone { 0 } else { fields.version },
            lease: fields.lease,
            size: fields.key.len() + fields.value.len(),
        };
        let (key_start, key_length) = (self.keys.len(), fields.key.len());
        self.keys.extend_from_slice(fields.key);
        self.rows.push(RowMeta {
            value,
            key_start,
            key_length,
        });
    }

    fn key(&self, row: &RowMeta) -> &[u8] {
        &self.keys[row.key_start..row.key_start + row.key_length]
    }

    /// Rows by key, those of one key by revision.
    fn sorted(&self) -> Vec<&RowMeta> {
        // Eight bytes after what all keys begin with decide most comparisons without a look at the key.
        let common = self.common_prefix_length();
        let mut sorted: Vec<(u64, &RowMeta)> = self
            .rows
            .iter()
            .map(|row| (lead(&self.key(row)[common..]), row))
            .collect();
        sorted.sort_by(|(lead_a, a), (lead_b, b)| {
            lead_a
                .cmp(lead_b)
                .then_with(|| self.key(a).cmp(self.key(b)))
        });
        sorted.into_iter().map(|(_, row)| row).collect()
    }

    fn common_prefix_length(&self) -> usize {
        let Some(first) = self.rows.first().map(|row| self.key(row)) else {
            return 0;
        };
        self.rows.iter().fold(first.len(), |common, row| {
            first[..common]
                .iter()
                .zip(self.key(row))
                .take_while(|(a, b)| a == b)
                .count()
        })
    }
}

fn lead(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}

#[derive(Default)]
struct Keys {
    keys: BTreeMap<Box<[u8]>, KeyMeta>,
    garbage: Garbage,
    compact_revision: i64,
}

impl Keys {
    /// Adds a batch whose rows are newer than all before.
    fn add(&mut self, rows: &mut Rows) {
        let rows = std::mem::take(rows);
        let mut new_keys = Vec::new();
        for of_key in rows.sorted().chunk_by(|a, b| rows.key(a) == rows.key(b)) {
            let key = rows.key(of_key[0]);
            if let Some(meta) = self.keys.get_mut(key) {
                if self.garbage.extend(meta, of_key, self.compact_revision) {
                    self.keys.remove(key);
                }
                continue;
            }
            let (first, later) = of_key.split_first().expect("chunks hold something");
            let mut meta = if first.value.version == 0 {
                KeyMeta::first_deleted(first.value.at)
            } else {
                KeyMeta::first(&first.value)
            };
            if !self.garbage.extend(&mut meta, later, self.compact_revision) {
                new_keys.push((Box::from(key), meta));
            }
        }
        // Sorted already, so the tree is built in one pass with full nodes.
        self.keys.append(&mut BTreeMap::from_iter(new_keys));
    }
}

impl Garbage {
    /// Adds changes to a key and trims it. True when nothing is left of it.
    fn extend(&mut self, meta: &mut KeyMeta, rows: &[&RowMeta], compact_revision: i64) -> bool {
        for row in rows {
            if row.value.version == 0 {
                meta.delete(row.value.at);
            } else {
                meta.change(&row.value);
            }
        }
        meta.trim(compact_revision, |forgotten| self.add(forgotten))
    }
}
