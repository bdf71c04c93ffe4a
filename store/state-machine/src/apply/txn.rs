//! Transactions: all compares first, then all checks, then writes that cannot fail half-way.

use planted::Bug;

use super::{Attempt, Writer};
use crate::command::{DeleteRange, Op, Txn};
use crate::index;
use crate::machine::Fatal;
use crate::outcome::{OpResponse, Rejection, TxnResponse};
use crate::read::{self, Path, Step};

impl Writer<'_> {
    pub(super) fn txn(&mut self, txn: &Txn) -> Attempt<TxnResponse> {
        let mut compared_at = self.state.revision;
        if planted::is_on(Bug::StaleCompare) {
            compared_at -= self.run.revisions();
        }
        let path = read::path(self, txn, compared_at)?;
        // etcd's order: every put, then every range.
        let checked = self
            .check_puts(&path)
            .and_then(|()| path.check_ranges(self.state.revision, self.state.compact_revision));
        match checked {
            Ok(()) => Ok(Ok(self.run_path(&path)?)),
            Err(rejection) => Ok(Err(rejection)),
        }
    }

    /// A put may ask for a key that an earlier delete of the same transaction takes away (the check
    /// at the edge misses deletes with the end `\0`). etcd panics then; here the key is not found.
    fn check_puts(&self, path: &Path<'_>) -> Result<(), Rejection> {
        let mut deletes: Vec<&DeleteRange> = Vec::new();
        path.each(&mut |op| {
            match op {
                Op::DeleteRange(delete) => deletes.push(delete),
                Op::Put(put) => {
                    let needs_key = put.ignore_value || put.ignore_lease;
                    if needs_key
                        && deletes
                            .iter()
                            .any(|delete| index::contains(&delete.keys, &put.key))
                    {
                        return Err(Rejection::KeyNotFound);
                    }
                    self.check_put_key(put)?;
                    self.check_put_lease(put)?;
                }
                Op::Range(_) | Op::Txn(_) => {}
            }
            Ok(())
        })
    }

    fn run_path(&mut self, path: &Path<'_>) -> Result<TxnResponse, Fatal> {
        let mut responses = Vec::with_capacity(path.steps.len());
        for step in &path.steps {
            let response = match step {
                // etcd leaves the header of a nested transaction empty.
                Step::Txn(nested) => OpResponse::Txn {
                    revision: 0,
                    response: self.run_path(nested)?,
                },
                Step::Op(op) => self.run_op(op)?,
            };
            responses.push(response);
        }
        Ok(TxnResponse {
            succeeded: path.succeeded,
            responses,
        })
    }

    fn run_op(&mut self, op: &Op) -> Result<OpResponse, Fatal> {
        Ok(match op {
            Op::Range(range) => {
                let response = self.range(range)?;
                OpResponse::Range {
                    revision: self.header_revision(),
                    response,
                }
            }
            Op::Put(put) => {
                let response = self.put(put)?;
                OpResponse::Put {
                    revision: self.header_revision(),
                    response,
                }
            }
            Op::DeleteRange(delete) => {
                let response = self.delete_range(delete)?;
                OpResponse::DeleteRange {
                    revision: self.header_revision(),
                    response,
                }
            }
            Op::Txn(_) => unreachable!("a path holds nested transactions as paths"),
        })
    }
}
