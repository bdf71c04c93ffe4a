//! One revision as one transaction, with comparisons that let it happen once and in its place alone.

use std::collections::BTreeSet;

use bytes::Bytes;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};

use super::revision::{Change, Revision};

/// A key whose newest change is that of a revision: that it has this `mod_revision` shows that the revision is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) key: Bytes,
    pub(super) revision: i64,
}

/// What a revision leaves behind, if it puts a key and does not delete it again.
pub(super) fn trace(revision: &Revision) -> Option<Trace> {
    let mut deleted = BTreeSet::new();
    for change in revision.changes.iter().rev() {
        match change {
            Change::Delete { key } => {
                deleted.insert(key);
            }
            Change::Put { key, .. } if !deleted.contains(key) => {
                return Some(Trace {
                    key: key.clone(),
                    revision: revision.number,
                });
            }
            Change::Put { .. } => {}
        }
    }
    None
}

/// The transaction of a revision that follows the one with the trace. None when it is more than `operations_max` allow.
pub(super) fn transaction(
    revision: &Revision,
    before: Option<&Trace>,
    operations_max: usize,
) -> Option<TxnRequest> {
    let operations = revision.changes.iter().map(operation).collect();
    transaction_of(revision, operations, before, operations_max)
}

/// The same with operations that come to what the revision changes.
pub(super) fn transaction_of(
    revision: &Revision,
    operations: Vec<Request>,
    before: Option<&Trace>,
    operations_max: usize,
) -> Option<TxnRequest> {
    let follows = before.map(|trace| {
        let union = TargetUnion::ModRevision(trace.revision);
        compare(&trace.key, CompareResult::Equal, CompareTarget::Mod, union)
    });
    Some(TxnRequest {
        compare: follows.into_iter().chain(is_not_there(revision)).collect(),
        success: pack(operations, operations_max)?,
        failure: Vec::new(),
    })
}

/// Holds until the revision is there, so that a copy of the request that comes late does nothing.
fn is_not_there(revision: &Revision) -> Option<Compare> {
    if let Some(trace) = trace(revision) {
        let union = TargetUnion::ModRevision(revision.number);
        return Some(compare(
            &trace.key,
            CompareResult::Less,
            CompareTarget::Mod,
            union,
        ));
    }
    let mut put = BTreeSet::new();
    for change in &revision.changes {
        match change {
            Change::Put { key, .. } => {
                put.insert(key);
            }
            // It was there before the revision.
            Change::Delete { key } if !put.contains(key) => {
                let union = TargetUnion::Version(0);
                return Some(compare(
                    key,
                    CompareResult::Greater,
                    CompareTarget::Version,
                    union,
                ));
            }
            Change::Delete { .. } => {}
        }
    }
    None
}

fn compare(
    key: &Bytes,
    result: CompareResult,
    target: CompareTarget,
    union: TargetUnion,
) -> Compare {
    Compare {
        result: result.into(),
        target: target.into(),
        key: key.clone(),
        target_union: Some(union),
        ..Compare::default()
    }
}

fn operation(change: &Change) -> Request {
    match change {
        Change::Put { key, value, lease } => Request::RequestPut(PutRequest {
            key: key.clone(),
            value: value.clone(),
            lease: *lease,
            ..PutRequest::default()
        }),
        Change::Delete { key } => delete(key.clone(), Bytes::new()),
    }
}

pub(super) fn delete(key: Bytes, range_end: Bytes) -> Request {
    Request::RequestDeleteRange(DeleteRangeRequest {
        key,
        range_end,
        ..DeleteRangeRequest::default()
    })
}

/// Operations in their order, in nested transactions when there are too many for one list. A delete of a key that is put
/// in the same revision stands in a later nested transaction, the one way in which servers take it.
fn pack(operations: Vec<Request>, operations_max: usize) -> Option<Vec<RequestOp>> {
    let wrap = |request| RequestOp {
        request: Some(request),
    };
    if operations.len() <= operations_max && !deletes_what_it_puts(&operations) {
        return Some(operations.into_iter().map(wrap).collect());
    }
    // A nested transaction has what the outer one leaves of the limit, so no more than this fits.
    if operations.len() > operations_max * operations_max / 4 {
        return None;
    }
    let groups = (1..operations_max).find_map(|outer| {
        let groups = groups(&operations, operations_max - outer);
        (groups.len() <= outer).then_some(groups)
    })?;
    let mut operations = operations.into_iter();
    let nested = groups.into_iter().map(|length| {
        let success = operations.by_ref().take(length).map(wrap).collect();
        wrap(Request::RequestTxn(TxnRequest {
            success,
            ..TxnRequest::default()
        }))
    });
    Some(nested.collect())
}

