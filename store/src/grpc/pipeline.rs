//! Transactions in a stream: proposed in their order without a wait for the answer to each.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use proto::server::etcdserverpb as pb;
use proto::server::etcdserverpb::kv_server::Kv as _;
use proto::server::mainstaypb::pipeline_server;
use tonic::{Request, Response, Status, Streaming};

use super::Edge;
use super::authn::Credentials;
use super::kv::Kv;
use super::stream;

/// Transactions of one stream that are worked on at a time; the client waits when there are more.
const TXNS_IN_FLIGHT_MAX: usize = 512;

pub(super) struct Pipeline(pub(super) Arc<Edge>);

#[tonic::async_trait]
impl pipeline_server::Pipeline for Pipeline {
    type TxnStream = Pin<Box<dyn Stream<Item = Result<pb::TxnResponse, Status>> + Send>>;

    async fn txn(
        &self,
        request: Request<Streaming<pb::TxnRequest>>,
    ) -> Result<Response<Self::TxnStream>, Status> {
        let requires_leader = stream::requires_leader(request.metadata());
        let credentials = Arc::new(Credentials::of(&request));
        let edge = self.0.clone();
        // They are begun in their order, and nothing stands between the begin and the queue of proposals.
        let answers = request.into_inner().map(move |txn| {
            let (kv, credentials) = (Kv(edge.clone()), credentials.clone());
            async move {
                let txn = txn?;
                kv.0.check_rate_of(|| Credentials::clone(&credentials), &txn)?;
                Ok(kv.txn(credentials.on(txn)).await?.into_inner())
            }
        });
        let answers = answers.buffered(TXNS_IN_FLIGHT_MAX);
        Ok(Response::new(stream::guard(
            &self.0,
            requires_leader,
            answers,
        )))
    }
}
