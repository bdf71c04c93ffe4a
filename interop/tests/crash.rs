//! Members are killed under load; what was acknowledged stays.

use anyhow::{Context, Result, ensure};
use interop::client::Client;
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use interop::load::{Load, PREFIX, check_nothing_missing};
use interop::target::Target;
use interop::text::prefix_end;
use proto::etcdserverpb::{HashKvRequest, RangeRequest, StatusRequest};
use tokio::time::Instant;

const WRITERS: usize = 8;
const VALUE_BYTES: usize = 100;
/// Log entries a member keeps for its followers in the snapshot test.
const SNAPSHOT_COUNT: usize = 200;
/// Writes while the follower is away: more than any log keeps, etcd's 5,000 spare entries included.
const WRITES_WHILE_AWAY: usize = 6_000;
/// How members say up to which entry they let go of their log: Mainstay, and etcd 3.4.
const LOG_COMPACTED: [&str; 2] = ["\"compact-index\":", "compacted raft log at "];

/// The newest entry that a member has let go of, by its log.
fn compacted_index(log: &str) -> Option<u64> {
    let after = |line: &str, mark: &&str| {
        let rest = line.split_once(*mark)?.1;
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    };
    log.lines()
        .rev()
        .find_map(|line| LOG_COMPACTED.iter().find_map(|mark| after(line, mark)))
}

async fn applied_index(cluster: &Cluster, member: usize) -> Result<u64> {
    let mut client = cluster.client(member).await?;
    let status = client.maintenance.status(StatusRequest {}).await?;
    Ok(status.into_inner().raft_applied_index)
}

/// Keeps the load going until a member has let go of every log entry up to this one.
async fn wait_compacted(
    cluster: &Cluster,
    member: usize,
    index: u64,
    load: &mut Load,
) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    while compacted_index(&cluster.members[member].log()).is_none_or(|to| to <= index) {
        ensure!(Instant::now() < deadline, "the leader keeps its log");
        load.wait_for_more(100).await?;
    }
    Ok(())
}

