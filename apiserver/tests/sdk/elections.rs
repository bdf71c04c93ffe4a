//! Elections: one leads, another takes over, and who led before writes nothing more.

use std::time::Duration;

use client::{Client, Election, ElectionConfig, Error, Key, Term};
use k8s_openapi::api::coordination::v1::Lease;
use tokio::sync::oneshot;

use super::cluster::{Cluster, until};
use super::config_map;

fn election(client: Client, identity: &str, lease_seconds: u64) -> Election {
    let config = ElectionConfig {
        lease: Duration::from_secs(lease_seconds),
        renew: Duration::from_secs(lease_seconds * 2 / 3),
        retry: Duration::from_millis(200),
        ..ElectionConfig::new("kube-system", "e", identity)
    };
    Election::new(client, config).unwrap()
}

async fn lease(client: &Client) -> (String, i32) {
    let lease: Lease = client.get(&Key::new("kube-system", "e")).await.unwrap();
    let spec = lease.spec.unwrap();
    (
        spec.holder_identity.unwrap(),
        spec.lease_transitions.unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leads_when_the_leader_dies_and_the_dead_one_writes_nothing() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client();
    let (tell, first) = oneshot::channel::<Term>();
    let a = election(client.clone(), "a", 3);
    let leading = cluster.tasks.spawn(async move {
        let lead = |term| {
            let _ = tell.send(term);
            std::future::pending::<()>()
        };
        let _ = a.run(lead).await;
    });
    let first = first.await.unwrap();
    assert_eq!(lease(&client).await, ("a".to_owned(), 0));
    first.client().create(&config_map("a", "1")).await.unwrap();
    leading.abort();

    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, second) = oneshot::channel::<Term>();
    let b = election(client.clone(), "b", 3);
    cluster.tasks.spawn(async move {
        let lead = |term| async move {
            let _ = tell.send(term);
            stopped.await.unwrap();
        };
        b.run(lead).await.unwrap();
    });
    let second = second.await.unwrap();
    assert!(first.left().is_none(), "the first term was over before");
    let refused = first
        .client()
        .create(&config_map("b", "1"))
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::TermOver) && !refused.outcome_unknown());
    assert_eq!(lease(&client).await, ("b".to_owned(), 1));
    second.client().create(&config_map("b", "1")).await.unwrap();

    stop.send(()).unwrap();
    until("the lease is given back", async || {
        lease(&client).await == (String::new(), 1)
    })
    .await;
    assert!(second.left().is_none());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_keeps_its_lease_over_a_silent_server_and_loses_it_with_all_servers() {
    let mut cluster = Cluster::start(2).await;
    let (client, direct) = (cluster.client(), cluster.direct());
    let (tell, term) = oneshot::channel::<Term>();
    let (over, ended) = oneshot::channel();
    let a = election(client, "a", 12);
    cluster.tasks.spawn(async move {
        let lead = |term| {
            let _ = tell.send(term);
            std::future::pending::<()>()
        };
        let _ = over.send(a.run(lead).await.is_err());
    });
    let term = term.await.unwrap();
    cluster.relays[0].freeze();
    let renewed = async || {
        let lease: Lease = direct.get(&Key::new("kube-system", "e")).await.unwrap();
        lease.spec.unwrap().renew_time
    };
    let before = renewed().await;
    until("the other server renews it", async || {
        renewed().await != before
    })
    .await;
    let between = renewed().await;
    until("it goes on", async || renewed().await != between).await;
    assert!(term.left().is_some());
    cluster.relays[1].freeze();
    assert!(ended.await.unwrap());
    assert!(term.left().is_none());
    assert_eq!(lease(&direct).await, ("a".to_owned(), 0));
    cluster.stop().await;
}
