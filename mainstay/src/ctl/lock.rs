//! lock and elect: both hold a key with a lease, and keep the lease alive until they end.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use daemon::Signals;
use proto::etcdserverpb::{RangeRequest, RangeResponse};
use proto::v3electionpb::election_client::ElectionClient;
use proto::v3electionpb::{CampaignRequest, LeaderRequest, LeaderResponse, ResignRequest};
use proto::v3lockpb::lock_client::LockClient;
use proto::v3lockpb::{LockRequest, UnlockRequest};
use tokio::process::Command;
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

use super::arguments::Lock;
use super::failure::Failure;
use super::kept::Kept;
use super::{RECONNECT_PAUSE, Session, is_lost, kv};

/// Seconds that a candidate's key outlives this program, as etcd's client has it.
const CANDIDATE_TTL_SECONDS: i64 = 60;

/// Holds the lock until a signal, or while a command runs, whose exit code it has then. With the lease the lock is lost, and the command
/// ends at once: another may hold the lock.
pub(super) async fn lock(session: &Session, lock: &Lock) -> Result<()> {
    let mut signals = Signals::install()?;
    let mut lease = Kept::grant(session, lock.ttl_seconds).await?;
    let mut client = LockClient::new(lease.service());
    let request = LockRequest {
        name: Bytes::copy_from_slice(lock.name.as_bytes()),
        lease: lease.id,
    };
    let held = tokio::select! {
        held = client.lock(request) => held?.into_inner(),
        error = lease.lost(session) => return Err(error),
        _ = signals.next() => {
            return lease.revoke(session).await;
        }
    };
    let ended = if lock.command.is_empty() {
        let kept = print_key(session, &held.key, "lock lost on init").await;
        tokio::select! {
            () = std::future::ready(()), if kept.is_err() => kept,
            _ = signals.next() => Ok(()),
            error = lease.lost(session) => return Err(error),
        }
    } else {
        let revision = held.header.map_or(0, |header| header.revision);
        tokio::select! {
            // A lease that is lost already is noticed before the command starts.
            biased;
            error = lease.lost(session) => return Err(error),
            ended = run(&lock.command, &held.key, revision) => ended,
        }
    };
    // The member that gave the lock may be gone; the one that renewed the lease last answers.
    let mut client = LockClient::new(lease.service());
    let unlock = UnlockRequest { key: held.key };
    let unlocked = session.within(client.unlock(unlock)).await;
    if lease.revoke(session).await.is_err() {
        unlocked?;
    }
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
    let mut lease = Kept::grant(session, CANDIDATE_TTL_SECONDS).await?;
    let mut client = ElectionClient::new(lease.service());
    let request = CampaignRequest {
        name: Bytes::copy_from_slice(election.as_bytes()),
        lease: lease.id,
        value: Bytes::copy_from_slice(proposal.as_bytes()),
    };
    let won = tokio::select! {
        won = client.campaign(request) => won?.into_inner(),
        error = lease.lost(session) => return Err(error),
        _ = signals.next() => return lease.revoke(session).await,
    };
    let leader = won.leader.context("an answer without the leader's key")?;
    print_key(session, &leader.key, "no leader key").await?;
    tokio::select! {
        _ = signals.next() => {}
        error = lease.lost(session) => return Err(error),
    }
    let mut client = ElectionClient::new(lease.service());
    let resign = ResignRequest {
        leader: Some(leader),
    };
    let resigned = session.within(client.resign(resign)).await;
    if lease.revoke(session).await.is_err() {
        resigned?;
    }
    Ok(())
}

/// Prints every leader and what it makes known, until a signal. When its member is gone, it asks another.
pub(super) async fn observe(session: &Session, election: &str) -> Result<()> {
    let mut signals = Signals::install()?;
    tokio::select! {
        ended = observe_everywhere(session, election) => ended,
        _ = signals.next() => Ok(()),
    }
}

async fn observe_everywhere(session: &Session, election: &str) -> Result<()> {
    let request = LeaderRequest {
        name: Bytes::copy_from_slice(election.as_bytes()),
    };
    let mut left = 0;
    let mut printed = None;
    loop {
        let mut client = ElectionClient::new(session.channel_beyond(left).await?);
        let lost = match client.observe(request.clone()).await {
            // The server answers once there is a leader.
            Ok(asked) => print_leaders(session, asked.into_inner(), &mut printed).await?,
            Err(status) => status,
        };
        if !is_lost(&lost) {
            return Err(lost.into());
        }
        left += 1;
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

/// Prints leaders as they come; returns what ended the stream. Another member begins with the leader that was `printed` last.
async fn print_leaders(
    session: &Session,
    mut leaders: Streaming<LeaderResponse>,
    printed: &mut Option<(Bytes, i64)>,
) -> Result<Status> {
    loop {
        let leader = match leaders.next().await.context("observer lost")? {
            Ok(leader) => leader,
            Err(status) => return Ok(status),
        };
        let seen = leader.kv.as_ref();
        let seen = seen.map(|pair| (pair.key.clone(), pair.mod_revision));
        if seen.is_some() && seen == *printed {
            continue;
        }
        *printed = seen;
        session.printer.get(&RangeResponse {
            header: leader.header,
            kvs: leader.kv.into_iter().collect(),
            ..RangeResponse::default()
        })?;
    }
}
