//! lock and elect: both hold a key with a lease, and keep the lease alive until they end.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use daemon::Signals;
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, RangeRequest, RangeResponse,
};
use proto::v3electionpb::election_client::ElectionClient;
use proto::v3electionpb::{CampaignRequest, LeaderRequest, ResignRequest};
use proto::v3lockpb::lock_client::LockClient;
use proto::v3lockpb::{LockRequest, UnlockRequest};
use tokio::process::Command;
use tokio_stream::StreamExt;

use super::arguments::Lock;
use super::failure::Failure;
use super::{Service, Session, kv};

/// Seconds that a candidate's key outlives this program, as etcd's client has it.
const CANDIDATE_TTL_SECONDS: i64 = 60;

/// A lease that this program keeps alive.
struct Lease {
    id: i64,
    ttl: Duration,
    client: LeaseClient<Service>,
}

impl Lease {
    async fn grant(session: &Session, ttl_seconds: i64) -> Result<Lease> {
        let mut client = LeaseClient::new(session.channel().await?);
        let request = LeaseGrantRequest {
            ttl: ttl_seconds,
            id: 0,
        };
        let answer = session.within(client.lease_grant(request)).await?;
        Ok(Lease {
            id: answer.id,
            ttl: Duration::from_secs(answer.ttl.unsigned_abs()),
            client,
        })
    }

    /// Renews it as long as this is polled; returns when it is lost.
    async fn keep(&self) -> anyhow::Error {
        let mut client = self.client.clone();
        loop {
            tokio::time::sleep(self.ttl / 3).await;
            let request = LeaseKeepAliveRequest { id: self.id };
            let renewed = async {
                let answers = client.lease_keep_alive(tokio_stream::once(request)).await;
                answers?
                    .into_inner()
                    .next()
                    .await
                    .context("no answer")?
                    .context("refused")
            };
            match tokio::time::timeout(self.ttl / 3, renewed).await {
                Ok(Ok(answer)) if answer.ttl > 0 => {}
                Ok(Ok(_)) => return anyhow::anyhow!("session expired"),
                // The lease may still be there at the next try, and says so if not.
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    async fn revoke(mut self, session: &Session) -> Result<()> {
        let request = LeaseRevokeRequest { id: self.id };
        session.within(self.client.lease_revoke(request)).await?;
        Ok(())
    }
}

/// Holds the lock until a signal, or while a command runs, whose exit code it has then.
pub(super) async fn lock(session: &Session, lock: &Lock) -> Result<()> {
    let mut signals = Signals::install()?;
    let lease = Lease::grant(session, lock.ttl_seconds).await?;
    let mut client = LockClient::new(session.channel().await?);
    let request = LockRequest {
        name: Bytes::copy_from_slice(lock.name.as_bytes()),
        lease: lease.id,
    };
    let held = tokio::select! {
        held = client.lock(request) => held?.into_inner(),
        error = lease.keep() => return Err(error),
        _ = signals.next() => {
            return lease.revoke(session).await;
        }
    };
    let ended = if lock.command.is_empty() {
        let kept = print_key(session, &held.key, "lock lost on init").await;
        tokio::select! {
            () = std::future::ready(()), if kept.is_err() => kept,
            _ = signals.next() => Ok(()),
            error = lease.keep() => Err(error),
        }
    } else {
        let revision = held.header.map_or(0, |header| header.revision);
        tokio::select! {
            ended = run(&lock.command, &held.key, revision) => ended,
            error = lease.keep() => Err(error),
        }
    };
    let unlock = UnlockRequest { key: held.key };
    let unlocked = session.within(client.unlock(unlock)).await;
    lease.revoke(session).await?;
    unlocked?;
    ended
}

async fn run(words: &[String], key: &[u8], revision: i64) -> Result<()> {
    let (program, arguments) = words.split_first().context("a command")?;
    let status = Command::new(program)
        .args(arguments)
        .env("ETCD_LOCK_KEY", String::from_utf8_lossy(key).as_ref())
        .env("ETCD_LOCK_REV", revision.to_string())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("cannot run {program}"))?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let code = code.unwrap_or(1);
    Err(Failure::new(code, format!("exit status {code}")).into())
}

/// Prints the key that is held, with its value.
async fn print_key(session: &Session, key: &Bytes, lost: &str) -> Result<()> {
    let mut client = kv::client(session).await?;
    let request = RangeRequest {
        key: key.clone(),
        ..RangeRequest::default()
    };
    let answer = session.within(client.range(request)).await?;
    if answer.kvs.is_empty() {
        bail!("{lost}");
    }
    session.printer.get(&answer)
}

/// Leads until a signal, once it is elected.
pub(super) async fn campaign(session: &Session, election: &str, proposal: &str) -> Result<()> {
    let mut signals = Signals::install()?;
    let lease = Lease::grant(session, CANDIDATE_TTL_SECONDS).await?;
    let mut client = ElectionClient::new(session.channel().await?);
    let request = CampaignRequest {
        name: Bytes::copy_from_slice(election.as_bytes()),
        lease: lease.id,
        value: Bytes::copy_from_slice(proposal.as_bytes()),
    };
    let won = tokio::select! {
        won = client.campaign(request) => won?.into_inner(),
        error = lease.keep() => return Err(error),
        _ = signals.next() => return lease.revoke(session).await,
    };
    let leader = won.leader.context("an answer without the leader's key")?;
    print_key(session, &leader.key, "no leader key").await?;
    let ended = tokio::select! {
        _ = signals.next() => Ok(()),
        error = lease.keep() => Err(error),
    };
    let resign = ResignRequest {
        leader: Some(leader),
    };
    let resigned = session.within(client.resign(resign)).await;
    lease.revoke(session).await?;
    resigned?;
    ended
}

/// Prints every leader and what it makes known, until a signal.
pub(super) async fn observe(session: &Session, election: &str) -> Result<()> {
    let mut signals = Signals::install()?;
    let mut client = ElectionClient::new(session.channel().await?);
    let request = LeaderRequest {
        name: Bytes::copy_from_slice(election.as_bytes()),
    };
    // The server answers once there is a leader.
    let asked = tokio::select! {
        asked = client.observe(request) => asked?,
        _ = signals.next() => return Ok(()),
    };
    let mut leaders = asked.into_inner();
    loop {
        let leader = tokio::select! {
            leader = leaders.next() => leader,
            _ = signals.next() => return Ok(()),
        };
        let leader = leader.context("observer lost")??;
        session.printer.get(&RangeResponse {
            header: leader.header,
            kvs: leader.kv.into_iter().collect(),
            ..RangeResponse::default()
        })?;
    }
}
