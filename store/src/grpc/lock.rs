//! etcd's Lock service.

use std::sync::Arc;

use bytes::Bytes;
use proto::server::etcdserverpb as pb;
use proto::server::v3lockpb as lockpb;
use tonic::{Request, Response, Status};

use pb::kv_server::Kv as _;

use super::authn::Credentials;
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

    async fn acquire(
        &self,
        credentials: Credentials,
        request: lockpb::LockRequest,
    ) -> Result<lockpb::LockResponse, Status> {
        let leases = (&self.leases, &credentials);
        let lease = line::lease_of(&self.edge, leases, request.lease).await?;
        let line = Line::new(&self.edge, &credentials, &request.name);
        let entered = line.enter(lease, Bytes::new()).await?;
        let place = entered.place;
        let leaving = Leaving::new((&self.edge, &credentials), place.clone());
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
        let credentials = Credentials::of(&request);
        let work = self.acquire(credentials, request.into_inner());
        stream::answer(&self.edge, requires_leader, work).await
    }

    async fn unlock(
        &self,
        request: Request<lockpb::UnlockRequest>,
    ) -> Result<Response<lockpb::UnlockResponse>, Status> {
        let credentials = Credentials::of(&request);
        let delete = pb::DeleteRangeRequest {
            key: request.into_inner().key,
            ..Default::default()
        };
        let kv = Kv(Arc::clone(&self.edge));
        let header = kv
            .delete_range(credentials.on(delete))
            .await?
            .into_inner()
            .header;
        Ok(Response::new(lockpb::UnlockResponse { header }))
    }
}
