//! What the CORRUPT alarm ends and what it leaves, on etcd and on ours.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop::alarm::alarm;
use interop::client::Client;
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use interop::http;
use interop::snapshots::{mainstay, succeed};
use interop::target::{Target, etcdctl};
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::request_op::Request as Op;
use proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest, LeaseLeasesRequest,
    LeaseRevokeRequest, LeaseTimeToLiveRequest, MemberListRequest, PutRequest, RangeRequest,
    RequestOp, StatusRequest, TxnRequest,
};
use tokio::time::{Instant, sleep};
use tonic::{Response, Status};

const LEASE: i64 = 0x77;

fn said<T>(what: &str, answer: Result<Response<T>, Status>) -> String {
    match answer {
        Ok(_) => format!("{what}: served"),
        Err(status) => format!("{what}: {:?} {}", status.code(), status.message()),
    }
}

fn range(serializable: bool) -> RangeRequest {
    RangeRequest {
        key: "k".into(),
        serializable,
        ..Default::default()
    }
}

fn txn(operation: Op) -> TxnRequest {
    TxnRequest {
        success: vec![RequestOp {
            request: Some(operation),
        }],
        ..Default::default()
    }
}

fn put() -> PutRequest {
    PutRequest {
        key: "k".into(),
        value: "v".into(),
        ..Default::default()
    }
}

fn grant(id: i64) -> LeaseGrantRequest {
    LeaseGrantRequest { ttl: 600, id }
}

/// What a client is told about each kind of request.
async fn requests(client: &mut Client) -> Vec<String> {
    let delete = DeleteRangeRequest {
        key: "none".into(),
        ..Default::default()
    };
    let compact = CompactionRequest {
        revision: 2,
        physical: false,
    };
    let time_left = LeaseTimeToLiveRequest {
        id: LEASE,
        keys: true,
    };
    let kv = &mut client.kv;
    let mut told = vec![
        said("put", kv.put(put()).await),
        said("range", kv.range(range(false)).await),
        said("serializable range", kv.range(range(true)).await),
        said("delete", kv.delete_range(delete).await),
        said("txn", kv.txn(txn(Op::RequestPut(put()))).await),
        said(
            "reading txn",
            kv.txn(txn(Op::RequestRange(range(false)))).await,
        ),
        said("compaction", kv.compact(compact).await),
    ];
    let lease = &mut client.lease;
    told.extend([
        said("grant", lease.lease_grant(grant(LEASE + 1)).await),
        said(
            "revoke",
            lease.lease_revoke(LeaseRevokeRequest { id: LEASE }).await,
        ),
        said("time to live", lease.lease_time_to_live(time_left).await),
        said("leases", lease.lease_leases(LeaseLeasesRequest {}).await),
    ]);
    let members = MemberListRequest { linearizable: true };
    let hash = HashKvRequest { revision: 0 };
    told.push(said("members", client.cluster.member_list(members).await));
    told.push(said("hash", client.maintenance.hash_kv(hash).await));
    told
}

