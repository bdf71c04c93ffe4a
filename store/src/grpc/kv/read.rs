//! Reads of this member's state: small ones at once, large ones in their lane and on threads of their own.

use std::sync::Arc;

use proto::server::etcdserverpb as pb;
use state_machine::{
    Access, Op, Range, RangeResponse, Rejection, SortOrder, SortTarget, StateMachine, Txn,
};
use tonic::{Response, Status};

use super::{counted, subject};
use crate::grpc::authn::Credentials;
use crate::grpc::bulk::Look;
use crate::grpc::served::Times;
use crate::grpc::{Edge, convert, status};
use crate::spans;

/// A key with its value is not larger where requests are not; what is larger is counted once it was read.
const KEY_VALUE_BYTES_USUAL_MAX: u64 = 1_572_864;

/// [`StateMachine::range`] or [`StateMachine::range_page`].
pub(super) type ReadRange = fn(&StateMachine, &Range) -> Result<(i64, RangeResponse), Rejection>;

/// Reads here, away from the runtime when that may take long.
pub(super) async fn read_range(
    (read, range): (ReadRange, Range),
    machine: &Arc<StateMachine>,
    is_large: bool,
) -> Result<(i64, RangeResponse), Status> {
    let _span = spans::child("mainstay.range");
    if !is_large {
        return read(machine, &range).map_err(status::rejected);
    }
    let machine = machine.clone();
    blocking(move || read(&machine, &range)).await
}

pub(super) async fn read_txn(
    edge: &Edge,
    credentials: &Credentials,
    txn: Txn,
    times: &mut Times,
) -> Result<Response<pb::TxnResponse>, Status> {
    edge.metrics.count_txn();
    let admitted = edge.admit(credentials, Access::ReadTxn(&txn)).await?;
    let machine = admitted.machine.clone();
    let place = edge.bulk.enter(&machine, &looks(&txn), true).await?;
    times.admitted();
    let _span = spans::child("mainstay.txn_range");
    let (revision, response) = if place.is_bulk() {
        blocking(move || machine.read_txn(&txn)).await?
    } else {
        machine.read_txn(&txn).map_err(status::rejected)?
    };
    times.applied();
    admitted.confirm()?;
    let answer = convert::txn_response(edge.header(revision), response);
    let (_, bytes) = subject::size_of_txn(&answer);
    let charge = edge.bulk.charge(place, bytes)?;
    Ok(counted(answer, charge))
}

/// Runs a long read on a thread of its own.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(read).await;
    done.map_err(|error| status::internal(&error.to_string()))?
        .map_err(status::rejected)
}

/// What a range looks at. A limit spares nothing: an answer carries the number of all keys in its range, and they are
/// counted one by one.
pub(super) fn look(range: &Range) -> Look {
    let is_plain = matches!(range.sort_order, SortOrder::None | SortOrder::Ascend)
        && range.sort_target == SortTarget::Key
        && (range.min_mod_revision, range.max_mod_revision) == (0, 0)
        && (range.min_create_revision, range.max_create_revision) == (0, 0);
    let limit = usize::try_from(range.limit).ok();
    let answered_max = match limit.filter(|limit| *limit > 0 && is_plain) {
        _ if range.count_only => 0,
        Some(limit) => limit,
        None => usize::MAX,
    };
    let bytes_max = limit.filter(|limit| *limit > 0).map_or(u64::MAX, |limit| {
        u64::try_from(limit).map_or(u64::MAX, |keys| {
            keys.saturating_mul(KEY_VALUE_BYTES_USUAL_MAX)
        })
    });
    Look {
        keys: range.keys.clone(),
        answered_max,
        has_values: !range.keys_only,
        bytes_max: (!is_plain).then_some(bytes_max),
    }
}

/// What a transaction of ranges may look at.
fn looks(txn: &Txn) -> Vec<Look> {
    let compares = txn.compares.iter().map(|compare| Look {
        keys: compare.keys.clone(),
        answered_max: 0,
        has_values: false,
        bytes_max: None,
    });
    let ranges = txn.success.iter().chain(&txn.failure);
    let ranges = ranges.filter_map(|operation| match operation {
        Op::Range(range) => Some(look(range)),
        _ => None,
    });
    compares.chain(ranges).collect()
}

#[cfg(test)]
mod tests;
