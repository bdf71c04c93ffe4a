//! One of the two clusters: connections to it, and what is asked of it.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use tokio::time::{Instant, sleep};
use tonic::{Code, Response, Status};

use super::super::failure::Failure;
use super::super::{Service, Session, cluster, message, within};
use crate::client::ANSWER_BYTES_MAX;

/// How long a side that was lost is tried again.
pub(super) const RETURN_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// The source or the target.
pub(super) struct Side {
    /// What it is called in words to the operator.
    pub(super) name: &'static str,
    session: Session,
}

impl Side {
    pub(super) fn new(name: &'static str, session: Session) -> Side {
        Side { name, session }
    }

    pub(super) fn endpoints(&self) -> String {
        self.session.global.endpoints.join(",")
    }

    /// A connection to the first member that answers a linearizable read.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let mut failures = Vec::new();
        for endpoint in &self.session.global.endpoints {
            match self.connect_to(endpoint).await {
                Ok(connection) => return Ok(connection),
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => failures.push(format!("{endpoint}: {}", message(&error))),
            }
        }
        Err(anyhow!(
            "no member of the {} answers: {}",
            self.name,
            failures.join("; ")
        ))
    }

    async fn connect_to(&self, endpoint: &str) -> Result<Connection> {
        let connection = Connection {
            service: cluster::channel(&self.session, endpoint).await?,
            timeout: self.session.global.command_timeout,
        };
        connection.revision().await?;
        Ok(connection)
    }

    /// Tries for so long, until a member answers.
    pub(super) async fn connect_within(&self, limit: Duration) -> Result<Connection> {
        let deadline = Instant::now() + limit;
        loop {
            match self.connect().await {
                Ok(connection) => return Ok(connection),
                Err(error) if is_final(&error) || Instant::now() >= deadline => {
                    return Err(error.context(format!("waited {limit:?} for the {}", self.name)));
                }
                Err(_) => sleep(RETRY_INTERVAL).await,
            }
        }
    }
}

/// A failure that ends the migration: trying again would not help.
pub(super) fn stop(text: String) -> anyhow::Error {
    Failure::new(1, text).into()
}

/// Whether an error is an answer that will stay the same, and not a connection, a member or a token that was lost.
pub(super) fn is_final(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Status>() {
        Some(status) => is_final_status(status),
        None => error.downcast_ref::<Failure>().is_some(),
    }
}

pub(super) fn is_final_status(status: &Status) -> bool {
    let text = status.message();
    match status.code() {
        Code::InvalidArgument => !text.ends_with("revision of auth store is old"),
        Code::ResourceExhausted => !text.ends_with("too many requests"),
        Code::PermissionDenied
        | Code::Unimplemented
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::DataLoss => true,
        _ => false,
    }
}

/// The revision in an answer's header.
pub(super) fn revision_of(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

/// A connection to one member.
#[derive(Clone)]
pub(super) struct Connection {
    service: Service,
    timeout: Duration,
}

impl Connection {
    pub(super) fn service(&self) -> Service {
        self.service.clone()
    }

    /// How long an answer may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn kv(&self) -> KvClient<Service> {
        KvClient::new(self.service()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn lease(&self) -> LeaseClient<Service> {
        LeaseClient::new(self.service()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn watch(&self) -> WatchClient<Service> {
        WatchClient::new(self.service()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn auth(&self) -> AuthClient<Service> {
        AuthClient::new(self.service()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn maintenance(&self) -> MaintenanceClient<Service> {
        MaintenanceClient::new(self.service()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Waits for an answer no longer than `--command-timeout`.
    pub(super) async fn within<T>(
        &self,
        asking: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T> {
        within(self.timeout, asking).await
    }

    pub(super) async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.within(self.kv().range(request)).await
    }

    /// The cluster and its revision, asked of a majority.
    pub(super) async fn header(&self) -> Result<ResponseHeader> {
        let request = RangeRequest {
            key: vec![0].into(),
            count_only: true,
            ..RangeRequest::default()
        };
        self.range(request)
            .await?
            .header
            .context("an answer without a header")
    }

    pub(super) async fn revision(&self) -> Result<i64> {
        Ok(self.header().await?.revision)
    }
}
