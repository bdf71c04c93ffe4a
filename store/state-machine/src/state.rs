//! All that commands change, in memory.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::auth::Auth;
use crate::command::{AlarmKind, Release};
use crate::index::Index;
use crate::machine::LeaseInfo;

/// A lease and the keys that end with it.
#[derive(Default)]
pub(crate) struct Lease {
    pub(crate) ttl_seconds: i64,
    pub(crate) remaining_seconds: i64,
    pub(crate) keys: BTreeSet<Box<[u8]>>,
}

impl Lease {
    pub(crate) fn info(&self, id: i64) -> LeaseInfo {
        LeaseInfo {
            id,
            ttl_seconds: self.ttl_seconds,
            remaining_seconds: self.remaining_seconds,
        }
    }
}

pub(crate) struct State {
    pub(crate) index: Index,
    pub(crate) leases: BTreeMap<i64, Lease>,
    pub(crate) alarms: BTreeSet<(u64, AlarmKind)>,
    /// Those of them that somebody raised, as far as this process saw it. Nothing that is applied depends on it.
    pub(crate) alarms_by_hand: BTreeSet<(u64, AlarmKind)>,
    pub(crate) auth: Auth,
    /// The release that the cluster is being taken back to.
    pub(crate) downgrade: Option<Release>,
    /// Ahead of what readers may see while a run is being stored.
    pub(crate) revision: i64,
    pub(crate) compact_revision: i64,
}

impl Default for State {
    /// etcd's store before the first write.
    fn default() -> State {
        State {
            index: Index::default(),
            leases: BTreeMap::new(),
            alarms: BTreeSet::new(),
            alarms_by_hand: BTreeSet::new(),
            auth: Auth::default(),
            downgrade: None,
            revision: 1,
            compact_revision: -1,
        }
    }
}

impl State {
    pub(crate) fn has_alarm(&self, kind: AlarmKind) -> bool {
        self.alarms.iter().any(|(_, active)| *active == kind)
    }

    pub(crate) fn lease_keys(&self, id: i64) -> Vec<Bytes> {
        let keys = self.leases.get(&id).map(|lease| &lease.keys);
        keys.into_iter()
            .flatten()
            .map(|key| Bytes::copy_from_slice(key))
            .collect()
    }

    /// Moves a key from one lease to another; 0 is none.
    pub(crate) fn move_lease(&mut self, key: &[u8], from: i64, to: i64) {
        if from == to {
            return;
        }
        if from != 0 {
            let lease = self.leases.get_mut(&from).expect("a key's lease exists");
            assert!(lease.keys.remove(key), "a key stands in its lease");
        }
        if to != 0 {
            let lease = self.leases.get_mut(&to).expect("a put's lease was checked");
            lease.keys.insert(Box::from(key));
        }
    }
}
