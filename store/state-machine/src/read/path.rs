//! The way a transaction goes: its compares are all evaluated before anything is written.

use super::{Count, Source, compare, range};
use crate::command::{Op, Txn};
use crate::outcome::{OpResponse, Rejection, TxnResponse};

/// The branches a transaction takes, decided before anything is written.
pub(crate) struct Path<'a> {
    pub(crate) succeeded: bool,
    pub(crate) steps: Vec<Step<'a>>,
}

pub(crate) enum Step<'a> {
    Op(&'a Op),
    Txn(Path<'a>),
}

/// Evaluates all compares, those of nested transactions too, at store revision `at`.
pub(crate) fn path<'a, S: Source>(source: &S, txn: &'a Txn, at: i64) -> Result<Path<'a>, S::Error> {
    let mut succeeded = true;
    for condition in &txn.compares {
        if !compare(source, condition, at)? {
            succeeded = false;
            break;
        }
    }
    let ops = if succeeded {
        &txn.success
    } else {
        &txn.failure
    };
    let step = |op: &'a Op| match op {
        Op::Txn(nested) => path(source, nested, at).map(Step::Txn),
        op => Ok(Step::Op(op)),
    };
    Ok(Path {
        succeeded,
        steps: ops.iter().map(step).collect::<Result<_, _>>()?,
    })
}

impl<'a> Path<'a> {
    /// Every operation that will run, in order.
    pub(crate) fn each(
        &self,
        visit: &mut dyn FnMut(&'a Op) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        for step in &self.steps {
            match step {
                Step::Op(op) => visit(op)?,
                Step::Txn(nested) => nested.each(visit)?,
            }
        }
        Ok(())
    }

    /// etcd's check of the revisions that the ranges of a transaction ask for: unlike in a range of
    /// its own, a negative revision is compacted once anything is.
    pub(crate) fn check_ranges(
        &self,
        revision: i64,
        compact_revision: i64,
    ) -> Result<(), Rejection> {
        self.each(&mut |op| match op {
            Op::Range(range) if range.revision == 0 => Ok(()),
            Op::Range(range) if range.revision > revision => Err(Rejection::FutureRevision),
            Op::Range(range) if range.revision < compact_revision => {
                Err(Rejection::Compacted { compact_revision })
            }
            _ => Ok(()),
        })
    }
}

/// Runs the ranges of a read-only transaction at store revision `at`.
pub(crate) fn read_txn<S: Source>(
    source: &S,
    path: &Path<'_>,
    at: i64,
) -> Result<TxnResponse, S::Error> {
    let mut responses = Vec::with_capacity(path.steps.len());
    for step in &path.steps {
        responses.push(match step {
            Step::Txn(nested) => OpResponse::Txn {
                revision: 0,
                response: read_txn(source, nested, at)?,
            },
            Step::Op(Op::Range(asked)) => {
                let range_at = if asked.revision > 0 {
                    asked.revision
                } else {
                    at
                };
                OpResponse::Range {
                    revision: at,
                    response: range(source, asked, range_at, Count::Range)?,
                }
            }
            Step::Op(_) => panic!("a read-only transaction holds only ranges"),
        });
    }
    Ok(TxnResponse {
        succeeded: path.succeeded,
        responses,
    })
}
