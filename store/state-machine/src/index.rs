//! Every key in order, with the revisions at which it can still be read.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::command::KeyRange;
use crate::outcome::Revision;
use crate::values::SlotNumber;

/// What is known of one key without looking at the disk. Kept small: there may be millions.
pub(crate) struct KeyMeta {
    main: i64,
    create_revision: i64,
    /// 0 when the newest change is a delete.
    version: i64,
    sub: u32,
    slot: AtomicU32,
    /// Key and value of the newest change.
    size: u32,
    rare: Option<Box<Rare>>,
}

/// What most keys do not have.
#[derive(Default)]
struct Rare {
    lease: i64,
    /// Changes before the newest one, oldest first.
    older: Vec<Past>,
}

struct Past {
    main: i64,
    sub: u32,
    tombstone: bool,
}

impl Past {
    fn at(&self) -> Revision {
        Revision { main: self.main, sub: i64::from(self.sub) }
    }
}

fn small_sub(at: Revision) -> u32 {
    u32::try_from(at.sub).expect("a revision has fewer than 2^32 changes")
}

/// A put as the index stores it.
pub(crate) struct NewValue {
    pub(crate) at: Revision,
    pub(crate) create_revision: i64,
    pub(crate) version: i64,
    pub(crate) lease: i64,
    /// Bytes of key and value.
    pub(crate) size: usize,
}

impl KeyMeta {
    fn absent(at: Revision) -> KeyMeta {
        let slot = AtomicU32::new(0);
        let (main, sub) = (at.main, small_sub(at));
        KeyMeta { main, create_revision: 0, version: 0, sub, slot, size: 0, rare: None }
    }

    /// A key whose first known change is `value`.
    pub(crate) fn first(value: &NewValue) -> KeyMeta {
        let mut meta = KeyMeta::absent(value.at);
        meta.set_newest(value);
        meta
    }

    /// A key whose first known change is a delete.
    pub(crate) fn first_deleted(at: Revision) -> KeyMeta {
        KeyMeta::absent(at)
    }

    pub(crate) fn newest(&self) -> Revision {
        Revision { main: self.main, sub: i64::from(self.sub) }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.version == 0
    }

    pub(crate) fn create_revision(&self) -> i64 {
        self.create_revision
    }

    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    pub(crate) fn lease(&self) -> i64 {
        self.rare.as_ref().map_or(0, |rare| rare.lease)
    }

    pub(crate) fn size(&self) -> u64 {
        u64::from(self.size)
    }

    pub(crate) fn slot(&self) -> SlotNumber {
        self.slot.load(Ordering::Relaxed)
    }

    pub(crate) fn set_slot(&self, slot: SlotNumber) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    fn older(&self) -> &[Past] {
        self.rare.as_ref().map_or(&[], |rare| &rare.older)
    }

    fn set_newest(&mut self, value: &NewValue) {
        self.main = value.at.main;
        self.sub = small_sub(value.at);
        self.create_revision = value.create_revision;
        self.version = value.version;
        self.size = u32::try_from(value.size).expect("a request is far smaller than 4 GiB");
        self.set_lease(value.lease);
    }

    fn set_lease(&mut self, lease: i64) {
        if lease != 0 {
            self.rare.get_or_insert_default().lease = lease;
        } else if let Some(rare) = &mut self.rare {
            rare.lease = 0;
        }
    }

    pub(crate) fn change(&mut self, value: &NewValue) {
        self.remember_newest();
        self.set_newest(value);
    }

    pub(crate) fn delete(&mut self, at: Revision) {
        self.remember_newest();
        self.main = at.main;
        self.sub = small_sub(at);
        self.create_revision = 0;
        self.version = 0;
        self.size = 0;
        self.set_lease(0);
        self.set_slot(0);
    }

    fn remember_newest(&mut self) {
        let past = Past { main: self.main, sub: self.sub, tombstone: self.is_deleted() };
        self.rare.get_or_insert_default().older.push(past);
    }

