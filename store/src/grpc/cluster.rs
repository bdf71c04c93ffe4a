//! etcd's Cluster service: who is a member, and how that is changed.

use std::sync::Arc;

use proto::server::etcdserverpb as pb;
use state_machine::Access;
use tonic::{Request, Response, Status};

use super::Edge;
use super::status::{self, BadRequest};
use crate::config::{Url, new_member_id};
use crate::raft::MemberChange;
use crate::replica;

pub(super) struct Cluster(pub(super) Arc<Edge>);

/// As etcd sorts and writes them.
fn peer_urls(given: &[String]) -> Result<Vec<Url>, BadRequest> {
    if given.is_empty() {
        return Err(BadRequest::MemberBadUrls);
    }
    Url::parse_list(&given.join(",")).map_err(|_bad| BadRequest::MemberBadUrls)
}

fn on_the_wire(members: Vec<replica::Member>) -> Vec<pb::Member> {
    let member = |member: replica::Member| pb::Member {
        id: member.id,
        name: member.name,
        peer_ur_ls: member.peer_urls,
        client_ur_ls: member.client_urls,
        is_learner: member.is_learner,
    };
    members.into_iter().map(member).collect()
}

impl Cluster {
    async fn change(&self, change: MemberChange) -> Result<Vec<pb::Member>, Status> {
        let members = self.0.replica.change_members(change).await;
        Ok(on_the_wire(members.map_err(status::member)?))
    }

    /// Members are not part of the store, so its revision is left out.
    fn header(&self) -> Option<pb::ResponseHeader> {
        Some(self.0.header(0))
    }
}

#[tonic::async_trait]
impl pb::cluster_server::Cluster for Cluster {
    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        self.0.admit_request(&request, Access::Root).await?;
        let request = request.into_inner();
        let urls = peer_urls(&request.peer_ur_ls)?;
        let id = new_member_id(&urls, &self.0.limits.cluster_token);
        let change = MemberChange::Add {
            id,
            peer_urls: Url::texts(&urls),
            is_learner: request.is_learner,
        };
        let members = self.change(change).await?;
        Ok(Response::new(pb::MemberAddResponse {
            header: self.header(),
            member: members.iter().find(|member| member.id == id).cloned(),
            members,
        }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        self.0.admit_request(&request, Access::Root).await?;
        let id = request.into_inner().id;
        let members = self.change(MemberChange::Remove { id }).await?;
        Ok(Response::new(pb::MemberRemoveResponse {
            header: self.header(),
            members,
        }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        self.0.admit_request(&request, Access::Root).await?;
        let request = request.into_inner();
        let change = MemberChange::Update {
            id: request.id,
            peer_urls: Url::texts(&peer_urls(&request.peer_ur_ls)?),
        };
        let members = self.change(change).await?;
        Ok(Response::new(pb::MemberUpdateResponse {
            header: self.header(),
            members,
        }))
    }

    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        self.0.admit_request(&request, Access::AnyUser).await?;
        if request.into_inner().linearizable {
            self.0.read_barrier().await?;
        }
        Ok(Response::new(pb::MemberListResponse {
            header: self.header(),
            members: on_the_wire(self.0.replica.members()),
        }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        self.0.admit_request(&request, Access::Root).await?;
        let id = request.into_inner().id;
        let members = self.change(MemberChange::Promote { id }).await?;
        Ok(Response::new(pb::MemberPromoteResponse {
            header: self.header(),
            members,
        }))
    }
}
