//! What is wrong with a request in itself, found in the order in which etcd looks.

use prost::encoding::{encoded_len_varint, key_len};
use prost::length_delimiter_len;
use proto::server::etcdserverpb as pb;

use pb::range_request::{SortOrder, SortTarget};
use pb::request_op::Request as Op;

use super::status::BadRequest;

/// etcd's `MaxLeaseTTL`, in seconds.
pub(crate) const LEASE_TTL_SECONDS_MAX: i64 = 9_000_000_000;

/// Bits of a proposal's id in etcd below those of the member: milliseconds and a counter. `idutil.Generator`.
const PROPOSAL_ID_MEMBER_SHIFT: u32 = 48;
/// Fields of etcd's `InternalRaftRequest` and of its header: the header, the proposal's id in it, and any request.
const HEADER_FIELD: u32 = 100;
const HEADER_ID_FIELD: u32 = 1;
const REQUEST_FIELD_MAX: u32 = 15;

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

/// Refuses a request that etcd would not propose for its size. The size is that of etcd's own message around it.
pub(crate) fn size(
    request_bytes: usize,
    member_id: u64,
    request_bytes_max: usize,
) -> Result<(), BadRequest> {
    if proposal_bytes(request_bytes, member_id) > request_bytes_max {
        return Err(BadRequest::TooLarge);
    }
    Ok(())
}

/// Bytes of the `InternalRaftRequest` in which etcd's member proposes a request: a header with the proposal's id, and
/// the request. The id has the last 16 bits of the member's on top, which decide how long it is as a varint.
fn proposal_bytes(request_bytes: usize, member_id: u64) -> usize {
    // Without bits of the member the clock decides: its highest bit is set until 2039.
    let clock = 1 << (PROPOSAL_ID_MEMBER_SHIFT - 1);
    let id = member_id << PROPOSAL_ID_MEMBER_SHIFT | clock;
    let header_bytes = key_len(HEADER_ID_FIELD) + encoded_len_varint(id);
    let field = |number, bytes| key_len(number) + length_delimiter_len(bytes) + bytes;
    field(HEADER_FIELD, header_bytes) + field(REQUEST_FIELD_MAX, request_bytes)
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
