//! etcd's KV service.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use planted::Bug;
use prost::Message;
use proto::server::etcdserverpb as pb;
use state_machine::{
    Access, Body, Command, Compact, KeyRange, Op, Range, RangeResponse, Rejection, StateMachine,
    Txn, TxnResponse, check_txn,
};
use tonic::{Request, Response, Status};

use super::authn::Credentials;
use super::check::{self, TxnPath};
use super::served::{Answered, Times};
use super::status::BadRequest;
use super::{Edge, convert, status};
use crate::spans;

mod range_stream;
mod subject;

/// Keys up to which a request's ranges are read on the runtime's own threads; the runtime can spare the time that takes.
const RANGE_KEYS_INLINE_MAX: usize = 4096;

pub(super) struct Kv(pub(super) Arc<Edge>);

#[tonic::async_trait]
impl pb::kv_server::Kv for Kv {
    type RangeStreamStream =
        Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send>>;

    async fn range(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<pb::RangeResponse>, Status> {
        let mut times = Times::begin();
        let credentials = self.0.credentials(&request);
        let request = request.into_inner();
        let subject = subject::of_range(&request);
        let answer = self.answer_range(&credentials, request, &mut times).await;
        let answered = Answered::of(&answer, subject::size_of_range);
        self.0.slow_log.look(&times, &subject, answered);
        answer.map(Response::new)
    }

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let credentials = self.0.credentials(&request);
        let request = request.into_inner();
        check::range(&request)?;
        range_stream::check(&request)?;
        if !request.serializable {
            self.0.read_barrier().await?;
        }
        self.0.metrics.count_range();
        let chunks = range_stream::chunks(self.0.clone(), credentials, convert::range(request));
        Ok(Response::new(super::stream::guard(&self.0, false, chunks)))
    }

    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        let mut times = Times::begin();
        let credentials = self.0.credentials(&request);
        let request = request.into_inner();
        let subject = subject::of_put(&request);
        let answer = self.answer_put(&credentials, request, &mut times).await;
        let answered = Answered::of(&answer, subject::size_of_put);
        self.0.slow_log.look(&times, &subject, answered);
        answer.map(Response::new)
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let mut times = Times::begin();
        let credentials = self.0.credentials(&request);
        let request = request.into_inner();
        let subject = subject::of_delete_range(&request);
        let answer = self
            .answer_delete_range(&credentials, request, &mut times)
            .await;
        let answered = Answered::of(&answer, subject::size_of_delete_range);
        self.0.slow_log.look(&times, &subject, answered);
        answer.map(Response::new)
    }

    async fn txn(
        &self,
        request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        let mut times = Times::begin();
        let credentials = self.0.credentials(&request);
        let request = request.into_inner();
        let subject = subject::of_txn(&request);
        let answer = self.answer_txn(&credentials, request, &mut times).await;
        let answered = Answered::of(&answer, subject::size_of_txn);
        self.0.slow_log.look(&times, &subject, answered);
        answer.map(Response::new)
    }

    /// A compaction with `physical` is answered as soon as no reader can see the old revisions: their space is given
    /// back in the background, in small steps.
    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        let credentials = self.0.credentials(&request);
        let revision = request.into_inner().revision;
        let command = Command::Compact(Compact { revision });
        let answer = self.0.propose_for(&credentials, command).await?;
        let header = Some(self.0.header(answer.revision));
        Ok(Response::new(pb::CompactionResponse { header }))
    }
}

impl Kv {
    async fn answer_range(
        &self,
        credentials: &Credentials,
        request: pb::RangeRequest,
        times: &mut Times,
    ) -> Result<pb::RangeResponse, Status> {
        if !request.serializable {
            self.0.refuse_learner()?;
        }
        check::range(&request)?;
        if !request.serializable && !planted::is_on(Bug::NoReadBarrier) {
            self.0.read_barrier().await?;
            times.barrier_passed();
        }
        self.0.metrics.count_range();
        let range = convert::range(request);
        let access = Access::Read(&range.keys);
        let admitted = self.0.admit(credentials, access).await?;
        let (revision, response) =
            read_range(StateMachine::range, &admitted.machine, range).await?;
        times.applied();
        admitted.confirm()?;
        Ok(convert::range_response(self.0.header(revision), response))
    }

    async fn answer_put(
        &self,
        credentials: &Credentials,
        request: pb::PutRequest,
        times: &mut Times,
    ) -> Result<pb::PutResponse, Status> {
        self.0.check_space(check::put_cost(&request)).await?;
        check::put(&request)?;
        self.0.check_size(request.encoded_len())?;
        let command = Command::Put(convert::put(request));
        let answer = self.0.propose_for(credentials, command).await;
        times.applied();
        let answer = answer?;
        let Body::Put(response) = answer.body else {
            return Err(convert::unexpected(&answer.body));
        };
        Ok(convert::put_response(
            self.0.header(answer.revision),
            response,
        ))
    }

