//! A connection to one member with the client of every service the tests ask.

use std::time::Duration;

use anyhow::{Context, Result};
use proto::etcdserverpb::auth_client::AuthClient;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::watch_client::WatchClient;
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, StatusRequest};
use proto::v3electionpb::election_client::ElectionClient;
use proto::v3lockpb::lock_client::LockClient;
use tonic::transport::{Channel, Endpoint};

/// Time without an answer after which a test gives up on a server.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Clients that share one connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub kv: KvClient<Channel>,
    pub watch: WatchClient<Channel>,
    pub lease: LeaseClient<Channel>,
    pub auth: AuthClient<Channel>,
    pub cluster: ClusterClient<Channel>,
    pub maintenance: MaintenanceClient<Channel>,
    pub lock: LockClient<Channel>,
    pub election: ElectionClient<Channel>,
}

impl Client {
    /// Connects now; an error when nobody listens.
    pub async fn connect(url: &str) -> Result<Client> {
        let channel = endpoint(url)?
            .connect()
            .await
            .with_context(|| format!("connecting to {url}"))?;
        Ok(Client::over(channel))
    }

    /// Connects when first used, and again after a failure.
    pub fn lazy(url: &str) -> Result<Client> {
        Ok(Client::over(endpoint(url)?.connect_lazy()))
    }

    /// Clients over a connection that was made elsewhere.
    pub fn over(channel: Channel) -> Client {
        Client {
            kv: KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX),
            watch: WatchClient::new(channel.clone()).max_decoding_message_size(usize::MAX),
            lease: LeaseClient::new(channel.clone()).max_decoding_message_size(usize::MAX),
            auth: AuthClient::new(channel.clone()),
            cluster: ClusterClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            lock: LockClient::new(channel.clone()),
            election: ElectionClient::new(channel),
        }
    }

    /// Puts one key; the revision it got.
    pub async fn put(&mut self, key: &str, value: &str) -> Result<i64, tonic::Status> {
        let request = PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            ..Default::default()
        };
        let answer = self.kv.put(request).await?.into_inner();
        Ok(answer.header.unwrap_or_default().revision)
    }

    /// The value of one key, read linearizably.
    pub async fn get(&mut self, key: &str) -> Result<Option<String>, tonic::Status> {
        let request = RangeRequest {
            key: key.to_owned().into(),
            ..Default::default()
        };
        let answer = self.kv.range(request).await?.into_inner();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(answer.kvs.first().map(|kv| text(&kv.value)))
    }

    /// Every key that starts with `prefix`, with its value.
    pub async fn list(&mut self, prefix: &str) -> Result<Vec<(String, String)>, tonic::Status> {
        let request = RangeRequest {
            key: prefix.to_owned().into(),
            range_end: crate::text::prefix_end(prefix.as_bytes()).into(),
            ..Default::default()
        };
        let answer = self.kv.range(request).await?.into_inner();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(answer
            .kvs
            .iter()
            .map(|kv| (text(&kv.key), text(&kv.value)))
            .collect())
    }

    /// Deletes every key that starts with `prefix`.
    pub async fn delete_prefix(&mut self, prefix: &str) -> Result<(), tonic::Status> {
        let request = DeleteRangeRequest {
            key: prefix.to_owned().into(),
            range_end: crate::text::prefix_end(prefix.as_bytes()).into(),
            ..Default::default()
        };
        self.kv.delete_range(request).await?;
        Ok(())
    }

    /// Member id of this member and of the leader it knows; 0 when it knows none.
    pub async fn member_and_leader(&mut self) -> Result<(u64, u64), tonic::Status> {
        let status = self
            .maintenance
            .status(StatusRequest {})
            .await?
            .into_inner();
        Ok((status.header.unwrap_or_default().member_id, status.leader))
    }
}

fn endpoint(url: &str) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(url.to_owned())
        .with_context(|| format!("{url} is no address"))?
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true))
}
