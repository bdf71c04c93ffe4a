//! A revision with more changes than a transaction may have: one that came of a delete of a range, or of a lease's end.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{LeaseRevokeRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest};

use super::leases::Leases;
use super::revision::{Change, Revision};
use super::side::{Connection, revision_of, stop};
use super::transaction::{delete, transaction_of};

/// Keys of the target read at a time.
const PAGE_KEYS: i64 = 10_000;

/// Brings a revision to the target, to which nothing else is under way; the revision that it got there.
pub(super) async fn bring(
    target: &Connection,
    revision: &Revision,
    leases: &Leases,
    operations_max: usize,
) -> Result<i64> {
    let operations = with_ranges(target, revision).await?;
    if let Some(request) = transaction_of(revision, operations, None, operations_max) {
        let answer = target.within(target.kv().txn(request)).await?;
        return Ok(revision_of(answer.header.as_ref()));
    }
    if let Some(lease) = lease_that_ended(target, revision).await? {
        let request = LeaseRevokeRequest { id: lease };
        let answer = target.within(target.lease().lease_revoke(request)).await?;
        leases.forget(lease);
        return Ok(revision_of(answer.header.as_ref()));
    }
    Err(stop(format!(
        "revision {} of the source has {} changes, more than the target takes in a transaction: start the target with a \
         larger --max-txn-ops, and give the same to this command",
        revision.number,
        revision.changes.len()
    )))
}

/// The changes with one operation for each range of keys that is deleted whole.
async fn with_ranges(target: &Connection, revision: &Revision) -> Result<Vec<Request>> {
    let put: BTreeSet<&Bytes> = revision
        .changes
        .iter()
        .filter(|change| matches!(change, Change::Put { .. }))
        .map(Change::key)
        .collect();
    let mut operations = Vec::new();
    let mut changes = revision.changes.iter().peekable();
    while let Some(change) = changes.next() {
        let key = match change {
            Change::Put { key, value, lease } => {
                operations.push(Request::RequestPut(PutRequest {
                    key: key.clone(),
                    value: value.clone(),
                    lease: *lease,
                    ..PutRequest::default()
                }));
                continue;
            }
            Change::Delete { key } => key,
        };
        let mut run = vec![key];
        while let Some(Change::Delete { key }) = changes.peek()
            && run.last().is_some_and(|last| *last < key)
        {
            run.push(key);
            changes.next();
        }
        for (first, last) in segments(target, &run, &put).await? {
            let range_end = if first == last {
                Bytes::new()
            } else {
                behind(last)
            };
            operations.push(delete(first.clone(), range_end));
        }
    }
    Ok(operations)
}

/// Splits ascending keys into pieces between which the target has other keys, or the revision puts some.
async fn segments<'a>(
    target: &Connection,
    run: &[&'a Bytes],
    put: &BTreeSet<&Bytes>,
) -> Result<Vec<(&'a Bytes, &'a Bytes)>> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return Ok(Vec::new());
    };
    let mut existing = Keys::within((*first).clone(), behind(last));
    let mut segments: Vec<(&Bytes, &Bytes)> = Vec::new();
    for key in run {
        // Keys that stay, from the one before up to this one.
        let mut stays = existing.next(target).await?;
        let follows = stays.as_ref() == Some(*key);
        while stays.as_ref().is_some_and(|stays| stays < *key) {
            stays = existing.next(target).await?;
        }
        match segments.last_mut() {
            Some((_, end)) if follows && put.range::<&Bytes, _>(*end..=key).next().is_none() => {
                *end = key
            }
            _ => segments.push((key, key)),
        }
    }
    Ok(segments)
}

/// Keys of the target in their order, read in pages.
struct Keys {
    from: Bytes,
    range_end: Bytes,
    page: std::vec::IntoIter<Bytes>,
    more: bool,
}

impl Keys {
    fn within(from: Bytes, range_end: Bytes) -> Keys {
        Keys {
            from,
            range_end,
            page: Vec::new().into_iter(),
            more: true,
        }
    }

    async fn next(&mut self, target: &Connection) -> Result<Option<Bytes>> {
        if self.page.len() == 0 && self.more {
            let request = RangeRequest {
                key: self.from.clone(),
                range_end: self.range_end.clone(),
                limit: PAGE_KEYS,
                keys_only: true,
                ..RangeRequest::default()
            };
            let answer = target.range(request).await?;
            self.more = answer.more;
            let keys: Vec<Bytes> = answer.kvs.into_iter().map(|pair| pair.key).collect();
            if let Some(last) = keys.last() {
                self.from = behind(last);
            }
            self.page = keys.into_iter();
        }
        Ok(self.page.next())
    }
}

/// The next possible key.
fn behind(key: &Bytes) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

/// The lease all keys of which a revision deletes, and nothing else.
async fn lease_that_ended(target: &Connection, revision: &Revision) -> Result<Option<i64>> {
    let deleted = revision.changes.iter().map(|change| match change {
        Change::Delete { key } => Some(key),
        Change::Put { .. } => None,
    });
    let Some(deleted) = deleted.collect::<Option<Vec<&Bytes>>>() else {
        return Ok(None);
    };
    let first = deleted.first().context("a revision without a change")?;
    let request = RangeRequest {
        key: (*first).clone(),
        ..RangeRequest::default()
    };
    let answer = target.range(request).await?;
    let Some(id) = answer
        .kvs
        .first()
        .map(|pair| pair.lease)
        .filter(|id| *id != 0)
    else {
        return Ok(None);
    };
    let request = LeaseTimeToLiveRequest { id, keys: true };
    let mut answer = target
        .within(target.lease().lease_time_to_live(request))
        .await?;
    answer.keys.sort_unstable();
    Ok(answer.keys.iter().eq(deleted).then_some(id))
}
