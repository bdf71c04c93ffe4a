//! A live cluster moves from etcd to Mainstay and back under load, with every revision under its number, and is proven
//! equal by HashKV; and what must not be taken for a copy is refused.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use interop::auth::{
    authenticate, enable_with_ann, grant, grant_role, put, range, signed, user_add,
};
use interop::client::Client;
use interop::cluster::{Cluster, Member, Options, POLL_INTERVAL};
use interop::migration::{Migration, STEP_TIMEOUT, copy_of, cut_over_revision, hashes};
use interop::random::Random;
use interop::snapshots::flag;
use interop::target::Target;
use interop::traffic::{Traffic, load, op, txn};
use proto::etcdserverpb::AuthRoleAddRequest;
use proto::etcdserverpb::request_op::Request as Op;
use tokio::time::{Instant, sleep, sleep_until, timeout};

const KEPT_REVISIONS: i64 = 5_000;
const IS_A_COPY: &str = "the target is a copy";
/// Time in which leases end that the writers grant for a short while.
const SHORT_LEASES_END: Duration = Duration::from_secs(20);
/// How often it is tried to cut over while the source is written to.
const CUT_OVERS_MAX: usize = 10;

/// Keys that are there before anything moves.
fn keys() -> Result<usize> {
    match std::env::var("MAINSTAY_MIGRATE_KEYS") {
        Ok(number) => Ok(number.parse()?),
        Err(_) => Ok(20_000),
    }
}

/// What compactions leave: enough for the time that a copy takes.
fn kept_revisions() -> Result<i64> {
    Ok(KEPT_REVISIONS.max(i64::try_from(keys()? / 50)?))
}

