//! Members that differ: how they are found, and the way back.

use anyhow::{Context, Result, ensure};
use interop::alarm::alarm;
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use interop::http;
use interop::snapshots::{arguments, mainstay, save, succeed};
use interop::target::Target;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{CompactionRequest, MemberAddRequest, MemberRemoveRequest};
use tokio::time::{Instant, sleep};

/// A snapshot file of a store that has this value, and nothing else that is different.
async fn file_of(value: &str) -> Result<(Cluster, std::path::PathBuf)> {
    let source = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let mut client = source.client(0).await?;
    client.put("k", value).await?;
    client.put("other", "same").await?;
    let file = save(&source)?;
    Ok((source, file))
}

/// How three members are started whose requests fail by no election that nobody asked for.
fn options(flags: &[&str]) -> Options {
    let mut options = Options::steady_three();
    let more = flags.iter().map(|flag| (*flag).to_owned());
    options.flags.extend(more);
    options
}

/// Three members, each restored from a file of its own: all at the same revision and log index. They do not run.
async fn differing(values: [&str; 3], flags: &[&str]) -> Result<Cluster> {
    let cluster = Cluster::prepare(&Target::mainstay()?, &options(flags))?;
    for (member, value) in cluster.members.iter().zip(values) {
        let (_source, file) = file_of(value).await?;
        succeed(&mainstay()?, &arguments(&["ctl"], &file, member))?;
    }
    Ok(cluster)
}

async fn ids(cluster: &Cluster) -> Result<Vec<u64>> {
    let mut ids = Vec::new();
    for index in 0..cluster.members.len() {
        ids.push(cluster.client(index).await?.member_and_leader().await?.0);
    }
    Ok(ids)
}

/// Waits until every member knows of these alarms.
async fn wait_for_alarms(cluster: &Cluster, members: &[u64]) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let wanted: Vec<(u64, i32)> = members.iter().map(|member| (*member, 2)).collect();
    for index in 0..cluster.members.len() {
        let mut client = cluster.client(index).await?;
        loop {
            let raised = alarm(&mut client, AlarmAction::Get, 0).await?;
            if raised == wanted {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "{raised:?} instead of {wanted:?}"
            );
            sleep(POLL_INTERVAL).await;
        }
    }
    Ok(())
}

/// The sum of a counter over all members that run.
fn counted(cluster: &mut Cluster, name: &str) -> Result<u64> {
    let mut sum = 0;
    for member in &mut cluster.members {
        if !member.is_running() {
            continue;
        }
        let page = http::get(member.client_port, "/metrics")?.body;
        let line = page.lines().find(|line| line.starts_with(name));
        let figure = line.and_then(|line| line.split(' ').nth(1));
        sum += figure.context("the counter")?.parse::<u64>()?;
    }
    Ok(sum)
}

const CHECKS: &str = "mainstay_consistency_checks_total";
const FOUND: &str = "mainstay_inconsistencies_total";

