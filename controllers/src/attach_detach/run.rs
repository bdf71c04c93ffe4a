//! Carries out what is decided on drivers' volumes, and tells nodes which of them they have.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use client::{Client, DeleteOptions, Key, Next, Patch, Query, Store, WorkQueue};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{
    CSIDriver, VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::nodes::{self, State};
use super::{Memory, Seen, Step, decide, failed_to_attach, is_managed, is_over, is_shared};
use crate::context::Context;
use crate::indices::{self, BY_CLAIM};
use crate::persistent_volumes::protection;
use crate::telling::Teller;
use crate::{patches, pods};

mod changes;

use changes::{BY_NODE, BY_VOLUME};

/// Volumes and nodes that are looked at together.
const WORKERS: usize = 10;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Item {
    /// A volume, by its name: where it is to be.
    Volume(String),
    /// A node, by its name: what it is told to have.
    Node(String),
}

/// Names of attachments that are about to go. No node is told that it has their volumes.
type Going = Arc<Mutex<HashSet<String>>>;

/// What is known of the cluster.
#[derive(Clone)]
pub(super) struct Stores {
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    attachments: Store<VolumeAttachment>,
    drivers: Store<CSIDriver>,
    nodes: Store<Node>,
}

struct Controller {
    client: Client,
    queue: Arc<WorkQueue<Item>>,
    stores: Stores,
    teller: Teller,
    is_forced_in_time: bool,
    memories: Mutex<HashMap<String, Memory>>,
    going: Going,
    started: (Timestamp, Instant),
}

/// Starts the controller.
pub(crate) fn start(context: &Context) {
    let informers = &context.informers;
    // Found by their nodes, and by their claims.
    indices::pods_by_node(informers);
    let stores = Stores {
        pods: indices::pods_by_claim(informers).store(),
        claims: informers.of().store(),
        volumes: informers.of().store(),
        attachments: informers.of().store(),
        drivers: informers.of().store(),
        nodes: informers.of().store(),
    };
    let queue = context.queue("attached_volumes");
    let going = Going::default();
    changes::follow(informers, &queue, &stores, &going);
    let options = &context.options.attaching;
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        queue: Arc::clone(&queue),
        stores,
        teller: Teller::new(context, "attachdetach-controller"),
        is_forced_in_time: !options.disable_force_detach_on_timeout,
        memories: Mutex::default(),
        going,
        started: (Timestamp::now(), Instant::now()),
    });
    if !options.disable_attach_detach_reconcile_sync {
        let period = options.attach_detach_reconcile_sync_period;
        let resync = resync(Arc::clone(&controller), period);
        context.spawn("attached volumes resync", resync);
    }
    context.work(
        ("persistentvolume-attach-detach-controller", WORKERS),
        queue,
        context.synced(),
        move |item: Item| {
            let controller = Arc::clone(&controller);
            async move {
                match &item {
                    Item::Volume(name) => controller.sync_volume(name).await,
                    Item::Node(name) => controller.sync_node(name).await,
                }
            }
        },
    );
}

