//! Carries out what is decided on pods that nobody else removes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use client::{Client, DeleteOptions, Key, Patch, Store};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::Quarantine;
use crate::context::Context;
use crate::indices::{self, BY_NODE};
use crate::pod_writes::unless_gone;
use crate::pods;

const PERIOD: Duration = Duration::from_secs(20);

/// Pods that are deleted at a time.
const DELETIONS_AT_A_TIME: usize = 16;

struct Controller {
    client: Client,
    nodes: Store<Node>,
    pods: Store<Pod>,
    ended_max: usize,
}

pub(crate) fn start(context: &Context) {
    let nodes = context.informers.of::<Node>();
    let pods = indices::pods_by_node(&context.informers);
    let controller = Controller {
        client: context.client.clone(),
        nodes: nodes.store(),
        pods: pods.store(),
        ended_max: usize::try_from(context.options.terminated_pod_gc_threshold).unwrap_or_default(),
    };
    let synced = context.synced();
    context.spawn("pod garbage collector", async move {
        synced.await;
        let mut quarantine = Quarantine::default();
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            controller.look(&mut quarantine).await;
        }
    });
}

impl Controller {
    async fn look(&self, quarantine: &mut Quarantine) {
        let pods = self.pods.all();
        let nodes = self.nodes.all().into_iter();
        let nodes: BTreeMap<String, Arc<Node>> =
            nodes.map(|node| (Key::of(&*node).name, node)).collect();
        let now = Timestamp::now();
        let mut gone: Vec<(Arc<Pod>, Option<PodCondition>)> =
            super::decide(&pods, &nodes, self.ended_max)
                .into_iter()
                .map(|pod| (pod, None))
                .collect();
        for node in quarantine.observe(&pods, &nodes, now) {
            if self.is_gone(&node).await {
                let lost = self.pods.by_index(BY_NODE, &node).into_iter();
                gone.extend(lost.map(|pod| {
                    let condition = super::condition(&pod, now);
                    (pod, Some(condition))
                }));
            }
        }
        let delete = |(pod, condition): (Arc<Pod>, Option<PodCondition>)| async move {
            if let Err(error) = self.delete(&pod, condition).await {
                tracing::warn!(pod = %Key::of(&*pod), %error, "a pod was not removed, which is tried again");
            }
        };
        stream::iter(gone)
            .for_each_concurrent(DELETIONS_AT_A_TIME, delete)
            .await;
    }

    /// Whether the server says that there is no such node.
    async fn is_gone(&self, node: &str) -> bool {
        match self.client.get::<Node>(&Key::new("", node)).await {
            Ok(_) => false,
            Err(error) => error.is_not_found(),
        }
    }

    /// Fails the pod, unless it has ended, and deletes it at once.
    async fn delete(&self, pod: &Pod, condition: Option<PodCondition>) -> Result<()> {
        let key = Key::of(pod);
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        if !pods::is_terminal(pod) {
            let mut status = json!({"phase": "Failed"});
            if let Some(condition) = condition {
                status["conditions"] = json!([condition]);
            }
            let patch = json!({"metadata": {"uid": uid}, "status": status});
            match self
                .client
                .patch_status::<Pod>(&key, &Patch::Strategic(patch))
                .await
            {
                Ok(_) => {}
                Err(error) => return Ok(unless_gone(&self.client, &key, &uid, error).await?),
            }
        }
        let options = DeleteOptions {
            grace_seconds: Some(0),
            ..DeleteOptions::of_uid(&*uid)
        };
        match self.client.delete::<Pod>(&key, &options).await {
            Ok(()) => Ok(()),
            Err(error) => Ok(unless_gone(&self.client, &key, &uid, error).await?),
        }
    }
}
