//! The store as simply as it can be said: a list of all changes ever made.

use std::collections::BTreeMap;

use bytes::Bytes;
use state_machine::*;

struct Change {
    at: Revision,
    key: Bytes,
    /// None for a delete.
    kv: Option<KeyValue>,
}

pub(crate) struct Model {
    changes: Vec<Change>,
    pub(crate) revision: i64,
    pub(crate) compact_revision: i64,
    leases: BTreeMap<i64, LeaseInfo>,
}

type View = BTreeMap<Bytes, KeyValue>;

fn contains(keys: &KeyRange, key: &Bytes) -> bool {
    match &keys.end[..] {
        b"" => *key == keys.start,
        b"\0" => *key >= keys.start,
        _ => *key >= keys.start && *key < keys.end,
    }
}

impl Model {
    pub(crate) fn new() -> Model {
        Model {
            changes: vec![],
            revision: 1,
            compact_revision: -1,
            leases: BTreeMap::new(),
        }
    }

    fn view(&self, revision: i64) -> View {
        let mut view = View::new();
        for change in self
            .changes
            .iter()
            .filter(|change| change.at.main <= revision)
        {
            match &change.kv {
                Some(kv) => view.insert(change.key.clone(), kv.clone()),
                None => view.remove(&change.key),
            };
        }
        view
    }

    fn writing(&self) -> bool {
        self.changes
            .last()
            .is_some_and(|change| change.at.main > self.revision)
    }

    fn push(&mut self, key: &Bytes, kv: Option<KeyValue>) {
        let main = self.revision + 1;
        let sub = self
            .changes
            .iter()
            .filter(|change| change.at.main == main)
            .count() as i64;
        self.changes.push(Change {
            at: Revision { main, sub },
            key: key.clone(),
            kv,
        });
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Outcome {
        let body = match command {
            Command::Nothing => Body::Done,
            Command::Put(put) => {
                let view = self.view(i64::MAX);
                if put.lease != 0 && !self.leases.contains_key(&put.lease) {
                    return Err(Rejection::LeaseNotFound);
                }
                if (put.ignore_value || put.ignore_lease) && !view.contains_key(&put.key) {
                    return Err(Rejection::KeyNotFound);
                }
                Body::Put(self.put(put))
            }
            Command::DeleteRange(delete) => Body::DeleteRange(self.delete(delete)),
            Command::Txn(txn) => {
                let before = self.view(self.revision);
                self.check_puts(txn, &before, &mut before.clone())?;
                self.check_ranges(txn, &before)?;
                Body::Txn(self.txn(txn, &before))
            }
            Command::Compact(compact) => {
                if compact.revision <= self.compact_revision {
                    return Err(Rejection::Compacted {
                        compact_revision: self.compact_revision,
                    });
                }
                if compact.revision > self.revision {
                    return Err(Rejection::FutureRevision);
                }
                self.compact_revision = compact.revision;
                Body::Done
            }
            Command::LeaseGrant(LeaseGrant { id, ttl_seconds }) => {
                let (id, ttl_seconds) = (*id, *ttl_seconds);
                if self.leases.contains_key(&id) {
                    return Err(Rejection::LeaseExists);
                }
                self.leases.insert(
                    id,
                    LeaseInfo {
                        id,
                        ttl_seconds,
                        remaining_seconds: 0,
                    },
                );
                Body::LeaseGrant { id, ttl_seconds }
            }
            Command::LeaseRevoke(LeaseRevoke { id }) => {
                self.leases.remove(id).ok_or(Rejection::LeaseNotFound)?;
                for (key, kv) in self.view(i64::MAX) {
                    if kv.lease == *id {
                        self.push(&key, None);
                    }
                }
                Body::Done
            }
            Command::LeaseCheckpoint(checkpoints) => {
                for checkpoint in checkpoints {
                    if let Some(lease) = self.leases.get_mut(&checkpoint.id) {
                        lease.remaining_seconds = checkpoint.remaining_seconds;
                    }
                }
                Body::Done
            }
            _ => unreachable!("not generated"),
        };
        self.revision += i64::from(self.writing());
        Ok(Response {
            revision: self.revision,
            body,
        })
    }

    fn put(&mut self, put: &Put) -> PutResponse {
        let before = self.view(i64::MAX).remove(&put.key);
        let mod_revision = self.revision + 1;
        let mut kv = KeyValue {
            key: put.key.clone(),
            create_revision: before
                .as_ref()
                .map_or(mod_revision, |before| before.create_revision),
            mod_revision,
            version: before.as_ref().map_or(1, |before| before.version + 1),
            value: put.value.clone(),
            lease: put.lease,
        };
        if put.ignore_value {
            kv.value = before.as_ref().unwrap().value.clone();
        }
        if put.ignore_lease {
            kv.lease = before.as_ref().unwrap().lease;
        }
        self.push(&put.key, Some(kv));
        PutResponse {
            prev_kv: before
                .filter(|_| put.prev_kv)
                .map(|kv| encode_key_value(&kv)),
        }
    }

    fn delete(&mut self, delete: &DeleteRange) -> DeleteRangeResponse {
        let mut response = DeleteRangeResponse::default();
        for (key, kv) in self.view(i64::MAX) {
            if contains(&delete.keys, &key) {
                self.push(&key, None);
                response.deleted += 1;
                if delete.prev_kv {
                    response.prev_kvs.push(encode_key_value(&kv));
                }
            }
        }
        response
    }

    fn ops<'a>(txn: &'a Txn, before: &View) -> (bool, &'a [Op]) {
        let succeeded = txn.compares.iter().all(|compare| holds(compare, before));
        (
            succeeded,
            if succeeded {
                &txn.success
            } else {
                &txn.failure
            },
        )
    }

