//! etcd's KV service.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use prost::Message;
use proto::server::etcdserverpb as pb;
use state_machine::{
    Body, Command, Compact, Range, RangeResponse, Rejection, StateMachine, TxnResponse, check_txn,
};
use tonic::{Request, Response, Status};

use super::check::{self, TxnPath};
use super::status::BadRequest;
use super::{Edge, convert, status};

mod range_stream;

/// Keys up to which a range is read on the runtime's own threads; the runtime can spare the time that takes.
const RANGE_KEYS_INLINE_MAX: u64 = 4096;

pub(super) struct Kv(pub(super) Arc<Edge>);

#[tonic::async_trait]
impl pb::kv_server::Kv for Kv {
    type RangeStreamStream =
        Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send>>;

    async fn range(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<pb::RangeResponse>, Status> {
        let request = request.into_inner();
        if !request.serializable {
            self.0.refuse_learner()?;
        }
        check::range(&request)?;
        if !request.serializable {
            self.0.read_barrier().await?;
        }
        self.0.metrics.count_range();
        let (revision, response) =
            read_range(&self.0.replica.machine(), convert::range(request)).await?;
        Ok(Response::new(convert::range_response(
            self.0.header(revision),
            response,
        )))
    }

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let request = request.into_inner();
        check::range(&request)?;
        range_stream::check(&request)?;
        if !request.serializable {
            self.0.read_barrier().await?;
        }
        self.0.metrics.count_range();
        let chunks = range_stream::chunks(self.0.clone(), convert::range(request));
        Ok(Response::new(super::stream::guard(&self.0, false, chunks)))
    }

    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        let request = request.into_inner();
        self.0.check_quota(check::put_cost(&request)).await?;
        check::put(&request)?;
        check::size(request.encoded_len(), self.0.limits.request_bytes_max)?;
        let answer = self.0.propose(Command::Put(convert::put(request))).await?;
        let Body::Put(response) = answer.body else {
            return Err(convert::unexpected(&answer.body));
        };
        Ok(Response::new(convert::put_response(
            self.0.header(answer.revision),
            response,
        )))
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let request = request.into_inner();
        check::delete_range(&request)?;
        check::size(request.encoded_len(), self.0.limits.request_bytes_max)?;
        let command = Command::DeleteRange(convert::delete_range(request));
        let answer = self.0.propose(command).await?;
        let Body::DeleteRange(response) = answer.body else {
            return Err(convert::unexpected(&answer.body));
        };
        Ok(Response::new(convert::delete_range_response(
            self.0.header(answer.revision),
            response,
        )))
    }

    async fn txn(
        &self,
        request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        let request = request.into_inner();
        self.0.check_quota(check::txn_cost(&request)).await?;
        check::txn(&request, self.0.limits.txn_operations_max)?;
        let path = check::txn_path(&request);
        let size = request.encoded_len();
        let txn = convert::txn(request);
        check_txn(&txn, self.0.limits.txn_operations_max).map_err(BadRequest::from)?;
        if path == TxnPath::Write {
            check::size(size, self.0.limits.request_bytes_max)?;
        }
        let (revision, response) = match path {
            TxnPath::Write => {
                let answer = self.0.propose(Command::Txn(txn)).await?;
                let Body::Txn(response) = answer.body else {
                    return Err(convert::unexpected(&answer.body));
                };
                (answer.revision, response)
            }
            TxnPath::Linearizable => {
                self.0.read_barrier().await?;
                read_txn(&self.0, txn).await?
            }
            TxnPath::Serializable => read_txn(&self.0, txn).await?,
        };
        Ok(Response::new(convert::txn_response(
            self.0.header(revision),
            response,
        )))
    }

    /// A compaction with `physical` is answered as soon as no reader can see the old revisions: their space is given
    /// back in the background, in small steps.
    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        let revision = request.into_inner().revision;
        let answer = self
            .0
            .propose(Command::Compact(Compact { revision }))
            .await?;
        let header = Some(self.0.header(answer.revision));
        Ok(Response::new(pb::CompactionResponse { header }))
    }
}

/// Reads here, away from the runtime when that may take long.
async fn read_range(
    machine: &Arc<StateMachine>,
    range: Range,
) -> Result<(i64, RangeResponse), Status> {
    if !may_be_large(machine, &range) {
        return machine.range(&range).map_err(status::rejected);
    }
    let machine = machine.clone();
    blocking(move || machine.range(&range)).await
}

async fn read_txn(edge: &Edge, txn: state_machine::Txn) -> Result<(i64, TxnResponse), Status> {
    edge.metrics.count_txn();
    let machine = edge.replica.machine();
    let ranges = txn.success.iter().chain(&txn.failure);
    let large = ranges.into_iter().any(|operation| match operation {
        state_machine::Op::Range(range) => may_be_large(&machine, range),
        _ => false,
    });
    if !large {
        return machine.read_txn(&txn).map_err(status::rejected);
    }
    blocking(move || machine.read_txn(&txn)).await
}

/// Runs a long read on a thread of its own.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(read).await;
    done.map_err(|error| status::internal(&error.to_string()))?
        .map_err(status::rejected)
}

fn may_be_large(machine: &StateMachine, range: &Range) -> bool {
    let one_key = range.keys.end.is_empty();
    let limited = u64::try_from(range.limit)
        .is_ok_and(|limit| (1..=RANGE_KEYS_INLINE_MAX).contains(&limit))
        && in_key_order(range);
    !one_key && !limited && machine.key_count() > RANGE_KEYS_INLINE_MAX
}

/// Whether a limit bounds the keys that are looked at: they come in key order and none is left out.
fn in_key_order(range: &Range) -> bool {
    use state_machine::{SortOrder, SortTarget};
    let ordered = range.sort_order == SortOrder::None
        || (range.sort_order == SortOrder::Ascend && range.sort_target == SortTarget::Key);
    ordered
        && range.min_mod_revision <= 0
        && range.max_mod_revision <= 0
        && range.min_create_revision <= 0
        && range.max_create_revision <= 0
}
