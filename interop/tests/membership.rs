//! Members come and go: the same story is told to etcd and to ours, and ours loses nothing under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use interop::client::Client;
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use interop::load::{Load, check_nothing_missing};
use interop::target::Target;
use proto::etcdserverpb::{
    Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

const WRITERS: usize = 8;
const VALUE_BYTES: usize = 64;
/// What is answered while a change would leave too few members that are heard.
const UNHEALTHY: &str = "etcdserver: unhealthy cluster";

async fn add(client: &mut Client, peer_url: &str, is_learner: bool) -> Result<Member, Status> {
    let request = MemberAddRequest {
        peer_ur_ls: peer_url.split(',').map(str::to_owned).collect(),
        is_learner,
    };
    let added = client.cluster.member_add(request).await?.into_inner();
    let member = added.member.unwrap_or_default();
    assert!(added.members.contains(&member), "all members are answered");
    assert_eq!(added.header.unwrap_or_default().revision, 0);
    Ok(member)
}

/// etcd adds nobody before its members have been connected for five seconds.
async fn add_when_healthy(
    client: &mut Client,
    peer_url: &str,
    is_learner: bool,
) -> Result<Member, Status> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        match add(client, peer_url, is_learner).await {
            Err(status) if status.code() == Code::Unavailable && Instant::now() < deadline => {
                assert_eq!(status.message(), UNHEALTHY);
                sleep(POLL_INTERVAL).await;
            }
            added => return added,
        }
    }
}

async fn remove(client: &mut Client, id: u64) -> Result<Vec<Member>, Status> {
    let removed = client.cluster.member_remove(MemberRemoveRequest { id });
    Ok(removed.await?.into_inner().members)
}

/// Removes a member once those that stay are heard: one that paused for an election timeout counts as gone.
async fn remove_when_healthy(client: &mut Client, id: u64) -> Result<Vec<Member>, Status> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        match remove(client, id).await {
            Err(status) if status.message() == UNHEALTHY && Instant::now() < deadline => {
                sleep(POLL_INTERVAL).await;
            }
            removed => return removed,
        }
    }
}

async fn promote(client: &mut Client, id: u64) -> Result<Vec<Member>, Status> {
    let promoted = client.cluster.member_promote(MemberPromoteRequest { id });
    Ok(promoted.await?.into_inner().members)
}

async fn update(client: &mut Client, id: u64, peer_url: &str) -> Result<Vec<Member>, Status> {
    let request = MemberUpdateRequest {
        id,
        peer_ur_ls: vec![peer_url.to_owned()],
    };
    let updated = client.cluster.member_update(request);
    Ok(updated.await?.into_inner().members)
}

async fn list(client: &mut Client) -> Result<Vec<Member>, Status> {
    let request = MemberListRequest { linearizable: true };
    Ok(client
        .cluster
        .member_list(request)
        .await?
        .into_inner()
        .members)
}

async fn id_of(client: &mut Client, name: &str) -> Result<u64> {
    let members = list(client).await?;
    let member = members.iter().find(|member| member.name == name);
    Ok(member.with_context(|| format!("{name} is no member"))?.id)
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("it has to be refused");
    (status.code(), status.message().to_owned())
}

fn failed(text: &str) -> (Code, String) {
    (Code::FailedPrecondition, format!("etcdserver: {text}"))
}

/// Joins a member to the cluster and waits until it serves.
async fn grow(cluster: &mut Cluster, name: &str, through: usize) -> Result<usize> {
    let joining = cluster.prepare_joining(name)?;
    let mut client = cluster.client(through).await?;
    add_when_healthy(&mut client, &cluster.members[joining].peer_url(), false).await?;
    cluster.members[joining].start()?;
    cluster.members[joining].wait_ready().await?;
    Ok(joining)
}

