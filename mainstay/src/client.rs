//! Connections to members, for the client and for the line that shows a cluster.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use proto::etcdserverpb::StatusRequest;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use tonic::transport::{Channel, Endpoint};

/// Largest answer taken. etcd's client has no limit of its own either.
pub(crate) const ANSWER_BYTES_MAX: usize = i32::MAX as usize;

/// Connects to one member. `endpoint` is `host:port` or a URL with `http`.
pub(crate) async fn connect(endpoint: &str, dial_timeout: Duration) -> Result<Channel> {
    let url = match endpoint.split_once("://") {
        None => format!("http://{endpoint}"),
        Some(("http", _)) => endpoint.to_owned(),
        Some((scheme, _)) => return Err(anyhow!("{endpoint}: scheme {scheme} is not available")),
    };
    let target =
        Endpoint::from_shared(url).with_context(|| format!("bad endpoint {endpoint:?}"))?;
    let target = target.connect_timeout(dial_timeout).tcp_nodelay(true);
    match tokio::time::timeout(dial_timeout, target.connect()).await {
        Err(_) => Err(anyhow!("{endpoint} did not answer in {dial_timeout:?}")),
        Ok(connected) => connected.with_context(|| format!("cannot connect to {endpoint}")),
    }
}

/// The first member of a list that takes a connection.
pub(crate) async fn connect_any(endpoints: &[String], dial_timeout: Duration) -> Result<Channel> {
    let mut failures = Vec::new();
    for endpoint in endpoints {
        match connect(endpoint, dial_timeout).await {
            Ok(channel) => return Ok(channel),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    Err(anyhow!(
        "no endpoint can be reached: {}",
        failures.join("; ")
    ))
}

/// What a member says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemberStatus {
    pub(crate) member_id: u64,
    /// 0 for none.
    pub(crate) leader: u64,
    pub(crate) revision: i64,
}

/// Asks one member. The answer needs no quorum.
pub(crate) async fn status(channel: &Channel) -> Result<MemberStatus> {
    let answer = MaintenanceClient::new(channel.clone())
        .status(StatusRequest {})
        .await?
        .into_inner();
    let header = answer.header.unwrap_or_default();
    Ok(MemberStatus {
        member_id: header.member_id,
        leader: answer.leader,
        revision: header.revision,
    })
}