    /// Where the value stands that a read at store revision `main` sees.
    pub(crate) fn visible_at(&self, main: i64) -> Option<Revision> {
        if self.main <= main {
            return (!self.is_deleted()).then(|| self.newest());
        }
        let older = self.older();
        let past = older[..older.partition_point(|past| past.main <= main)].last()?;
        (!past.tombstone).then(|| past.at())
    }

    /// Whether some read may still need the change at `at`.
    fn refers_to(&self, at: Revision) -> bool {
        self.newest() == at || self.older().binary_search_by_key(&at, |past| past.at()).is_ok()
    }

    /// Forgets what no read from `compact_revision` on can see, and tells of each forgotten change.
    /// True when nothing is left. A delete at exactly `compact_revision` stays for watches that
    /// start there, as in etcd 3.5.16.
    pub(crate) fn trim(&mut self, compact_revision: i64, mut forget: impl FnMut(Forgotten)) -> bool {
        let newest = self.main;
        if let Some(rare) = &mut self.rare {
            let settled = rare.older.partition_point(|past| past.main <= compact_revision);
            let superseded = if newest <= compact_revision {
                settled
            } else {
                let keeps_last = rare.older[..settled]
                    .last()
                    .is_some_and(|past| !past.tombstone || past.main == compact_revision);
                settled - usize::from(keeps_last)
            };
            for past in rare.older.drain(..superseded) {
                forget(Forgotten { revision: past.main, tombstone: past.tombstone });
            }
            if rare.older.is_empty() && rare.lease == 0 {
                self.rare = None;
            } else if superseded > 0 {
                rare.older.shrink_to_fit();
            }
        }
        let dead = self.is_deleted() && newest < compact_revision;
        if dead {
            forget(Forgotten { revision: newest, tombstone: true });
        }
        dead
    }
}

/// A change that no read sees any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forgotten {
    pub(crate) revision: i64,
    pub(crate) tombstone: bool,
}

/// What a change took the place of.
pub(crate) struct Before {
    /// Value that a read one revision earlier sees.
    pub(crate) visible: Option<Revision>,
    pub(crate) lease: i64,
    pub(crate) newest: Revision,
    pub(crate) slot: SlotNumber,
}

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
        Index { keys, live_keys, live_bytes }
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
        found.into_iter().flatten().map(|(key, meta)| (&**key, meta))
    }

    pub(crate) fn put(&mut self, key: &[u8], at: Revision, lease: i64, size: usize) -> (&mut KeyMeta, Before) {
        use std::collections::btree_map::Entry;
        self.live_bytes += size as u64;
        let value = |create_revision, version| NewValue { at, create_revision, version, lease, size };
        match self.keys.entry(Box::from(key)) {
            Entry::Vacant(vacant) => {
                self.live_keys += 1;
                let meta = vacant.insert(KeyMeta::first(&value(at.main, 1)));
                (meta, Before { visible: None, lease: 0, newest: Revision::default(), slot: 0 })
            }
            Entry::Occupied(occupied) => {
                let meta = occupied.into_mut();
                let before = meta.before(at);
                if meta.is_deleted() {
                    self.live_keys += 1;
                    meta.change(&value(at.main, 1));
                } else {
                    self.live_bytes -= meta.size();
                    meta.change(&value(meta.create_revision, meta.version + 1));
                }
                (meta, before)
            }
        }
    }

    /// Deletes a key that is live.
    pub(crate) fn delete(&mut self, key: &[u8], at: Revision) -> Before {
        let meta = self.keys.get_mut(key).expect("only keys found live are deleted");
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

impl KeyMeta {
    fn before(&self, at: Revision) -> Before {
        Before {
            visible: self.visible_at(at.main - 1),
            lease: self.lease(),
            newest: self.newest(),
            slot: self.slot(),
        }
    }
}

/// None for a range that holds no key.
fn bounds<'a>(keys: &'a KeyRange, resume: Option<&'a [u8]>) -> Option<(Bound<&'a [u8]>, Bound<&'a [u8]>)> {
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