    async fn answer_delete_range(
        &self,
        credentials: &Credentials,
        request: pb::DeleteRangeRequest,
        times: &mut Times,
    ) -> Result<pb::DeleteRangeResponse, Status> {
        check::delete_range(&request)?;
        self.0.check_size(request.encoded_len())?;
        let command = Command::DeleteRange(convert::delete_range(request));
        let answer = self.0.propose_for(credentials, command).await;
        times.applied();
        let answer = answer?;
        let Body::DeleteRange(response) = answer.body else {
            return Err(convert::unexpected(&answer.body));
        };
        Ok(convert::delete_range_response(
            self.0.header(answer.revision),
            response,
        ))
    }

    async fn answer_txn(
        &self,
        credentials: &Credentials,
        request: pb::TxnRequest,
        times: &mut Times,
    ) -> Result<pb::TxnResponse, Status> {
        self.0.check_space(check::txn_cost(&request)).await?;
        check::txn(&request, self.0.limits.txn_operations_max)?;
        let path = check::txn_path(&request);
        let size = request.encoded_len();
        let txn = convert::txn(request);
        check_txn(&txn, self.0.limits.txn_operations_max).map_err(BadRequest::from)?;
        if path == TxnPath::Write {
            self.0.check_size(size)?;
        }
        let (revision, response) = match path {
            TxnPath::Write => {
                let command = Command::Txn(txn);
                let answer = self.0.propose_for(credentials, command).await;
                times.applied();
                let answer = answer?;
                let Body::Txn(response) = answer.body else {
                    return Err(convert::unexpected(&answer.body));
                };
                (answer.revision, response)
            }
            TxnPath::Linearizable => {
                self.0.read_barrier().await?;
                times.barrier_passed();
                read_txn(&self.0, credentials, txn, times).await?
            }
            TxnPath::Serializable => read_txn(&self.0, credentials, txn, times).await?,
        };
        Ok(convert::txn_response(self.0.header(revision), response))
    }
}

/// [`StateMachine::range`] or [`StateMachine::range_page`].
type ReadRange = fn(&StateMachine, &Range) -> Result<(i64, RangeResponse), Rejection>;

/// Reads here, away from the runtime when that may take long.
async fn read_range(
    read: ReadRange,
    machine: &Arc<StateMachine>,
    range: Range,
) -> Result<(i64, RangeResponse), Status> {
    let _span = spans::child("mainstay.range");
    if !may_be_long(machine, [&range.keys]) {
        return read(machine, &range).map_err(status::rejected);
    }
    let machine = machine.clone();
    blocking(move || read(&machine, &range)).await
}

async fn read_txn(
    edge: &Edge,
    credentials: &Credentials,
    txn: Txn,
    times: &mut Times,
) -> Result<(i64, TxnResponse), Status> {
    edge.metrics.count_txn();
    let admitted = edge.admit(credentials, Access::ReadTxn(&txn)).await?;
    let machine = admitted.machine.clone();
    let _span = spans::child("mainstay.txn_range");
    let read = if may_be_long(&machine, keys_of(&txn)) {
        blocking(move || machine.read_txn(&txn)).await?
    } else {
        machine.read_txn(&txn).map_err(status::rejected)?
    };
    times.applied();
    admitted.confirm()?;
    Ok(read)
}

/// Runs a long read on a thread of its own.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(read).await;
    done.map_err(|error| status::internal(&error.to_string()))?
        .map_err(status::rejected)
}

/// What a transaction of ranges may look at.
fn keys_of(txn: &Txn) -> impl Iterator<Item = &KeyRange> {
    let ranges = txn.success.iter().chain(&txn.failure);
    let ranges = ranges.filter_map(|operation| match operation {
        Op::Range(range) => Some(&range.keys),
        _ => None,
    });
    txn.compares
        .iter()
        .map(|compare| &compare.keys)
        .chain(ranges)
}

/// Whether reads of all these together look at more keys than the runtime can spare the time for. A limit spares
/// nothing: an answer carries the number of all keys in its range, and they are counted one by one.
fn may_be_long<'a>(machine: &StateMachine, ranges: impl IntoIterator<Item = &'a KeyRange>) -> bool {
    let mut left = RANGE_KEYS_INLINE_MAX;
    ranges.into_iter().any(|keys| {
        let looked_at = if keys.end.is_empty() {
            1
        } else {
            machine.keys_looked_at(keys, left + 1)
        };
        let over = looked_at > left;
        left = left.saturating_sub(looked_at);
        over
    })
}

#[cfg(test)]
mod tests;
