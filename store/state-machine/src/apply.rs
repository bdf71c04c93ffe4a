//! What each command does to the state: pure, but for values looked up on disk.

mod auth;
mod lease;
mod txn;

use bytes::Bytes;
use planted::Bug;

use crate::auth::Caller;
use crate::command::*;
use crate::digest::Digest;
use crate::disk::{Batch, Disk};
use crate::index::Before;
use crate::key_value::{Fields, shared_key};
use crate::machine::{Applied, Fatal};
use crate::outcome::*;
use crate::read::{self, Collected, Item, Query, Source};
use crate::state::State;
use crate::values::Values;

/// What a run has gathered so far for disk and caller.
#[derive(Default)]
pub(crate) struct RunBuffer {
    pub(crate) batch: Batch,
    pub(crate) applied: Applied,
    /// Values of the run that are not on disk yet, by revision.
    values: Vec<(Revision, Bytes)>,
    /// Changes of the revision being made.
    changes: Vec<Event>,
}

impl RunBuffer {
    /// For a run behind everything that this digest is of.
    pub(crate) fn after(digest: Digest) -> RunBuffer {
        RunBuffer {
            batch: Batch::after(digest),
            ..RunBuffer::default()
        }
    }

    /// Whether the run wrote the value at this place.
    fn wrote(&self, at: Revision) -> bool {
        self.values.binary_search_by_key(&at, |(at, _)| *at).is_ok()
    }

    /// How many revisions the run has made.
    fn revisions(&self) -> i64 {
        self.applied.events.len() as i64
    }
}

/// Applies commands; holds everything they touch.
pub(crate) struct Writer<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) values: &'a mut Values,
    pub(crate) disk: &'a Disk,
    pub(crate) run: &'a mut RunBuffer,
}

/// A refusal is a result like any other; only [`Fatal`] stops.
type Attempt<T> = Result<Result<T, Rejection>, Fatal>;

