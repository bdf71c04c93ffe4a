//! Point-in-time recovery: what a member was seen to hold at some revision or time is what a restore to it gives.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use interop::archive::{
    Load, PAUSE, Seen, Small, archived, archiving, command, first_base, metric, milliseconds_now,
    one, refusal, restored, rfc3339, see, spans, wait_for,
};
use interop::auth::{authenticate, grant, grant_role, signed, user_add};
use interop::client::{ANSWER_TIMEOUT, Client};
use interop::cluster::{Cluster, Options, POLL_INTERVAL};
use interop::random::Random;
use interop::snapshots::{delete_of, mainstay, put_of, run, succeed, text};
use interop::target::Target;
use proto::etcdserverpb::{AlarmRequest, AuthEnableRequest, AuthRoleAddRequest, LeaseGrantRequest};
use tokio::time::{Instant, sleep, timeout};

/// Longer than members keep connections to one that is silent: what they had sent it before is lost with them.
const CONNECTIONS_LAST: Duration = Duration::from_secs(8);
/// Changes that a member has to miss until it needs a snapshot: twice as many as the others hold before a flush and keep
/// behind it.
const MISSED_CHANGES: usize = 160;

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
    let bumped = [
        "--to-revision",
        &last.revision.to_string()[..],
        "--bump-revision",
        "1000",
    ];
    let bumped = restored(&dir, &[&bumped[..], &["--mark-compacted"]].concat()).await?;
    assert_eq!(bumped.revision, last.revision + 1_000);
    assert_eq!(bumped.users, seen.first[&last.revision].users);
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
    // A changed byte is told with its place, and stops only a restore that comes by it.
    let folder = found[0]["folder"].as_str().context("a folder")?;
    let segment = Path::new(folder).join("0000000000000001.log");
    let mut bytes = fs::read(&segment)?;
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&segment, bytes)?;
    let status = run(&mainstay()?, &["ctl", "archive", "status", text(&dir)])?;
    assert_eq!(status.status.code(), Some(1));
    let said = String::from_utf8(status.stdout)?;
    let what = format!("{} is damaged at offset", segment.display());
    assert!(said.contains(&what), "{said}");
    let why = refusal(&dir, &[])?;
    assert!(why.contains(&what), "{why}");
    let early = revisions[1].to_string();
    let sight = restored(&dir, &["--to-revision", &early]).await?;
    assert_eq!(sight, seen.first[&revisions[1]]);
    Ok(())
}