/// Waits for two more comparisons: one may have begun before.
async fn wait_for_checks(cluster: &mut Cluster) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let before = counted(cluster, CHECKS)?;
    while counted(cluster, CHECKS)? < before + 2 {
        ensure!(Instant::now() < deadline, "nothing is compared");
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_member_that_differs_is_named_and_can_be_replaced() -> Result<()> {
    let mut cluster = differing(["right", "right", "wrong"], &[]).await?;
    cluster.start_all().await?;
    let off = ids(&cluster).await?[2];
    wait_for_alarms(&cluster, &[off]).await?;
    for index in 0..3 {
        let refused = cluster.client(index).await?.put("k", "new").await;
        let refused = refused.err().context("a write was taken")?;
        assert_eq!(refused.message(), "etcdserver: corrupt cluster");
    }
    assert_eq!(counted(&mut cluster, FOUND)?, 1);
    let logs: String = cluster.members.iter().map(|member| member.log()).collect();
    ensure!(logs.contains("differs from the majority"), "{logs}");
    // As the log and the manual say: another in its place, then disarm.
    let mut client = cluster.client(0).await?;
    let remove = MemberRemoveRequest { id: off };
    client.cluster.member_remove(remove).await?;
    cluster.members[2].wait_exit().await?;
    let late = cluster.prepare_joining("late")?;
    cluster.members[late].flags.extend(options(&[]).flags);
    let add = MemberAddRequest {
        peer_ur_ls: vec![cluster.members[late].peer_url()],
        is_learner: false,
    };
    client.cluster.member_add(add).await?;
    cluster.members[late].start()?;
    cluster.members[late].wait_ready().await?;
    alarm(&mut client, AlarmAction::Deactivate, off).await?;
    client.put("k", "new").await?;
    wait_for_checks(&mut cluster).await?;
    assert_eq!(alarm(&mut client, AlarmAction::Get, 0).await?, []);
    assert_eq!(
        cluster.client(late).await?.get("k").await?.as_deref(),
        Some("new")
    );
    Ok(())
}

#[tokio::test]
async fn without_a_majority_the_alarm_is_for_the_whole_cluster() -> Result<()> {
    let mut cluster = differing(["one", "two", "three"], &[]).await?;
    cluster.start_all().await?;
    wait_for_alarms(&cluster, &[0]).await
}

#[tokio::test]
async fn a_member_that_differs_does_not_start_when_it_has_to_look_first() -> Result<()> {
    let flags = ["--experimental-initial-corrupt-check"];
    let mut cluster = differing(["right", "right", "wrong"], &flags).await?;
    cluster.members[0].start()?;
    cluster.members[1].start()?;
    cluster.wait_ready().await?;
    cluster.members[2].start()?;
    let status = cluster.members[2].wait_exit().await?;
    assert_eq!(status.code(), Some(1));
    let log = cluster.members[2].log();
    ensure!(log.contains("found data inconsistency with peers"), "{log}");
    ensure!(
        cluster.members[0]
            .log()
            .contains("starting initial corruption check")
    );
    // What it says to do.
    std::fs::remove_dir_all(&cluster.members[2].data_dir)?;
    cluster.members[2].joins_existing();
    cluster.start_all().await?;
    cluster.client(2).await?.put("k", "new").await?;
    // And again, with what it has now: there is nothing to find.
    cluster.members[2].terminate().await?;
    cluster.start_all().await?;
    let log = cluster.members[2].log();
    ensure!(
        log.contains("initial corruption checking passed; no corruption"),
        "{log}"
    );
    Ok(())
}

#[tokio::test]
async fn hashes_are_compared_at_intervals_and_after_compactions() -> Result<()> {
    let flags = [
        "--corrupt-check-time=100ms",
        "--feature-gates=CompactHashCheck=true",
        "--compact-hash-check-time=100ms",
    ];
    let mut cluster = Cluster::start(&Target::mainstay()?, &options(&flags)).await?;
    let mut client = cluster.client(0).await?;
    client.put("k", "1").await?;
    let revision = client.put("k", "2").await?;
    let compact = CompactionRequest {
        revision,
        physical: false,
    };
    client.kv.compact(compact).await?;
    let deadline = Instant::now() + READY_TIMEOUT;
    for wanted in [
        "finished peer corruption check",
        "finished compaction hash check",
    ] {
        loop {
            // Whoever leads then compares and says so.
            let logs: String = cluster.members.iter().map(|member| member.log()).collect();
            let whole = logs
                .lines()
                .any(|line| line.contains(wanted) && line.contains(r#""members":3"#));
            if whole {
                break;
            }
            ensure!(Instant::now() < deadline, "no {wanted:?} of three members");
            sleep(POLL_INTERVAL).await;
        }
    }
    assert_eq!(counted(&mut cluster, FOUND)?, 0);
    assert_eq!(alarm(&mut client, AlarmAction::Get, 0).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_member_that_differs_is_found_by_its_hash_too() -> Result<()> {
    let flags = ["--corrupt-check-time=50ms"];
    let mut cluster = differing(["right", "wrong", "right"], &flags).await?;
    cluster.start_all().await?;
    let off = ids(&cluster).await?[1];
    let mut client = cluster.client(0).await?;
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        wait_for_alarms(&cluster, &[off]).await?;
        let logs: String = cluster.members.iter().map(|member| member.log()).collect();
        if logs.contains("what is stored up to revision") {
            return Ok(());
        }
        // What was applied was compared first. The alarm comes back as long as nothing is done.
        ensure!(Instant::now() < deadline, "no hash was compared: {logs}");
        alarm(&mut client, AlarmAction::Deactivate, off).await?;
    }
}

/// Nothing is found where nothing is wrong: load, restarts without warning, members that come and go, and compactions.
#[tokio::test]
async fn a_cluster_that_goes_through_much_is_not_alarmed() -> Result<()> {
    let flags = [
        "--snapshot-count=50",
        "--snapshot-catchup-entries=20",
        "--corrupt-check-time=100ms",
    ];
    let mut cluster = Cluster::start(&Target::mainstay()?, &options(&flags)).await?;
    for round in 0..3 {
        let mut client = cluster.client(0).await?;
        cluster.members[1 + round % 2].kill()?;
        // The one that was killed may have led.
        cluster.wait_leader().await?;
        let mut revision = 0;
        for number in 0..200 {
            revision = client
                .put(&format!("key/{}", number % 20), &number.to_string())
                .await?;
        }
        client.delete_prefix("key/1").await?;
        let compact = CompactionRequest {
            revision: revision - 10,
            physical: false,
        };
        client.kv.compact(compact).await?;
        cluster.start_all().await?;
        cluster.client(2).await?.put("k", "v").await?;
    }
    wait_for_checks(&mut cluster).await?;
    assert_eq!(counted(&mut cluster, FOUND)?, 0);
    let mut client = cluster.client(0).await?;
    assert_eq!(alarm(&mut client, AlarmAction::Get, 0).await?, []);
    Ok(())
}
