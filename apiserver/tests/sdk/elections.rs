//! Elections: one leads, another takes over, and who led before writes nothing more.

use std::collections::BTreeSet;
use std::time::Duration;

use client::{Client, Election, ElectionConfig, Error, Key, Patch, Term};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use tokio::sync::oneshot;

use super::cluster::{Cluster, until};
use super::config_map;

/// Renewals of a Lease that another writes to.
const RENEWALS: usize = 20;

fn election(client: Client, identity: &str, lease_seconds: u64) -> Election {
    let config = ElectionConfig {
        lease: Duration::from_secs(lease_seconds),
        renew: Duration::from_secs(lease_seconds * 2 / 3),
        retry: Duration::from_millis(200),
        ..ElectionConfig::new("kube-system", "e", identity)
    };
    Election::new(client, config).unwrap()
}

/// Leads for as long as it can; its term, and whether that was lost, once it is over.
async fn leading(cluster: &mut Cluster, election: Election) -> (Term, oneshot::Receiver<bool>) {
    let (tell, term) = oneshot::channel();
    let (over, ended) = oneshot::channel();
    cluster.tasks.spawn(async move {
        let lead = |term| {
            let _ = tell.send(term);
            std::future::pending::<()>()
        };
        let _ = over.send(election.run(lead).await.is_err());
    });
    (term.await.unwrap(), ended)
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
    let a = election(client.clone(), "a", 9);
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
    let b = election(client.clone(), "b", 9);
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
async fn a_leader_goes_on_while_others_write_to_its_lease_all_the_time() {
    let mut cluster = Cluster::start(1).await;
    let client = cluster.client();
    // Few renewals meet no other write, so the term has to outlast many that do.
    let (term, mut ended) = leading(&mut cluster, election(client.clone(), "a", 90)).await;
    let key = Key::new("kube-system", "e");
    let mut renewals = BTreeSet::new();
    for number in 0.. {
        let text = number.to_string();
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"number": text}}}));
        let lease: Lease = client.patch(&key, &patch).await.unwrap();
        renewals.insert(lease.spec.unwrap().renew_time.unwrap().0);
        if renewals.len() > RENEWALS {
            break;
        }
        assert!(ended.try_recv().is_err(), "the term is over");
    }
    assert!(term.left().is_some());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_another_wrote_to_is_given_back_all_the_same() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let key = Key::new("kube-system", "e");
    // It does not renew the lease before the work ends, and so does not see what was written.
    let config = ElectionConfig {
        retry: Duration::from_secs(5),
        ..ElectionConfig::new("kube-system", "e", "a")
    };
    let lead = |_term| async {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"by": "another"}}}));
        let _: Lease = client.patch(&key, &patch).await.unwrap();
    };
    let a = Election::new(client.clone(), config).unwrap();
    a.run(lead).await.unwrap();
    assert_eq!(lease(&client).await, (String::new(), 0));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_keeps_its_lease_over_a_silent_server_and_loses_it_with_all_servers() {
    let mut cluster = Cluster::start(2).await;
    let (client, direct) = (cluster.client(), cluster.direct());
    let (term, ended) = leading(&mut cluster, election(client, "a", 12)).await;
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
