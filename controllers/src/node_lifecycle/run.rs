//! Carries out what is decided on nodes, and keeps their pods informed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use client::{Change, Client, Informer, Key, Next, Patch, Query, Store};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::{Action, Lifecycle, Limits, taints};
use crate::conditions::{FALSE, TRUE};
use crate::context::Context;
use crate::events::Event;
use crate::indices::{self, BY_NODE};
use crate::options::Nodes;
use crate::patches;
use crate::pods;
use crate::telling::Teller;

/// Time between two looks at the nodes that wait to be tainted.
const TAINT_PERIOD: Duration = Duration::from_millis(100);

/// Nodes that are written to at a time.
const NODES_AT_A_TIME: usize = 8;

/// Pods that are told at a time.
const PODS_AT_A_TIME: usize = 4;

const LEASES: &str = "kube-node-lease";

struct Controller {
    client: Client,
    nodes: Store<Node>,
    leases: Store<Lease>,
    pods: Store<Pod>,
    lifecycle: Mutex<Lifecycle>,
    teller: Teller,
}

impl From<&Nodes> for Limits {
    fn from(options: &Nodes) -> Limits {
        let duration =
            |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Limits {
            startup_grace: duration(options.node_startup_grace_period),
            grace: duration(options.node_monitor_grace_period),
            evictions_per_second: options.node_eviction_rate.into(),
            evictions_per_second_secondary: options.secondary_node_eviction_rate.into(),
            large_zone_nodes: options.large_cluster_size_threshold,
            unhealthy_zone_threshold: options.unhealthy_zone_threshold.into(),
        }
    }
}

pub(crate) fn start(context: &Context) {
    let nodes = context.informers.of::<Node>();
    let leases = context.informers.with::<Lease>(Query::namespace(LEASES));
    let pods = indices::pods_by_node(&context.informers);
    let options = &context.options.nodes;
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        nodes: nodes.store(),
        leases: leases.store(),
        pods: pods.store(),
        lifecycle: Mutex::new(Lifecycle::new(Limits::from(options))),
        teller: Teller::new(context, "node-controller"),
    });
    watch_nodes(context, &controller, &nodes);
    watch_pods(context, &controller, &pods);
    let synced = context.synced();
    let period = options.node_monitor_period.max(TAINT_PERIOD);
    context.spawn("node lifecycle", async move {
        synced.await;
        let mut looks = tokio::time::interval(period);
        let mut turns = tokio::time::interval(TAINT_PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let actions = tokio::select! {
                biased;
                _ = looks.tick() => controller.look(),
                _ = turns.tick() => controller.turn(),
            };
            controller.carry_out(actions).await;
        }
    });
}

/// Keeps the taints that follow a node's conditions, and its older labels.
fn watch_nodes(context: &Context, controller: &Arc<Controller>, nodes: &Informer<Node>) {
    let queue = context.queue("node_lifecycle_controller");
    let added = Arc::clone(&queue);
    nodes.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) {
            added.add(Key::of(&**change.object()));
        }
    });
    let controller = Arc::clone(controller);
    context.work(
        ("node taints", NODES_AT_A_TIME),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = Arc::clone(&controller);
            async move { controller.follow_conditions(&key).await }
        },
    );
}

/// Tells pods that come to a node that is not ready.
fn watch_pods(context: &Context, controller: &Arc<Controller>, pods: &Informer<Pod>) {
    let queue = context.queue("node_lifecycle_controller_pods");
    let added = Arc::clone(&queue);
    pods.on_change(move |change| {
        let came = match change {
            Change::Added(pod) => !pods::node_name(pod).is_empty(),
            Change::Modified { old, new } => pods::node_name(old) != pods::node_name(new),
            Change::Deleted(_) => false,
        };
        if came {
            added.add(Key::of(&**change.object()));
        }
    });
    let controller = Arc::clone(controller);
    context.work(
        ("pods of nodes", PODS_AT_A_TIME),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = Arc::clone(&controller);
            async move { controller.greet(&key).await }
        },
    );
}

impl Controller {
    fn look(&self) -> Vec<Action> {
        let lease = |name: &str| self.leases.get(&Key::new(LEASES, name));
        self.lifecycle
            .lock()
            .monitor(&self.nodes.all(), &lease, Timestamp::now())
    }

    fn turn(&self) -> Vec<Action> {
        let node = |name: &str| self.nodes.get(&Key::new("", name));
        self.lifecycle.lock().taint_pass(&node, Timestamp::now())
    }

