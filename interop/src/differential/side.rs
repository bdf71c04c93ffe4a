//! One of the two servers, as the differential test asks it.

use std::future::Future;

use anyhow::Result;
use proto::etcdserverpb as pb;
use tokio::time::Instant;
use tonic::{Response, Status};

use super::feed::Feed;
use super::step::{Answer, Step};
use super::{SENTINEL, sentinel_watch};
use crate::client::{ANSWER_TIMEOUT, Client};
use crate::cluster::{Cluster, Options, POLL_INTERVAL, STEADY};
use crate::target::Target;

/// The metric that counts the watches which are catching up.
const SLOW_WATCHERS: &str = "etcd_debugging_mvcc_slow_watcher_total ";

/// A fresh cluster, a client of one member of it and one watch stream.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) cluster: Cluster,
    pub(super) feed: Feed,
    client: Client,
}

impl Side {
    /// Starts a cluster; asks a follower, when there is one. A pause of one side neither ends a short lease between two
    /// looks at it nor makes another member lead.
    pub(super) async fn start(target: &Target, members: usize) -> Result<Side> {
        let options = Options {
            members,
            flags: vec![STEADY.to_owned()],
            in_memory: true,
        };
        let mut cluster = Cluster::start(target, &options).await?;
        let asked = match members {
            1 => 0,
            _ => (cluster.wait_leader().await? + 1) % members,
        };
        let mut client = cluster.client(asked).await?;
        let feed = Feed::open(&mut client, sentinel_watch()).await?;
        Ok(Side {
            cluster,
            feed,
            client,
        })
    }

    /// Asks one thing and waits for the answer.
    pub(super) async fn perform(&mut self, step: &Step) -> Answer {
        match tokio::time::timeout(ANSWER_TIMEOUT, self.ask(step)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(status)) => status.into(),
            Err(_) => Answer::Silent,
        }
    }

    /// Waits until no watch is catching up: one that is would be ended by a compaction.
    pub(super) async fn wait_watches_synced(&self) -> Result<(), String> {
        let ports: Vec<u16> = self
            .cluster
            .members
            .iter()
            .map(|member| member.client_port)
            .collect();
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        while Instant::now() < deadline {
            let ports = ports.clone();
            let lagging = tokio::task::spawn_blocking(move || lagging_watches(&ports)).await;
            match lagging.map_err(|error| error.to_string())? {
                Ok(0) => return Ok(()),
                Ok(_) => tokio::time::sleep(POLL_INTERVAL).await,
                Err(error) => return Err(format!("{error:#}")),
            }
        }
        Err(format!(
            "a watch of {} does not catch up",
            self.cluster.target.name
        ))
    }

    async fn ask(&mut self, step: &Step) -> Result<Answer, Status> {
        let Client {
            kv,
            lease,
            maintenance,
            ..
        } = &mut self.client;
        Ok(match step.clone() {
            Step::Range(request) => Answer::Range(body(kv.range(request)).await?),
            Step::Put(request) => Answer::Put(body(kv.put(request)).await?),
            Step::DeleteRange(request) => {
                Answer::DeleteRange(body(kv.delete_range(request)).await?)
            }
            Step::Txn(request) => Answer::Txn(body(kv.txn(request)).await?),
            Step::Compact(request) => Answer::Compact(body(kv.compact(request)).await?),
            Step::Grant(request) => Answer::Grant(body(lease.lease_grant(request)).await?),
            Step::GrantBriefly(request) => self.grant_briefly(request).await?,
            Step::Revoke(id) => {
                Answer::Revoke(body(lease.lease_revoke(pb::LeaseRevokeRequest { id })).await?)
            }
            Step::TimeToLive(request) => {
                Answer::TimeToLive(body(lease.lease_time_to_live(request)).await?)
            }
            Step::KeepAlive(id) => {
                let request = tokio_stream::once(pb::LeaseKeepAliveRequest { id });
                let mut answers = body(lease.lease_keep_alive(request)).await?;
                answers
                    .message()
                    .await?
                    .map_or(Answer::Silent, Answer::KeepAlive)
            }
            Step::Leases => {
                Answer::Leases(body(lease.lease_leases(pb::LeaseLeasesRequest {})).await?)
            }
            Step::HashKv(revision) => {
                Answer::HashKv(body(maintenance.hash_kv(pb::HashKvRequest { revision })).await?)
            }
            Step::WatchCreate(request) => self
                .feed
                .create(request)
                .await
                .map_or(Answer::Silent, Answer::Watch),
            Step::WatchCancel(id) => {
                let answer = self.feed.cancel(id).await;
                // Its revision is whatever the server had reached.
                answer.map_or(Answer::Silent, |answer| {
                    Answer::Watch(pb::WatchResponse {
                        header: None,
                        ..answer
                    })
                })
            }
            Step::Sync { .. } => {
                let request = pb::PutRequest {
                    key: SENTINEL.into(),
                    ..Default::default()
                };
                Answer::Put(body(kv.put(request)).await?)
            }
        })
    }

    async fn grant_briefly(&mut self, request: pb::LeaseGrantRequest) -> Result<Answer, Status> {
        let lease = &mut self.client.lease;
        let chosen = request.id;
        let mut granted = body(lease.lease_grant(request)).await?;
        let id = granted.id;
        let asked = pb::LeaseTimeToLiveRequest { id, keys: true };
        let mut time = body(lease.lease_time_to_live(asked)).await?;
        let revoked = body(lease.lease_revoke(pb::LeaseRevokeRequest { id })).await?;
        if chosen == 0 {
            if id <= 0 || time.id != id {
                return Err(Status::internal(format!("the server chose lease id {id}")));
            }
            (granted.id, time.id) = (0, 0);
        }
        Ok(Answer::GrantBriefly(granted, time, revoked))
    }
}

async fn body<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    call.await.map(Response::into_inner)
}

/// Watches that are behind, as the members' metrics tell; none where there is no such metric.
fn lagging_watches(ports: &[u16]) -> Result<usize> {
    let mut lagging = 0;
    for port in ports {
        let metrics = crate::http::get(*port, "/metrics")?.body;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(SLOW_WATCHERS));
        lagging += line.map_or(0, |count| count.trim().parse().unwrap_or(0));
    }
    Ok(lagging)
}