fn deletes_what_it_puts(operations: &[Request]) -> bool {
    groups(operations, usize::MAX).len() > 1
}

/// The lengths of groups no longer than `length_max`, each without a delete of what it puts.
fn groups(operations: &[Request], length_max: usize) -> Vec<usize> {
    let mut groups = Vec::new();
    let (mut length, mut put) = (0, BTreeSet::new());
    for operation in operations {
        let ends = match operation {
            Request::RequestDeleteRange(delete) if delete.range_end.is_empty() => {
                put.contains(&delete.key)
            }
            _ => false,
        };
        if ends || length == length_max {
            groups.push(length);
            length = 0;
            put.clear();
        }
        if let Request::RequestPut(request) = operation {
            put.insert(&request.key);
        }
        length += 1;
    }
    groups.push(length);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str) -> Change {
        Change::Put {
            key: key.to_owned().into(),
            value: Bytes::new(),
            lease: 0,
        }
    }

    fn del(key: &str) -> Change {
        Change::Delete {
            key: key.to_owned().into(),
        }
    }

    fn revision(changes: Vec<Change>) -> Revision {
        Revision {
            number: 9,
            changes,
            bytes: 0,
            room: None,
        }
    }

    /// The shape of a transaction: how many operations in each list, a number below 0 for one that is not nested.
    fn shape(transaction: &TxnRequest) -> Vec<i64> {
        let length = |operation: &RequestOp| match &operation.request {
            Some(Request::RequestTxn(nested)) => i64::try_from(nested.success.len()).unwrap(),
            _ => -1,
        };
        transaction.success.iter().map(length).collect()
    }

    #[test]
    fn the_last_put_that_stays_is_the_trace() {
        let key = |changes| trace(&revision(changes)).map(|trace| trace.key);
        assert_eq!(
            key(vec![put("a"), put("b"), del("b"), del("c")]),
            Some("a".into())
        );
        assert_eq!(key(vec![put("b"), del("b")]), None);
        assert_eq!(key(vec![del("b")]), None);
    }

    #[test]
    fn a_revision_happens_behind_the_one_before_and_once() {
        let before = Trace {
            key: "x".into(),
            revision: 8,
        };
        let compares = |changes| {
            let request = transaction(&revision(changes), Some(&before), 128).unwrap();
            let said = request.compare.iter().map(|compare| {
                let key = String::from_utf8_lossy(&compare.key).into_owned();
                (
                    key,
                    compare.result().as_str_name(),
                    compare.target().as_str_name(),
                )
            });
            said.collect::<Vec<_>>()
        };
        let follows = ("x".to_owned(), "EQUAL", "MOD");
        let puts = [follows.clone(), ("a".to_owned(), "LESS", "MOD")];
        assert_eq!(compares(vec![put("a")]), puts);
        let deletes = [follows.clone(), ("a".to_owned(), "GREATER", "VERSION")];
        assert_eq!(compares(vec![del("a")]), deletes);
        assert_eq!(compares(vec![put("a"), del("a")]), [follows]);
    }

    #[test]
    fn many_operations_are_nested_within_the_limit() {
        let keys = |count: usize| (0..count).map(|key| put(&format!("{key}"))).collect();
        let shape_of = |count| Some(shape(&transaction(&revision(keys(count)), None, 8)?));
        assert_eq!(shape_of(8).unwrap(), [-1; 8]);
        assert_eq!(shape_of(9).unwrap(), [6, 3]);
        assert_eq!(shape_of(16).unwrap(), [4; 4]);
        assert_eq!(shape_of(17), None);
    }

    #[test]
    fn a_delete_of_what_is_put_stands_in_a_later_transaction() {
        let changes = vec![put("a"), del("b"), del("a"), put("c")];
        let request = transaction(&revision(changes), None, 128).unwrap();
        assert_eq!(shape(&request), [2, 2]);
    }
}
