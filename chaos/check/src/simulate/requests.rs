//! What simulated clients ask for.

use crate::history::{
    Blob, Compact, Compare, CompareResult, CompareTarget, DeleteRange, HashKv, LeaseGrant,
    LeaseKeepAlive, LeaseRevoke, LeaseTimeToLive, Put, Range, Request, SortOrder, SortTarget, Txn,
};

use super::random::Random;
use super::store::Store;

/// How far back a range at an older revision looks at most.
const BACK_MAX: i64 = 60;

/// Draws requests; each value and lease id is new.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) keys: u64,
    /// Leases last this long, in seconds.
    pub(super) ttl: i64,
    pub(super) leases: bool,
    values: u64,
    lease_ids: i64,
}

impl Requests {
    pub(super) fn new(keys: u64, leases: bool) -> Self {
        Self {
            keys,
            ttl: 1,
            leases,
            values: 0,
            lease_ids: 100,
        }
    }

    pub(super) fn draw(&mut self, random: &mut Random, store: &Store) -> Request {
        match random.below(1000) {
            0..=329 => Request::Put(self.put(random, store)),
            330..=529 => Request::Range(self.get(random)),
            530..=629 => Request::Range(self.scan(random, store)),
            630..=669 => Request::Range(Range {
                revision: random.between((store.revision - BACK_MAX).max(1), store.revision + 1),
                ..self.scan_all(random)
            }),
            670..=719 => Request::Range(Range {
                serializable: true,
                ..self.get(random)
            }),
            720..=789 => Request::DeleteRange(self.delete(random)),
            790..=809 => Request::DeleteRange(DeleteRange {
                key: "k1".into(),
                range_end: "k2".into(),
                prev_kv: random.chance(500),
            }),
            810..=949 => Request::Txn(self.txn(random, store)),
            950..=955 => Request::Compact(Compact {
                revision: random.between((store.revision - BACK_MAX).max(1), store.revision),
                physical: false,
            }),
            956..=965 => Request::HashKv(HashKv {
                revision: store.revision,
            }),
            _ if self.leases => self.lease(random, store),
            _ => Request::Put(self.put(random, store)),
        }
    }

    pub(super) fn key(&self, random: &mut Random) -> Blob {
        format!("k{}", random.below(self.keys)).into()
    }

    pub(super) fn value(&mut self) -> Blob {
        self.values += 1;
        format!("v{}", self.values).into()
    }

    fn put(&mut self, random: &mut Random, store: &Store) -> Put {
        let key = self.key(random);
        if random.chance(20) {
            return Put {
                key,
                ignore_value: true,
                prev_kv: random.chance(500),
                ..Put::default()
            };
        }
        let ids = store.lease_ids();
        let leased = !ids.is_empty() && random.chance(300);
        let lease = if leased {
            ids[random.index(ids.len())]
        } else {
            0
        };
        // Some keys are written for one lease alone, so that it has several when it ends.
        let own = lease != 0 && random.chance(600);
        Put {
            key: if own {
                format!("l{lease}-{}", random.below(3)).into()
            } else {
                key
            },
            value: self.value(),
            lease,
            prev_kv: random.chance(300),
            ..Put::default()
        }
    }

    fn get(&self, random: &mut Random) -> Range {
        Range {
            key: self.key(random),
            ..Range::default()
        }
    }

    fn scan_all(&self, random: &mut Random) -> Range {
        Range {
            key: self.key(random),
            range_end: [0].as_slice().into(),
            ..Range::default()
        }
    }

    fn scan(&self, random: &mut Random, store: &Store) -> Range {
        let sort_order = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
        let sort_target = [
            SortTarget::Key,
            SortTarget::Version,
            SortTarget::Create,
            SortTarget::Mod,
            SortTarget::Value,
        ];
        let mut bound = |in_thousand| {
            if random.chance(in_thousand) {
                random.between((store.revision - BACK_MAX).max(1), store.revision)
            } else {
                0
            }
        };
        let (min_mod_revision, max_mod_revision) = (bound(100), bound(100));
        let (min_create_revision, max_create_revision) = (bound(100), bound(100));
        Range {
            limit: if random.chance(300) {
                random.between(1, 5)
            } else {
                0
            },
            sort_order: sort_order[random.index(sort_order.len())],
            sort_target: sort_target[random.index(sort_target.len())],
            keys_only: random.chance(100),
            count_only: random.chance(100),
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
            ..self.scan_all(random)
        }
    }

    fn delete(&self, random: &mut Random) -> DeleteRange {
        DeleteRange {
            key: self.key(random),
            prev_kv: random.chance(500),
            ..DeleteRange::default()
        }
    }

    fn lease(&mut self, random: &mut Random, store: &Store) -> Request {
        let ids = store.lease_ids();
        // Now and then a lease that is not there.
        let id = if ids.is_empty() || random.chance(50) {
            1
        } else {
            ids[random.index(ids.len())]
        };
        match random.below(100) {
            _ if ids.len() < 3 => {
                self.lease_ids += 1;
                Request::LeaseGrant(LeaseGrant {
                    id: self.lease_ids,
                    ttl: self.ttl,
                })
            }
            0..=29 => Request::LeaseKeepAlive(LeaseKeepAlive { id }),
            30..=59 => Request::LeaseTimeToLive(LeaseTimeToLive {
                id,
                keys: random.chance(500),
            }),
            60..=69 => Request::LeaseRevoke(LeaseRevoke { id }),
            _ => {
                self.lease_ids += 1;
                Request::LeaseGrant(LeaseGrant {
                    id: self.lease_ids,
                    ttl: self.ttl,
                })
            }
        }
    }

    fn txn(&mut self, random: &mut Random, store: &Store) -> Txn {
        let key = self.key(random);
        let read = Request::Range(Range {
            key: key.clone(),
            ..Range::default()
        });
        let put = Request::Put(Put {
            key: key.clone(),
            value: self.value(),
            prev_kv: random.chance(300),
            ..Put::default()
        });
        let found = store.keys().get(&key);
        let (revision, value) = found.map_or((0, Blob::default()), |kv| {
            (kv.mod_revision, kv.value.clone())
        });
        let compare = |target, result| Compare {
            key: key.clone(),
            range_end: Blob::default(),
            result,
            target,
        };
        let all = Request::Range(Range {
            key: "k".into(),
            range_end: "l".into(),
            ..Range::default()
        });
        let other = Request::Put(Put {
            key: format!("m{}", random.below(3)).into(),
            value: self.value(),
            ..Put::default()
        });
        let delete = Request::DeleteRange(DeleteRange {
            key: key.clone(),
            prev_kv: true,
            ..DeleteRange::default()
        });
        let stale = random.between(0, 1);
        match random.below(5) {
            0 | 1 => Txn {
                compare: vec![compare(
                    CompareTarget::Mod(revision - stale),
                    CompareResult::Equal,
                )],
                success: vec![put],
                failure: vec![read],
            },
            2 => Txn {
                compare: Vec::new(),
                success: vec![put, other, all],
                failure: Vec::new(),
            },
            3 => Txn {
                compare: vec![compare(CompareTarget::Value(value), CompareResult::Equal)],
                success: vec![delete, other, all],
                failure: vec![put],
            },
            _ => Txn {
                compare: vec![compare(CompareTarget::Version(2), CompareResult::Less)],
                success: vec![
                    read,
                    Request::Txn(Txn {
                        compare: vec![compare(CompareTarget::Create(0), CompareResult::NotEqual)],
                        success: vec![put],
                        failure: vec![other],
                    }),
                ],
                failure: vec![all, delete],
            },
        }
    }
}
