//! Planned restarts that no client notices, and members that say so when there is no leader.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop::client::Client;
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use interop::target::Target;
use proto::etcdserverpb::{StatusRequest, WatchCreateRequest, WatchRequest, watch_request};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::Code;

/// Clients of each member that stays.
const CLIENTS: usize = 4;
/// Requests that have to be answered between two steps.
const ANSWERS: usize = 200;

/// Clients that write and read on one member each, for as long as nothing fails.
struct Clients {
    tasks: JoinSet<Result<()>>,
    answered: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
}

impl Clients {
    async fn start(cluster: &Cluster, members: &[usize]) -> Result<Clients> {
        let (counter, answered) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for (number, member) in members
            .iter()
            .cycle()
            .take(CLIENTS * members.len())
            .enumerate()
        {
            let mut client = cluster.client(*member).await?;
            let (counter, stopped) = (counter.clone(), stopped.clone());
            tasks.spawn(async move {
                let key = format!("planned/{number}");
                for sequence in 0_u64.. {
                    if *stopped.borrow() {
                        break;
                    }
                    let value = sequence.to_string();
                    client.put(&key, &value).await.context("a put")?;
                    let found = client.get(&key).await.context("a get")?;
                    ensure!(found == Some(value), "{key} is {found:?}");
                    counter.send_modify(|count| *count += 1);
                }
                Ok(())
            });
        }
        Ok(Clients {
            tasks,
            answered,
            stop,
        })
    }

    async fn wait_for_more(&mut self) -> Result<()> {
        let wanted = *self.answered.borrow() + ANSWERS;
        let reached = self.answered.wait_for(|count| *count >= wanted);
        timeout(READY_TIMEOUT, reached).await.context("answers")??;
        Ok(())
    }

    /// Ends the clients; an error when one of their requests failed.
    async fn stop(mut self) -> Result<()> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_restart_fails_no_request_on_the_other_members() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::steady_three()).await?;
    let leader = cluster.wait_leader().await?;
    for restarted in [leader, (leader + 1) % 3, (leader + 2) % 3] {
        let others: Vec<usize> = (0..3).filter(|index| *index != restarted).collect();
        let mut clients = Clients::start(&cluster, &others).await?;
        clients.wait_for_more().await?;
        let status = cluster.members[restarted].terminate().await?;
        ensure!(status.success(), "it stopped with {status}");
        clients.wait_for_more().await?;
        cluster.start_all().await?;
        clients.wait_for_more().await?;
        let stopped = clients.stop().await;
        stopped.with_context(|| format!("while member {restarted} was restarted"))?;
    }
    Ok(())
}

/// Time that a write may take; far shorter than the election timeout of the tests that use it.
const SOON: Duration = Duration::from_secs(20);

/// Time that one put gets.
const PUT_TIMEOUT: Duration = Duration::from_secs(2);

async fn writes_soon(client: &mut Client) -> Result<()> {
    let written = async {
        // One that went to the leader that ended waits for an outcome that may never come.
        while !matches!(
            timeout(PUT_TIMEOUT, client.put("key", "value")).await,
            Ok(Ok(_))
        ) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    timeout(SOON, written)
        .await
        .with_context(|| format!("no write within {SOON:?}"))
}

/// Members whose election timeout nobody wants to wait for.
fn patient() -> Options {
    Options {
        members: 3,
        flags: vec!["--election-timeout=50000".to_owned()],
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_before_the_election_timeout() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &patient()).await?;
    // Twice: the second time the killed one has been away and come back.
    for _ in 0..2 {
        let leader = cluster.wait_leader().await?;
        cluster.members[leader].kill()?;
        let mut client = cluster.client((leader + 1) % 3).await?;
        writes_soon(&mut client).await?;
        cluster.start_all().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_leader_that_is_killed_is_replaced_too() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &patient()).await?;
    let leader = cluster.wait_leader().await?;
    let mut client = cluster.client((leader + 1) % 3).await?;
    client.put("key", "value").await?;
    // Several heartbeats without a request.
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.members[leader].kill()?;
    writes_soon(&mut client).await
}

/// A watch that wants a leader; returns how it ended.
async fn ended_watch(mut client: Client) -> Result<tonic::Status> {
    let create = watch_request::RequestUnion::CreateRequest(WatchCreateRequest {
        key: "k".into(),
        ..Default::default()
    });
    let create = WatchRequest {
        request_union: Some(create),
    };
    let requests = tokio_stream::StreamExt::chain(
        tokio_stream::once(create),
        tokio_stream::pending::<WatchRequest>(),
    );
    let mut request = tonic::Request::new(requests);
    request
        .metadata_mut()
        .insert("hasleader", "true".parse().context("plain text")?);
    let mut answers = match client.watch.watch(request).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return Ok(status),
    };
    loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => anyhow::bail!("the stream ended without an error"),
            Err(status) => return Ok(status),
        }
    }
}

