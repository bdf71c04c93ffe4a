//! Leases through a member that does not lead: what it granted exists for everyone who asks it.

use anyhow::{Context, Result};
use interop::cluster::{Cluster, Options};
use interop::target::Target;
use proto::etcdserverpb::{LeaseGrantRequest, LeaseKeepAliveRequest, LeaseTimeToLiveRequest};
use tokio::task::JoinSet;

/// Grants made side by side, so that the members apply the log at different moments.
const ASKERS: usize = 8;
const GRANTS_EACH: usize = 100;

/// Grants leases on one member and asks it for each at once: the leader, which keeps the time, may not have applied the
/// grant yet.
async fn grant_and_ask(cluster: &Cluster, index: usize) -> Result<JoinSet<Result<()>>> {
    let mut askers = JoinSet::new();
    for _ in 0..ASKERS {
        let mut client = cluster.client(index).await?;
        askers.spawn(async move {
            for _ in 0..GRANTS_EACH {
                let grant = LeaseGrantRequest { ttl: 100, id: 0 };
                let id = client.lease.lease_grant(grant).await?.into_inner().id;
                let ask = LeaseTimeToLiveRequest { id, keys: false };
                let time = client.lease.lease_time_to_live(ask).await?.into_inner();
                anyhow::ensure!(time.granted_ttl == 100, "lease {id} is not known: {time:?}");
                let renew = tokio_stream::once(LeaseKeepAliveRequest { id });
                let mut answers = client.lease.lease_keep_alive(renew).await?.into_inner();
                let renewed = answers.message().await?.context("an answer")?;
                anyhow::ensure!(renewed.ttl == 100, "lease {id} is not renewed: {renewed:?}");
            }
            Ok(())
        });
    }
    Ok(askers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_known_to_the_member_that_granted_it() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::steady_three()).await?;
    let leader = cluster.wait_leader().await?;
    for index in (0..3).filter(|index| *index != leader) {
        let mut askers = grant_and_ask(&cluster, index).await?;
        while let Some(done) = askers.join_next().await {
            done??;
        }
    }
    Ok(())
}
