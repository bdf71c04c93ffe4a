//! Point-in-time recovery: what a member was seen to hold at some revision or time is what a restore to it gives.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use interop::auth::user_add;
use interop::client::{ANSWER_TIMEOUT, Client};
use interop::cluster::{Cluster, Member, Options, POLL_INTERVAL};
use interop::http;
use interop::random::Random;
use interop::snapshots::{delete_of, flag, mainstay, put_of, run, succeed, text};
use interop::target::Target;
use proto::etcdserverpb::request_op::Request as Op;
use proto::etcdserverpb::{
    AlarmRequest, AuthUserDeleteRequest, AuthUserListRequest, CompactionRequest, HashKvRequest,
    LeaseGrantRequest, LeaseLeasesRequest, LeaseRevokeRequest, RequestOp, TxnRequest,
};
use tokio::time::{sleep, timeout};

/// Longer than the archiver takes to look at what was applied, so that a moment between two changes is one in the archive.
const PAUSE: Duration = Duration::from_millis(400);

/// What a client saw right after a change.
#[derive(Debug, Clone, PartialEq)]
struct Sight {
    revision: i64,
    hash: u32,
    users: Vec<String>,
    leases: Vec<i64>,
}

async fn see(client: &mut Client) -> Result<Sight> {
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
struct Load {
    random: Random,
    leases: Vec<i64>,
    users: Vec<String>,
    number: i64,
    /// Revisions of a put and of the last compaction.
    written: i64,
    compacted: i64,
}

impl Load {
    fn new(seed: u64) -> Load {
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

    async fn change(&mut self, client: &mut Client) -> Result<()> {
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
fn txn(key: &str, number: i64) -> TxnRequest {
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
struct Seen {
    first: BTreeMap<i64, Sight>,
    last: BTreeMap<i64, Sight>,
}

impl Seen {
    fn add(&mut self, sight: Sight) {
        self.first
            .entry(sight.revision)
            .or_insert_with(|| sight.clone());
        self.last.insert(sight.revision, sight);
    }

    /// The client looks after each change, so that the first sight of a revision is right behind what made it.
    async fn load(&mut self, load: &mut Load, client: &mut Client, changes: usize) -> Result<()> {
        for _ in 0..changes {
            load.change(client).await?;
            self.add(see(client).await?);
        }
        Ok(())
    }
}

fn metric(member: &Member, name: &str) -> Result<Option<f64>> {
    let page = http::get(member.client_port, "/metrics")?.body;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.map(str::parse).transpose()?)
}

/// Waits until a member's metric fits.
async fn wait_for(member: &Member, name: &str, fits: impl Fn(f64) -> bool) -> Result<()> {
    let polled = async {
        while !metric(member, name)?.is_some_and(&fits) {
            sleep(POLL_INTERVAL).await;
        }
        anyhow::Ok(())
    };
    let waited = timeout(ANSWER_TIMEOUT, polled).await;
    waited.with_context(|| format!("{name} stays {:?}", metric(member, name)))?
}

/// Waits until everything is on disk in the archive.
async fn archived(member: &Member, revision: i64) -> Result<()> {
    wait_for(member, "mainstay_archive_revision", |at| {
        at >= revision as f64
    })
    .await?;
    wait_for(member, "mainstay_archive_lag_entries", |lag| lag == 0.0).await
}

fn archiving(member: &mut Member, dir: &Path) {
    for (flag, value) in [
        ("--archive-dir", text(dir)),
        ("--archive-base-interval", "1s"),
    ] {
        member.flags.extend([flag.to_owned(), value.to_owned()]);
    }
}

/// One member that archives.
async fn one(archive: &str) -> Result<(Cluster, PathBuf)> {
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let dir = cluster.dir().join(archive);
    archiving(&mut cluster.members[0], &dir);
    cluster.start_all().await?;
    Ok((cluster, dir))
}

/// The command that restores for a member.
fn command<'a>(dir: &'a Path, target: &[&'a str], member: &'a Member) -> Vec<&'a str> {
    let mut arguments = vec!["ctl", "archive", "restore", text(dir)];
    arguments.extend(target);
    arguments.extend(["--data-dir", text(&member.data_dir)]);
    for name in [
        "--name",
        "--initial-cluster",
        "--initial-cluster-token",
        "--initial-advertise-peer-urls",
    ] {
        arguments.extend([name, flag(member, name)]);
    }
    arguments
}

/// Restores one member, starts it and looks.
async fn restored(dir: &Path, target: &[&str]) -> Result<Sight> {
    let mut copy = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let arguments = command(dir, target, &copy.members[0]);
    succeed(&mainstay()?, &arguments)?;
    copy.start_all().await?;
    see(&mut copy.client(0).await?).await
}

/// Why a restore is refused. It leaves no folder.
fn refusal(dir: &Path, target: &[&str]) -> Result<String> {
    let copy = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let output = run(&mainstay()?, &command(dir, target, &copy.members[0]))?;
    ensure!(!output.status.success(), "{target:?} was restored");
    assert!(!copy.members[0].data_dir.exists());
    Ok(String::from_utf8(output.stderr)?)
}

fn spans(dir: &Path) -> Result<Vec<serde_json::Value>> {
    let status = ["ctl", "archive", "status", text(dir), "-w", "json"];
    let members: serde_json::Value = serde_json::from_str(&succeed(&mainstay()?, &status)?)?;
    let members = members.as_array().context("a list")?;
    let spans = members.iter().flat_map(|member| member["spans"].as_array());
    Ok(spans.flatten().cloned().collect())
}

fn milliseconds_now() -> Result<u128> {
    Ok(SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_millis())
}

/// A moment as GNU's date says it.
fn rfc3339(milliseconds: u128) -> Result<String> {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let at = format!("@{seconds}");
    let format = format!("+%Y-%m-%dT%H:%M:%S.{rest:03}Z");
    Ok(succeed(Path::new("date"), &["-u", "-d", &at, &format])?
        .trim()
        .to_owned())
}

#[tokio::test]
async fn any_revision_of_a_member_that_was_killed_comes_back() -> Result<()> {
    let (mut cluster, dir) = one("archive").await?;
    let mut load = Load::new(Random::fresh_seed());
    let mut seen = Seen::default();
    seen.add(see(&mut cluster.client(0).await?).await?);
    for _ in 0..3 {
        let mut client = cluster.client(0).await?;
        seen.load(&mut load, &mut client, 60).await?;
        cluster.kill_all()?;
        cluster.start_all().await?;
    }
    let last = see(&mut cluster.client(0).await?).await?;
    seen.add(last.clone());
    archived(&cluster.members[0], last.revision).await?;
    cluster.kill_all()?;
    let found = spans(&dir)?;
    assert_eq!(found.len(), 1, "a restart made a gap: {found:?}");
    assert_eq!(found[0]["lastRevision"], last.revision);
    assert_eq!(found[0]["damage"], serde_json::json!([]));
    let bases = found[0]["bases"].as_array().context("bases")?;
    assert!(bases.len() > 1, "{bases:?}");
    let revisions: Vec<i64> = seen.first.keys().copied().collect();
    let mut chosen: Vec<i64> = (0..6).map(|_| *load.random.pick(&revisions)).collect();
    chosen.extend(bases.iter().filter_map(|base| base["revision"].as_i64()));
    chosen.extend([revisions[0], last.revision]);
    chosen.retain(|revision| seen.first.contains_key(revision));
    for revision in chosen {
        let sight = restored(&dir, &["--to-revision", &revision.to_string()]).await?;
        assert_eq!(sight, seen.first[&revision]);
    }
    // Without a target, what changed after the last revision is there too.
    assert_eq!(restored(&dir, &[]).await?, last);
    let why = refusal(&dir, &["--to-revision", "1000000"])?;
    let end = format!(
        "lies behind the end of the archive, which is revision {}",
        last.revision
    );
    assert!(why.contains(&end), "{why}");
    let why = refusal(&dir, &["--to-time", "2001-01-01T00:00:00Z"])?;
    assert!(
        why.contains("lies before the beginning of the archive"),
        "{why}"
    );
    let why = refusal(&dir, &["--to-time", "yesterday"])?;
    assert!(why.contains("RFC 3339"), "{why}");
    Ok(())
}

#[tokio::test]
async fn a_time_brings_back_what_there_was_then() -> Result<()> {
    let (cluster, dir) = one("archive").await?;
    let mut client = cluster.client(0).await?;
    let mut load = Load::new(Random::fresh_seed());
    wait_for(
        &cluster.members[0],
        "mainstay_archive_bases_total",
        |bases| bases >= 1.0,
    )
    .await?;
    let mut moments = Vec::new();
    for _ in 0..6 {
        for _ in 0..7 {
            load.change(&mut client).await?;
        }
        let sight = see(&mut client).await?;
        sleep(PAUSE).await;
        moments.push((milliseconds_now()?, sight));
        sleep(PAUSE).await;
    }
    let last = client.put("last", "").await?;
    archived(&cluster.members[0], last).await?;
    for (at, sight) in &moments {
        let time = rfc3339(*at)?;
        assert_eq!(
            &restored(&dir, &["--to-time", &time]).await?,
            sight,
            "{time}"
        );
    }
    // An archive of a member that has nothing to do goes on in time.
    let idle_since = milliseconds_now()?;
    let why = refusal(&dir, &["--to-time", &rfc3339(idle_since + 3_600_000)?])?;
    assert!(why.contains("lies behind the end of the archive"), "{why}");
    let time = rfc3339(idle_since)?;
    let polled = async {
        while refusal(&dir, &["--to-time", &time]).is_ok() {
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(ANSWER_TIMEOUT, polled).await?;
    assert_eq!(restored(&dir, &["--to-time", &time]).await?.revision, last);
    Ok(())
}

#[tokio::test]
async fn two_of_three_members_archive_the_same_history() -> Result<()> {
    let mut options = Options::three();
    options.flags = ["--snapshot-count=60", "--snapshot-catchup-entries=20"]
        .map(str::to_owned)
        .to_vec();
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &options)?;
    let dir = cluster.dir().join("archive");
    for index in [0, 1] {
        archiving(&mut cluster.members[index], &dir);
    }
    cluster.start_all().await?;
    let mut load = Load::new(Random::fresh_seed());
    let mut seen = Seen::default();
    let mut client = cluster.client(2).await?;
    seen.add(see(&mut client).await?);
    seen.load(&mut load, &mut client, 40).await?;
    // It misses so much that it is sent a snapshot, which its own archive knows nothing about.
    archived(
        &cluster.members[0],
        *seen.last.keys().last().context("a revision")?,
    )
    .await?;
    cluster.members[0].kill()?;
    seen.load(&mut load, &mut cluster.client(2).await?, 300)
        .await?;
    cluster.start_all().await?;
    let received = "etcd_network_snapshot_receive_success";
    wait_for(&cluster.members[0], received, |count| count >= 1.0).await?;
    let missed = *seen.last.keys().last().context("a revision")?;
    wait_for(
        &cluster.members[0],
        "mainstay_archive_base_revision",
        |at| at >= missed as f64,
    )
    .await?;
    let mut client = cluster.client(2).await?;
    seen.load(&mut load, &mut client, 40).await?;
    let last = see(&mut client).await?.revision;
    for index in [0, 1] {
        archived(&cluster.members[index], last).await?;
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(&dir)? {
        folders.push(entry?.path());
    }
    assert_eq!(folders.len(), 2);
    // Longest first: that of the member with the gap comes last.
    let mut counted = Vec::new();
    for folder in &folders {
        counted.push((spans(folder)?.len(), folder));
    }
    counted.sort();
    assert_eq!(
        counted.iter().map(|(spans, _)| *spans).collect::<Vec<_>>(),
        [1, 2]
    );
    let (whole, torn) = (counted[0].1, counted[1].1);
    let revisions: Vec<i64> = seen.first.keys().copied().collect();
    let in_gap = revisions[revisions.len() / 2];
    let why = refusal(torn, &["--to-revision", &in_gap.to_string()])?;
    assert!(why.contains("lies in a gap of the archive"), "{why}");
    for (folder, revision) in [
        (whole, in_gap),
        (&dir, in_gap),
        (whole, revisions[20]),
        (torn, revisions[20]),
        (whole, revisions[revisions.len() - 2]),
        (torn, revisions[revisions.len() - 2]),
    ] {
        let sight = restored(folder, &["--to-revision", &revision.to_string()]).await?;
        assert_eq!(sight, seen.first[&revision], "{}", folder.display());
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_waited_for() -> Result<()> {
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let place = cluster.dir().join("place");
    fs::write(&place, "no folder")?;
    archiving(&mut cluster.members[0], &place.join("archive"));
    cluster.start_all().await?;
    let mut client = cluster.client(0).await?;
    let missed = client.put("key", "before there is an archive").await?;
    let member = &cluster.members[0];
    wait_for(member, "mainstay_archive_failures_total", |count| {
        count >= 1.0
    })
    .await?;
    assert_eq!(metric(member, "mainstay_archive_active")?, Some(0.0));
    assert!(
        member.log().contains("the archive cannot be written"),
        "{}",
        member.log()
    );
    fs::remove_file(&place)?;
    wait_for(member, "mainstay_archive_bases_total", |count| count >= 1.0).await?;
    assert_eq!(metric(member, "mainstay_archive_active")?, Some(1.0));
    let last = client.put("key", "in the archive").await?;
    archived(member, last).await?;
    let dir = place.join("archive");
    assert_eq!(restored(&dir, &[]).await?, see(&mut client).await?);
    let why = refusal(&dir, &["--to-revision", &(missed - 1).to_string()])?;
    assert!(why.contains("lies before the beginning"), "{why}");
    Ok(())
}

#[tokio::test]
async fn what_an_alarm_refused_is_refused_again_and_the_alarm_stays_behind() -> Result<()> {
    let (cluster, dir) = one("archive").await?;
    let mut client = cluster.client(0).await?;
    let member = &cluster.members[0];
    let lease = LeaseGrantRequest { ttl: 3_000, id: 7 };
    client.lease.lease_grant(lease).await?;
    let alarm = |action| AlarmRequest {
        action,
        member_id: 1,
        alarm: 1,
    };
    let full = client.put("key", "there is room").await?;
    client.maintenance.alarm(alarm(1)).await?;
    // So that a base begins while the alarm is raised.
    for _ in 0..2 {
        // What is refused stands in the log, so that there is something to make a base of.
        let refused = client.put("other", "refused too").await;
        assert!(refused.is_err());
        let bases = metric(member, "mainstay_archive_bases_total")?.context("a figure")?;
        wait_for(member, "mainstay_archive_bases_total", |now| now > bases).await?;
    }
    let refused = client.put("key", "there is none").await.unwrap_err();
    assert!(
        refused.message().contains("database space exceeded"),
        "{refused}"
    );
    client.kv.delete_range(delete_of("key")).await?;
    client.maintenance.alarm(alarm(2)).await?;
    let last = client.put("key", "again").await?;
    archived(member, last).await?;
    let sight = see(&mut client).await?;
    assert_eq!(sight.revision, full + 2);
    for target in [&["--to-revision", &last.to_string()][..], &[]] {
        assert_eq!(restored(&dir, target).await?, sight);
    }
    // With the alarm raised, as far as the archive knows.
    let mut copy = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let revision = (full + 1).to_string();
    let arguments = command(&dir, &["--to-revision", &revision], &copy.members[0]);
    succeed(&mainstay()?, &arguments)?;
    copy.start_all().await?;
    let mut client = copy.client(0).await?;
    assert_eq!(client.put("key", "there is room").await?, full + 2);
    Ok(())
}

/// A file system of a size, in memory; None where it may not be mounted.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, size: &str) -> Result<Option<Small>> {
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

    fn resize(&self, size: &str) -> Result<()> {
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

#[tokio::test]
async fn a_full_folder_makes_a_gap_and_stops_nothing() -> Result<()> {
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let dir = cluster.dir().join("small");
    let Some(small) = Small::mount(dir.clone(), "700k")? else {
        println!("skipped: nothing may be mounted here");
        return Ok(());
    };
    archiving(&mut cluster.members[0], &dir);
    cluster.start_all().await?;
    let mut client = cluster.client(0).await?;
    let member = &cluster.members[0];
    let early = client.put("key", "early").await?;
    archived(member, early).await?;
    let seen = see(&mut client).await?;
    let large = "x".repeat(20_000);
    let mut missed = 0;
    for number in 0..60 {
        missed = client.put(&number.to_string(), &large).await?;
    }
    wait_for(member, "mainstay_archive_active", |active| active == 0.0).await?;
    assert!(metric(member, "mainstay_archive_gaps_total")? >= Some(1.0));
    assert!(
        member.log().contains("the archive has a gap from here on"),
        "{}",
        member.log()
    );
    client.put("key", "nobody archives this").await?;
    small.resize("64m")?;
    wait_for(member, "mainstay_archive_active", |active| active == 1.0).await?;
    wait_for(member, "mainstay_archive_base_revision", |at| {
        at > missed as f64
    })
    .await?;
    let late = client.put("key", "late").await?;
    archived(member, late).await?;
    let sight = see(&mut client).await?;
    assert_eq!(restored(&dir, &[]).await?, sight);
    assert_eq!(
        restored(&dir, &["--to-revision", &early.to_string()]).await?,
        seen
    );
    let why = refusal(&dir, &["--to-revision", &(missed - 1).to_string()])?;
    assert!(why.contains("lies in a gap of the archive"), "{why}");
    Ok(())
}

#[tokio::test]
async fn what_is_older_than_the_retention_goes_and_the_rest_is_whole() -> Result<()> {
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let dir = cluster.dir().join("archive");
    archiving(&mut cluster.members[0], &dir);
    let retention = ["--archive-retention", "3s"].map(str::to_owned);
    cluster.members[0].flags.extend(retention);
    cluster.start_all().await?;
    let mut client = cluster.client(0).await?;
    let mut seen = BTreeMap::new();
    let member = &cluster.members[0];
    wait_for(member, "mainstay_archive_bases_total", |bases| bases >= 1.0).await?;
    while metric(member, "mainstay_archive_bases_total")? < Some(8.0) {
        let revision = client.put("key", &seen.len().to_string()).await?;
        seen.insert(revision, see(&mut client).await?);
        sleep(Duration::from_millis(20)).await;
    }
    let last = *seen.keys().last().context("a revision")?;
    archived(member, last).await?;
    let found = spans(&dir)?;
    let first = found[0]["firstRevision"].as_i64().context("a revision")?;
    assert!(first > 2, "{found:?}");
    for revision in [first + 1, (first + last) / 2, last] {
        let sight = restored(&dir, &["--to-revision", &revision.to_string()]).await?;
        assert_eq!(sight, seen[&revision]);
    }
    let why = refusal(&dir, &["--to-revision", &(first - 1).to_string()])?;
    assert!(why.contains("lies before the beginning"), "{why}");
    Ok(())
}
