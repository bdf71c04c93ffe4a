//! etcd's KV service.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use planted::Bug;
use prost::Message;
use proto::server::etcdserverpb as pb;
use state_machine::{Access, Body, Command, Compact, StateMachine, check_txn};
use tonic::{Request, Response, Status};

use super::authn::Credentials;
use super::check::{self, TxnPath};
use super::held::Charge;
use super::served::{Answered, Subject, Times};
use super::status::BadRequest;
use super::{Edge, convert, staleness};
use crate::metrics::Operation;
use read::{ReadRange, read_range, read_txn};

mod range_stream;
mod read;
mod subject;

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
        self.0.check_rate(&request)?;
        let credentials = self.0.credentials(&request);
        let staleness = if request.get_ref().serializable {
            self.0.staleness(request.metadata())?
        } else {
            None
        };
        let request = request.into_inner();
        let subject = subject::of_range(&request);
        let answer = self.answer_range(&credentials, request, &mut times).await;
        let answered = Answered::of(&answer, |answer| subject::size_of_range(answer.get_ref()));
        self.done(&times, &subject, answered);
        answer.map(|answer| staleness::tell(answer, staleness))
    }

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        self.0.check_rate(&request)?;
        let credentials = self.0.credentials(&request);
        let staleness = if request.get_ref().serializable {
            self.0.staleness(request.metadata())?
        } else {
            self.0.refuse_learner()?;
            None
        };
        let request = request.into_inner();
        check::range(&request)?;
        range_stream::check(&request)?;
        if !request.serializable {
            self.0.read_barrier().await?;
        }
        self.0.metrics.count_range();
        let prefixes = &self.0.metrics.prefixes;
        prefixes.count_request(Operation::Range, &request.key);
        let chunks = range_stream::chunks(self.0.clone(), credentials, convert::range(request));
        let answer = Response::new(super::stream::guard(&self.0, false, chunks));
        Ok(staleness::tell(answer, staleness))
    }

    async fn put(
        &self,
        request: Request<pb::PutRequest>,
    ) -> Result<Response<pb::PutResponse>, Status> {
        let mut times = Times::begin();
        self.0.check_rate(&request)?;
        let credentials = self.0.credentials(&request);
        let request = request.into_inner();
        let subject = subject::of_put(&request);
        let answer = self.answer_put(&credentials, request, &mut times).await;
        let answered = Answered::of(&answer, subject::size_of_put);
        self.done(&times, &subject, answered);
        answer.map(Response::new)
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let mut times = Times::begin();
        self.0.check_rate(&request)?;
        let credentials = self.0.credentials(&request);
        let request = request.into_inner();
        let subject = subject::of_delete_range(&request);
        let answer = self
            .answer_delete_range(&credentials, request, &mut times)
            .await;
        let answered = Answered::of(&answer, subject::size_of_delete_range);
        self.done(&times, &subject, answered);
        answer.map(Response::new)
    }

    async fn txn(
        &self,
        request: Request<pb::TxnRequest>,
    ) -> Result<Response<pb::TxnResponse>, Status> {
        let mut times = Times::begin();
        self.0.check_rate(&request)?;
        let credentials = self.0.credentials(&request);
        let request = request.into_inner();
        let subject = subject::of_txn(&request);
        let answer = self.answer_txn(&credentials, request, &mut times).await;
        let answered = Answered::of(&answer, |answer| subject::size_of_txn(answer.get_ref()));
        self.done(&times, &subject, answered);
        answer
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
    /// Counts an answered request, and tells of one that took long.
    fn done(&self, times: &Times, subject: &Subject, answered: Answered<'_>) {
        let prefixes = &self.0.metrics.prefixes;
        let bytes = subject.request_bytes + answered.bytes;
        prefixes.count_request(subject.operation, &subject.key);
        prefixes.count_bytes(subject.operation, &subject.key, bytes);
        self.0.slow_log.look(times, subject, answered);
    }

    async fn answer_range(
        &self,
        credentials: &Credentials,
        request: pb::RangeRequest,
        times: &mut Times,
    ) -> Result<Response<pb::RangeResponse>, Status> {
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
        let looks = [read::look(&range)];
        let place = self.0.bulk.enter(&admitted.machine, &looks, true).await?;
        times.admitted();
        let read = (StateMachine::range as ReadRange, range);
        let (revision, response) = read_range(read, &admitted.machine, place.is_bulk()).await?;
        times.applied();
        admitted.confirm()?;
        let answer = convert::range_response(self.0.header(revision), response);
        let (_, bytes) = subject::size_of_range(&answer);
        let charge = self.0.bulk.charge(place, bytes)?;
        Ok(counted(answer, charge))
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
    ) -> Result<Response<pb::TxnResponse>, Status> {
        self.0.check_space(check::txn_cost(&request)).await?;
        check::txn(&request, self.0.limits.txn_operations_max)?;
        let path = check::txn_path(&request);
        let size = request.encoded_len();
        let txn = convert::txn(request);
        check_txn(&txn, self.0.limits.txn_operations_max).map_err(BadRequest::from)?;
        if path == TxnPath::Write {
            self.0.check_size(size)?;
        }
        if path != TxnPath::Write {
            if path == TxnPath::Linearizable {
                self.0.read_barrier().await?;
                times.barrier_passed();
            }
            return read_txn(&self.0, credentials, txn, times).await;
        }
        let command = Command::Txn(txn);
        let answer = self.0.propose_for(credentials, command).await;
        times.applied();
        let answer = answer?;
        let Body::Txn(response) = answer.body else {
            return Err(convert::unexpected(&answer.body));
        };
        let header = self.0.header(answer.revision);
        Ok(Response::new(convert::txn_response(header, response)))
    }
}

/// An answer with the memory that it is counted for.
fn counted<T>(answer: T, charge: Option<Charge>) -> Response<T> {
    let mut response = Response::new(answer);
    if let Some(charge) = charge {
        response.extensions_mut().insert(charge);
    }
    response
}
