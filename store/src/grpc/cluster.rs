//! etcd's Cluster service, as far as a cluster has it whose members are fixed.

use std::sync::Arc;

use proto::server::etcdserverpb as pb;
use tonic::{Request, Response, Status};

use super::Edge;

pub(super) struct Cluster(pub(super) Arc<Edge>);

fn fixed() -> Status {
    Status::unimplemented("etcdserver: the members of this cluster are fixed and cannot be changed")
}

#[tonic::async_trait]
impl pb::cluster_server::Cluster for Cluster {
    async fn member_add(
        &self,
        _request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        Err(fixed())
    }

    async fn member_remove(
        &self,
        _request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        Err(fixed())
    }

    async fn member_update(
        &self,
        _request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        Err(fixed())
    }

    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        if request.into_inner().linearizable {
            self.0.read_barrier().await?;
        }
        let member = |member: crate::replica::Member| pb::Member {
            id: member.id,
            name: member.name,
            peer_ur_ls: member.peer_urls,
            client_ur_ls: member.client_urls,
            is_learner: member.is_learner,
        };
        Ok(Response::new(pb::MemberListResponse {
            // Members are not part of the store, so its revision is left out.
            header: Some(self.0.header(0)),
            members: self.0.replica.members().into_iter().map(member).collect(),
        }))
    }

    async fn member_promote(
        &self,
        _request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        Err(fixed())
    }
}
