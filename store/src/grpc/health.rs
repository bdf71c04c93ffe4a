//! gRPC's health service. The server as a whole, named "", is the only thing whose health is known.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use proto::server::health as pb;
use tonic::{Request, Response, Status};

use pb::health_check_response::ServingStatus;

use super::Edge;

pub(super) struct Health(pub(super) Arc<Edge>);

#[tonic::async_trait]
impl pb::health_server::Health for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<pb::HealthCheckRequest>,
    ) -> Result<Response<pb::HealthCheckResponse>, Status> {
        if !request.into_inner().service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(answer(ServingStatus::Serving)))
    }

    async fn watch(
        &self,
        request: Request<pb::HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = request.into_inner().service.is_empty();
        let now = if known {
            ServingStatus::Serving
        } else {
            ServingStatus::ServiceUnknown
        };
        let statuses = stream::once(async move { Ok(answer(now)) }).chain(stream::pending());
        Ok(Response::new(super::stream::guard(
            &self.0, false, statuses,
        )))
    }
}

fn answer(status: ServingStatus) -> pb::HealthCheckResponse {
    pb::HealthCheckResponse {
        status: status.into(),
    }
}
