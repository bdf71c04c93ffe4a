//! The revisions of one key.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::outcome::Revision;
use crate::values::SlotNumber;

/// What is known of one key without looking at the disk. Kept small: there may be millions.
pub(crate) struct KeyMeta {
    main: i64,
    create_revision: i64,
    /// Lower half of the version. The version is 0 when the newest change is a delete.
    version: u32,
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
    /// Upper half of the version.
    version: u32,
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
        Revision {
            main: self.main,
            sub: i64::from(self.sub),
        }
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
        KeyMeta {
            main,
            create_revision: 0,
            version: 0,
            sub,
            slot,
            size: 0,
            rare: None,
        }
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
        Revision {
            main: self.main,
            sub: i64::from(self.sub),
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.version() == 0
    }

    pub(crate) fn create_revision(&self) -> i64 {
        self.create_revision
    }

    pub(crate) fn version(&self) -> i64 {
        let upper = self.rare.as_ref().map_or(0, |rare| rare.version);
        i64::from(upper) << 32 | i64::from(self.version)
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
        self.set_version(value.version);
        self.size = u32::try_from(value.size).expect("a request is far smaller than 4 GiB");
        self.set_lease(value.lease);
    }

    fn set_version(&mut self, version: i64) {
        self.version = version as u32;
        let upper = (version >> 32) as u32;
        if upper != 0 {
            self.rare.get_or_insert_default().version = upper;
        } else if let Some(rare) = &mut self.rare {
            rare.version = 0;
        }
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
        self.set_version(0);
        self.size = 0;
        self.set_lease(0);
        self.set_slot(0);
    }

    fn remember_newest(&mut self) {
        let past = Past {
            main: self.main,
            sub: self.sub,
            tombstone: self.is_deleted(),
        };
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
    pub(super) fn refers_to(&self, at: Revision) -> bool {
        self.newest() == at
            || self
                .older()
                .binary_search_by_key(&at, |past| past.at())
                .is_ok()
    }

    /// Forgets what no read from `compact_revision` on can see, and tells of each forgotten change.
    /// True when nothing is left. A delete at exactly `compact_revision` stays for watches that
    /// start there, as in etcd 3.5.16.
    pub(crate) fn trim(
        &mut self,
        compact_revision: i64,
        mut forget: impl FnMut(Forgotten),
    ) -> bool {
        let newest = self.main;
        if let Some(rare) = &mut self.rare {
            let settled = rare
                .older
                .partition_point(|past| past.main <= compact_revision);
            let superseded = if newest <= compact_revision {
                settled
            } else {
                let keeps_last = rare.older[..settled]
                    .last()
                    .is_some_and(|past| !past.tombstone || past.main == compact_revision);
                settled - usize::from(keeps_last)
            };
            for past in rare.older.drain(..superseded) {
                forget(Forgotten {
                    revision: past.main,
                    tombstone: past.tombstone,
                });
            }
            if rare.older.is_empty() && rare.lease == 0 && rare.version == 0 {
                self.rare = None;
            } else if superseded > 0 {
                rare.older.shrink_to_fit();
            }
        }
        let dead = self.is_deleted() && newest < compact_revision;
        if dead {
            forget(Forgotten {
                revision: newest,
                tombstone: true,
            });
        }
        dead
    }

    pub(super) fn before(&self, at: Revision) -> Before {
        Before {
            visible: self.visible_at(at.main - 1),
            lease: self.lease(),
            newest: self.newest(),
            slot: self.slot(),
        }
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