impl Writer<'_> {
    pub(crate) fn apply(&mut self, command: &Command) -> Result<(), Fatal> {
        let (caller, command) = match command {
            Command::By(by) => (Some(&by.caller), &by.command),
            command => (None, command),
        };
        let body = match self.admit(caller, command) {
            Ok(()) => self.run_command(command)?,
            Err(rejection) => Err(rejection),
        };
        if let (Command::Alarm(change), Ok(_)) = (command, &body) {
            self.note_hand(*change, caller);
        }
        self.end_revision();
        let revision = self.state.revision;
        self.run
            .applied
            .outcomes
            .push(body.map(|body| Response { revision, body }));
        Ok(())
    }

    /// etcd's order: alarms, then permissions.
    fn admit(&self, caller: Option<&Caller>, command: &Command) -> Result<(), Rejection> {
        self.gate(command)?;
        self.authorize(caller, command)
    }

    /// What alarms forbid. etcd's corrupt applier lets alarms and checkpoints through.
    fn gate(&self, command: &Command) -> Result<(), Rejection> {
        if self.state.alarms.is_empty() {
            return Ok(());
        }
        let passes = matches!(
            command,
            Command::Alarm(_)
                | Command::Downgrade(_)
                | Command::LeaseCheckpoint(_)
                | Command::Auth(_)
                | Command::Authenticate(_)
                | Command::Nothing
        );
        if self.state.has_alarm(AlarmKind::Corrupt) && !passes {
            return Err(Rejection::Corrupt);
        }
        let grows = match command {
            Command::Put(_) | Command::LeaseGrant(_) => true,
            Command::Txn(txn) => has_put(txn),
            _ => false,
        };
        if self.state.has_alarm(AlarmKind::NoSpace) && grows {
            return Err(Rejection::NoSpace);
        }
        Ok(())
    }

    fn run_command(&mut self, command: &Command) -> Attempt<Body> {
        Ok(match command {
            Command::Nothing => Ok(Body::Done),
            Command::Put(put) => match self.check_put(put) {
                Ok(()) => Ok(Body::Put(self.put(put)?)),
                Err(rejection) => Err(rejection),
            },
            Command::DeleteRange(delete) => Ok(Body::DeleteRange(self.delete_range(delete)?)),
            Command::Txn(txn) => self.txn(txn)?.map(Body::Txn),
            Command::Compact(compact) => self.compact(*compact),
            Command::LeaseGrant(grant) => self.lease_grant(*grant),
            Command::LeaseRevoke(revoke) => self.lease_revoke(*revoke),
            Command::LeaseCheckpoint(checkpoints) => {
                for checkpoint in checkpoints {
                    self.lease_checkpoint(*checkpoint);
                }
                Ok(Body::Done)
            }
            Command::Alarm(change) => Ok(Body::Alarms(self.alarm(*change))),
            Command::Downgrade(change) => self.downgrade(*change),
            Command::Auth(change) => self.auth_change(change),
            Command::Authenticate(request) => self.authenticate(request),
            Command::By(_) => unreachable!("a caller stands in front of a command once"),
        })
    }

    /// Where the next change stands.
    fn next_change(&self) -> Revision {
        let sub = self.run.changes.len() as i64;
        Revision {
            main: self.state.revision + 1,
            sub,
        }
    }

    fn end_revision(&mut self) {
        if !self.run.changes.is_empty() {
            self.state.revision += 1;
            let events = self.run.changes.drain(..).collect();
            self.run.applied.events.push(RevisionEvents {
                revision: self.state.revision,
                events,
            });
        }
    }

    /// Revision of the header of a write, inside a transaction too: that of the change if there is one.
    fn header_revision(&self) -> i64 {
        self.state.revision + i64::from(!self.run.changes.is_empty())
    }

    fn check_put(&self, put: &Put) -> Result<(), Rejection> {
        self.check_put_lease(put)?;
        self.check_put_key(put)
    }

    fn check_put_lease(&self, put: &Put) -> Result<(), Rejection> {
        let known = put.lease == 0 || self.state.leases.contains_key(&put.lease);
        if known {
            Ok(())
        } else {
            Err(Rejection::LeaseNotFound)
        }
    }

    fn check_put_key(&self, put: &Put) -> Result<(), Rejection> {
        let needs_key = put.ignore_value || put.ignore_lease;
        if needs_key && self.state.index.get_live(&put.key).is_none() {
            return Err(Rejection::KeyNotFound);
        }
        Ok(())
    }

    /// A put that passed the checks.
    fn put(&mut self, put: &Put) -> Result<PutResponse, Fatal> {
        let mut lease = put.lease;
        let mut previous = None;
        if put.prev_kv || put.ignore_value || put.ignore_lease {
            if put.ignore_lease {
                lease = self
                    .state
                    .index
                    .get_live(&put.key)
                    .expect("checked before")
                    .lease();
            }
            previous = self.newest_value(&put.key)?;
        }
        let value = match &previous {
            Some(previous) if put.ignore_value => decode(previous)?.value,
            _ => &put.value,
        };
        let at = self.next_change();
        let size = put.key.len() + value.len();
        let (meta, before) = self.state.index.put(&put.key, at, lease, size);
        let (create_revision, version) = (meta.create_revision(), meta.version());
        let mod_revision = at.main;
        let key = &put.key[..];
        let kv = Fields {
            key,
            create_revision,
            mod_revision,
            version,
            value,
            lease,
        }
        .encode();
        meta.set_slot(
            self.values
                .insert(at, kv.clone(), (before.slot, before.newest)),
        );
        self.state.move_lease(key, before.lease, lease);
        self.run.batch.writer(self.disk).value(at, &kv);
        self.run.values.push((at, kv.clone()));
        let created = create_revision == mod_revision;
        self.run.changes.push(Event {
            kind: EventKind::Put,
            key: shared_key(&kv, key),
            kv: EncodedKeyValue(kv),
            created,
            // A key may be deleted and made again in one revision.
            prev: before.visible.filter(|_| !created),
        });
        Ok(PutResponse {
            prev_kv: previous.filter(|_| put.prev_kv).map(EncodedKeyValue),
        })
    }

    fn newest_value(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal> {
        let keys = KeyRange {
            start: Bytes::copy_from_slice(key),
            end: Bytes::new(),
        };
        let found = self.range(&Range {
            keys,
            ..Range::default()
        })?;
        Ok(found.kvs.into_iter().next().map(|kv| kv.0))
    }

    /// A range inside a write: sees the writes before it.
    fn range(&self, range: &Range) -> Result<RangeResponse, Fatal> {
        let at = if range.revision > 0 {
            range.revision
        } else {
            // The revision being made, so that the writes before are seen.
            self.state.revision + i64::from(!planted::is_on(Bug::TxnReadsBefore))
        };
        read::range(self, range, at, read::Count::Range)
    }

    fn delete_range(&mut self, delete: &DeleteRange) -> Result<DeleteRangeResponse, Fatal> {
        let mut prev_kvs = Vec::new();
        if delete.prev_kv {
            prev_kvs = self
                .range(&Range {
                    keys: delete.keys.clone(),
                    ..Range::default()
                })?
                .kvs;
        }
        let found = self.state.index.range(&delete.keys, None);
        let mut keys: Vec<Box<[u8]>> = found
            .filter(|(_, meta)| !meta.is_deleted())
            .map(|(key, _)| Box::from(key))
            .collect();
        if planted::is_on(Bug::HashOrder) {
            keys = in_hash_order(keys);
        }
        for key in &keys {
            self.delete_key(key);
        }
        Ok(DeleteRangeResponse {
            deleted: keys.len() as i64,
            prev_kvs,
        })
    }

    fn delete_key(&mut self, key: &[u8]) {
        let at = self.next_change();
        let Before {
            visible,
            lease,
            newest,
            slot,
        } = self.state.index.delete(key, at);
        self.values.remove(slot, newest);
        self.state.move_lease(key, lease, 0);
        let row = Fields {
            key,
            ..Fields::default()
        }
        .encode();
        if !(planted::is_on(Bug::TombstoneElided) && self.run.wrote(newest)) {
            self.run.batch.writer(self.disk).tombstone(at, &row);
        }
        let kv = Fields {
            key,
            mod_revision: at.main,
            ..Fields::default()
        }
        .encode();
        self.run.changes.push(Event {
            kind: EventKind::Delete,
            key: shared_key(&kv, key),
            kv: EncodedKeyValue(kv),
            created: false,
            prev: visible,
        });
    }

    /// Whether the release may be gone back to is for whoever proposes it; that there is one downgrade at a time is
    /// decided here.
    fn downgrade(&mut self, change: DowngradeChange) -> Result<Body, Rejection> {
        let target = match (change, self.state.downgrade) {
            (DowngradeChange::Enable(_), Some(_)) => return Err(Rejection::DowngradeInProgress),
            (DowngradeChange::Cancel, None) => return Err(Rejection::NoDowngrade),
            (DowngradeChange::Enable(target), None) => Some(target),
            (DowngradeChange::Cancel, Some(_)) => None,
        };
        self.state.downgrade = target;
        self.run.batch.writer(self.disk).downgrade(target);
        Ok(Body::Done)
    }

    fn compact(&mut self, compact: Compact) -> Result<Body, Rejection> {
        let compact_revision = self.state.compact_revision;
        if compact.revision <= compact_revision {
            return Err(Rejection::Compacted { compact_revision });
        }
        if compact.revision > self.state.revision {
            return Err(Rejection::FutureRevision);
        }
        self.state.compact_revision = compact.revision;
        self.run
            .batch
            .writer(self.disk)
            .compact_revision(compact.revision);
        Ok(Body::Done)
    }
}

