//! etcd's Election service.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use proto::encoded::KeyValue;
use proto::server::v3electionpb as electionpb;
use tonic::{Request, Response, Status};

use super::authn::Credentials;
use super::lease::Lease;
use super::line::{self, Events, Leaving, Line, Place};
use super::{Edge, stream};

/// Texts of etcd's client library, which have no code on the wire.
const NOT_LEADER: &str = "election: not leader";
const NO_LEADER: &str = "election: no leader";
const MISSING_LEADER_KEY: &str = "\"leader\" field must be provided";

pub(super) struct Election {
    edge: Arc<Edge>,
    leases: Lease,
}

impl Election {
    pub(super) fn new(edge: Arc<Edge>) -> Election {
        Election {
            leases: Lease::new(Arc::clone(&edge)),
            edge,
        }
    }

    async fn win(
        &self,
        credentials: Credentials,
        request: electionpb::CampaignRequest,
    ) -> Result<electionpb::CampaignResponse, Status> {
        let caller = (&self.edge, &credentials);
        let leases = (&self.leases, &credentials);
        let lease = line::lease_of(&self.edge, leases, request.lease).await?;
        let line = Line::new(&self.edge, &credentials, &request.name);
        let entered = line.enter(lease, request.value.clone()).await?;
        let place = entered.place;
        let leaving = Leaving::new(caller, place.clone());
        if entered.held.is_some_and(|held| held != request.value) {
            let changed = line::rewrite(caller, &place, (request.value, lease)).await?;
            if !changed.was_there {
                return Err(Status::unknown(NOT_LEADER));
            }
        }
        if !entered.is_first {
            line.wait(&place).await?;
        }
        leaving.keep();
        Ok(electionpb::CampaignResponse {
            header: entered.header,
            leader: Some(electionpb::LeaderKey {
                name: request.name,
                key: place.key,
                rev: place.created,
                lease,
            }),
        })
    }
}

/// The place and the lease of a leader that says which it is.
fn place_of(leader: Option<electionpb::LeaderKey>) -> Result<(Place, i64), Status> {
    let leader = leader.ok_or_else(|| Status::unknown(MISSING_LEADER_KEY))?;
    let place = Place {
        key: leader.key,
        created: leader.rev,
    };
    Ok((place, leader.lease))
}

#[tonic::async_trait]
impl electionpb::election_server::Election for Election {
    type ObserveStream =
        Pin<Box<dyn Stream<Item = Result<electionpb::LeaderResponse, Status>> + Send>>;

    async fn campaign(
        &self,
        request: Request<electionpb::CampaignRequest>,
    ) -> Result<Response<electionpb::CampaignResponse>, Status> {
        let requires_leader = stream::requires_leader(request.metadata());
        let credentials = Credentials::of(&request);
        let work = self.win(credentials, request.into_inner());
        stream::answer(&self.edge, requires_leader, work).await
    }

    async fn proclaim(
        &self,
        request: Request<electionpb::ProclaimRequest>,
    ) -> Result<Response<electionpb::ProclaimResponse>, Status> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        let (place, lease) = place_of(request.leader)?;
        let leases = (&self.leases, &credentials);
        let lease = line::lease_of(&self.edge, leases, lease).await?;
        let caller = (&self.edge, &credentials);
        let changed = line::rewrite(caller, &place, (request.value, lease)).await?;
        if !changed.was_there {
            return Err(Status::unknown(NOT_LEADER));
        }
        let header = changed.header;
        Ok(Response::new(electionpb::ProclaimResponse { header }))
    }

    async fn leader(
        &self,
        request: Request<electionpb::LeaderRequest>,
    ) -> Result<Response<electionpb::LeaderResponse>, Status> {
        let credentials = Credentials::of(&request);
        let line = Line::new(&self.edge, &credentials, &request.into_inner().name);
        let first = line.first().await?;
        let kv = first.kvs.into_iter().next();
        Ok(Response::new(electionpb::LeaderResponse {
            header: first.header,
            kv: Some(kv.ok_or_else(|| Status::unknown(NO_LEADER))?),
        }))
    }

    async fn observe(
        &self,
        request: Request<electionpb::LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let requires_leader = stream::requires_leader(request.metadata());
        let credentials = Credentials::of(&request);
        let observation = Observation {
            edge: Arc::clone(&self.edge),
            line: Line::new(&self.edge, &credentials, &request.into_inner().name),
            leader: None,
        };
        let seen = futures::stream::unfold(observation, |mut observation| async move {
            let seen = observation.next().await;
            Some((seen, observation))
        });
        Ok(Response::new(stream::guard(
            &self.edge,
            requires_leader,
            seen,
        )))
    }

    async fn resign(
        &self,
        request: Request<electionpb::ResignRequest>,
    ) -> Result<Response<electionpb::ResignResponse>, Status> {
        let credentials = Credentials::of(&request);
        let (place, _) = place_of(request.into_inner().leader)?;
        let caller = (&self.edge, &credentials);
        let header = line::leave(caller, &place).await?.header;
        Ok(Response::new(electionpb::ResignResponse { header }))
    }
}

/// Who sees each leader and each of its values.
struct Observation {
    edge: Arc<Edge>,
    line: Line,
    /// What happens to the leader that was told of last.
    leader: Option<Events>,
}

impl Observation {
    async fn next(&mut self) -> Result<electionpb::LeaderResponse, Status> {
        loop {
            if let Some(events) = &mut self.leader {
                match events.next().await {
                    Some(event) if !line::is_delete(&event) => return Ok(self.told(event)),
                    _ => self.leader = None,
                }
            }
            let first = self.line.first().await?;
            let revision = first.header.as_ref().map_or(0, |header| header.revision);
            if let Some(kv) = first.kvs.into_iter().next() {
                let key = line::decode(&kv)?.key;
                self.leader = Some(self.line.watch_key(key, revision + 1).await?);
                return Ok(electionpb::LeaderResponse {
                    header: first.header,
                    kv: Some(kv),
                });
            }
            let mut all = self.line.watch_all(revision + 1).await?;
            // The first that enters an empty line leads. A compaction that overtakes the watch begins it anew.
            while let Some(event) = all.next().await {
                if let (false, Some(kv)) = (line::is_delete(&event), &event.kv) {
                    let (key, from) = (kv.key.clone(), kv.mod_revision + 1);
                    self.leader = Some(self.line.watch_key(key, from).await?);
                    return Ok(self.told(event));
                }
            }
        }
    }

    fn told(&self, event: proto::mvccpb::Event) -> electionpb::LeaderResponse {
        let revision = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
        electionpb::LeaderResponse {
            header: Some(self.edge.header(revision)),
            kv: event.kv.as_ref().map(KeyValue::from),
        }
    }
}
