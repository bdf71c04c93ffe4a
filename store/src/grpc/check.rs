//! What is wrong with a request in itself, found in the order in which etcd looks.

use proto::server::etcdserverpb as pb;

use pb::range_request::{SortOrder, SortTarget};
use pb::request_op::Request as Op;

use super::status::BadRequest;

/// etcd's `MaxLeaseTTL`, in seconds.
pub(crate) const LEASE_TTL_SECONDS_MAX: i64 = 9_000_000_000;

/// Bytes that etcd's own envelope of a proposal adds to the request: its header with an id, and the request's tag.
/// etcd holds the request with its envelope against `--max-request-bytes`.
const ENVELOPE_BYTES: usize = 14;

/// Bytes the quota counts for a put beside key and value, and for a lease. etcd's figures.
const PUT_OVERHEAD_BYTES: u64 = 256;
pub(crate) const LEASE_OVERHEAD_BYTES: u64 = 64;

pub(crate) fn range(request: &pb::RangeRequest) -> Result<(), BadRequest> {
    if request.key.is_empty() {
        return Err(BadRequest::EmptyKey);
    }
    let sortable = SortOrder::try_from(request.sort_order).is_ok()
        && SortTarget::try_from(request.sort_target).is_ok();
    if sortable {
        Ok(())
    } else {
        Err(BadRequest::InvalidSortOption)
    }
}

pub(crate) fn put(request: &pb::PutRequest) -> Result<(), BadRequest> {
    if request.key.is_empty() {
        return Err(BadRequest::EmptyKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(BadRequest::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(BadRequest::LeaseProvided);
    }
    Ok(())
}

pub(crate) fn delete_range(request: &pb::DeleteRangeRequest) -> Result<(), BadRequest> {
    if request.key.is_empty() {
        Err(BadRequest::EmptyKey)
    } else {
        Ok(())
    }
}

/// Everything about a transaction but its duplicate keys, which the state machine's crate looks for.
pub(crate) fn txn(request: &pb::TxnRequest, operations_max: usize) -> Result<(), BadRequest> {
    let operations = request
        .compare
        .len()
        .max(request.success.len())
        .max(request.failure.len());
    let Some(left) = operations_max.checked_sub(operations) else {
        return Err(BadRequest::TooManyOperations);
    };
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(BadRequest::EmptyKey);
    }
    for operation in request.success.iter().chain(&request.failure) {
        match &operation.request {
            Some(Op::RequestRange(request)) => range(request)?,
            Some(Op::RequestPut(request)) => put(request)?,
            Some(Op::RequestDeleteRange(request)) => delete_range(request)?,
            Some(Op::RequestTxn(request)) => txn(request, left)?,
            None => return Err(BadRequest::EmptyOperation),
        }
    }
    Ok(())
}

/// How a transaction is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TxnPath {
    /// Through the log.
    Write,
    /// Only ranges: read here once this replica is known to be up to date.
    Linearizable,
    /// Only ranges that ask for no more than what this replica has. A transaction without operations counts as one,
    /// so its compares alone are not linearizable; etcd does the same.
    Serializable,
}

pub(crate) fn txn_path(request: &pb::TxnRequest) -> TxnPath {
    let mut path = TxnPath::Serializable;
    for operation in request.success.iter().chain(&request.failure) {
        match &operation.request {
            Some(Op::RequestRange(range)) if range.serializable => {}
            Some(Op::RequestRange(_)) => path = TxnPath::Linearizable,
            _ => return TxnPath::Write,
        }
    }
    path
}

/// Refuses a request that etcd would not propose for its size.
pub(crate) fn size(encoded_bytes: usize, request_bytes_max: usize) -> Result<(), BadRequest> {
    if encoded_bytes + ENVELOPE_BYTES > request_bytes_max {
        return Err(BadRequest::TooLarge);
    }
    Ok(())
}

/// Bytes the quota counts for a put.
pub(crate) fn put_cost(request: &pb::PutRequest) -> u64 {
    PUT_OVERHEAD_BYTES + (request.key.len() + request.value.len()) as u64
}

/// Bytes the quota counts for a transaction: the dearer branch. Nested transactions count as nothing, as in etcd.
pub(crate) fn txn_cost(request: &pb::TxnRequest) -> u64 {
    let branch = |operations: &[pb::RequestOp]| -> u64 {
        let puts = operations
            .iter()
            .filter_map(|operation| match &operation.request {
                Some(Op::RequestPut(put)) => Some(put_cost(put)),
                _ => None,
            });
        puts.sum()
    };
    branch(&request.success).max(branch(&request.failure))
}

#[cfg(test)]
mod tests;
