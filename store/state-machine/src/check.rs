//! etcd's checks on the shape of a transaction, made before it is proposed.

use crate::command::Txn;

/// Why a transaction may not be proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    #[error("too many operations in txn request")]
    TooManyOperations,
    #[error("duplicate key given in txn request")]
    DuplicateKey,
}

/// Checks the number of operations (nested transactions get what the outer ones left of `operations_max`),
/// and that no branch puts one key twice or puts a key it deletes.
pub fn check_txn(_txn: &Txn, _operations_max: usize) -> Result<(), TxnError> {
    unimplemented!()
}
