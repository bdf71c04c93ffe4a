//! Downgrades: the cluster passes for the release before its own, until that is cancelled.

use proto::server::etcdserverpb as pb;
use state_machine::{Command, DowngradeChange, Rejection, Release};
use tonic::Status;

use pb::downgrade_request::DowngradeAction as Action;

use crate::grpc::authn::Credentials;
use crate::grpc::status::{self, BadRequest};
use crate::grpc::{Edge, version};

/// Answers a request of somebody who may make it. The version in the answer is that of before the change.
pub(super) async fn answer(
    edge: &Edge,
    credentials: &Credentials,
    request: &pb::DowngradeRequest,
) -> Result<pb::DowngradeResponse, Status> {
    let target = version::parse(&request.version).ok_or(BadRequest::DowngradeFormat);
    let (change, under_way) = match Action::try_from(request.action) {
        Ok(Action::Validate) => (None, allowed(edge, target?).await?),
        Ok(Action::Enable) => {
            let target = target?;
            let under_way = allowed(edge, target).await?;
            (Some(DowngradeChange::Enable(target)), under_way)
        }
        Ok(Action::Cancel) => {
            edge.read_barrier().await?;
            let under_way = edge.replica.machine().downgrade();
            // As in etcd, cancelling what is not there is no mistake.
            (under_way.map(|_| DowngradeChange::Cancel), under_way)
        }
        Err(_) => return Err(Status::unknown("etcdserver: unknown method")),
    };
    if let Some(change) = change {
        let command = Command::Downgrade(change);
        edge.propose_for(credentials, command).await?;
        tracing::info!(?change, "changed what the cluster passes for");
    }
    Ok(pb::DowngradeResponse {
        header: Some(edge.header_now()),
        version: version::short(version::of_cluster(under_way)),
    })
}

/// Whether the cluster may be taken back to a release now; the downgrade that is under way, of which there is none then.
/// etcd's order: what the cluster passes for, then whether one is under way.
async fn allowed(edge: &Edge, target: Release) -> Result<Option<Release>, Status> {
    edge.read_barrier().await?;
    let under_way = edge.replica.machine().downgrade();
    if version::before(version::of_cluster(under_way)) != Some(target) {
        return Err(BadRequest::DowngradeTarget.into());
    }
    match under_way {
        Some(_) => Err(status::rejected(Rejection::DowngradeInProgress)),
        None => Ok(None),
    }
}