async fn wait_for_more(traffic: &Traffic, more: u64) -> Result<()> {
    let wanted = traffic.count() + more;
    let written = async {
        while traffic.count() < wanted {
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(STEP_TIMEOUT, written)
        .await
        .context("the writers are stuck")
}

/// Copies a cluster that is written to, follows it, and cuts over when the writers have stopped.
async fn move_over(from: &Cluster, to: &Target, members: usize) -> Result<Cluster> {
    let begun = Instant::now();
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let traffic = Traffic::start(&from.members[0].client_url(), 4, seed, kept_revisions()?).await?;
    wait_for_more(&traffic, 200).await?;
    let options = Options {
        members,
        ..Options::default()
    };
    let mut copy = copy_of(from, to, &options)?;
    println!("copied after {:?}", begun.elapsed());
    let mut migration = Migration::follow(from, &copy, &[])?;
    copy.start_all().await?;
    migration.wait_for(IS_A_COPY).await?;
    println!("following after {:?}", begun.elapsed());
    let short_leases_end = Instant::now() + SHORT_LEASES_END;
    wait_for_more(&traffic, 3_000).await?;
    sleep_until(short_leases_end).await;
    let steps = traffic.stop().await?;
    println!("{steps} steps after {:?}", begun.elapsed());
    let last = from.client(0).await?.put("last", "").await?;
    migration.cut_over()?;
    let (status, said, told) = migration.ended().await?;
    ensure!(status.success(), "it ended with {status}:\n{told}");
    println!("cut over after {:?}\n{told}{said}", begun.elapsed());
    let revision = cut_over_revision(&said)?;
    ensure!(revision >= last, "{last} was written before: {said}");
    let hashes = hashes(&[from, &copy], revision).await?;
    ensure!(
        hashes.iter().all(|hash| *hash == hashes[0]),
        "{hashes:?}\n{said}"
    );
    let (hash, compact_revision) = hashes[0];
    let proof = format!(
        "HashKV of the source {hash}, of the target {hash}; both compacted up to {}",
        compact_revision.max(0)
    );
    ensure!(said.contains(&proof), "{said} has no {proof}");
    Ok(copy)
}

async fn add_accounts(client: &mut Client) -> Result<()> {
    let auth = &mut client.auth;
    auth.user_add(user_add("ann", "word")).await?;
    auth.role_add(AuthRoleAddRequest {
        name: "reader".into(),
    })
    .await?;
    auth.role_grant_permission(grant("reader", 0, ("a", "b")))
        .await?;
    auth.user_grant_role(grant_role("ann", "reader")).await?;
    Ok(())
}

/// There and back again.
async fn there_and_back(members: usize) -> Result<()> {
    let etcd = Target::etcd()?;
    let source = Cluster::start(&etcd, &Options::default()).await?;
    load(&source.members[0].client_url(), keys()?).await?;
    add_accounts(&mut source.client(0).await?).await?;
    let ours = move_over(&source, &Target::mainstay()?, members).await?;
    drop(source);
    move_over(&ours, &etcd, 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_etcd_moves_to_one_mainstay_and_back() -> Result<()> {
    there_and_back(1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_etcd_moves_to_three_mainstays_and_back() -> Result<()> {
    there_and_back(3).await
}

/// A small source, and a copy of it that runs.
async fn small() -> Result<(Cluster, Cluster)> {
    let in_memory = Options {
        in_memory: true,
        ..Options::default()
    };
    let source = Cluster::start(&Target::etcd()?, &in_memory).await?;
    let mut client = source.client(0).await?;
    for number in 0..20 {
        client
            .put(&format!("key/{}", number % 5), &number.to_string())
            .await?;
    }
    let mut copy = copy_of(&source, &Target::mainstay()?, &Options::default())?;
    copy.start_all().await?;
    Ok((source, copy))
}

#[tokio::test]
async fn a_quiet_source_is_cut_over_without_a_word() -> Result<()> {
    let (source, copy) = small().await?;
    let mut migration = Migration::follow(&source, &copy, &["--cut-over", "--quiet=5s"])?;
    migration.wait_for(IS_A_COPY).await?;
    let last = source.client(0).await?.put("last", "one").await?;
    let (status, said, told) = migration.ended().await?;
    ensure!(status.success(), "{told}");
    let revision = cut_over_revision(&said)?;
    ensure!(revision == last, "{last} was written last: {said}");
    let hashes = hashes(&[&source, &copy], revision).await?;
    ensure!(
        hashes[0] == hashes[1] && said.contains(&hashes[0].0.to_string()),
        "{hashes:?} {said}"
    );
    assert_eq!(
        copy.client(0).await?.get("last").await?.as_deref(),
        Some("one")
    );
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_no_copy_is_refused() -> Result<()> {
    let (source, _) = small().await?;
    let other = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let mut client = other.client(0).await?;
    client.put("key/0", "another").await?;
    let refused = Migration::follow(&source, &other, &[])?.refused().await?;
    ensure!(
        refused.contains("the target is no copy of the source"),
        "{refused}"
    );
    for _ in 0..40 {
        client.put("key/0", "another").await?;
    }
    let refused = Migration::follow(&source, &other, &[])?.refused().await?;
    ensure!(
        refused.contains("--from and --to are exchanged"),
        "{refused}"
    );
    let refused = Migration::follow(&source, &source, &[])?.refused().await?;
    ensure!(
        refused.contains("source and target are one cluster"),
        "{refused}"
    );
    Ok(())
}

#[tokio::test]
async fn somebody_else_who_writes_to_the_target_ends_the_migration() -> Result<()> {
    let (source, copy) = small().await?;
    let mut migration = Migration::follow(&source, &copy, &[])?;
    migration.wait_for(IS_A_COPY).await?;
    copy.client(0).await?.put("stray", "").await?;
    source.client(0).await?.put("key/1", "next").await?;
    let refused = migration.refused().await?;
    ensure!(
        refused.contains("somebody else writes to the target"),
        "{refused}"
    );
    Ok(())
}

#[tokio::test]
async fn users_that_changed_since_the_copy_need_a_new_copy() -> Result<()> {
    let (source, copy) = small().await?;
    let mut migration = Migration::follow(&source, &copy, &[])?;
    migration.wait_for(IS_A_COPY).await?;
    add_accounts(&mut source.client(0).await?).await?;
    migration.cut_over()?;
    let refused = migration.refused().await?;
    ensure!(refused.contains("take a new copy"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_source_that_compacts_what_the_target_lacks_is_an_error() -> Result<()> {
    let (source, copy) = small().await?;
    let mut client = source.client(0).await?;
    let newest = client.put("key/1", "later").await?;
    client.put("key/1", "newest").await?;
    let compact = proto::etcdserverpb::CompactionRequest {
        revision: newest,
        physical: true,
    };
    client.kv.compact(compact).await?;
    let refused = Migration::follow(&source, &copy, &[])?.refused().await?;
    ensure!(
        refused.contains("the source was compacted up to revision"),
        "{refused}"
    );
    Ok(())
}

/// Asks for the cut-over of a source that is written to until it is refused; what was told then. When all writers stand
/// still for a whole proof it is rightly cut over, which leaves the target a copy that can follow again.
async fn refused_under_load(source: &Cluster, copy: &Cluster) -> Result<String> {
    for _ in 0..CUT_OVERS_MAX {
        let mut migration = Migration::follow(source, copy, &[])?;
        migration.wait_for(IS_A_COPY).await?;
        migration.cut_over()?;
        let (status, _, told) = migration.ended().await?;
        if !status.success() {
            ensure!(status.code() == Some(1), "it ended with {status}: {told}");
            return Ok(told);
        }
    }
    bail!("the writers stood still for a whole proof, {CUT_OVERS_MAX} times")
}

#[tokio::test]
async fn a_source_that_is_still_written_to_is_not_cut_over() -> Result<()> {
    let (source, copy) = small().await?;
    let url = source.members[0].client_url();
    // Nothing is compacted that comes between two migrations.
    let traffic = Traffic::start(&url, 4, 1, 100 * KEPT_REVISIONS).await?;
    let told = refused_under_load(&source, &copy).await?;
    ensure!(told.contains("the source is still written to"), "{told}");
    traffic.stop().await?;
    // It goes on from where it was.
    let mut migration = Migration::follow(&source, &copy, &["--cut-over", "--quiet=4s"])?;
    let (status, _, told) = migration.ended().await?;
    ensure!(status.success(), "{told}");
    Ok(())
}

#[tokio::test]
async fn it_goes_on_when_a_member_of_the_target_is_lost() -> Result<()> {
    let source = Cluster::start(&Target::etcd()?, &Options::default()).await?;
    source.client(0).await?.put("key", "").await?;
    let mut copy = copy_of(&source, &Target::mainstay()?, &Options::three())?;
    copy.start_all().await?;
    let mut migration = Migration::follow(&source, &copy, &[])?;
    migration.wait_for(IS_A_COPY).await?;
    let traffic = Traffic::start(&source.members[0].client_url(), 2, 2, KEPT_REVISIONS).await?;
    wait_for_more(&traffic, 100).await?;
    copy.members[0].kill()?;
    migration.wait_for("connecting again").await?;
    wait_for_more(&traffic, 100).await?;
    traffic.stop().await?;
    let last = source.client(0).await?.put("last", "").await?;
    migration.cut_over()?;
    let (status, said, told) = migration.ended().await?;
    ensure!(status.success(), "{told}");
    copy.start_all().await?;
    let revision = cut_over_revision(&said)?;
    ensure!(revision >= last, "{last} was written before: {said}");
    let hashes = hashes(&[&source, &copy], revision).await?;
    ensure!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    Ok(())
}

/// One command on the machine of the new member: it copies, waits for the member to be started, follows and cuts over.
#[tokio::test]
async fn one_command_moves_a_cluster_that_asks_for_passwords() -> Result<()> {
    let source = Cluster::start(&Target::etcd()?, &Options::default()).await?;
    let mut client = source.client(0).await?;
    enable_with_ann(&mut client).await?;
    let ann = authenticate(&mut client, "ann", "annpw")
        .await?
        .into_inner();
    client
        .kv
        .put(signed(Some(&ann), put("a", 0, false)))
        .await?;
    let mut copy = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let (from, to) = (source.members[0].client_url(), copy.members[0].client_url());
    let mut arguments = vec!["--from", &from, "--to", &to, "--user", "nobody:wrong"];
    let refused = Migration::start(&copy, &arguments)?.refused_with(2).await?;
    ensure!(refused.contains("authentication failed"), "{refused}");
    let member = &copy.members[0];
    let own = new_member(member);
    arguments[5] = "root:rootpw";
    arguments.extend(own.iter().map(String::as_str));
    arguments.extend(["--to-user", "root:rootpw", "--cut-over", "--quiet=5s"]);
    let mut migration = Migration::start(&copy, &arguments)?;
    migration.wait_for("waiting for the target").await?;
    client
        .kv
        .put(signed(Some(&ann), put("b", 0, false)))
        .await?;
    copy.members[0].start()?;
    migration.wait_for(IS_A_COPY).await?;
    client
        .kv
        .put(signed(Some(&ann), put("w", 0, false)))
        .await?;
    let (status, said, told) = migration.ended().await?;
    ensure!(status.success(), "{told}");
    ensure!(said.contains("2 users with the same roles"), "{said}");
    // Her password came along, and so did what she wrote last.
    let mut client = copy.client(0).await?;
    let ann = authenticate(&mut client, "ann", "annpw")
        .await?
        .into_inner();
    let found = client
        .kv
        .range(signed(Some(&ann), range("b", "")))
        .await?
        .into_inner();
    assert_eq!(found.count, 1);
    let root = authenticate(&mut client, "root", "rootpw")
        .await?
        .into_inner();
    let found = client
        .kv
        .range(signed(Some(&root), range("w", "")))
        .await?
        .into_inner();
    assert_eq!(found.count, 1);
    Ok(())
}

/// The flags that make a member's data folder.
fn new_member(member: &Member) -> Vec<String> {
    let names = [
        "--name",
        "--data-dir",
        "--initial-cluster",
        "--initial-cluster-token",
        "--initial-advertise-peer-urls",
    ];
    let flags = names
        .iter()
        .flat_map(|name| [name.to_string(), flag(member, name).to_owned()]);
    flags.collect()
}

#[tokio::test]
async fn a_target_that_does_not_come_and_a_limit_that_is_too_low_are_named() -> Result<()> {
    let (source, copy) = small().await?;
    let absent = Cluster::prepare(&Target::mainstay()?, &Options::default())?;
    let refused = Migration::follow(&source, &absent, &["--wait=300ms"])?
        .refused()
        .await?;
    ensure!(refused.contains("waited 300ms for the target"), "{refused}");
    let puts = ["x", "y", "z"].map(|key| op(Op::RequestPut(put(key, 0, false))));
    source.client(0).await?.kv.txn(txn(puts.into())).await?;
    let refused = Migration::follow(&source, &copy, &["--max-txn-ops=2"])?
        .refused()
        .await?;
    ensure!(
        refused.contains("start the target with a larger --max-txn-ops"),
        "{refused}"
    );
    // It is a copy still.
    let mut migration = Migration::follow(&source, &copy, &["--cut-over=true", "--quiet=5s"])?;
    let (status, _, told) = migration.ended().await?;
    ensure!(status.success(), "{told}");
    Ok(())
}
