//! The Lock and Election services: the same story is told to etcd and to ours, on all members of each.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use interop::client::{ANSWER_TIMEOUT, Client};
use interop::cluster::{Cluster, Options, POLL_INTERVAL};
use interop::target::Target;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest, RangeRequest,
};
use proto::v3electionpb::{
    CampaignRequest, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest, ResignRequest,
};
use proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::{Code, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

async fn grant(client: &mut Client) -> Result<i64> {
    let grant = LeaseGrantRequest { ttl: 600, id: 0 };
    Ok(client.lease.lease_grant(grant).await?.into_inner().id)
}

async fn revoke(client: &mut Client, id: i64) -> Result<()> {
    client.lease.lease_revoke(LeaseRevokeRequest { id }).await?;
    Ok(())
}

/// Keys of a name and their leases, the oldest first.
async fn line(client: &mut Client, name: &str) -> Result<Vec<(String, i64)>> {
    let prefix = format!("{name}/");
    let all = RangeRequest {
        range_end: interop::text::prefix_end(prefix.as_bytes()).into(),
        key: prefix.into(),
        sort_order: 1,
        sort_target: 2,
        ..Default::default()
    };
    let answer = client.kv.range(all).await?.into_inner();
    let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    Ok(answer
        .kvs
        .iter()
        .map(|kv| (text(&kv.key), kv.lease))
        .collect())
}

/// Returns once so many stand in line.
async fn wait_line(client: &mut Client, name: &str, length: usize) -> Result<()> {
    let polled = async {
        while line(client, name).await?.len() != length {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        anyhow::Ok(())
    };
    timeout(ANSWER_TIMEOUT, polled)
        .await
        .with_context(|| format!("{length} in line for {name}"))?
}

fn lock(client: &Client, name: &'static str, lease: i64) -> JoinHandle<Answer<LockResponse>> {
    let mut client = client.lock.clone();
    let request = LockRequest {
        name: name.into(),
        lease,
    };
    tokio::spawn(async move { client.lock(request).await })
}

async fn locked(answer: JoinHandle<Answer<LockResponse>>) -> Result<LockResponse> {
    let answer = timeout(ANSWER_TIMEOUT, answer).await.context("the lock")?;
    Ok(answer??.into_inner())
}

/// Code and text of a refusal.
fn refusal<T: std::fmt::Debug>(answer: Answer<T>) -> Result<(Code, String)> {
    match answer {
        Err(status) => Ok((status.code(), status.message().to_owned())),
        Ok(answer) => anyhow::bail!("it was not refused: {answer:?}"),
    }
}

async fn unlock(client: &mut Client, key: &Bytes) -> Result<()> {
    client
        .lock
        .unlock(UnlockRequest { key: key.clone() })
        .await?;
    Ok(())
}

/// Who comes later waits, and has the lock when the one before gives it up or loses its lease.
async fn one_after_the_other([a, b, c]: &mut [Client; 3]) -> Result<()> {
    let (first, second, third) = (grant(a).await?, grant(b).await?, grant(c).await?);
    let held = locked(lock(a, "deploy", first)).await?;
    assert_eq!(held.key, format!("deploy/{first:x}"));
    let again = locked(lock(b, "deploy", first)).await?;
    assert_eq!(again.key, held.key);
    let next = lock(b, "deploy", second);
    wait_line(a, "deploy", 2).await?;
    let last = lock(c, "deploy", third);
    wait_line(a, "deploy", 3).await?;
    assert!(!next.is_finished() && !last.is_finished());
    unlock(c, &held.key).await?;
    let next = locked(next).await?;
    assert_eq!(next.key, format!("deploy/{second:x}"));
    assert!(!last.is_finished());
    revoke(a, second).await?;
    let last = locked(last).await?;
    let held = held.header.context("a header")?;
    let last = last.header.context("a header")?;
    assert!(held.revision < last.revision);
    // A lock that is not there can be given up.
    unlock(a, &next.key).await?;
    Ok(())
}

/// Who does not wait any more leaves the line.
async fn a_caller_that_goes_leaves_the_line([a, b, c]: &mut [Client; 3]) -> Result<()> {
    let (first, second, third) = (grant(a).await?, grant(b).await?, grant(c).await?);
    let held = locked(lock(a, "lent", first)).await?;
    let gone = lock(b, "lent", second);
    wait_line(a, "lent", 2).await?;
    let patient = lock(c, "lent", third);
    wait_line(a, "lent", 3).await?;
    gone.abort();
    wait_line(a, "lent", 2).await?;
    let leases: Vec<i64> = line(b, "lent")
        .await?
        .into_iter()
        .map(|(_, lease)| lease)
        .collect();
    assert_eq!(leases, [first, third]);
    unlock(a, &held.key).await?;
    locked(patient).await?;
    Ok(())
}

/// etcd's services lose the code of an error on its way through a client of their own; ours keep it.
async fn leases_of_locks([a, b, _]: &mut [Client; 3], code: Code) -> Result<()> {
    let none = lock(a, "nobody", 4_711).await?;
    assert_eq!(
        refusal(none)?,
        (code, "etcdserver: requested lease not found".to_owned())
    );
    locked(lock(b, "short", 0)).await?;
    let (_, id) = line(a, "short").await?.pop().context("a place")?;
    let ask = LeaseTimeToLiveRequest { id, keys: false };
    let time = b.lease.lease_time_to_live(ask).await?.into_inner();
    assert_eq!(time.granted_ttl, 60);
    Ok(())
}

async fn campaign(client: &Client, lease: i64, value: &'static str) -> Answer<LeaderKey> {
    let request = CampaignRequest {
        name: "boss".into(),
        lease,
        value: value.into(),
    };
    let won = client.election.clone().campaign(request).await?;
    Ok(won.map(|won| won.leader.unwrap_or_default()))
}

async fn proclaim(
    client: &mut Client,
    leader: Option<LeaderKey>,
    value: &'static str,
) -> Answer<()> {
    let request = ProclaimRequest {
        leader,
        value: value.into(),
    };
    Ok(client.election.proclaim(request).await?.map(|_| ()))
}

fn asked() -> LeaderRequest {
    LeaderRequest {
        name: "boss".into(),
    }
}

/// The value of the leader, which the header is as new as.
fn value(response: &LeaderResponse) -> Result<String> {
    let kv = response.kv.as_ref().context("a leader")?;
    let header = response.header.as_ref().context("a header")?;
    ensure!(header.revision >= kv.mod_revision, "{response:?}");
    Ok(String::from_utf8_lossy(&kv.value).into_owned())
}

async fn elections([a, b, c]: &mut [Client; 3]) -> Result<()> {
    let unknown = |text: &str| (Code::Unknown, text.to_owned());
    let nobody = a.election.leader(asked()).await;
    assert_eq!(refusal(nobody)?, unknown("election: no leader"));
    let (first, second) = (grant(a).await?, grant(b).await?);
    let leader = campaign(a, first, "one").await?.into_inner();
    assert_eq!(leader.name, "boss");
    assert_eq!(leader.key, format!("boss/{first:x}"));
    assert_eq!(leader.lease, first);
    // etcd answers nothing, not even that it observes, before there is a leader.
    let mut seen = c.election.observe(asked()).await?.into_inner();
    let mut next = async || {
        let response = timeout(ANSWER_TIMEOUT, seen.message()).await??;
        value(&response.context("the observation goes on")?)
    };
    assert_eq!(next().await?, "one");
    proclaim(a, Some(leader.clone()), "two").await?;
    assert_eq!(next().await?, "two");
    assert_eq!(
        value(&b.election.leader(asked()).await?.into_inner())?,
        "two"
    );
    // The leader may campaign again, for another value.
    let again = campaign(a, first, "three").await?.into_inner();
    assert_eq!(again, leader);
    assert_eq!(next().await?, "three");

    let candidate = b.clone();
    let heir = tokio::spawn(async move { campaign(&candidate, second, "four").await });
    wait_line(a, "boss", 2).await?;
    assert!(!heir.is_finished());
    let resign = ResignRequest {
        leader: Some(leader.clone()),
    };
    a.election.resign(resign.clone()).await?;
    let heir = timeout(ANSWER_TIMEOUT, heir).await???.into_inner();
    assert_eq!(next().await?, "four");
    let late = proclaim(a, Some(leader), "five").await;
    assert_eq!(refusal(late)?, unknown("election: not leader"));
    // Who leads no more resigns from nothing.
    a.election.resign(resign).await?;
    assert_eq!(
        value(&c.election.leader(asked()).await?.into_inner())?,
        "four"
    );
    let missing = proclaim(a, None, "six").await;
    assert_eq!(
        refusal(missing)?,
        unknown("\"leader\" field must be provided")
    );
    revoke(a, heir.lease).await?;
    let nobody = b.election.leader(asked()).await;
    assert_eq!(refusal(nobody)?, unknown("election: no leader"));
    Ok(())
}

async fn story(target: &Target, not_found: Code) -> Result<()> {
    let mut cluster = Cluster::start(target, &Options::steady_three()).await?;
    cluster.wait_leader().await?;
    let mut clients = [
        cluster.client(0).await?,
        cluster.client(1).await?,
        cluster.client(2).await?,
    ];
    one_after_the_other(&mut clients).await?;
    a_caller_that_goes_leaves_the_line(&mut clients).await?;
    leases_of_locks(&mut clients, not_found).await?;
    elections(&mut clients).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_tells_the_story() -> Result<()> {
    story(&Target::etcd()?, Code::Unknown).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_tells_the_story() -> Result<()> {
    story(&Target::mainstay()?, Code::NotFound).await
}

/// As newer etcd: one that waited in vain is told so, and has no lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_with_a_lease_that_ends_has_no_lock() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    cluster.wait_leader().await?;
    let mut client = cluster.client(0).await?;
    let (first, second) = (grant(&mut client).await?, grant(&mut client).await?);
    let held = locked(lock(&client, "vain", first)).await?;
    let waiting = lock(&client, "vain", second);
    wait_line(&mut client, "vain", 2).await?;
    revoke(&mut client, second).await?;
    unlock(&mut client, &held.key).await?;
    let answer = timeout(ANSWER_TIMEOUT, waiting).await??;
    assert_eq!(
        refusal(answer)?,
        (Code::Unknown, "mutex: session is expired".to_owned())
    );
    Ok(())
}