/// Waits until all members have the same revision, and checks that their hashes are equal there.
async fn assert_equal_hashes(cluster: &Cluster) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let mut answers = Vec::new();
        for index in 0..cluster.members.len() {
            let mut client = cluster.client(index).await?;
            let request = HashKvRequest { revision: 0 };
            let answer = client.maintenance.hash_kv(request).await?.into_inner();
            let revision = answer.header.context("a header")?.revision;
            answers.push((revision, answer.compact_revision, answer.hash));
        }
        if answers.iter().all(|answer| answer.0 == answers[0].0) {
            assert!(
                answers.iter().all(|answer| *answer == answers[0]),
                "hashes differ: {answers:?}"
            );
            return Ok(());
        }
        assert!(
            Instant::now() < deadline,
            "revisions stay apart: {answers:?}"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn count(client: &mut Client) -> Result<i64> {
    let request = RangeRequest {
        key: PREFIX.into(),
        range_end: prefix_end(PREFIX.as_bytes()).into(),
        count_only: true,
        ..Default::default()
    };
    Ok(client.kv.range(request).await?.into_inner().count)
}

async fn writes_resume_after_the_leader_is_killed(target: Target) -> Result<()> {
    let mut cluster = Cluster::start(&target, &Options::three()).await?;
    let mut load = Load::start(&cluster.client_urls(), WRITERS, VALUE_BYTES)?;
    load.wait_for_more(500).await?;
    let leader = cluster.wait_leader().await?;
    cluster.members[leader].kill()?;
    load.wait_for_more(500).await?;
    cluster.start_all().await?;
    load.wait_for_more(100).await?;
    let writes = load.stop().await;
    for index in 0..3 {
        let mut client = cluster.client(index).await?;
        check_nothing_missing(&mut client, &writes).await?;
    }
    assert_equal_hashes(&cluster).await
}

async fn all_data_comes_back_after_all_are_killed(target: Target) -> Result<()> {
    let mut cluster = Cluster::start(&target, &Options::three()).await?;
    let mut load = Load::start(&cluster.client_urls(), WRITERS, VALUE_BYTES)?;
    load.wait_for_more(1_000).await?;
    cluster.kill_all()?;
    let writes = load.stop().await;
    cluster.start_all().await?;
    for index in 0..3 {
        let mut client = cluster.client(index).await?;
        check_nothing_missing(&mut client, &writes).await?;
    }
    assert_equal_hashes(&cluster).await?;
    // And it goes on from there.
    let mut client = cluster.client(0).await?;
    let before = count(&mut client).await?;
    client.put(&format!("{PREFIX}after"), "x").await?;
    assert_eq!(count(&mut client).await?, before + 1);
    Ok(())
}

async fn a_follower_catches_up_by_snapshot(target: Target) -> Result<()> {
    let mut flags = vec![format!("--snapshot-count={SNAPSHOT_COUNT}")];
    if target.name == "mainstay" {
        // Many of our writes share one log entry; etcd 3.4 does not know the flag.
        flags.push(format!("--snapshot-catchup-entries={SNAPSHOT_COUNT}"));
    }
    let options = Options {
        members: 3,
        flags,
        in_memory: true,
    };
    let mut cluster = Cluster::start(&target, &options).await?;
    let leader = cluster.wait_leader().await?;
    let follower = (leader + 1) % 3;
    let mut load = Load::start(&cluster.client_urls(), WRITERS, VALUE_BYTES)?;
    load.wait_for_more(200).await?;
    cluster.members[follower].kill()?;
    let applied = applied_index(&cluster, leader).await?;
    load.wait_for_more(WRITES_WHILE_AWAY).await?;
    wait_compacted(&cluster, leader, applied, &mut load).await?;
    // The load goes on while the follower comes back.
    cluster.members[follower].start()?;
    cluster.members[follower].wait_ready().await?;
    load.wait_for_more(200).await?;
    let writes = load.stop().await;
    let mut client = cluster.client(follower).await?;
    check_nothing_missing(&mut client, &writes).await?;
    assert_equal_hashes(&cluster).await?;

    let member = &cluster.members[follower];
    let metrics = interop::http::get(member.client_port, "/metrics")?;
    let received: f64 = metrics
        .body
        .lines()
        .filter(|line| line.starts_with("etcd_network_snapshot_receive_success"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!(
        received >= 1.0 || member.log().contains("applied snapshot"),
        "the follower received no snapshot: {}",
        member.log_tail()
    );
    Ok(())
}

async fn a_paused_leader_is_replaced_and_comes_back(target: Target) -> Result<()> {
    let mut cluster = Cluster::start(&target, &Options::three()).await?;
    let mut load = Load::start(&cluster.client_urls(), WRITERS, VALUE_BYTES)?;
    load.wait_for_more(200).await?;
    let leader = cluster.wait_leader().await?;
    cluster.members[leader].pause()?;
    load.wait_for_more(500).await?;
    cluster.members[leader].resume()?;
    cluster.wait_ready().await?;
    let writes = load.stop().await;
    // The one that was away is asked, and must not answer from before.
    let mut client = cluster.client(leader).await?;
    check_nothing_missing(&mut client, &writes).await?;
    assert_equal_hashes(&cluster).await
}

/// Each test for our server; the same for etcd, which shows that the test itself is fair.
/// A member whose disk was lost must not come back as if it were new: it would vote again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_data_joins_again_only_on_purpose() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::three()).await?;
    let mut load = Load::start(&cluster.client_urls(), WRITERS, VALUE_BYTES)?;
    load.wait_for_more(500).await?;
    let leader = cluster.wait_leader().await?;
    let lost = (leader + 1) % 3;
    cluster.members[lost].kill()?;
    std::fs::remove_dir_all(&cluster.members[lost].data_dir)?;

    cluster.members[lost].start()?;
    let status = cluster.members[lost].wait_exit().await?;
    assert!(!status.success(), "it started as a new member");
    let log = cluster.members[lost].log();
    assert!(log.contains("has already been bootstrapped"), "{log}");

    std::fs::remove_dir_all(&cluster.members[lost].data_dir)?;
    cluster.members[lost].joins_existing();
    cluster.members[lost].start()?;
    cluster.members[lost].wait_ready().await?;
    load.wait_for_more(200).await?;
    let writes = load.stop().await;
    let mut client = cluster.client(lost).await?;
    check_nothing_missing(&mut client, &writes).await?;
    assert_equal_hashes(&cluster).await?;
    // With another one gone, the cluster needs the vote of the member that joined again. Who leads may have changed since.
    let leader = cluster.wait_leader().await?;
    let other = (0..3).find(|member| ![leader, lost].contains(member));
    cluster.members[other.context("three members")?].kill()?;
    client.put(&format!("{PREFIX}again"), "x").await?;
    Ok(())
}

interop::on_both! {
    writes_resume_after_the_leader_is_killed
    all_data_comes_back_after_all_are_killed
    a_follower_catches_up_by_snapshot
    a_paused_leader_is_replaced_and_comes_back
}