/// Looks at all that is attached from time to time.
async fn resync(controller: Arc<Controller>, period: Duration) {
    let mut ticks = tokio::time::interval(period.max(Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for attachment in controller.stores.attachments.all() {
            let volume = attachment.spec.source.persistent_volume_name.clone();
            if let Some(volume) = volume {
                controller.queue.add(Item::Volume(volume));
            }
        }
        for node in controller.stores.nodes.all() {
            let name = node.metadata.name.clone();
            controller.queue.add(Item::Node(name.unwrap_or_default()));
        }
    }
}

impl Controller {
    fn now(&self) -> Timestamp {
        self.started.0 + self.started.1.elapsed()
    }

    async fn sync_volume(&self, name: &str) -> Result<Next> {
        let volume = self.stores.volumes.get(&Key::new("", name));
        let source = volume
            .as_ref()
            .and_then(|volume| volume.spec.as_ref()?.csi.as_ref());
        // Without its volume nobody knows how nodes name what is attached to them.
        let (Some(volume), Some(source)) = (&volume, source) else {
            self.memories.lock().remove(name);
            return Ok(Next::Done);
        };
        let attachments = self.stores.attachments.by_index(BY_VOLUME, name);
        let on_node = nodes::volume_name(source);
        let state = |node: &String| {
            let node = self.stores.nodes.get(&Key::new("", &**node));
            node.map_or(State::GONE, |node| State::of(&node, &on_node))
        };
        let with_state = attachments.iter().map(|attachment| {
            let node = attachment.spec.node_name.clone();
            (node.clone(), state(&node))
        });
        let seen = Seen {
            name,
            driver: &source.driver,
            handle: &source.volume_handle,
            is_shared: is_shared(volume),
            wanted: self.wanted(volume, &source.driver),
            nodes: with_state.collect(),
            attachments,
            is_forced_in_time: self.is_forced_in_time,
            now: self.now(),
        };
        let mut memory = self.memories.lock().remove(name).unwrap_or_default();
        let steps = decide(&seen, &mut memory);
        if memory != Memory::default() {
            self.memories.lock().insert(name.to_owned(), memory);
        }
        self.carry_out(&seen, &on_node, steps).await
    }

    /// Does all that can be done, though a part of it may fail.
    async fn carry_out(&self, seen: &Seen<'_>, on_node: &str, steps: Vec<Step>) -> Result<Next> {
        let (mut look_in, mut first_error) = (None, None);
        for step in steps {
            let done = match step {
                Step::Attach { node } => self.attach(seen, &node).await,
                Step::Detach {
                    attachment,
                    is_forced,
                } => self.detach(&attachment, on_node, is_forced).await,
                Step::Tell { pod, event } => {
                    self.teller.tell(&*pod, &event);
                    Ok(())
                }
                Step::Look(left) => {
                    let left = left.unsigned_abs();
                    look_in = Some(look_in.map_or(left, |sooner: Duration| sooner.min(left)));
                    Ok(())
                }
            };
            first_error = first_error.or(done.err());
        }
        match first_error {
            Some(error) => Err(error),
            None => Ok(look_in.map_or(Next::Done, Next::After)),
        }
    }

    /// The pods that need a volume at their nodes.
    fn wanted(&self, volume: &PersistentVolume, driver: &str) -> BTreeMap<String, Vec<Arc<Pod>>> {
        let mut wanted: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
        let driver = self.stores.drivers.get(&Key::new("", driver));
        if driver.is_some_and(|driver| driver.spec.attach_required == Some(false)) {
            return wanted;
        }
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone());
        let Some(reference) = reference else {
            return wanted;
        };
        let key = Key::new(
            reference.namespace.unwrap_or_default(),
            reference.name.unwrap_or_default(),
        );
        let claim = self.stores.claims.get(&key).filter(|claim| {
            let spec = claim.spec.as_ref();
            let status = claim.status.as_ref();
            claim.metadata.uid == reference.uid
                && spec.and_then(|spec| spec.volume_name.as_ref()) == volume.metadata.name.as_ref()
                && status.is_some_and(|status| status.phase.as_deref() == Some("Bound"))
        });
        let Some(claim) = claim else {
            return wanted;
        };
        for pod in self.stores.pods.by_index(BY_CLAIM, &key.to_string()) {
            let name = pods::node_name(&pod);
            let node = self.stores.nodes.get(&Key::new("", name));
            if node.is_some_and(|node| is_managed(&node))
                && !is_over(&pod)
                && protection::is_used_by(&pod, &claim)
            {
                wanted.entry(name.to_owned()).or_default().push(pod);
            }
        }
        wanted
    }

    /// Another node that has a volume, as the apiserver knows it now: what this controller made a moment ago may not have been told yet,
    /// and another volume object may be the same volume.
    async fn holder(&self, seen: &Seen<'_>, node: &str) -> Result<Option<String>> {
        let is_it = |name: &String| {
            let volume = self.stores.volumes.get(&Key::new("", &**name));
            let source = volume.and_then(|volume| volume.spec.as_ref()?.csi.clone());
            name == seen.name || source.is_some_and(|source| source.volume_handle == seen.handle)
        };
        let query = Query::default();
        let listed = self.client.list::<VolumeAttachment>(&query).await?;
        let mut others = listed.items.into_iter().filter(|other| {
            let spec = &other.spec;
            let volume = spec.source.persistent_volume_name.as_ref();
            spec.node_name != node && spec.attacher == seen.driver && volume.is_some_and(is_it)
        });
        Ok(others.next().map(|other| other.spec.node_name))
    }

    async fn attach(&self, seen: &Seen<'_>, node: &str) -> Result<()> {
        if !seen.is_shared
            && let Some(other) = self.holder(seen, node).await?
        {
            bail!("node {other} has the volume");
        }
        let attachment = VolumeAttachment {
            metadata: ObjectMeta {
                name: Some(nodes::attachment_name(seen.driver, seen.handle, node)),
                ..ObjectMeta::default()
            },
            spec: VolumeAttachmentSpec {
                attacher: seen.driver.to_owned(),
                node_name: node.to_owned(),
                source: VolumeAttachmentSource {
                    persistent_volume_name: Some(seen.name.to_owned()),
                    inline_volume_spec: None,
                },
            },
            status: None,
        };
        match self.client.create(&attachment).await {
            Err(error) if !error.is_already_exists() => {
                let cause = format!("kubernetes.io/csi: attacher.Attach failed: {error}");
                let event = failed_to_attach(seen.name, &cause);
                for pod in seen.wanted.get(node).into_iter().flatten() {
                    self.teller.tell(&**pod, &event);
                }
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    /// Detaches a volume. Before that its node is told that it does not have it, and a node that has begun to use it meanwhile keeps it.
    async fn detach(
        &self,
        attachment: &VolumeAttachment,
        volume: &str,
        is_forced: bool,
    ) -> Result<()> {
        let key = Key::of(attachment);
        self.going.lock().insert(key.name.clone());
        let done = self.detach_from_node(attachment, volume, is_forced).await;
        // Once it goes, everybody sees that of itself.
        if !matches!(done, Ok(true)) {
            self.going.lock().remove(&key.name);
            self.queue
                .add(Item::Node(attachment.spec.node_name.clone()));
        }
        done.map(drop)
    }

    /// Whether the attachment begins to go now.
    async fn detach_from_node(
        &self,
        attachment: &VolumeAttachment,
        volume: &str,
        is_forced: bool,
    ) -> Result<bool> {
        let node = Key::new("", &*attachment.spec.node_name);
        match self.client.get::<Node>(&node).await {
            Ok(mut live) => {
                if let Some(told) = self.tell_node(&live).await? {
                    live = told;
                }
                let state = State::of(&live, volume);
                if is_forced && state.is_ready && !state.is_out_of_service {
                    bail!("the node is ready again");
                }
                if !is_forced && state.is_mounted {
                    bail!("volume is still in use by node, according to Node status");
                }
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        let options = DeleteOptions::of_uid(attachment.metadata.uid.clone().unwrap_or_default());
        let key = Key::of(attachment);
        tracing::info!(node = %node, volume, is_forced, "detaching a volume");
        match self.client.delete::<VolumeAttachment>(&key, &options).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn sync_node(&self, name: &str) -> Result<Next> {
        if let Some(node) = self.stores.nodes.get(&Key::new("", name)) {
            self.tell_node(&node).await?;
        }
        Ok(Next::Done)
    }

    /// Tells a node which volumes it has, if it does not know. The node as it is then.
    async fn tell_node(&self, node: &Node) -> Result<Option<Node>> {
        let key = Key::of(node);
        let (mut attached, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        let going = self.going.lock().clone();
        for attachment in self.stores.attachments.by_index(BY_NODE, &key.name) {
            let name = attachment.metadata.name.clone().unwrap_or_default();
            if !super::is_attached(&attachment)
                || super::is_going(&attachment)
                || going.contains(&name)
            {
                continue;
            }
            let source = &attachment.spec.source;
            let volume = source.persistent_volume_name.clone().unwrap_or_default();
            let volume = self.stores.volumes.get(&Key::new("", volume));
            match volume.and_then(|volume| volume.spec.as_ref()?.csi.clone()) {
                Some(source) => attached.insert(nodes::volume_name(&source)),
                None => unknown.insert(name),
            };
        }
        let Some(told) = nodes::told(node, &attached, &unknown) else {
            return Ok(None);
        };
        let patch =
            patches::when_unchanged(&node.metadata, json!({"status": {"volumesAttached": told}}));
        match self
            .client
            .patch_status::<Node>(&key, &Patch::Merge(patch))
            .await
        {
            Ok(node) => Ok(Some(node)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