async fn refusals(target: Target) -> Result<()> {
    let cluster = Cluster::start(&target, &Options::steady_three()).await?;
    let mut client = cluster.client(1).await?;
    let bad = add(&mut client, "not a url", false).await;
    let text = "etcdserver: given member URLs are invalid".to_owned();
    assert_eq!(refused(bad), (Code::InvalidArgument, text));
    let missing = (Code::NotFound, "etcdserver: member not found".to_owned());
    assert_eq!(refused(remove(&mut client, 42).await), missing);
    assert_eq!(refused(promote(&mut client, 42).await), missing);
    let url = "http://127.0.0.1:1";
    assert_eq!(refused(update(&mut client, 42, url).await), missing);

    let learner = add_when_healthy(&mut client, url, true).await?;
    assert!(learner.is_learner && learner.name.is_empty() && learner.id != 0);
    let taken = failed("Peer URLs already exists");
    // Two URLs: with the same one etcd may compute the same id, which is refused first.
    let urls = "http://127.0.0.1:1,http://127.0.0.1:9";
    let twin = add_when_healthy(&mut client, urls, false).await;
    assert_eq!(refused(twin), taken);
    let many = add_when_healthy(&mut client, "http://127.0.0.1:2", true).await;
    assert_eq!(refused(many), failed("too many learner members in cluster"));
    let ready = failed("can only promote a learner member which is in sync with leader");
    assert_eq!(refused(promote(&mut client, learner.id).await), ready);
    let voter = id_of(&mut client, "member-1").await?;
    let not_a_learner = failed("can only promote a learner member");
    let deadline = Instant::now() + READY_TIMEOUT;
    // etcd asks first whether it keeps up, and a voter that was a moment behind does not.
    loop {
        let answer = refused(promote(&mut client, voter).await);
        if answer == not_a_learner {
            break;
        }
        assert!(answer == ready && Instant::now() < deadline, "{answer:?}");
    }
    assert_eq!(refused(update(&mut client, voter, url).await), taken);
    assert_eq!(
        update(&mut client, learner.id, "http://127.0.0.1:3")
            .await?
            .len(),
        4
    );
    assert_eq!(remove(&mut client, learner.id).await?.len(), 3);
    assert_eq!(refused(remove(&mut client, learner.id).await), missing);
    Ok(())
}

/// A learner takes part, serves little, and becomes a voter.
async fn a_learner_is_promoted(target: Target) -> Result<()> {
    let mut cluster = Cluster::start(&target, &Options::steady_three()).await?;
    let mut client = cluster.client(0).await?;
    client.put("key", "value").await?;
    let joining = cluster.prepare_joining("learner")?;
    let url = cluster.members[joining].peer_url();
    let id = add_when_healthy(&mut client, &url, true).await?.id;
    cluster.members[joining].start()?;
    let deadline = Instant::now() + READY_TIMEOUT;
    while let Err(status) = promote(&mut client, id).await {
        assert!(Instant::now() < deadline, "{status}");
        let ready = failed("can only promote a learner member which is in sync with leader");
        assert_eq!(refused::<()>(Err(status)), ready);
        sleep(POLL_INTERVAL).await;
    }
    cluster.members[joining].wait_ready().await?;
    let mut promoted = cluster.client(joining).await?;
    assert_eq!(promoted.get("key").await?.as_deref(), Some("value"));
    let members = list(&mut promoted).await?;
    assert!(members.len() == 4 && members.iter().all(|member| !member.is_learner));
    Ok(())
}

/// What a learner answers before it is promoted.
async fn a_learner_serves_little(target: Target) -> Result<()> {
    let mut cluster = Cluster::start(&target, &Options::steady_three()).await?;
    let mut client = cluster.client(0).await?;
    client.put("key", "value").await?;
    let joining = cluster.prepare_joining("learner")?;
    let url = cluster.members[joining].peer_url();
    add_when_healthy(&mut client, &url, true).await?;
    cluster.members[joining].start()?;
    let deadline = Instant::now() + READY_TIMEOUT;
    let mut learner = loop {
        ensure!(Instant::now() < deadline, "the learner serves nothing");
        if let Ok(mut learner) = cluster.client(joining).await
            && learner.member_and_leader().await.is_ok()
        {
            break learner;
        }
        sleep(POLL_INTERVAL).await;
    };
    // Older etcd has another code for it.
    let text = "etcdserver: rpc not supported for learner";
    assert_eq!(refused(learner.get("key").await).1, text);
    assert_eq!(refused(learner.put("key", "other").await).1, text);
    assert_eq!(refused(list(&mut learner).await).1, text);
    Ok(())
}

