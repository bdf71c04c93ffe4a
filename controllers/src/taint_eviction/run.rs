//! Carries out what is decided on pods whose nodes have taints that drive away.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use client::{Change, Client, DeleteOptions, Key, Next, Patch, Store};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use super::Evictions;
use crate::context::Context;
use crate::events::Event;
use crate::indices::{self, BY_NODE};
use crate::node_lifecycle::taints;
use crate::pod_writes::unless_gone;
use crate::pods;
use crate::telling::Teller;

/// Pods that are deleted at a time.
const DELETIONS_AT_A_TIME: usize = 8;

/// Time after which it is looked again who has to leave, even if nothing changed.
const LOOK_AFTER: Duration = Duration::from_mins(1);

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Changed {
    Node(String),
    Pod(Key),
}

struct Controller {
    client: Client,
    nodes: Store<Node>,
    pods: Store<Pod>,
    evictions: Mutex<Evictions<Key>>,
    /// Wakes the one who waits for the next pod to leave.
    changed: Notify,
    teller: Teller,
}

pub(crate) fn start(context: &Context) {
    let queue = context.queue("noexec_taint_pod");
    let nodes = context.informers.of::<Node>();
    let pods = indices::pods_by_node(&context.informers);
    let added = Arc::clone(&queue);
    nodes.on_change(move |change| {
        let has_changed = match change {
            Change::Modified { old, new } => taints::no_execute(old) != taints::no_execute(new),
            Change::Added(node) | Change::Deleted(node) => !taints::no_execute(node).is_empty(),
        };
        if has_changed {
            added.add(Changed::Node(Key::of(&**change.object()).name));
        }
    });
    let added = Arc::clone(&queue);
    pods.on_change(move |change| {
        let tolerations = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.tolerations.clone());
        let has_changed = match change {
            Change::Modified { old, new } => {
                tolerations(old) != tolerations(new) || pods::node_name(old) != pods::node_name(new)
            }
            Change::Added(pod) | Change::Deleted(pod) => !pods::node_name(pod).is_empty(),
        };
        if has_changed {
            added.add(Changed::Pod(Key::of(&**change.object())));
        }
    });
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        nodes: nodes.store(),
        pods: pods.store(),
        evictions: Mutex::default(),
        changed: Notify::new(),
        teller: Teller::new(context, "taint-eviction-controller"),
    });
    let watched = Arc::clone(&controller);
    context.work(
        ("taint eviction", 1),
        queue,
        context.synced(),
        move |changed: Changed| {
            let controller = Arc::clone(&watched);
            async move {
                controller.look(&changed);
                Ok::<_, std::convert::Infallible>(Next::Done)
            }
        },
    );
    context.spawn("taint eviction deletes", async move {
        controller.delete_due().await
    });
}

impl Controller {
    fn look(&self, changed: &Changed) {
        match changed {
            Changed::Pod(key) => self.look_at(key),
            Changed::Node(name) => {
                for pod in self.pods.by_index(BY_NODE, name) {
                    self.look_at(&Key::of(&*pod));
                }
            }
        }
        self.changed.notify_one();
    }

    fn look_at(&self, key: &Key) {
        let pod = self
            .pods
            .get(key)
            .filter(|pod| !pods::node_name(pod).is_empty());
        let is_called_off = match pod {
            None => self.evictions.lock().cancel(key),
            Some(pod) => {
                let node = self.nodes.get(&Key::new("", pods::node_name(&pod)));
                let taints = node
                    .map(|node| taints::no_execute(&node))
                    .unwrap_or_default();
                self.evictions
                    .lock()
                    .observe(key, &pod, &taints, Timestamp::now())
            }
        };
        if is_called_off {
            self.tell(key, &super::cancelling(&key.to_string()));
        }
    }

    fn tell(&self, pod: &Key, event: &Event) {
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            ..ObjectReference::default()
        };
        self.teller.tell_of(&about, event);
    }

    /// Deletes pods when their time is over.
    async fn delete_due(&self) {
        loop {
            let next = self.evictions.lock().next();
            let wait = next.map_or(LOOK_AFTER, |at| {
                Duration::try_from(at.duration_since(Timestamp::now()))
                    .unwrap_or_default()
                    .min(LOOK_AFTER)
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.changed.notified() => {}
            }
            let due = self.evictions.lock().due(Timestamp::now());
            let delete = |(key, uid): (Key, String)| async move {
                self.tell(&key, &super::marking(&key.to_string()));
                if let Err(error) = self.delete(&key, &uid).await {
                    tracing::warn!(pod = %key, %error, "a pod that has to leave was not deleted, which is tried again");
                    self.evictions.lock().retry(&key, &uid, Timestamp::now());
                }
            };
            stream::iter(due)
                .for_each_concurrent(DELETIONS_AT_A_TIME, delete)
                .await;
        }
    }

    /// Says in the pod's status why it goes, and deletes it.
    async fn delete(&self, key: &Key, uid: &str) -> Result<()> {
        let Some(pod) = self
            .pods
            .get(key)
            .filter(|pod| pod.metadata.uid.as_deref() == Some(uid))
        else {
            return Ok(());
        };
        let condition = super::condition(&pod, Timestamp::now());
        let known = pods::condition(&pod, &condition.type_);
        if known.is_none_or(|known| {
            known.status != condition.status || known.reason != condition.reason
        }) {
            let patch = json!({"metadata": {"uid": uid}, "status": {"conditions": [condition]}});
            match self
                .client
                .patch_status::<Pod>(key, &Patch::Strategic(patch))
                .await
            {
                Ok(_) => {}
                Err(error) => return Ok(unless_gone(&self.client, key, uid, error).await?),
            }
        }
        match self
            .client
            .delete::<Pod>(key, &DeleteOptions::of_uid(uid))
            .await
        {
            Ok(()) => Ok(()),
            Err(error) => Ok(unless_gone(&self.client, key, uid, error).await?),
        }
    }
}
