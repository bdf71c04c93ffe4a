//! etcd's Maintenance service.

mod downgrade;
mod snapshot;

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use proto::server::etcdserverpb as pb;
use state_machine::{Access, AlarmAction, AlarmChange, AlarmKind, Body, Command};
use tonic::{Request, Response, Status};

use pb::alarm_request::AlarmAction as WireAction;

use super::authn::Credentials;
use super::status::BadRequest;
use super::{Edge, convert, status, stream, version};
use crate::SERVER_VERSION;

/// What `Status` says of a member that keeps the rest of its disk.
const DISK_IS_LOW: &str = "the disk is nearly full: this member takes no puts until there is room";

pub(super) struct Maintenance(pub(super) Arc<Edge>);

#[tonic::async_trait]
impl pb::maintenance_server::Maintenance for Maintenance {
    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<pb::SnapshotResponse, Status>> + Send>>;

    async fn alarm(
        &self,
        request: Request<pb::AlarmRequest>,
    ) -> Result<Response<pb::AlarmResponse>, Status> {
        let credentials = Credentials::of(&request);
        let request = request.into_inner();
        let access = if request.action() == WireAction::Get {
            Access::AnyUser
        } else {
            Access::Root
        };
        self.0.admit(&credentials, access).await?;
        let alarm = convert::alarm_kind(request.alarm).ok_or(BadRequest::InvalidAlarm)?;
        let action = match WireAction::try_from(request.action) {
            Ok(WireAction::Get) => return self.alarms(alarm).await,
            Ok(WireAction::Activate) => AlarmAction::Activate,
            Ok(WireAction::Deactivate) => AlarmAction::Deactivate,
            Err(_) => return Err(BadRequest::InvalidAlarm.into()),
        };
        // etcd has no alarm of kind NONE, so raising or lifting it changes nothing.
        let change = AlarmChange {
            action,
            member: request.member_id,
            alarm,
        };
        let command = if alarm == AlarmKind::Any {
            Command::Nothing
        } else {
            Command::Alarm(change)
        };
        let answer = self.0.propose_for(&credentials, command).await?;
        let alarms = match answer.body {
            Body::Alarms(alarms) => convert::alarm_members(alarms),
            Body::Done => Vec::new(),
            other => return Err(convert::unexpected(&other)),
        };
        let header = Some(self.0.header(answer.revision));
        Ok(Response::new(pb::AlarmResponse { header, alarms }))
    }

    async fn status(
        &self,
        request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        self.0.admit_request(&request, Access::AnyUser).await?;
        let machine = self.0.replica.machine();
        let raft = self.0.replica.raft_status();
        let downgrade = machine.downgrade();
        let mut errors = Vec::new();
        if raft.leader.is_none() {
            errors.push(status::NO_LEADER.to_string());
        }
        errors.extend(machine.alarms().into_iter().map(alarm_text));
        if self.0.replica.space().disk_is_low() {
            errors.push(DISK_IS_LOW.to_string());
        }
        Ok(Response::new(pb::StatusResponse {
            header: Some(self.0.header(machine.revision())),
            version: SERVER_VERSION.to_string(),
            db_size: signed(machine.total_bytes()),
            leader: raft.leader.unwrap_or(0),
            raft_index: raft.committed_index,
            raft_term: raft.term,
            raft_applied_index: raft.applied_index,
            errors,
            db_size_in_use: signed(machine.live_bytes()),
            is_learner: raft.is_learner,
            storage_version: version::full(version::of_cluster(downgrade)),
            db_size_quota: signed(self.0.limits.quota_bytes.unwrap_or(0)),
            downgrade_info: Some(pb::DowngradeInfo {
                enabled: downgrade.is_some(),
                target_version: downgrade.map(version::full).unwrap_or_default(),
            }),
        }))
    }

    /// There is nothing to defragment: RocksDB gives space back by itself.
    async fn defragment(
        &self,
        request: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        self.0.admit_request(&request, Access::Root).await?;
        Ok(Response::new(pb::DefragmentResponse::default()))
    }

    async fn hash(
        &self,
        request: Request<pb::HashRequest>,
    ) -> Result<Response<pb::HashResponse>, Status> {
        self.0.admit_request(&request, Access::Root).await?;
        let machine = self.0.replica.machine();
        let revision = machine.revision();
        let hash = tokio::task::spawn_blocking(move || machine.hash())
            .await
            .map_err(|error| status::internal(&error.to_string()))?;
        let header = Some(self.0.header(revision));
        Ok(Response::new(pb::HashResponse { header, hash }))
    }

    async fn hash_kv(
        &self,
        request: Request<pb::HashKvRequest>,
    ) -> Result<Response<pb::HashKvResponse>, Status> {
        self.0.admit_request(&request, Access::Root).await?;
        let revision = request.into_inner().revision;
        let machine = self.0.replica.machine();
        let now = machine.revision();
        let hash = tokio::task::spawn_blocking(move || machine.hash_kv(revision))
            .await
            .map_err(|error| status::internal(&error.to_string()))?
            .map_err(status::rejected)?;
        Ok(Response::new(pb::HashKvResponse {
            header: Some(self.0.header(now)),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: hash.hash_revision,
        }))
    }

    async fn snapshot(
        &self,
        request: Request<pb::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        self.0.admit_request(&request, Access::Root).await?;
        let requires_leader = stream::requires_leader(request.metadata());
        let messages = snapshot::send(&self.0)?;
        Ok(Response::new(stream::guard(
            &self.0,
            requires_leader,
            messages,
        )))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        self.0.admit_request(&request, Access::Root).await?;
        let target = request.into_inner().target_id;
        self.0
            .replica
            .move_leader(target)
            .await
            .map_err(status::move_leader)?;
        Ok(Response::new(pb::MoveLeaderResponse::default()))
    }

    async fn downgrade(
        &self,
        request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        let credentials = Credentials::of(&request);
        self.0.admit(&credentials, Access::Root).await?;
        let answer = downgrade::answer(&self.0, &credentials, &request.into_inner()).await?;
        Ok(Response::new(answer))
    }
}

impl Maintenance {
    /// Active alarms of a kind, or of any.
    async fn alarms(&self, kind: AlarmKind) -> Result<Response<pb::AlarmResponse>, Status> {
        self.0.read_barrier().await?;
        let mut alarms = self.0.replica.machine().alarms();
        alarms.retain(|(_, active)| kind == AlarmKind::Any || *active == kind);
        let header = Some(self.0.header_now());
        let alarms = convert::alarm_members(alarms);
        Ok(Response::new(pb::AlarmResponse { header, alarms }))
    }
}

/// etcd prints an alarm as protobuf's compact text, without what is zero.
fn alarm_text((member, alarm): (u64, AlarmKind)) -> String {
    let alarm = convert::alarm_name(alarm);
    match member {
        0 => format!("alarm:{alarm} "),
        member => format!("memberID:{member} alarm:{alarm} "),
    }
}

/// etcd's sizes are signed.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_printed_as_etcd_prints_it() {
        assert_eq!(
            alarm_text((7, AlarmKind::NoSpace)),
            "memberID:7 alarm:NOSPACE "
        );
        assert_eq!(
            alarm_text((8, AlarmKind::Corrupt)),
            "memberID:8 alarm:CORRUPT "
        );
        assert_eq!(alarm_text((0, AlarmKind::Corrupt)), "alarm:CORRUPT ");
    }
}