/// The order of a hash table, which differs from process to process.
#[expect(
    clippy::disallowed_types,
    reason = "what the lint forbids is what this bug does"
)]
fn in_hash_order(keys: Vec<Box<[u8]>>) -> Vec<Box<[u8]>> {
    let table: std::collections::HashSet<_> = keys.into_iter().collect();
    table.into_iter().collect()
}

fn has_put(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).any(|op| match op {
        Op::Put(_) => true,
        Op::Txn(nested) => has_put(nested),
        Op::Range(_) | Op::DeleteRange(_) => false,
    })
}

fn decode(kv: &Bytes) -> Result<Fields<'_>, Fatal> {
    Fields::decode(kv).map_err(|error| Fatal::Damaged(format!("a key-value: {error}")))
}

/// Reads inside a write see the run's own changes.
impl Source for Writer<'_> {
    type Error = Fatal;

    fn collect(&self, query: &Query<'_>, at: i64) -> Result<Collected, Fatal> {
        let mut collected = Collected::default();
        let whole = (None, usize::MAX);
        read::collect(
            (&self.state.index, self.values),
            query,
            at,
            whole,
            &mut collected,
        );
        Ok(collected)
    }

    fn fill(&self, items: &mut [Item]) -> Result<(), Fatal> {
        for item in items.iter_mut().filter(|item| item.kv.is_none()) {
            let of_run = self
                .run
                .values
                .binary_search_by_key(&item.at, |(at, _)| *at);
            item.kv = match of_run {
                Ok(position) => Some(self.run.values[position].1.clone()),
                Err(_) => self.disk.value(item.at)?,
            };
            if item.kv.is_none() {
                return Err(Fatal::Damaged(format!(
                    "the value at {:?} is missing",
                    item.at
                )));
            }
        }
        Ok(())
    }
}