    /// `left` is the view as deletes alone would leave it.
    fn check_puts(&self, txn: &Txn, before: &View, left: &mut View) -> Result<(), Rejection> {
        for op in Self::ops(txn, before).1 {
            match op {
                Op::Txn(nested) => self.check_puts(nested, before, left)?,
                Op::DeleteRange(delete) => left.retain(|key, _| !contains(&delete.keys, key)),
                Op::Put(put) => {
                    if (put.ignore_value || put.ignore_lease) && !left.contains_key(&put.key) {
                        return Err(Rejection::KeyNotFound);
                    }
                    if put.lease != 0 && !self.leases.contains_key(&put.lease) {
                        return Err(Rejection::LeaseNotFound);
                    }
                }
                Op::Range(_) => {}
            }
        }
        Ok(())
    }

    fn check_ranges(&self, txn: &Txn, before: &View) -> Result<(), Rejection> {
        for op in Self::ops(txn, before).1 {
            match op {
                Op::Txn(nested) => self.check_ranges(nested, before)?,
                Op::Range(range) if range.revision == 0 => {}
                Op::Range(range) if range.revision > self.revision => {
                    return Err(Rejection::FutureRevision);
                }
                Op::Range(range) if range.revision < self.compact_revision => {
                    return Err(Rejection::Compacted {
                        compact_revision: self.compact_revision,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn txn(&mut self, txn: &Txn, before: &View) -> TxnResponse {
        let (succeeded, ops) = Self::ops(txn, before);
        let mut responses = Vec::new();
        for op in ops {
            let mut response = match op {
                Op::Txn(nested) => OpResponse::Txn {
                    revision: 0,
                    response: self.txn(nested, before),
                },
                Op::Put(put) => OpResponse::Put {
                    revision: 0,
                    response: self.put(put),
                },
                Op::DeleteRange(delete) => OpResponse::DeleteRange {
                    revision: 0,
                    response: self.delete(delete),
                },
                Op::Range(range) => {
                    let at = if range.revision > 0 {
                        range.revision
                    } else {
                        i64::MAX
                    };
                    OpResponse::Range {
                        revision: 0,
                        response: self.range_at(range, at),
                    }
                }
            };
            let header = self.revision + i64::from(self.writing());
            match &mut response {
                OpResponse::Txn { .. } => {}
                OpResponse::Put { revision, .. }
                | OpResponse::DeleteRange { revision, .. }
                | OpResponse::Range { revision, .. } => *revision = header,
            }
            responses.push(response);
        }
        TxnResponse {
            succeeded,
            responses,
        }
    }

    pub(crate) fn range(&self, range: &Range) -> Result<(i64, RangeResponse), Rejection> {
        if range.revision > self.revision {
            return Err(Rejection::FutureRevision);
        }
        if range.revision > 0 && range.revision < self.compact_revision {
            return Err(Rejection::Compacted {
                compact_revision: self.compact_revision,
            });
        }
        let at = if range.revision > 0 {
            range.revision
        } else {
            self.revision
        };
        Ok((self.revision, self.range_at(range, at)))
    }

    fn range_at(&self, range: &Range, at: i64) -> RangeResponse {
        let mut kvs: Vec<KeyValue> = self.view(at).into_values().collect();
        kvs.retain(|kv| contains(&range.keys, &kv.key));
        let count = kvs.len() as i64;
        if range.count_only {
            return RangeResponse {
                kvs: vec![],
                more: false,
                count,
            };
        }
        let bounds = [
            (range.min_mod_revision, range.max_mod_revision),
            (range.min_create_revision, range.max_create_revision),
        ];
        let limit = if range.limit > 0 {
            range.limit as usize
        } else {
            usize::MAX
        };
        if range.sort_order == SortOrder::None && bounds == [(0, 0); 2] {
            kvs.truncate(limit.saturating_add(1));
        }
        let within = |number, (min, max)| number >= min && (max == 0 || number <= max);
        kvs.retain(|kv| {
            within(kv.mod_revision, bounds[0]) && within(kv.create_revision, bounds[1])
        });
        kvs.sort_by(|a, b| {
            let ascending = match range.sort_target {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            };
            if range.sort_order == SortOrder::Descend {
                ascending.reverse()
            } else {
                ascending
            }
        });
        let more = kvs.len() > limit;
        kvs.truncate(limit);
        if range.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value = Bytes::new());
        }
        RangeResponse {
            kvs: kvs.iter().map(encode_key_value).collect(),
            more,
            count,
        }
    }

    pub(crate) fn history(&self, from: i64) -> Vec<RevisionEvents> {
        let mut found = Vec::new();
        for revision in from..=self.revision {
            let changes = self.changes.iter().filter(|change| {
                let superseded = |other: &Change| {
                    other.key == change.key
                        && other.at > change.at
                        && other.at.main <= self.compact_revision
                };
                change.at.main == revision && !self.changes.iter().any(superseded)
            });
            let events: Vec<Event> = changes.map(|change| self.event(change)).collect();
            if !events.is_empty() {
                found.push(RevisionEvents {
                    revision,
                    events: events.into(),
                });
            }
        }
        found
    }

    fn event(&self, change: &Change) -> Event {
        let mod_revision = change.at.main;
        let deleted = KeyValue {
            key: change.key.clone(),
            mod_revision,
            ..KeyValue::default()
        };
        let kv = change.kv.clone().unwrap_or(deleted);
        let created = kv.create_revision == mod_revision;
        let earlier = mod_revision - 1;
        let mut before = self
            .changes
            .iter()
            .filter(|old| old.key == change.key && old.at.main <= earlier);
        let prev = before
            .next_back()
            .filter(|old| old.kv.is_some() && !created && earlier >= self.compact_revision);
        Event {
            kind: if change.kv.is_some() {
                EventKind::Put
            } else {
                EventKind::Delete
            },
            key: change.key.clone(),
            kv: encode_key_value(&kv),
            created,
            prev: prev.map(|old| old.at),
        }
    }

    /// Rows as etcd stores them, without those that a compaction takes away.
    pub(crate) fn hash_kv(&self, revision: i64) -> u32 {
        let settled = self.view(revision);
        let mut hash = crc32c::crc32c(b"key");
        for change in self
            .changes
            .iter()
            .filter(|change| change.at.main <= revision)
        {
            if change.at.main <= self.compact_revision
                && settled.get(&change.key) != change.kv.as_ref()
            {
                continue;
            }
            if change.at.main <= self.compact_revision && change.kv.is_none() {
                continue;
            }
            let mut row = change.at.main.to_be_bytes().to_vec();
            row.push(b'_');
            row.extend(change.at.sub.to_be_bytes());
            let deleted = KeyValue {
                key: change.key.clone(),
                ..KeyValue::default()
            };
            row.extend(change.kv.is_none().then_some(b't'));
            row.extend_from_slice(&encode_key_value(change.kv.as_ref().unwrap_or(&deleted)).0);
            hash = crc32c::crc32c_append(hash, &row);
        }
        hash
    }

    pub(crate) fn leases(&self) -> Vec<(LeaseInfo, Vec<Bytes>)> {
        let view = self.view(i64::MAX);
        let keys = |id: i64| {
            view.values()
                .filter(move |kv| kv.lease == id)
                .map(|kv| kv.key.clone())
        };
        self.leases
            .values()
            .map(|lease| (*lease, keys(lease.id).collect()))
            .collect()
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.view(i64::MAX)
            .values()
            .map(|kv| (kv.key.len() + kv.value.len()) as u64)
            .sum()
    }
}

fn holds(compare: &Compare, view: &View) -> bool {
    let mut kvs: Vec<KeyValue> = view.values().cloned().collect();
    kvs.retain(|kv| contains(&compare.keys, &kv.key));
    if kvs.is_empty() {
        if matches!(compare.operand, Operand::Value(_)) {
            return false;
        }
        kvs.push(KeyValue::default());
    }
    kvs.iter().all(|kv| {
        let ordering = match &compare.operand {
            Operand::Version(number) => kv.version.cmp(number),
            Operand::CreateRevision(number) => kv.create_revision.cmp(number),
            Operand::ModRevision(number) => kv.mod_revision.cmp(number),
            Operand::Value(value) => kv.value.cmp(value),
            Operand::Lease(number) => kv.lease.cmp(number),
        };
        match compare.result {
            CompareResult::Equal => ordering.is_eq(),
            CompareResult::Greater => ordering.is_gt(),
            CompareResult::Less => ordering.is_lt(),
            CompareResult::NotEqual => ordering.is_ne(),
        }
    })
}
