//! etcd's Lock service.

use std::sync::Arc;

use bytes::Bytes;
use proto::server::etcdserverpb as pb;
use proto::server::v3lockpb as lockpb;
use tonic::{Request, Response, Status};

use pb::kv_server::Kv as _;

use super::kv::Kv;
use super::lease::Lease;
use super::line::{self, Leaving, Line};
use super::{Edge, stream};

pub(super) struct Lock {
    edge: Arc<Edge>,
    leases: Lease,
}

impl Lock {
    pub(super) fn new(edge: Arc<Edge>) -> Lock {
        Lock {
            leases: Lease::new(Arc::clone(&edge)),
            edge,
        }
    }

    async fn acquire(&self, request: lockpb::LockRequest) -> Result<lockpb::LockResponse, Status> {
        let lease = line::lease_of(&self.edge, &self.leases, request.lease).await?;
        let line = Line::new(&self.edge, &request.name);
        let entered = line.enter(lease, Bytes::new()).await?;
        let place = entered.place;
        let leaving = Leaving::new(&self.edge, place.clone());
        let header = if entered.is_first {
            entered.header
        } else {
            line.wait(&place).await?;
            let still = line.look(&place).await?;
            // etcd's client library says it, which has no code on the wire.
            Some(still.ok_or_else(|| Status::unknown("mutex: session is expired"))?)
        };
        leaving.keep();
        Ok(lockpb::LockResponse {
            header,
            key: place.key,
        })
    }
}

#[tonic::async_trait]
impl lockpb::lock_server::Lock for Lock {
    async fn lock(
        &self,
        request: Request<lockpb::LockRequest>,
    ) -> Result<Response<lockpb::LockResponse>, Status> {
        let requires_leader = stream::requires_leader(request.metadata());
        let work = self.acquire(request.into_inner());
        stream::answer(&self.edge, requires_leader, work).await
    }

    async fn unlock(
        &self,
        request: Request<lockpb::UnlockRequest>,
    ) -> Result<Response<lockpb::UnlockResponse>, Status> {
        let delete = pb::DeleteRangeRequest {
            key: request.into_inner().key,
            ..Default::default()
        };
        let kv = Kv(Arc::clone(&self.edge));
        let header = kv
            .delete_range(Request::new(delete))
            .await?
            .into_inner()
            .header;
        Ok(Response::new(lockpb::UnlockResponse { header }))
    }
}