/// Longest wait for a page that says there is no leader; shorter than a request waits for one in vain, which is five
/// seconds and two election timeouts.
const PAGE_TIMEOUT: Duration = Duration::from_secs(5);

async fn a_member_alone_says_that_there_is_no_leader(target: Target, leads: bool) -> Result<()> {
    let mut cluster = Cluster::start(&target, &Options::three()).await?;
    let leader = cluster.wait_leader().await?;
    let alone = if leads { leader } else { (leader + 1) % 3 };
    let client = cluster.client(alone).await?;
    let mut maintenance = client.maintenance.clone();
    let watch = tokio::spawn(ended_watch(client));
    for index in (0..3).filter(|index| *index != alone) {
        cluster.members[index].kill()?;
    }
    let status = timeout(READY_TIMEOUT, watch)
        .await
        .context("the watch")???;
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(status.message(), "etcdserver: no leader");
    let deadline = Instant::now() + READY_TIMEOUT;
    while maintenance
        .status(StatusRequest {})
        .await?
        .into_inner()
        .leader
        != 0
    {
        ensure!(Instant::now() < deadline, "it still names a leader");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let asked = Instant::now();
    let health = interop::http::get(cluster.members[alone].client_port, "/health")?;
    assert_eq!(health.status, 503, "{}", health.body);
    assert!(asked.elapsed() < PAGE_TIMEOUT, "it answers at once");
    let metrics = interop::http::get(cluster.members[alone].client_port, "/metrics")?.body;
    assert!(metrics.contains("etcd_server_has_leader 0"), "{metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_alone_says_that_there_is_no_leader() -> Result<()> {
    a_member_alone_says_that_there_is_no_leader(Target::mainstay()?, false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_alone_says_that_there_is_no_leader() -> Result<()> {
    a_member_alone_says_that_there_is_no_leader(Target::mainstay()?, true).await
}

/// The same of etcd, which shows that the tests ask for what clients of etcd are used to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_alone_says_that_there_is_no_leader() -> Result<()> {
    a_member_alone_says_that_there_is_no_leader(Target::etcd()?, true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_with_their_own_port_answer_before_there_is_a_leader() -> Result<()> {
    let mut cluster = Cluster::prepare(&Target::mainstay()?, &Options::three())?;
    let port = interop::cluster::free_port()?;
    let member = &mut cluster.members[0];
    member
        .flags
        .push(format!("--listen-metrics-urls=http://127.0.0.1:{port}"));
    member.start()?;
    let deadline = Instant::now() + READY_TIMEOUT;
    let live = loop {
        match interop::http::get(port, "/livez") {
            Ok(answer) => break answer,
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_not_yet) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    };
    assert_eq!(live.status, 200, "{}", live.body);
    let ready = interop::http::get(port, "/readyz")?;
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(
        ready.body.contains("etcdserver: no leader"),
        "{}",
        ready.body
    );
    assert_eq!(interop::http::get(port, "/health")?.status, 503);
    Ok(())
}
