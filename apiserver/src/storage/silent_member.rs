//! A member of a store without keys, for tests: alive and stuck, or not.

use std::net::SocketAddr;

use proto::encoded::WatchResponse;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::server::etcdserverpb as pb;
use proto::server::etcdserverpb::kv_server::{Kv, KvServer};
use proto::server::etcdserverpb::maintenance_server::{Maintenance, MaintenanceServer};
use proto::server::etcdserverpb::watch_server::{Watch, WatchServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Server;
use tonic::{Request, Response, Status as Refusal, Streaming};

/// The revision that reads are of.
pub(crate) const READ_AT: i64 = 5;
/// The revision at which watches are.
pub(crate) const NEWEST: i64 = 9;

/// A member without keys. A stuck one takes watches and tells nothing.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) is_stuck: bool,
}

type Answer<T> = Result<Response<T>, Refusal>;

fn unheard<T>() -> Answer<T> {
    Err(Refusal::unimplemented("nobody asks this here"))
}

fn header(revision: i64) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader {
        revision,
        ..pb::ResponseHeader::default()
    })
}

#[tonic::async_trait]
impl Kv for Member {
    type RangeStreamStream = ReceiverStream<Result<pb::RangeStreamResponse, Refusal>>;

    async fn range(&self, _: Request<pb::RangeRequest>) -> Answer<pb::RangeResponse> {
        // What a stuck member tells is read from the others.
        Ok(Response::new(pb::RangeResponse {
            header: header(READ_AT),
            ..Default::default()
        }))
    }

    async fn range_stream(&self, _: Request<pb::RangeRequest>) -> Answer<Self::RangeStreamStream> {
        unheard()
    }

    async fn put(&self, _: Request<pb::PutRequest>) -> Answer<pb::PutResponse> {
        unheard()
    }

    async fn delete_range(
        &self,
        _: Request<pb::DeleteRangeRequest>,
    ) -> Answer<pb::DeleteRangeResponse> {
        unheard()
    }

    async fn txn(&self, _: Request<pb::TxnRequest>) -> Answer<pb::TxnResponse> {
        unheard()
    }

    async fn compact(&self, _: Request<pb::CompactionRequest>) -> Answer<pb::CompactionResponse> {
        unheard()
    }
}

#[tonic::async_trait]
impl Watch for Member {
    type WatchStream = ReceiverStream<Result<WatchResponse, Refusal>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Answer<Self::WatchStream> {
        let mut requests = request.into_inner();
        let (sender, told) = mpsc::channel(16);
        let is_stuck = self.is_stuck;
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let created = matches!(request.request_union, Some(RequestUnion::CreateRequest(_)));
                if is_stuck && !created {
                    continue;
                }
                let answer = proto::etcdserverpb::WatchResponse {
                    header: header(NEWEST),
                    created,
                    ..Default::default()
                };
                if sender.send(Ok(WatchResponse::from(&answer))).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(told)))
    }
}

#[tonic::async_trait]
impl Maintenance for Member {
    type SnapshotStream = ReceiverStream<Result<pb::SnapshotResponse, Refusal>>;

    async fn status(&self, _: Request<pb::StatusRequest>) -> Answer<pb::StatusResponse> {
        Ok(Response::new(pb::StatusResponse {
            version: "3.6.0".to_owned(),
            ..pb::StatusResponse::default()
        }))
    }

    async fn alarm(&self, _: Request<pb::AlarmRequest>) -> Answer<pb::AlarmResponse> {
        unheard()
    }

    async fn defragment(
        &self,
        _: Request<pb::DefragmentRequest>,
    ) -> Answer<pb::DefragmentResponse> {
        unheard()
    }

    async fn hash(&self, _: Request<pb::HashRequest>) -> Answer<pb::HashResponse> {
        unheard()
    }

    async fn hash_kv(&self, _: Request<pb::HashKvRequest>) -> Answer<pb::HashKvResponse> {
        unheard()
    }

    async fn snapshot(&self, _: Request<pb::SnapshotRequest>) -> Answer<Self::SnapshotStream> {
        unheard()
    }

    async fn move_leader(
        &self,
        _: Request<pb::MoveLeaderRequest>,
    ) -> Answer<pb::MoveLeaderResponse> {
        unheard()
    }

    async fn downgrade(&self, _: Request<pb::DowngradeRequest>) -> Answer<pb::DowngradeResponse> {
        unheard()
    }
}

/// Serves it on a port of loopback, until the runtime ends.
pub(crate) async fn serve(member: Member) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Server::builder()
        .add_service(KvServer::new(member))
        .add_service(WatchServer::new(member))
        .add_service(MaintenanceServer::new(member))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    address
}
