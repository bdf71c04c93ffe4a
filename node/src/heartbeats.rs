//! That nodes are there and alive: they are registered, renew their leases and report.

use std::sync::Arc;
use std::time::Duration;

use client::{Client, ITEMS_MAX, Key, Patch, Write};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::fleet::Fleet;
use crate::options::Options;
use crate::register;

/// Where leases of nodes are.
const NAMESPACE: &str = "kube-node-lease";
/// How long a lease is good, as a kubelet has it.
const LEASE_SECONDS: i32 = 40;
/// Pause after a try to register nodes that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// In so many parts of the time between renewals, nodes have their turn.
const TURNS: usize = 10;

/// Makes the nodes that are not there; those that are stay as they are.
pub(crate) async fn register(client: &Client, options: &Options) {
    let mut missing: Vec<usize> = (options.first..options.first + options.nodes).collect();
    loop {
        let mut left = Vec::new();
        for numbers in missing.chunks(ITEMS_MAX) {
            let now = Timestamp::now();
            let writes = numbers
                .iter()
                .map(|number| Write::create(&register::object(options, *number, now)));
            match client.batch(writes.collect()).await {
                Ok(outcomes) => left.extend(numbers.iter().zip(outcomes).filter_map(
                    |(number, outcome)| {
                        let failure = outcome
                            .err()
                            .filter(|failure| !failure.is_already_exists())?;
                        tracing::warn!(number, %failure, "cannot register a node");
                        Some(*number)
                    },
                )),
                Err(error) => {
                    tracing::warn!(%error, "cannot register nodes");
                    left.extend(numbers);
                }
            }
        }
        if left.is_empty() {
            return;
        }
        missing = left;
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Renews the leases of the nodes that have not failed, and has them report.
pub(crate) async fn beat(client: Client, options: Arc<Options>, fleet: Arc<Fleet>) {
    let parts = u32::try_from(TURNS).unwrap_or(1);
    let mut turns = interval(options.lease_seconds / parts);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0;
    loop {
        turns.tick().await;
        turn = (turn + 1) % TURNS;
        let now = Timestamp::now();
        let nodes: Vec<Arc<Node>> = fleet
            .nodes
            .all()
            .into_iter()
            .filter(|node| !register::has_failed(node))
            .collect();
        let whose_turn = |node: &&Arc<Node>| fleet.number(node) % TURNS == turn;
        let renewed: Vec<&Arc<Node>> = nodes.iter().filter(whose_turn).collect();
        renew(&client, &renewed, now).await;
        let port = options.agent_port;
        let writes = nodes
            .iter()
            .filter(|node| register::report_at(node, port) <= now);
        let writes: Vec<Write> = writes
            .map(|node| report(&options, &fleet, node, now))
            .collect();
        for result in write_all(&client, writes).await {
            if let Err(failure) = result {
                tracing::debug!(%failure, "a node could not report");
            }
        }
    }
}

fn report(options: &Options, fleet: &Fleet, node: &Node, now: Timestamp) -> Write {
    let patch = register::report(options, node, fleet.number(node), now);
    Write::patch_status::<Node>(&Key::of(node), Patch::Strategic(patch))
}

async fn renew(client: &Client, nodes: &[&Arc<Node>], now: Timestamp) {
    let patch = json!({"spec": {"renewTime": MicroTime(now)}});
    let key = |node: &Node| Key::new(NAMESPACE, node.metadata.name.as_deref().unwrap_or_default());
    let renewals = nodes
        .iter()
        .map(|node| Write::patch::<Lease>(&key(node), Patch::Merge(patch.clone())));
    let outcomes = write_all(client, renewals.collect()).await;
    let mut missing = Vec::new();
    for (node, outcome) in nodes.iter().zip(outcomes) {
        match outcome {
            Err(failure) if failure.is_not_found() => {
                missing.push(Write::create(&lease(node, now)))
            }
            Err(failure) => tracing::warn!(%failure, "a lease could not be renewed"),
            Ok(_) => {}
        }
    }
    for outcome in write_all(client, missing).await {
        if let Err(failure) = outcome {
            tracing::warn!(%failure, "a lease could not be made");
        }
    }
}

/// What came of writes, of as many as an answer came for.
async fn write_all(
    client: &Client,
    writes: Vec<Write>,
) -> Vec<Result<client::Written, client::Failure>> {
    let mut outcomes = Vec::new();
    for writes in writes.chunks(ITEMS_MAX) {
        match client.batch(writes.to_vec()).await {
            Ok(some) => outcomes.extend(some),
            Err(error) => {
                tracing::warn!(%error, "the apiserver was not reached");
                return outcomes;
            }
        }
    }
    outcomes
}

fn lease(node: &Node, now: Timestamp) -> Lease {
    let name = node.metadata.name.clone();
    Lease {
        metadata: ObjectMeta {
            namespace: Some(NAMESPACE.to_owned()),
            name: name.clone(),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: name.clone().unwrap_or_default(),
                uid: node.metadata.uid.clone().unwrap_or_default(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: name,
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}
