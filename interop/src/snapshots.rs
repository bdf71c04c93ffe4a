//! Snapshot files: a store that is worth saving, what can be seen of it, and the tools of both sides.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use proto::etcdserverpb::request_op::Request as Op;
use proto::etcdserverpb::watch_request::RequestUnion;
use proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseTimeToLiveRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
    WatchRequest,
};
use tokio::time::timeout;

use crate::client::{ANSWER_TIMEOUT, Client};
use crate::cluster::{Cluster, Member, Options};
use crate::target::{Target, etcdctl};

pub const LEASE: i64 = 0x1234_5678;
pub const LEASE_SECONDS: i64 = 3_000;
/// Everything before it is compacted.
pub const COMPACTED: i64 = 40;

pub fn put_of(key: String, value: String, lease: i64) -> PutRequest {
    PutRequest {
        key: key.into(),
        value: value.into(),
        lease,
        ..Default::default()
    }
}

pub fn delete_of(key: &str) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key: key.to_owned().into(),
        ..Default::default()
    }
}

/// Puts, deletes, several changes under one revision, a lease with keys, a large value, and a compaction in between.
pub async fn fill(client: &mut Client) -> Result<()> {
    let grant = LeaseGrantRequest {
        ttl: LEASE_SECONDS,
        id: LEASE,
    };
    client.lease.lease_grant(grant).await?;
    for round in 0..12 {
        for number in 0..6 {
            let put = put_of(format!("key/{number}"), format!("{round}"), 0);
            client.kv.put(put).await?;
        }
        client.kv.delete_range(delete_of("key/3")).await?;
        let operation = |request| RequestOp {
            request: Some(request),
        };
        let txn = TxnRequest {
            success: vec![
                operation(Op::RequestPut(put_of("txn/a".into(), round.to_string(), 0))),
                operation(Op::RequestDeleteRange(delete_of("key/2"))),
                operation(Op::RequestPut(put_of(
                    format!("leased/{round}"),
                    "".into(),
                    LEASE,
                ))),
            ],
            ..Default::default()
        };
        client.kv.txn(txn).await?;
    }
    let large = put_of("large".into(), "x".repeat(300_000), 0);
    client.kv.put(large).await?;
    let compact = CompactionRequest {
        revision: COMPACTED,
        physical: true,
    };
    client.kv.compact(compact).await?;
    client.kv.delete_range(delete_of("leased/0")).await?;
    Ok(())
}

/// What a client can see of a store.
#[derive(Debug, PartialEq)]
pub struct Sight {
    pub revision: i64,
    pub hash: u32,
    pub compact_revision: i64,
    /// At the newest revision and at an older one.
    pub keys: Vec<(Bytes, Bytes, i64, i64, i64, i64)>,
    pub older: Vec<(Bytes, Bytes, i64, i64, i64, i64)>,
    /// Kind, key, value and revision of each event from the compact revision on.
    pub events: Vec<(i32, Bytes, Bytes, i64)>,
    pub lease_seconds: i64,
    pub lease_keys: Vec<Bytes>,
}

pub async fn see(client: &mut Client) -> Result<Sight> {
    let hash = HashKvRequest { revision: 0 };
    let hash = client.maintenance.hash_kv(hash).await?.into_inner();
    let revision = hash.header.context("a header")?.revision;
    let lease = LeaseTimeToLiveRequest {
        id: LEASE,
        keys: true,
    };
    let mut lease = client.lease.lease_time_to_live(lease).await?.into_inner();
    lease.keys.sort_unstable();
    Ok(Sight {
        revision,
        hash: hash.hash,
        compact_revision: hash.compact_revision,
        keys: all(client, 0).await?,
        older: all(client, COMPACTED + 10).await?,
        events: events(client, COMPACTED + 1, revision).await?,
        lease_seconds: lease.granted_ttl,
        lease_keys: lease.keys,
    })
}

pub async fn all(
    client: &mut Client,
    revision: i64,
) -> Result<Vec<(Bytes, Bytes, i64, i64, i64, i64)>> {
    let range = RangeRequest {
        key: vec![0].into(),
        range_end: vec![0].into(),
        revision,
        ..Default::default()
    };
    let answer = client.kv.range(range).await?.into_inner();
    let pair = |kv: proto::mvccpb::KeyValue| {
        let (create, changed) = (kv.create_revision, kv.mod_revision);
        (kv.key, kv.value, create, changed, kv.version, kv.lease)
    };
    Ok(answer.kvs.into_iter().map(pair).collect())
}

