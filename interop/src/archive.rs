//! Archives of members under load: what was seen of a store, and the commands that bring it back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::auth::user_add;
use crate::client::{ANSWER_TIMEOUT, Client};
use crate::cluster::{Cluster, Member, Options, POLL_INTERVAL};
use crate::http;
use crate::random::Random;
use crate::snapshots::{delete_of, mainstay, new_member, put_of, run, succeed, text};
use crate::target::Target;
use anyhow::{Context, Result, ensure};
use proto::etcdserverpb::request_op::Request as Op;
use proto::etcdserverpb::{
    AuthUserDeleteRequest, AuthUserListRequest, CompactionRequest, HashKvRequest,
    LeaseGrantRequest, LeaseLeasesRequest, LeaseRevokeRequest, RequestOp, TxnRequest,
};
use tokio::time::{sleep, timeout};

/// Longer than the archiver takes to look at what was applied, so that a moment between two changes is one in the archive.
pub const PAUSE: Duration = Duration::from_millis(400);

/// What a client saw right after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    pub revision: i64,
    pub hash: u32,
    pub users: Vec<String>,
    pub leases: Vec<i64>,
}

pub async fn see(client: &mut Client) -> Result<Sight> {
    let hash = HashKvRequest { revision: 0 };
    let hash = client.maintenance.hash_kv(hash).await?.into_inner();
    let users = client.auth.user_list(AuthUserListRequest {}).await?;
    let leases = client.lease.lease_leases(LeaseLeasesRequest {}).await?;
    let mut leases: Vec<i64> = leases
        .into_inner()
        .leases
        .iter()
        .map(|lease| lease.id)
        .collect();
    leases.sort_unstable();
    Ok(Sight {
        revision: hash.header.context("a header")?.revision,
        hash: hash.hash,
        users: users.into_inner().users,
        leases,
    })
}

/// One client that changes everything there is, one request after another.
pub struct Load {
    pub random: Random,
    leases: Vec<i64>,
    users: Vec<String>,
    number: i64,
    /// Revisions of a put and of the last compaction.
    written: i64,
    compacted: i64,
}

impl Load {
    pub fn new(seed: u64) -> Load {
        println!("seed {seed}");
        Load {
            random: Random::new(seed),
            leases: Vec::new(),
            users: Vec::new(),
            number: 0,
            written: 0,
            compacted: 0,
        }
    }

    pub async fn change(&mut self, client: &mut Client) -> Result<()> {
        self.number += 1;
        let number = self.number;
        let key = format!("key/{}", self.random.below(9));
        match self.random.weighted(&[8, 3, 3, 2, 2, 1, 2, 1, 1]) {
            0 => self.written = client.put(&key, &number.to_string()).await?,
            1 => drop(client.kv.delete_range(delete_of(&key)).await?),
            2 => drop(client.kv.txn(txn(&key, number)).await?),
            3 => {
                let grant = LeaseGrantRequest {
                    ttl: 3_000,
                    id: number,
                };
                client.lease.lease_grant(grant).await?;
                self.leases.push(number);
            }
            4 if !self.leases.is_empty() => {
                let lease = *self.random.pick(&self.leases);
                client.kv.put(put_of(key, "leased".into(), lease)).await?;
            }
            5 if !self.leases.is_empty() => {
                let at = self.random.below(self.leases.len());
                let id = self.leases.swap_remove(at);
                client.lease.lease_revoke(LeaseRevokeRequest { id }).await?;
            }
            6 => {
                let name = format!("user-{number}");
                client.auth.user_add(user_add(&name, "word")).await?;
                self.users.push(name);
            }
            7 if !self.users.is_empty() => {
                let at = self.random.below(self.users.len());
                let name = self.users.swap_remove(at);
                client
                    .auth
                    .user_delete(AuthUserDeleteRequest { name })
                    .await?;
            }
            // A change of its own: it alters the hash and not the revision.
            8 if self.written > self.compacted + 30 => {
                self.compacted = self.written - 5;
                let compact = CompactionRequest {
                    revision: self.compacted,
                    physical: false,
                };
                client.kv.compact(compact).await?;
            }
            _ => drop(client.put(&key, "otherwise").await?),
        }
        Ok(())
    }
}

/// Several changes under one revision.
pub fn txn(key: &str, number: i64) -> TxnRequest {
    let operation = |request| RequestOp {
        request: Some(request),
    };
    TxnRequest {
        success: vec![
            operation(Op::RequestPut(put_of("txn".into(), number.to_string(), 0))),
            operation(Op::RequestDeleteRange(delete_of(key))),
        ],
        ..Default::default()
    }
}

/// What was seen at each revision, first and last.
#[derive(Default)]
pub struct Seen {
    pub first: BTreeMap<i64, Sight>,
    pub last: BTreeMap<i64, Sight>,
}