    /// Carries out actions, those on one node in order and up to the first that fails.
    async fn carry_out(&self, actions: Vec<Action>) {
        let mut by_node: BTreeMap<String, Vec<Action>> = BTreeMap::new();
        for action in actions {
            by_node
                .entry(action.node().to_owned())
                .or_default()
                .push(action);
        }
        let on_node = |(node, actions): (String, Vec<Action>)| async move {
            for action in actions {
                if let Err(error) = self.act(&action).await {
                    tracing::warn!(node, %error, "a node was not seen to, which is tried again");
                    break;
                }
            }
        };
        stream::iter(by_node)
            .for_each_concurrent(NODES_AT_A_TIME, on_node)
            .await;
    }

    async fn act(&self, action: &Action) -> Result<()> {
        match action {
            Action::Conditions { node, changed } => {
                let patch = json!({"status": {"conditions": changed}});
                let patch = Patch::Strategic(patches::when_unchanged(&node.metadata, patch));
                self.client
                    .patch_status::<Node>(&Key::of(&**node), &patch)
                    .await?;
            }
            Action::Taints { node, taints } => self.set_taints(node, taints).await?,
            Action::PodsNotReady { node } => {
                if let Err(error) = self.tell_pods(node).await {
                    self.lifecycle.lock().retry_pods(node);
                    return Err(error);
                }
            }
            Action::Tell { node, uid, event } => {
                let about = ObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Node".to_owned()),
                    name: Some(node.clone()),
                    uid: Some(uid.clone()),
                    ..ObjectReference::default()
                };
                self.teller.tell_of(&about, event);
            }
        }
        Ok(())
    }

    async fn set_taints(
        &self,
        node: &Node,
        taints: &[k8s_openapi::api::core::v1::Taint],
    ) -> Result<()> {
        let patch = json!({"spec": {"taints": taints}});
        let patch = Patch::Merge(patches::when_unchanged(&node.metadata, patch));
        self.client.patch::<Node>(&Key::of(node), &patch).await?;
        Ok(())
    }

    async fn follow_conditions(&self, key: &Key) -> Result<Next> {
        let Some(node) = self.nodes.get(key) else {
            return Ok(Next::Done);
        };
        let labels: BTreeMap<_, _> = taints::older_labels(&node).into_iter().collect();
        let taints = taints::keep_away(&node, Timestamp::now());
        let mut patch = json!({});
        if let Some(taints) = taints {
            patch["spec"] = json!({"taints": taints});
        }
        if !labels.is_empty() {
            patch["metadata"] = json!({"labels": labels});
        }
        if patch == json!({}) {
            return Ok(Next::Done);
        }
        let patch = Patch::Merge(patches::when_unchanged(&node.metadata, patch));
        match self.client.patch::<Node>(key, &patch).await {
            Err(error) if error.is_not_found() => Ok(Next::Done),
            // The node as it is now is on its way, and is looked at then.
            Err(error) if error.is_conflict() => Ok(Next::Done),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(Next::Done),
        }
    }

    async fn greet(&self, key: &Key) -> Result<Next> {
        let Some(pod) = self.pods.get(key) else {
            return Ok(Next::Done);
        };
        if self
            .lifecycle
            .lock()
            .is_known_unready(pods::node_name(&pod))
        {
            self.tell_pod(&pod).await?;
        }
        Ok(Next::Done)
    }

    async fn tell_pods(&self, node: &str) -> Result<()> {
        let mut failed = 0;
        for pod in self.pods.by_index(BY_NODE, node) {
            if let Err(error) = self.tell_pod(&pod).await {
                tracing::warn!(pod = %Key::of(&*pod), %error, "a pod could not be said to be not ready");
                failed += 1;
            }
        }
        if failed > 0 {
            bail!("{failed} pods of node {node} could not be said to be not ready");
        }
        Ok(())
    }

    /// Says of a pod that it is not ready, if it is said to be.
    async fn tell_pod(&self, pod: &Pod) -> Result<()> {
        let is_ready = pods::condition(pod, "Ready").is_some_and(|ready| ready.status == TRUE);
        if !is_ready {
            return Ok(());
        }
        let now = patches::time(Timestamp::now());
        let ready = json!({"type": "Ready", "status": FALSE, "lastTransitionTime": now});
        let patch =
            json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [ready]}});
        match self
            .client
            .patch_status::<Pod>(&Key::of(pod), &Patch::Strategic(patch))
            .await
        {
            Err(error) if error.is_not_found() || error.is_conflict() => return Ok(()),
            outcome => outcome?,
        };
        self.teller
            .tell(pod, &Event::warning("NodeNotReady", "Node is not ready"));
        Ok(())
    }
}
