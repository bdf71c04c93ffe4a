//! Carries out what is decided for DaemonSets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Change, Client, Error, Key, Next, Patch, Store};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetSpec, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use objects::selector::label::Selector;
use parking_lot::Mutex;

use super::backoff::Backoff;
use super::decide::{Plan, Seen, decide, used_hashes};
use super::eligible;
use crate::claims::{self, Unclaimed};
use crate::context::Context;
use crate::events::Event;
use crate::pod_writes::PodWrites;
use crate::revisions::{REVISION_LABEL, keep};
use crate::telling::Teller;
use crate::turns::Turns;
use crate::written::Written;
use crate::{patches, selectors};

const REVISIONS_DEFAULT: i32 = 10;

/// Starts the controller.
pub(crate) fn start(context: &Context) {
    let (nodes, revisions) = (
        context.informers.of::<Node>(),
        context.informers.of::<ControllerRevision>(),
    );
    claims::index(&revisions);
    let selector = |set: &DaemonSet| selectors::read(set.spec.as_ref().map(|spec| &spec.selector));
    let turns = Turns::of(
        context,
        context.queue("daemonset"),
        selector,
        Duration::ZERO,
    );
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        teller: Teller::new(context, "daemonset-controller"),
        nodes: nodes.store(),
        pods: context.informers.of().store(),
        revisions: revisions.store(),
        turns: turns.clone(),
        written: Written::default(),
        backoff: Mutex::new(HashMap::new()),
    });
    let told = controller.clone();
    nodes.on_change(move |change| told.node_changed(change));
    let workers = context.options.workers.concurrent_daemonset_syncs;
    turns.start(context, ("daemonset-controller", workers), move |key| {
        let controller = controller.clone();
        async move { controller.sync(&key).await }
    });
}

/// Why a turn has to be taken again.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Call(#[from] Error),
    #[error(transparent)]
    Unclaimed(#[from] Unclaimed),
}

struct Controller {
    client: Client,
    teller: Teller,
    nodes: Store<Node>,
    pods: Store<Pod>,
    revisions: Store<ControllerRevision>,
    turns: Arc<Turns<DaemonSet>>,
    written: Written<Key>,
    backoff: Mutex<HashMap<Key, Backoff>>,
}

impl Controller {
    /// Gives a turn to the sets to which a node means something else than before.
    fn node_changed(&self, change: &Change<Node>) {
        if let Change::Modified { old, new } = change {
            let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone());
            if old.metadata.labels == new.metadata.labels && taints(old) == taints(new) {
                return;
            }
        }
        for set in self.turns.owners.all() {
            let is_other = match change {
                Change::Modified { old, new } => {
                    eligible::fit(&set, old) != eligible::fit(&set, new)
                }
                Change::Added(_) | Change::Deleted(_) => true,
            };
            if is_other {
                self.turns.queue.add(Key::of(set.as_ref()));
            }
        }
    }

    async fn sync(&self, key: &Key) -> Result<Next, Failed> {
        let Some(set) = self.turns.owners.get(key) else {
            self.turns.expectations.forget(key);
            self.written.forget(key);
            self.backoff.lock().remove(key);
            return Ok(Next::Done);
        };
        let now = Timestamp::now();
        let Some(spec) = set.spec.as_ref() else {
            return Ok(Next::Done);
        };
        let selector = match selectors::read(Some(&spec.selector)) {
            Ok(selector) => selector,
            Err(fault) => {
                tracing::error!(%key, fault, "a selector cannot be read");
                return Ok(Next::Done);
            }
        };
        if selector.is_everything() {
            let message =
                "This daemon set is selecting all pods. A non-empty selector is required.";
            self.teller
                .tell(set.as_ref(), &Event::warning("SelectingAll", message));
            return Ok(Next::Done);
        }
        let is_going = set.metadata.deletion_timestamp.is_some();
        if is_going || !self.written.is_seen(key, &set.metadata) {
            return Ok(Next::Done);
        }
        if let Some(left) = self.turns.expectations.left(key, now) {
            return Ok(Next::After(left));
        }
        self.turn(key, &set, spec, &selector).await
    }

    async fn turn(
        &self,
        key: &Key,
        set: &DaemonSet,
        spec: &DaemonSetSpec,
        selector: &Selector,
    ) -> Result<Next, Failed> {
        let revisions = keep::claimed(&self.client, &self.revisions, set, selector).await?;
        let collisions = set
            .status
            .as_ref()
            .and_then(|status| status.collision_count)
            .unwrap_or(0);
        let template = &spec.template;
        let (latest, collisions_now) =
            keep::latest(&self.client, set, template, &revisions, collisions).await?;
        let labels = latest.metadata.labels.as_ref();
        let hash = labels
            .and_then(|labels| labels.get(REVISION_LABEL))
            .cloned()
            .unwrap_or_default();
        let candidates = claims::owned_and_orphans(&self.pods, &set.metadata);
        let metadata = &set.metadata;
        let pods = claims::claim::<DaemonSet, Pod>(&self.client, metadata, selector, candidates);
        let pods = pods.await?;
        let backoff = self.backoff.lock().get(key).cloned().unwrap_or_default();
        let mut plan = decide(&Seen {
            set,
            nodes: &self.nodes.all(),
            pods: &pods,
            hash: &hash,
            backoff: &backoff,
            now: Timestamp::now(),
        });
        if collisions_now != collisions {
            plan.status.collision_count = Some(collisions_now);
        }
        let next = plan.next;
        let written = self.write_pods(key, set, &plan).await;
        self.write_status(key, set, &plan.status).await?;
        written?;
        let mut used = used_hashes(&pods);
        used.insert(&hash);
        let limit = spec.revision_history_limit.unwrap_or(REVISIONS_DEFAULT);
        keep::truncate(&self.client, &revisions, &used, limit).await?;
        Ok(next.map_or(Next::Done, Next::After))
    }

    async fn write_pods(&self, key: &Key, set: &DaemonSet, plan: &Plan) -> Result<(), Error> {
        plan.events
            .iter()
            .for_each(|event| self.teller.tell(set, event));
        self.backoff
            .lock()
            .insert(key.clone(), plan.backoff.clone());
        if plan.create.is_empty() && plan.delete.is_empty() {
            return Ok(());
        }
        let expectations = &self.turns.expectations;
        let uids = plan.delete.iter().map(|pod| pod.uid.clone());
        expectations.await_both(key, plan.create.len(), uids, Timestamp::now());
        let writes = PodWrites {
            client: &self.client,
            teller: &self.teller,
            expectations,
            owner: set,
        };
        let created = writes.create(&plan.create).await;
        writes.delete(&plan.delete).await?;
        match created {
            Err(refused) if !refused.error.is_namespace_terminating() => Err(refused.error),
            _ => Ok(()),
        }
    }

    async fn write_status(
        &self,
        key: &Key,
        set: &DaemonSet,
        status: &DaemonSetStatus,
    ) -> Result<(), Error> {
        let old = set.status.clone().unwrap_or_default();
        let Some(patch) = patches::status(&set.metadata, &old, status) else {
            return Ok(());
        };
        let patched = self
            .client
            .patch_status::<DaemonSet>(key, &Patch::Merge(patch))
            .await?;
        self.written.note(key.clone(), &patched.metadata);
        Ok(())
    }
}