#[tokio::test]
async fn a_time_brings_back_what_there_was_then() -> Result<()> {
    let (cluster, dir) = one("archive").await?;
    let mut client = cluster.client(0).await?;
    let mut load = Load::new(Random::fresh_seed());
    let mut moments = Vec::new();
    for _ in 0..6 {
        for _ in 0..7 {
            load.change(&mut client).await?;
        }
        let sight = see(&mut client).await?;
        // What it is told is timed when it is written.
        archived(&cluster.members[0], sight.revision).await?;
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

/// Three members that keep little of their log. The first two archive into one folder, and have begun to.
async fn two_of_three() -> Result<(Cluster, PathBuf)> {
    let mut options = Options::steady_three();
    let little = ["--snapshot-count=60", "--snapshot-catchup-entries=20"];
    options.flags.extend(little.map(str::to_owned));
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &options)?;
    let dir = cluster.dir().join("archive");
    for index in [0, 1] {
        archiving(&mut cluster.members[index], &dir);
    }
    cluster.start_all().await?;
    for index in [0, 1] {
        first_base(&cluster.members[index]).await?;
    }
    Ok((cluster, dir))
}

#[tokio::test]
async fn two_of_three_members_archive_the_same_history() -> Result<()> {
    let (mut cluster, dir) = two_of_three().await?;
    let mut load = Load::new(Random::fresh_seed());
    let mut seen = Seen::default();
    let mut client = cluster.client(2).await?;
    seen.add(see(&mut client).await?);
    seen.load(&mut load, &mut client, 40).await?;
    let before_pause = seen.first.len();
    let late = usize::from(cluster.wait_leader().await? == 0);
    let last = *seen.last.keys().last().context("a revision")?;
    archived(&cluster.members[late], last).await?;
    // It misses so much that it is sent a snapshot, which its own archive knows nothing about.
    cluster.members[late].pause()?;
    let paused = Instant::now();
    let mut missed_changes = 0;
    while paused.elapsed() < CONNECTIONS_LAST || missed_changes < MISSED_CHANGES {
        seen.load(&mut load, &mut client, 20).await?;
        missed_changes += 20;
    }
    cluster.members[late].resume()?;
    let received = "etcd_network_snapshot_receive_success";
    wait_for(&cluster.members[late], received, |count| count >= 1.0).await?;
    let missed = *seen.last.keys().last().context("a revision")?;
    wait_for(
        &cluster.members[late],
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
    let early = revisions[before_pause / 2];
    let why = refusal(torn, &["--to-revision", &in_gap.to_string()])?;
    assert!(why.contains("lies in a gap of the archive"), "{why}");
    for (folder, revision) in [
        (whole, in_gap),
        (&dir, in_gap),
        (whole, early),
        (torn, early),
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

/// Puts a key for whoever has this token, and says what came of it.
async fn put_as(client: &mut Client, token: Option<&str>, key: &str) -> Result<i64, String> {
    let put = put_of(key.to_owned(), "by somebody".to_owned(), 0);
    let answer = client.kv.put(signed(token, put)).await;
    let answer = answer.map_err(|refusal| refusal.message().to_owned())?;
    Ok(answer.into_inner().header.unwrap_or_default().revision)
}

#[tokio::test]
async fn who_may_do_what_is_as_it_was_then() -> Result<()> {
    let (cluster, dir) = one("archive").await?;
    let mut client = cluster.client(0).await?;
    let auth = &mut client.auth.clone();
    let role = |name: &str| AuthRoleAddRequest { name: name.into() };
    auth.user_add(user_add("root", "secret")).await?;
    auth.role_add(role("root")).await?;
    auth.user_grant_role(grant_role("root", "root")).await?;
    auth.role_add(role("writer")).await?;
    auth.user_add(user_add("ann", "word")).await?;
    auth.user_grant_role(grant_role("ann", "writer")).await?;
    let open = client.put("own", "before anybody is asked").await?;
    auth.auth_enable(AuthEnableRequest {}).await?;
    let root = authenticate(&mut client, "root", "secret").await?;
    let root = root.into_inner();
    let closed = put_as(&mut client, Some(&root), "own").await;
    let closed = closed.map_err(anyhow::Error::msg)?;
    auth.role_grant_permission(signed(Some(&root), grant("writer", 1, ("own", ""))))
        .await?;
    let ann = authenticate(&mut client, "ann", "word").await?.into_inner();
    let granted = put_as(&mut client, Some(&ann), "own").await;
    let granted = granted.map_err(anyhow::Error::msg)?;
    archived(&cluster.members[0], granted).await?;
    let denied = "etcdserver: permission denied".to_owned();
    for (revision, nobody, for_ann) in [
        (open, Ok(open + 1), Ok(())),
        (
            closed,
            Err("etcdserver: user name is empty".to_owned()),
            Err(denied),
        ),
        (
            granted,
            Err("etcdserver: user name is empty".to_owned()),
            Ok(()),
        ),
    ] {
        let mut copy = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
        let target = revision.to_string();
        let arguments = command(&dir, &["--to-revision", &target], &copy.members[0]);
        succeed(&mainstay()?, &arguments)?;
        copy.members[0].start()?;
        let mut client = Client::lazy(&copy.members[0].client_url())?;
        let polled = async {
            loop {
                match put_as(&mut client, None, "own").await {
                    Err(why) if !why.starts_with("etcdserver: user") => sleep(POLL_INTERVAL).await,
                    said => return said,
                }
            }
        };
        assert_eq!(timeout(ANSWER_TIMEOUT, polled).await?, nobody);
        if revision != open {
            let ann = authenticate(&mut client, "ann", "word").await?.into_inner();
            let said = put_as(&mut client, Some(&ann), "own").await;
            assert_eq!(said.map(drop), for_ann, "{revision}");
        }
    }
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
        let bases = metric(member, "mainstay_archive_bases_total")?.context("a figure")?;
        // What is refused stands in the log, so that there is something to make a base of.
        let refused = client.put("other", "refused too").await;
        assert!(refused.is_err());
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
    // A member that goes on removes more.
    cluster.members[0].kill()?;
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