pub async fn events(
    client: &mut Client,
    from: i64,
    to: i64,
) -> Result<Vec<(i32, Bytes, Bytes, i64)>> {
    let create = WatchCreateRequest {
        key: vec![0].into(),
        range_end: vec![0].into(),
        start_revision: from,
        ..Default::default()
    };
    let request = WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(create)),
    };
    let requests = tokio_stream::StreamExt::chain(
        tokio_stream::once(request),
        tokio_stream::pending::<WatchRequest>(),
    );
    let mut answers = client.watch.watch(requests).await?.into_inner();
    let mut events: Vec<(i32, Bytes, Bytes, i64)> = Vec::new();
    while events.last().is_none_or(|(.., revision)| *revision < to) {
        let answer = timeout(ANSWER_TIMEOUT, answers.message()).await??;
        let answer = answer.context("the watch ended")?;
        ensure!(!answer.canceled, "the watch was canceled: {answer:?}");
        for event in answer.events {
            let kv = event.kv.context("a key")?;
            events.push((event.r#type, kv.key, kv.value, kv.mod_revision));
        }
    }
    Ok(events)
}

pub fn run(program: &Path, arguments: &[&str]) -> Result<Output> {
    let output = Command::new(program)
        .env("ETCDCTL_API", "3")
        .args(arguments)
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    Ok(output)
}

/// Standard output of a command that has to succeed.
pub fn succeed(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = run(program, arguments)?;
    ensure!(
        output.status.success(),
        "{arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Our program, and `ctl` as its first word.
pub fn mainstay() -> Result<PathBuf> {
    let command = Target::mainstay()?.command();
    Ok(PathBuf::from(command.get_program()))
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("folders of tests have plain names")
}

/// The value of a flag that a member is started with.
pub fn flag<'a>(member: &'a Member, name: &str) -> &'a str {
    let at = member.flags.iter().position(|flag| flag == name);
    &member.flags[at.expect("every member has it") + 1]
}

/// The arguments that restore a file for a member, behind those that come first.
pub fn arguments<'a>(first: &[&'a str], file: &'a Path, member: &'a Member) -> Vec<&'a str> {
    let mut arguments = first.to_vec();
    arguments.extend(["snapshot", "restore", text(file)]);
    arguments.extend(new_member(member));
    arguments
}

/// The flags by which a restore knows the member that it is for.
pub(crate) fn new_member(member: &Member) -> Vec<&str> {
    let mut flags = vec!["--data-dir", text(&member.data_dir)];
    for name in [
        "--name",
        "--initial-cluster",
        "--initial-cluster-token",
        "--initial-advertise-peer-urls",
    ] {
        flags.extend([name, flag(member, name)]);
    }
    flags
}

/// Restores a file for every member of a prepared cluster, with the tool that its program's snapshots come with.
pub fn restore(cluster: &Cluster, file: &Path) -> Result<()> {
    for member in &cluster.members {
        if cluster.target.name == "etcd" {
            succeed(&etcdctl()?, &arguments(&[], file, member))?;
        } else {
            succeed(&mainstay()?, &arguments(&["ctl"], file, member))?;
        }
    }
    Ok(())
}

/// A cluster of so many members that begins with a file.
pub async fn restored(target: Target, members: usize, file: &Path) -> Result<Cluster> {
    let options = Options {
        members,
        ..Options::default()
    };
    let mut cluster = Cluster::prepare(&target, &options)?;
    restore(&cluster, file)?;
    cluster.start_all().await?;
    Ok(cluster)
}

/// Saves the same member with both clients, at one revision; raft may go on in between, so the files may differ in its index.
pub fn save(cluster: &Cluster) -> Result<PathBuf> {
    let endpoint = cluster.members[0].client_url();
    let (theirs, ours) = (
        cluster.dir().join("theirs.db"),
        cluster.dir().join("ours.db"),
    );
    let arguments = ["--endpoints", &endpoint, "snapshot", "save", text(&theirs)];
    succeed(&etcdctl()?, &arguments)?;
    let arguments = [
        "ctl",
        "--endpoints",
        &endpoint,
        "snapshot",
        "save",
        text(&ours),
    ];
    let said = succeed(&mainstay()?, &arguments)?;
    let expected = format!("Snapshot saved at {}", ours.display());
    ensure!(said.starts_with(&expected), "it said {said:?}");
    ensure!(
        !cluster.dir().join("ours.db.part").exists(),
        "a part is left"
    );
    let revision = |file| anyhow::Ok(status(file)?.1);
    ensure!(revision(&theirs)? == revision(&ours)?, "the files differ");
    Ok(ours)
}

/// Hash, revision and size of a file; etcdctl and ours have to agree. Keys are counted in another way since etcd 3.6.
pub fn status(file: &Path) -> Result<(u64, u64, u64)> {
    let arguments = ["snapshot", "status", text(file), "-w", "json"];
    let theirs = succeed(&etcdctl()?, &arguments)?;
    let ours = succeed(&mainstay()?, &[&["ctl"], &arguments[..]].concat())?;
    let figures = |text: &str| -> Result<(u64, u64, u64)> {
        let status: serde_json::Value = serde_json::from_str(text)?;
        let number = |name: &str| status[name].as_u64().context("a number");
        Ok((number("hash")?, number("revision")?, number("totalSize")?))
    };
    ensure!(figures(&theirs)? == figures(&ours)?, "{theirs} {ours}");
    figures(&ours)
}
