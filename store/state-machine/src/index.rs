//! Every key in order, with the revisions at which it can still be read.

mod key_meta;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::command::KeyRange;
use crate::outcome::Revision;
pub(crate) use key_meta::{Before, Forgotten, KeyMeta, NewValue};

#[derive(Default)]
pub(crate) struct Index {
    keys: BTreeMap<Box<[u8]>, KeyMeta>,
    live_keys: u64,
    live_bytes: u64,
}

impl Index {
    /// An index of sorted keys; the totals are counted.
    pub(crate) fn of(keys: BTreeMap<Box<[u8]>, KeyMeta>) -> Index {
        let live = || keys.values().filter(|meta| !meta.is_deleted());
        let (live_keys, live_bytes) = (live().count() as u64, live().map(KeyMeta::size).sum());
        Index {
            keys,
            live_keys,
            live_bytes,
        }
    }

    pub(crate) fn live_keys(&self) -> u64 {
        self.live_keys
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&KeyMeta> {
        self.keys.get(key)
    }

    /// The key as a read at the newest revision sees it.
    pub(crate) fn get_live(&self, key: &[u8]) -> Option<&KeyMeta> {
        self.get(key).filter(|meta| !meta.is_deleted())
    }

    pub(crate) fn refers_to(&self, key: &[u8], at: Revision) -> bool {
        self.get(key).is_some_and(|meta| meta.refers_to(at))
    }

    /// Keys of a range, in order, those after `resume` alone if given.
    pub(crate) fn range(
        &self,
        keys: &KeyRange,
        resume: Option<&[u8]>,
    ) -> impl Iterator<Item = (&[u8], &KeyMeta)> {
        let found = bounds(keys, resume).map(|bounds| self.keys.range::<[u8], _>(bounds));
        found
            .into_iter()
            .flatten()
            .map(|(key, meta)| (&**key, meta))
    }

    pub(crate) fn put(
        &mut self,
        key: &[u8],
        at: Revision,
        lease: i64,
        size: usize,
    ) -> (&mut KeyMeta, Before) {
        use std::collections::btree_map::Entry;
        self.live_bytes += size as u64;
        let value = |create_revision, version| NewValue {
            at,
            create_revision,
            version,
            lease,
            size,
        };
        match self.keys.entry(Box::from(key)) {
            Entry::Vacant(vacant) => {
                self.live_keys += 1;
                let meta = vacant.insert(KeyMeta::first(&value(at.main, 1)));
                (
                    meta,
                    Before {
                        visible: None,
                        lease: 0,
                        newest: Revision::default(),
                        slot: 0,
                    },
                )
            }
            Entry::Occupied(occupied) => {
                let meta = occupied.into_mut();
                let before = meta.before(at);
                if meta.is_deleted() {
                    self.live_keys += 1;
                    meta.change(&value(at.main, 1));
                } else {
                    self.live_bytes -= meta.size();
                    meta.change(&value(meta.create_revision(), meta.version() + 1));
                }
                (meta, before)
            }
        }
    }

    /// Deletes a key that is live.
    pub(crate) fn delete(&mut self, key: &[u8], at: Revision) -> Before {
        let meta = self
            .keys
            .get_mut(key)
            .expect("only keys found live are deleted");
        assert!(!meta.is_deleted(), "only keys found live are deleted");
        let before = meta.before(at);
        self.live_keys -= 1;
        self.live_bytes -= meta.size();
        meta.delete(at);
        before
    }

    /// Trims up to `keys_max` keys after `resume`. Gives the key to go on from, or none at the end.
    pub(crate) fn trim(
        &mut self,
        resume: Option<&[u8]>,
        keys_max: usize,
        compact_revision: i64,
        mut forget: impl FnMut(Forgotten),
    ) -> Option<Box<[u8]>> {
        let after = resume.map_or(Bound::Unbounded, Bound::Excluded);
        let mut dead = Vec::new();
        let mut last = None;
        let found = self.keys.range_mut::<[u8], _>((after, Bound::Unbounded));
        for (position, (key, meta)) in found.take(keys_max).enumerate() {
            if meta.trim(compact_revision, &mut forget) {
                dead.push(key.clone());
            }
            if position + 1 == keys_max {
                last = Some(key.clone());
            }
        }
        for key in dead {
            self.keys.remove(&key);
        }
        last
    }
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// None for a range that holds no key.
fn bounds<'a>(keys: &'a KeyRange, resume: Option<&'a [u8]>) -> Option<Bounds<'a>> {
    let start = resume.map_or(Bound::Included(&keys.start[..]), Bound::Excluded);
    let from = resume.unwrap_or(&keys.start);
    match &keys.end[..] {
        [] if resume.is_some() => None,
        [] => Some((start, Bound::Included(&keys.start[..]))),
        [0] => Some((start, Bound::Unbounded)),
        end if from < end => Some((start, Bound::Excluded(end))),
        _ => None,
    }
}

/// Whether a range names a key.
pub(crate) fn contains(keys: &KeyRange, key: &[u8]) -> bool {
    match &keys.end[..] {
        [] => keys.start == key,
        [0] => &keys.start[..] <= key,
        end => &keys.start[..] <= key && key < end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(main: i64) -> Revision {
        Revision { main, sub: 0 }
    }

    #[test]
    fn a_key_takes_forty_bytes() {
        assert_eq!(size_of::<KeyMeta>(), 40);
    }

    #[test]
    fn versions_go_beyond_32_bits() {
        let value = |version| NewValue {
            at: revision(version),
            create_revision: 1,
            version,
            lease: 0,
            size: 0,
        };
        let mut meta = KeyMeta::first(&value(u32::MAX.into()));
        let version = i64::from(u32::MAX) + 1;
        meta.change(&value(version));
        meta.trim(version, |_| {});
        assert_eq!((meta.version(), meta.is_deleted()), (version, false));
        meta.delete(revision(version + 1));
        assert!(meta.is_deleted());
    }

    #[test]
    fn trimming_keeps_what_a_read_at_the_compact_revision_sees() {
        let mut index = Index::default();
        for main in [2, 5, 9] {
            index.put(b"k", revision(main), 0, 1);
        }
        let mut forgotten = Vec::new();
        index.trim(None, 10, 7, |row| forgotten.push(row.revision));
        assert_eq!(forgotten, [2]);
        let meta = index.get(b"k").unwrap();
        assert_eq!(meta.visible_at(7), Some(revision(5)));
        assert_eq!(meta.visible_at(4), None);
        assert!(index.refers_to(b"k", revision(5)) && !index.refers_to(b"k", revision(2)));
    }

    #[test]
    fn a_delete_stays_for_the_compact_revision_it_happened_at() {
        let mut index = Index::default();
        index.put(b"k", revision(2), 0, 1);
        index.delete(b"k", revision(3));
        index.trim(None, 10, 3, |_| {});
        assert!(index.refers_to(b"k", revision(3)));
        let mut forgotten = Vec::new();
        index.trim(None, 10, 4, |row| {
            forgotten.push((row.revision, row.tombstone))
        });
        assert_eq!(forgotten, [(3, true)]);
        assert!(index.get(b"k").is_none());
    }
}
