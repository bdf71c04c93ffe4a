//! Changes, done on a copy of the keys.

use crate::history::{
    Answer, Compare, CompareResult, CompareTarget, DeleteRange, Deleted, Event, EventKind,
    KeyValue, Put, Range, RefusalKind, Request, TxnAnswer,
};

use super::{Keys, Store, deleted, ranges};

/// A request under way.
pub(super) struct Work<'a> {
    pub(super) store: &'a Store,
    pub(super) keys: Keys,
    pub(super) events: Vec<Event>,
}

impl Work<'_> {
    pub(super) fn run(&mut self, request: &Request) -> Result<Answer, RefusalKind> {
        match request {
            Request::Range(range) => self.range(range),
            Request::Put(put) => self.put(put),
            Request::DeleteRange(delete) => Ok(self.delete(delete)),
            Request::Txn(txn) => {
                let before = &self.store.keys;
                let succeeded = txn.compare.iter().all(|compare| holds(compare, before));
                let list = if succeeded {
                    &txn.success
                } else {
                    &txn.failure
                };
                let answers = list
                    .iter()
                    .map(|request| self.run(request))
                    .collect::<Result<_, _>>()?;
                Ok(Answer::Txn(TxnAnswer { succeeded, answers }))
            }
            _ => Err(RefusalKind::Other),
        }
    }

    fn next(&self) -> i64 {
        self.store.revision + 1
    }

    fn range(&self, range: &Range) -> Result<Answer, RefusalKind> {
        if range.revision > self.store.revision {
            return Err(RefusalKind::FutureRevision);
        }
        if range.revision > 0 && range.revision < self.store.compacted {
            return Err(RefusalKind::Compacted);
        }
        if range.revision > 0 {
            let keys = self.store.at(range.revision).ok_or(RefusalKind::Other)?;
            return Ok(Answer::Range(ranges::answer(range, keys)));
        }
        Ok(Answer::Range(ranges::answer(range, &self.keys)))
    }

    fn put(&mut self, put: &Put) -> Result<Answer, RefusalKind> {
        let before = self.keys.get(&put.key).cloned();
        let mut kv = match &before {
            Some(before) => before.clone(),
            None if put.ignore_value || put.ignore_lease => return Err(RefusalKind::KeyNotFound),
            None => KeyValue {
                key: put.key.clone(),
                create_revision: self.next(),
                ..KeyValue::default()
            },
        };
        if !put.ignore_value {
            kv.value = put.value.clone();
        }
        if !put.ignore_lease {
            if put.lease != 0 && !self.store.leases.contains_key(&put.lease) {
                return Err(RefusalKind::LeaseNotFound);
            }
            kv.lease = put.lease;
        }
        kv.mod_revision = self.next();
        kv.version += 1;
        self.keys.insert(put.key.clone(), kv.clone());
        self.events.push(Event {
            kind: EventKind::Put,
            kv,
            prev_kv: before.clone(),
        });
        Ok(Answer::Put {
            prev_kv: before.filter(|_| put.prev_kv),
        })
    }

    fn delete(&mut self, delete: &DeleteRange) -> Answer {
        let revision = self.next();
        let gone: Vec<KeyValue> = self
            .keys
            .extract_if(.., |key, _| {
                ranges::holds(&delete.key, &delete.range_end, key)
            })
            .map(|(_, kv)| kv)
            .collect();
        for kv in &gone {
            self.events
                .push(deleted(kv.key.clone(), revision, kv.clone()));
        }
        Answer::DeleteRange(Deleted {
            deleted: i64::try_from(gone.len()).expect("few keys"),
            prev_kvs: if delete.prev_kv { gone } else { Vec::new() },
        })
    }
}

fn holds(compare: &Compare, keys: &Keys) -> bool {
    let mut found: Vec<KeyValue> = keys
        .values()
        .filter(|kv| ranges::holds(&compare.key, &compare.range_end, &kv.key))
        .cloned()
        .collect();
    if found.is_empty() {
        if matches!(compare.target, CompareTarget::Value(_)) {
            return false;
        }
        found.push(KeyValue::default());
    }
    found.iter().all(|kv| {
        let order = match &compare.target {
            CompareTarget::Version(than) => kv.version.cmp(than),
            CompareTarget::Create(than) => kv.create_revision.cmp(than),
            CompareTarget::Mod(than) => kv.mod_revision.cmp(than),
            CompareTarget::Lease(than) => kv.lease.cmp(than),
            CompareTarget::Value(than) => kv.value.cmp(than),
        };
        match compare.result {
            CompareResult::Equal => order.is_eq(),
            CompareResult::NotEqual => order.is_ne(),
            CompareResult::Greater => order.is_gt(),
            CompareResult::Less => order.is_lt(),
        }
    })
}