/// The process of a member that was removed ends, and ends again when it is started on its old data.
async fn a_removed_member_ends(target: Target) -> Result<()> {
    let mut cluster = Cluster::start(&target, &Options::three()).await?;
    let leader = cluster.wait_leader().await?;
    let mut client = cluster.client((leader + 1) % 3).await?;
    let removed = (leader + 2) % 3;
    let id = id_of(&mut client, &cluster.members[removed].name.clone()).await?;
    remove_when_healthy(&mut client, id).await?;
    assert!(cluster.members[removed].wait_exit().await?.success());
    cluster.members[removed].start()?;
    cluster.members[removed].wait_exit().await?;
    client.put("key", "value").await?;
    assert_eq!(list(&mut client).await?.len(), 2);
    Ok(())
}

interop::on_both! {
    refusals
    a_learner_is_promoted
    a_learner_serves_little
    a_removed_member_ends
}

/// Reads through one member without a pause, and counts.
struct Reader {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    task: JoinHandle<Result<()>>,
}

impl Reader {
    fn start(url: &str) -> Result<Reader> {
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        let mut client = Client::lazy(url)?;
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&count));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let read = client.get("kept").await.context("a read failed")?;
                ensure!(read.as_deref() == Some("value"), "read {read:?}");
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Reader { stop, count, task })
    }

    /// How many reads there were; an error if one of them failed.
    async fn stop(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await??;
        Ok(self.count.load(Ordering::Relaxed))
    }
}

/// Every member is replaced, the leader among them, while clients of the others read and write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_member_is_replaced_under_load() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::three()).await?;
    let mut writes = Vec::new();
    cluster.client(0).await?.put("kept", "value").await?;
    for round in 1..=3 {
        // The oldest goes; those that stay serve without a failed read.
        let leaving = id_of(
            &mut cluster.client(1).await?,
            &cluster.members[0].name.clone(),
        )
        .await?;
        let mut load = Load::start(&cluster.client_urls()[1..], WRITERS, VALUE_BYTES)?;
        let readers = [1, 2].map(|index| Reader::start(&cluster.members[index].client_url()));
        load.wait_for_more(200).await?;
        let joined = grow(&mut cluster, &format!("new-{round}"), 2).await?;
        load.wait_for_more(200).await?;
        let left = remove_when_healthy(&mut cluster.client(joined).await?, leaving).await?;
        assert_eq!(left.len(), 3);
        load.wait_for_more(200).await?;
        for reader in readers {
            assert!(reader?.stop().await? > 0);
        }
        writes.push(load.stop().await);
        assert!(cluster.members[0].wait_exit().await?.success());
        cluster.members.remove(0);
        for index in 0..3 {
            let mut client = cluster.client(index).await?;
            check_nothing_missing(&mut client, writes.last().context("this round's")?).await?;
        }
        // The next round writes the same keys.
        cluster
            .client(0)
            .await?
            .delete_prefix(interop::load::PREFIX)
            .await?;
    }
    Ok(())
}

/// One of the first members would have the same id again: with its old flags it must not make a second cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_founder_does_not_come_back() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::three()).await?;
    let mut client = cluster.client(1).await?;
    let id = id_of(&mut client, "member-1").await?;
    remove_when_healthy(&mut client, id).await?;
    assert!(cluster.members[0].wait_exit().await?.success());
    std::fs::remove_dir_all(&cluster.members[0].data_dir)?;
    cluster.members[0].start()?;
    assert!(!cluster.members[0].wait_exit().await?.success());
    let log = cluster.members[0].log();
    assert!(log.contains("was removed from this cluster"), "{log}");
    Ok(())
}

