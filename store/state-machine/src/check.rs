//! etcd's checks on the shape of a transaction, made before it is proposed.

use std::collections::BTreeSet;

use crate::command::{KeyRange, Op, Txn};

/// Why a transaction may not be proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    #[error("too many operations in txn request")]
    TooManyOperations,
    #[error("duplicate key given in txn request")]
    DuplicateKey,
}

/// Checks the number of operations (nested transactions get what the outer ones left of
/// `operations_max`), and that no branch puts one key twice or puts a key it deletes.
pub fn check_txn(txn: &Txn, operations_max: usize) -> Result<(), TxnError> {
    check_operations(txn, operations_max)?;
    check_branch(&txn.success)?;
    check_branch(&txn.failure)?;
    Ok(())
}

fn check_operations(txn: &Txn, operations_max: usize) -> Result<(), TxnError> {
    let operations = txn
        .compares
        .len()
        .max(txn.success.len())
        .max(txn.failure.len());
    let left = operations_max
        .checked_sub(operations)
        .ok_or(TxnError::TooManyOperations)?;
    for op in txn.success.iter().chain(&txn.failure) {
        if let Op::Txn(nested) = op {
            check_operations(nested, left)?;
        }
    }
    Ok(())
}

/// What a branch writes, whichever way its nested transactions go.
#[derive(Default)]
struct Writes<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Vec<&'a KeyRange>,
}

impl<'a> Writes<'a> {
    fn put(&mut self, key: &'a [u8]) -> Result<(), TxnError> {
        let deleted = self.deletes.iter().any(|range| deletes(range, key));
        if deleted || !self.puts.insert(key) {
            Err(TxnError::DuplicateKey)
        } else {
            Ok(())
        }
    }
}

/// etcd takes the end `\0` of a delete literally here: "every key from start on" overlaps no put.
fn deletes(range: &KeyRange, key: &[u8]) -> bool {
    if range.end.is_empty() {
        range.start == key
    } else {
        range.start <= key && key < &range.end[..]
    }
}

/// etcd's `checkIntervals`, with its order: deletes of this level, then nested transactions one
/// after the other (so a put of an earlier one may stand in a range that a later one deletes),
/// then the puts of this level.
fn check_branch(ops: &[Op]) -> Result<Writes<'_>, TxnError> {
    let mut writes = Writes::default();
    for op in ops {
        if let Op::DeleteRange(delete) = op {
            writes.deletes.push(&delete.keys);
        }
    }
    for op in ops {
        if let Op::Txn(nested) = op {
            let success = check_branch(&nested.success)?;
            let failure = check_branch(&nested.failure)?;
            for key in &success.puts {
                writes.put(key)?;
            }
            // Only one of the two branches runs, so a key may be put in both.
            for key in failure.puts.difference(&success.puts) {
                writes.put(key)?;
            }
            writes.deletes.extend(success.deletes);
            writes.deletes.extend(failure.deletes);
        }
    }
    for op in ops {
        if let Op::Put(put) = op {
            writes.put(&put.key)?;
        }
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{DeleteRange, Put, Range};
    use bytes::Bytes;

    fn put(key: &'static str) -> Op {
        Op::Put(Put {
            key: Bytes::from_static(key.as_bytes()),
            ..Put::default()
        })
    }

    fn delete(start: &'static str, end: &'static str) -> Op {
        let keys = KeyRange {
            start: start.into(),
            end: end.into(),
        };
        Op::DeleteRange(DeleteRange {
            keys,
            prev_kv: false,
        })
    }

    fn nested(success: Vec<Op>, failure: Vec<Op>) -> Op {
        Op::Txn(Txn {
            compares: vec![],
            success,
            failure,
        })
    }

    fn check(ops: Vec<Op>) -> Result<(), TxnError> {
        check_txn(
            &Txn {
                compares: vec![],
                success: ops,
                failure: vec![],
            },
            128,
        )
    }

    const DUPLICATE: Result<(), TxnError> = Err(TxnError::DuplicateKey);

    #[test]
    fn one_key_is_put_once_in_a_branch() {
        assert_eq!(check(vec![put("a"), put("b")]), Ok(()));
        assert_eq!(check(vec![put("a"), put("a")]), DUPLICATE);
        assert_eq!(
            check(vec![put("a"), nested(vec![put("a")], vec![])]),
            DUPLICATE
        );
        assert_eq!(
            check(vec![put("a"), nested(vec![], vec![put("a")])]),
            DUPLICATE
        );
        assert_eq!(check(vec![nested(vec![put("a")], vec![put("a")])]), Ok(()));
        let twice = vec![
            nested(vec![put("a")], vec![]),
            nested(vec![], vec![put("a")]),
        ];
        assert_eq!(check(twice), DUPLICATE);
        let both = Txn {
            compares: vec![],
            success: vec![put("a")],
            failure: vec![put("a")],
        };
        assert_eq!(check_txn(&both, 128), Ok(()));
        let failure = Txn {
            compares: vec![],
            success: vec![],
            failure: vec![put("a"), put("a")],
        };
        assert_eq!(check_txn(&failure, 128), DUPLICATE);
    }

    #[test]
    fn a_branch_does_not_put_what_it_deletes() {
        assert_eq!(check(vec![put("a"), delete("a", "")]), DUPLICATE);
        assert_eq!(check(vec![delete("a", "c"), put("b")]), DUPLICATE);
        assert_eq!(check(vec![delete("a", "c"), put("c")]), Ok(()));
        assert_eq!(check(vec![delete("a", "c"), delete("b", "d")]), Ok(()));
        assert_eq!(
            check(vec![delete("a", "c"), nested(vec![put("b")], vec![])]),
            DUPLICATE
        );
        assert_eq!(
            check(vec![nested(vec![delete("a", "c")], vec![]), put("b")]),
            DUPLICATE
        );
    }

    #[test]
    fn gaps_of_etcds_check_are_kept() {
        assert_eq!(check(vec![put("b"), delete("a", "\0")]), Ok(()));
        let earlier_put = vec![
            nested(vec![put("b")], vec![]),
            nested(vec![delete("a", "c")], vec![]),
        ];
        assert_eq!(check(earlier_put), Ok(()));
    }

    #[test]
    fn nested_transactions_share_the_operation_limit() {
        let ranges = |count| vec![Op::Range(Range::default()); count];
        let txn = |success| Txn {
            compares: vec![],
            success,
            failure: vec![],
        };
        assert_eq!(check_txn(&txn(ranges(3)), 3), Ok(()));
        assert_eq!(
            check_txn(&txn(ranges(4)), 3),
            Err(TxnError::TooManyOperations)
        );
        assert_eq!(check_txn(&txn(vec![nested(ranges(2), vec![])]), 3), Ok(()));
        let error = Err(TxnError::TooManyOperations);
        assert_eq!(check_txn(&txn(vec![nested(ranges(3), vec![])]), 3), error);
        assert_eq!(check_txn(&txn(vec![nested(vec![], ranges(3))]), 3), error);
    }
}