/// Everything that is the same on every server.
async fn story(target: &Target) -> Result<Vec<String>> {
    let mut cluster = Cluster::start(target, &Options::default()).await?;
    let mut client = cluster.client(0).await?;
    client.kv.put(put()).await?;
    client.kv.put(put()).await?;
    client.lease.lease_grant(grant(LEASE)).await?;
    let port = cluster.members[0].client_port;
    let mut told = Vec::new();
    for member in [7, 0] {
        told.push(format!(
            "{:?}",
            alarm(&mut client, AlarmAction::Activate, member).await?
        ));
    }
    told.extend(requests(&mut client).await);
    let status = client.maintenance.status(StatusRequest {}).await?;
    let mut errors = status.into_inner().errors;
    errors.sort_unstable();
    told.push(format!("{errors:?}"));
    for page in [
        "/health",
        "/health?exclude=NOSPACE",
        "/health?exclude=CORRUPT",
    ] {
        let answer = http::get(port, page)?;
        // etcd 3.4 gives no reason.
        let is_healthy = answer.body.contains(r#""health":"true""#);
        told.push(format!("{page}: {} {is_healthy}", answer.status));
    }
    // It is stored.
    cluster.kill_all()?;
    cluster.start_all().await?;
    let mut client = cluster.client(0).await?;
    told.push(said("put", client.kv.put(put()).await));
    let url = cluster.members[0].client_url();
    for words in [["alarm", "list"], ["alarm", "disarm"], ["alarm", "list"]] {
        let line = [&["--endpoints", &url], &words[..]].concat();
        // etcd's order is that of a hash map.
        let printed = succeed(&etcdctl()?, &line)?;
        let mut lines: Vec<&str> = printed.lines().collect();
        lines.sort_unstable();
        told.push(format!("{lines:?}"));
        let line = [&["ctl"], &line[..]].concat();
        if words[1] == "list" && target.name == "mainstay" {
            assert_eq!(succeed(&mainstay()?, &line)?, printed);
        }
    }
    told.push(format!(
        "{:?}",
        alarm(&mut client, AlarmAction::Get, 0).await?
    ));
    told.extend(requests(&mut client).await);
    Ok(told)
}

#[tokio::test]
async fn the_alarm_ends_on_both_servers_what_it_ends_on_etcd() -> Result<()> {
    let (etcd, ours) = (Target::etcd()?, Target::mainstay()?);
    let told = story(&ours).await?;
    assert_eq!(told, story(&etcd).await?);
    let refused = "put: DataLoss etcdserver: corrupt cluster".to_owned();
    ensure!(told.contains(&refused), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn the_pages_of_newer_etcds_tell_of_the_alarm() -> Result<()> {
    let cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let mut client = cluster.client(0).await?;
    alarm(&mut client, AlarmAction::Activate, 7).await?;
    let port = cluster.members[0].client_port;
    let ready = http::get(port, "/readyz")?;
    assert_eq!(ready.status, 503);
    let reason = "[-]data_corruption failed: alarm activated: CORRUPT";
    ensure!(ready.body.contains(reason), "{}", ready.body);
    assert_eq!(http::get(port, "/livez")?.status, 200);
    assert_eq!(
        http::get(port, "/readyz?exclude=data_corruption")?.status,
        200
    );
    let health = http::get(port, "/health")?;
    ensure!(health.body.contains("ALARM CORRUPT"), "{}", health.body);
    Ok(())
}

/// Time for eight looks of the leader for leases that are over. One that could end would have ended by then, so a lease
/// that is still there is one whose end was refused.
const LOOKS: Duration = Duration::from_secs(2);

/// A lease whose end was refused ends once the alarm is gone.
#[tokio::test]
async fn leases_end_again_when_the_alarm_is_disarmed() -> Result<()> {
    let options = Options {
        in_memory: true,
        flags: ["--election-timeout=500", "--heartbeat-interval=100"]
            .map(str::to_owned)
            .to_vec(),
        ..Options::default()
    };
    let cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    let mut client = cluster.client(0).await?;
    let lease = LeaseGrantRequest { ttl: 5, id: LEASE };
    client.lease.lease_grant(lease).await?;
    alarm(&mut client, AlarmAction::Activate, 7).await?;
    let time_left = LeaseTimeToLiveRequest {
        id: LEASE,
        keys: false,
    };
    let deadline = Instant::now() + READY_TIMEOUT;
    // What is left is rounded down, so that 0 is not the end; a lease that is over has -1.
    while client
        .lease
        .lease_time_to_live(time_left)
        .await?
        .into_inner()
        .ttl
        >= 0
    {
        ensure!(Instant::now() < deadline, "the lease's time is never over");
        sleep(POLL_INTERVAL).await;
    }
    sleep(LOOKS).await;
    let kept = client.lease.lease_leases(LeaseLeasesRequest {}).await?;
    ensure!(
        kept.into_inner()
            .leases
            .iter()
            .any(|lease| lease.id == LEASE),
        "the lease ended in spite of the alarm"
    );
    alarm(&mut client, AlarmAction::Deactivate, 7).await?;
    while !client
        .lease
        .lease_leases(LeaseLeasesRequest {})
        .await?
        .into_inner()
        .leases
        .is_empty()
    {
        ensure!(Instant::now() < deadline, "the lease never ends");
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