/// A dead member is replaced by one with an empty disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_member_is_replaced() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::three()).await?;
    let mut load = Load::start(&cluster.client_urls(), WRITERS, VALUE_BYTES)?;
    load.wait_for_more(200).await?;
    let dead = cluster.wait_leader().await?;
    cluster.members[dead].kill()?;
    let mut client = cluster.client((dead + 1) % 3).await?;
    let id = id_of(&mut client, &cluster.members[dead].name.clone()).await?;
    remove_when_healthy(&mut client, id).await?;
    cluster.members.remove(dead);
    let joined = grow(&mut cluster, "replacement", 0).await?;
    load.wait_for_more(200).await?;
    let writes = load.stop().await;
    let mut client = cluster.client(joined).await?;
    check_nothing_missing(&mut client, &writes).await?;
    // Its vote counts: with another one gone there is still a quorum.
    cluster.members[0].kill()?;
    cluster.put_after_loss(joined, "key", "value").await
}

/// A member that was added later and has lost its disk comes back as itself, and starts again on what it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joined_member_that_lost_its_data_joins_again() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::three()).await?;
    let joined = grow(&mut cluster, "fourth", 0).await?;
    let mut client = cluster.client(0).await?;
    let id = id_of(&mut client, "fourth").await?;
    cluster.members[joined].kill()?;
    std::fs::remove_dir_all(&cluster.members[joined].data_dir)?;
    cluster.members[joined].start()?;
    cluster.members[joined].wait_ready().await?;
    assert_eq!(id_of(&mut client, "fourth").await?, id);
    cluster.members[joined].kill()?;
    cluster.members[joined].start()?;
    cluster.members[joined].wait_ready().await
}

/// From one member to three and back to one; writes go on at every size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_from_one_and_shrinks_to_one() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    // Added and not started: the one that is there still decides alone.
    let second = cluster.prepare_joining("second")?;
    let mut client = cluster.client(0).await?;
    add_when_healthy(&mut client, &cluster.members[second].peer_url(), false).await?;
    client.put("one", "of one").await?;
    cluster.members[second].start()?;
    cluster.members[second].wait_ready().await?;
    let third = grow(&mut cluster, "third", second).await?;
    cluster.members[0].kill()?;
    cluster.put_after_loss(third, "two", "of three").await?;
    let mut client = cluster.client(third).await?;
    for name in ["member-1", "second"] {
        let id = id_of(&mut client, name).await?;
        remove_when_healthy(&mut client, id).await?;
    }
    client.put("one", "of one again").await?;
    assert_eq!(list(&mut client).await?.len(), 1);
    let last = id_of(&mut client, "third").await?;
    let (code, text) = refused(remove(&mut client, last).await);
    assert_eq!(code, Code::Unknown);
    assert!(text.ends_with("not enough started members"), "{text}");
    Ok(())
}

/// A member moves to another peer URL, and the others find it there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_moves() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::steady_three()).await?;
    let leader = cluster.wait_leader().await?;
    let moving = (leader + 1) % 3;
    let mut client = cluster.client(leader).await?;
    let id = id_of(&mut client, &cluster.members[moving].name.clone()).await?;
    let url = format!("http://127.0.0.1:{}", interop::cluster::free_port()?);
    update(&mut client, id, &url).await?;
    let member = &mut cluster.members[moving];
    member.terminate().await?;
    client.put("key", "while it was away").await?;
    member.set_flag("--listen-peer-urls", &url);
    member.set_flag("--initial-advertise-peer-urls", &url);
    let all = member.flag("--initial-cluster").to_owned();
    let moved = all.replace(&member.peer_url(), &url);
    member.set_flag("--initial-cluster", &moved);
    member.start()?;
    member.wait_ready().await?;
    let mut client = cluster.client(moving).await?;
    let found = client.get("key").await?;
    assert_eq!(found.as_deref(), Some("while it was away"));
    Ok(())
}

/// Who is no member yet is told what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_told_how_to_join() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::three()).await?;
    let stranger = cluster.prepare_joining("stranger")?;
    cluster.members[stranger].start()?;
    assert!(!cluster.members[stranger].wait_exit().await?.success());
    let log = cluster.members[stranger].log();
    assert!(log.contains("etcdctl member add stranger"), "{log}");
    Ok(())
}