impl Seen {
    pub fn add(&mut self, sight: Sight) {
        self.first
            .entry(sight.revision)
            .or_insert_with(|| sight.clone());
        self.last.insert(sight.revision, sight);
    }

    /// The client looks after each change, so that the first sight of a revision is right behind what made it.
    pub async fn load(
        &mut self,
        load: &mut Load,
        client: &mut Client,
        changes: usize,
    ) -> Result<()> {
        for _ in 0..changes {
            load.change(client).await?;
            self.add(see(client).await?);
        }
        Ok(())
    }
}

pub fn metric(member: &Member, name: &str) -> Result<Option<f64>> {
    let page = http::get(member.client_port, "/metrics")?.body;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.map(str::parse).transpose()?)
}

/// Waits until a member's metric fits.
pub async fn wait_for(member: &Member, name: &str, fits: impl Fn(f64) -> bool) -> Result<()> {
    let polled = async {
        while !metric(member, name)?.is_some_and(&fits) {
            sleep(POLL_INTERVAL).await;
        }
        anyhow::Ok(())
    };
    let waited = timeout(ANSWER_TIMEOUT, polled).await;
    waited.with_context(|| format!("{name} stays {:?}", metric(member, name)))?
}

/// Waits until the archive has a base: what comes later can all be restored.
pub async fn first_base(member: &Member) -> Result<()> {
    wait_for(member, "mainstay_archive_bases_total", |bases| bases >= 1.0).await
}

/// Waits until everything is on disk in the archive.
pub async fn archived(member: &Member, revision: i64) -> Result<()> {
    wait_for(member, "mainstay_archive_revision", |at| {
        at >= revision as f64
    })
    .await?;
    wait_for(member, "mainstay_archive_lag_entries", |lag| lag == 0.0).await
}

pub fn archiving(member: &mut Member, dir: &Path) {
    for (flag, value) in [
        ("--archive-dir", text(dir)),
        ("--archive-base-interval", "1s"),
    ] {
        member.flags.extend([flag.to_owned(), value.to_owned()]);
    }
}

/// One member that archives, and has begun to.
pub async fn one(archive: &str) -> Result<(Cluster, PathBuf)> {
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let dir = cluster.dir().join(archive);
    archiving(&mut cluster.members[0], &dir);
    cluster.start_all().await?;
    first_base(&cluster.members[0]).await?;
    Ok((cluster, dir))
}

/// The command that restores for a member.
pub fn command<'a>(dir: &'a Path, target: &[&'a str], member: &'a Member) -> Vec<&'a str> {
    let mut arguments = vec!["ctl", "archive", "restore", text(dir)];
    arguments.extend(target);
    arguments.extend(new_member(member));
    arguments
}

/// Restores one member, starts it and looks.
pub async fn restored(dir: &Path, target: &[&str]) -> Result<Sight> {
    let mut copy = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let arguments = command(dir, target, &copy.members[0]);
    succeed(&mainstay()?, &arguments)?;
    copy.start_all().await?;
    see(&mut copy.client(0).await?).await
}

/// Why a restore is refused. It leaves no folder.
pub fn refusal(dir: &Path, target: &[&str]) -> Result<String> {
    let copy = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let output = run(&mainstay()?, &command(dir, target, &copy.members[0]))?;
    ensure!(!output.status.success(), "{target:?} was restored");
    assert!(!copy.members[0].data_dir.exists());
    Ok(String::from_utf8(output.stderr)?)
}

pub fn spans(dir: &Path) -> Result<Vec<serde_json::Value>> {
    let status = ["ctl", "archive", "status", text(dir), "-w", "json"];
    let members: serde_json::Value = serde_json::from_str(&succeed(&mainstay()?, &status)?)?;
    let members = members.as_array().context("a list")?;
    let spans = members.iter().flat_map(|member| member["spans"].as_array());
    Ok(spans.flatten().cloned().collect())
}

pub fn milliseconds_now() -> Result<u128> {
    Ok(SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_millis())
}

/// A moment as GNU's date says it.
pub fn rfc3339(milliseconds: u128) -> Result<String> {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let at = format!("@{seconds}");
    let format = format!("+%Y-%m-%dT%H:%M:%S.{rest:03}Z");
    Ok(succeed(Path::new("date"), &["-u", "-d", &at, &format])?
        .trim()
        .to_owned())
}

/// A file system of a size, in memory; None where it may not be mounted.
pub struct Small(PathBuf);

impl Small {
    pub fn mount(at: PathBuf, size: &str) -> Result<Option<Small>> {
        fs::create_dir(&at)?;
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at)
            .status();
        Ok(mounted
            .is_ok_and(|status| status.success())
            .then(|| Small(at)))
    }

    pub fn resize(&self, size: &str) -> Result<()> {
        let options = format!("remount,size={size}");
        succeed(Path::new("mount"), &["-o", &options, text(&self.0)]).map(drop)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        println!("unmounted: {unmounted:?}");
    }
}
