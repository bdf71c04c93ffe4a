//! etcd's Lease service.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{Stream, StreamExt};
use proto::server::etcdserverpb as pb;
use state_machine::{Access, Body, Command, LeaseGrant, LeaseRevoke};
use tonic::{Request, Response, Status, Streaming};

use super::authn::Credentials;
use super::status::BadRequest;
use super::{Edge, check, convert, stream, unavailable};

/// Renewals of one stream that are worked on at a time; answers keep the order of the requests.
const KEEP_ALIVES_IN_FLIGHT_MAX: usize = 64;

pub(super) struct Lease {
    edge: Arc<Edge>,
    ids: LeaseIds,
}

impl Lease {
    pub(super) fn new(edge: Arc<Edge>) -> Lease {
        Lease {
            edge,
            ids: LeaseIds::default(),
        }
    }
}

#[tonic::async_trait]
impl pb::lease_server::Lease for Lease {
    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        self.edge.check_space(check::LEASE_OVERHEAD_BYTES).await?;
        if request.ttl > check::LEASE_TTL_SECONDS_MAX {
            return Err(BadRequest::LeaseTtlTooLarge.into());
        }
        let id = if request.id == 0 {
            self.ids.pick()
        } else {
            request.id
        };
        let ttl_seconds = request
            .ttl
            .max(self.edge.replica.minimum_lease_ttl_seconds());
        let command = Command::LeaseGrant(LeaseGrant { id, ttl_seconds });
        let answer = self.edge.propose_for(&credentials, command).await?;
        let Body::LeaseGrant { id, ttl_seconds } = answer.body else {
            return Err(convert::unexpected(&answer.body));
        };
        Ok(Response::new(pb::LeaseGrantResponse {
            header: Some(self.edge.header(answer.revision)),
            id,
            ttl: ttl_seconds,
            error: String::new(),
        }))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        let credentials = Credentials::of(&request);
        let id = request.into_inner().id;
        let command = Command::LeaseRevoke(LeaseRevoke { id });
        let answer = self.edge.propose_for(&credentials, command).await?;
        let header = Some(self.edge.header(answer.revision));
        Ok(Response::new(pb::LeaseRevokeResponse { header }))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let requires_leader = stream::requires_leader(request.metadata());
        let credentials = Arc::new(Credentials::of(&request));
        let edge = self.edge.clone();
        let renewals = request.into_inner().map(move |request| {
            let (edge, credentials) = (edge.clone(), credentials.clone());
            async move { renew(&edge, &credentials, request?.id).await }
        });
        let answers = renewals.buffered(KEEP_ALIVES_IN_FLIGHT_MAX);
        Ok(Response::new(stream::guard(
            &self.edge,
            requires_leader,
            answers,
        )))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        let id = request.id;
        self.edge.admit(&credentials, Access::AnyUser).await?;
        let time = self
            .edge
            .replica
            .time_to_live(id)
            .await
            .map_err(unavailable)?;
        let header = Some(self.edge.header_now());
        let Some(time) = time else {
            let unknown = pb::LeaseTimeToLiveResponse {
                header,
                id,
                ttl: -1,
                ..Default::default()
            };
            return Ok(Response::new(unknown));
        };
        let keys = if request.keys {
            // All that was attached before the call, on whichever member.
            self.edge.read_barrier().await?;
            let access = Access::LeaseKeys(id);
            let admitted = self.edge.admit(&credentials, access).await?;
            let keys = admitted.machine.lease_keys(id);
            admitted.confirm()?;
            keys
        } else {
            Vec::new()
        };
        Ok(Response::new(pb::LeaseTimeToLiveResponse {
            header,
            id,
            ttl: time.remaining_seconds,
            granted_ttl: time.granted_seconds,
            keys,
        }))
    }

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        let credentials = Credentials::of(&request);
        let admitted = self.edge.admit(&credentials, Access::Leases).await?;
        let leases = admitted.machine.leases();
        admitted.confirm()?;
        let leases = leases
            .into_iter()
            .map(|lease| pb::LeaseStatus { id: lease.id })
            .collect();
        let header = Some(self.edge.header_now());
        Ok(Response::new(pb::LeaseLeasesResponse { header, leases }))
    }
}

/// The header shows the store from before the renewal, as etcd's does.
async fn renew(
    edge: &Edge,
    credentials: &Credentials,
    id: i64,
) -> Result<pb::LeaseKeepAliveResponse, Status> {
    let header = Some(edge.header_now());
    // Another member may have attached keys to it.
    edge.admit_now(credentials, Access::RenewLease(id)).await?;
    let renewed = edge.replica.keep_alive(id).await.map_err(unavailable)?;
    if renewed.is_some() {
        edge.metrics.count_lease_renewed();
    }
    Ok(pb::LeaseKeepAliveResponse {
        header,
        id,
        ttl: renewed.unwrap_or(0),
    })
}

/// Lease ids that nobody can guess to be taken: a counter hashed under keys the operating system picked.
#[derive(Default)]
struct LeaseIds {
    hasher: RandomState,
    picked: AtomicU64,
}

impl LeaseIds {
    /// A positive id.
    fn pick(&self) -> i64 {
        loop {
            let count = self.picked.fetch_add(1, Ordering::Relaxed);
            let id = (self.hasher.hash_one(count) >> 1) as i64;
            if id != 0 {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picked_lease_ids_are_positive_and_differ() {
        let ids = LeaseIds::default();
        let picked: std::collections::BTreeSet<i64> = (0..1000).map(|_| ids.pick()).collect();
        assert_eq!(picked.len(), 1000);
        assert!(picked.iter().all(|id| *id > 0));
    }

    #[test]
    fn two_servers_pick_different_lease_ids() {
        assert_ne!(LeaseIds::default().pick(), LeaseIds::default().pick());
    }
}
