//! A store that keeps a full copy of its state for each revision: slow, plain, and written without the checker's model, so
//! that the two can disagree.

mod ranges;
mod txns;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::history::{
    Answer, Blob, Event, EventKind, Hashed, KeyValue, LeaseTime, Range, RefusalKind, Request,
    Response,
};

/// All keys at one revision.
pub(crate) type Keys = BTreeMap<Blob, KeyValue>;

#[derive(Clone, Debug)]
struct Lease {
    ttl: i64,
    /// When it runs out, in nanoseconds.
    ends_ns: u64,
}

/// A store of one copy.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    keys: Arc<Keys>,
    pub(crate) revision: i64,
    /// The states of the last revisions, the newest last.
    past: VecDeque<Arc<Keys>>,
    /// What changed in the last revisions, the newest last.
    log: VecDeque<Vec<Event>>,
    kept: usize,
    pub(crate) compacted: i64,
    leases: BTreeMap<i64, Lease>,
}

impl Store {
    /// An empty store that keeps this many revisions.
    pub(crate) fn new(kept: usize) -> Self {
        let keys = Arc::new(Keys::new());
        Self {
            past: VecDeque::from([Arc::clone(&keys)]),
            keys,
            revision: 1,
            log: VecDeque::new(),
            kept,
            compacted: 0,
            leases: BTreeMap::new(),
        }
    }

    /// All keys at a revision, if it is kept.
    pub(crate) fn at(&self, revision: i64) -> Option<&Keys> {
        let back = usize::try_from(self.revision - revision).ok()?;
        let index = self.past.len().checked_sub(back + 1)?;
        self.past.get(index).map(Arc::as_ref)
    }

    /// What changed at a revision.
    pub(crate) fn events(&self, revision: i64) -> &[Event] {
        usize::try_from(self.revision - revision)
            .ok()
            .and_then(|back| self.log.len().checked_sub(back + 1))
            .and_then(|index| self.log.get(index))
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn lease_ids(&self) -> Vec<i64> {
        self.leases.keys().copied().collect()
    }

    /// When a lease runs out, in nanoseconds.
    pub(crate) fn lease_ends_ns(&self, id: i64) -> Option<u64> {
        self.leases.get(&id).map(|lease| lease.ends_ns)
    }

    /// Does a request at a time, in nanoseconds.
    pub(crate) fn execute(
        &mut self,
        request: &Request,
        now_ns: u64,
    ) -> Result<Response, RefusalKind> {
        let answer = match request {
            Request::Range(_) | Request::Put(_) | Request::DeleteRange(_) | Request::Txn(_) => {
                self.change(request)?
            }
            Request::Compact(compact) => {
                if compact.revision <= self.compacted {
                    return Err(RefusalKind::Compacted);
                }
                if compact.revision > self.revision {
                    return Err(RefusalKind::FutureRevision);
                }
                self.compacted = compact.revision;
                Answer::Compact
            }
            Request::LeaseGrant(grant) => self.grant(grant.id, grant.ttl, now_ns)?,
            Request::LeaseRevoke(revoke) => {
                if !self.end_lease(revoke.id) {
                    return Err(RefusalKind::LeaseNotFound);
                }
                Answer::LeaseRevoke
            }
            Request::LeaseKeepAlive(keep_alive) => self.renew(keep_alive.id, now_ns),
            Request::LeaseTimeToLive(question) => {
                self.time_to_live(question.id, question.keys, now_ns)
            }
            Request::HashKv(question) => self.hash(question.revision),
        };
        Ok(Response {
            revision: self.revision,
            answer,
        })
    }

    /// A range answered from an older state, as a member that is behind does it.
    pub(crate) fn read_behind(&self, range: &Range, applied: i64) -> Option<Response> {
        let keys = self.at(applied)?;
        Some(Response {
            revision: applied,
            answer: Answer::Range(ranges::answer(range, keys)),
        })
    }

    fn change(&mut self, request: &Request) -> Result<Answer, RefusalKind> {
        let mut work = txns::Work {
            store: self,
            keys: (*self.keys).clone(),
            events: Vec::new(),
        };
        let answer = work.run(request)?;
        let (keys, events) = (work.keys, work.events);
        self.commit(keys, events);
        Ok(answer)
    }

    fn commit(&mut self, keys: Keys, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        self.revision += 1;
        self.keys = Arc::new(keys);
        self.past.push_back(Arc::clone(&self.keys));
        self.log.push_back(events);
        if self.past.len() > self.kept {
            self.past.pop_front();
            self.log.pop_front();
        }
    }

    fn grant(&mut self, id: i64, ttl: i64, now_ns: u64) -> Result<Answer, RefusalKind> {
        if self.leases.contains_key(&id) {
            return Err(RefusalKind::LeaseExists);
        }
        let ends_ns = now_ns + seconds_ns(ttl);
        self.leases.insert(id, Lease { ttl, ends_ns });
        Ok(Answer::LeaseGrant(LeaseTime {
            id,
            ttl,
            ..LeaseTime::default()
        }))
    }

    fn renew(&mut self, id: i64, now_ns: u64) -> Answer {
        let ttl = self.leases.get_mut(&id).map_or(0, |lease| {
            lease.ends_ns = now_ns + seconds_ns(lease.ttl);
            lease.ttl
        });
        Answer::LeaseKeepAlive(LeaseTime {
            id,
            ttl,
            ..LeaseTime::default()
        })
    }

    fn time_to_live(&self, id: i64, keys: bool, now_ns: u64) -> Answer {
        let Some(lease) = self.leases.get(&id) else {
            return Answer::LeaseTimeToLive(LeaseTime {
                id,
                ttl: -1,
                ..LeaseTime::default()
            });
        };
        let attached = self.keys.values().filter(|kv| keys && kv.lease == id);
        let left = lease.ends_ns.saturating_sub(now_ns) / seconds_ns(1);
        Answer::LeaseTimeToLive(LeaseTime {
            id,
            ttl: i64::try_from(left).unwrap_or(i64::MAX),
            granted_ttl: lease.ttl,
            keys: attached.map(|kv| kv.key.clone()).collect(),
        })
    }

    /// Ends a lease and deletes its keys in one revision; says whether there was one.
    pub(crate) fn end_lease(&mut self, id: i64) -> bool {
        if self.leases.remove(&id).is_none() {
            return false;
        }
        let mut keys = (*self.keys).clone();
        let revision = self.revision + 1;
        let events = keys
            .extract_if(.., |_, kv| kv.lease == id)
            .map(|(key, kv)| deleted(key, revision, kv))
            .collect();
        self.commit(keys, events);
        true
    }

    fn hash(&self, revision: i64) -> Answer {
        let at = if revision > 0 {
            revision
        } else {
            self.revision
        };
        let keys = self.at(at).unwrap_or(&self.keys);
        let mut hash: u32 = 0x811c_9dc5;
        for kv in keys.values() {
            let revision = kv.mod_revision.to_be_bytes();
            for byte in kv
                .key
                .as_slice()
                .iter()
                .chain(kv.value.as_slice())
                .chain(&revision)
            {
                hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
            }
        }
        Answer::HashKv(Hashed {
            hash,
            compact_revision: self.compacted,
            hash_revision: at,
        })
    }
}

fn deleted(key: Blob, revision: i64, before: KeyValue) -> Event {
    Event {
        kind: EventKind::Delete,
        kv: KeyValue {
            key,
            mod_revision: revision,
            ..KeyValue::default()
        },
        prev_kv: Some(before),
    }
}

pub(super) fn seconds_ns(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0) * 1_000_000_000
}
