//! Carries out what is decided on claims and volumes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use client::{Change, Client, DeleteOptions, Informer, Key, Kind, Next, Patch, Store, WorkQueue};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use tokio::time::MissedTickBehavior;

use super::{
    AVAILABLE, FAILED, RELEASED, Step, claim_class, claim_reference, claims, volume_class,
    volume_name, volume_phase, volumes,
};
use crate::context::Context;
use crate::indices::{self, BY_CLAIM};
use crate::pods;
use crate::telling::Teller;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Item {
    Volume(Key),
    Claim(Key),
}

struct Controller {
    client: Client,
    queue: Arc<WorkQueue<Item>>,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    classes: Store<StorageClass>,
    nodes: Store<Node>,
    pods: Store<Pod>,
    teller: Teller,
}

pub(crate) fn start(context: &Context) {
    let queue = context.queue("claims_and_volumes");
    let claims = context.informers.of::<PersistentVolumeClaim>();
    let volumes = context.informers.of::<PersistentVolume>();
    let classes = context.informers.of::<StorageClass>();
    let nodes = context.informers.of::<Node>();
    let pods = indices::pods_by_claim(&context.informers);
    follow(&queue, &claims, &volumes);
    follow_offers(&queue, &claims.store(), &volumes, &classes);
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        queue: Arc::clone(&queue),
        claims: claims.store(),
        volumes: volumes.store(),
        classes: classes.store(),
        nodes: nodes.store(),
        pods: pods.store(),
        teller: Teller::new(context, "persistentvolume-controller"),
    });
    let resync = resync(
        Arc::clone(&controller),
        context.options.pvclaimbinder_sync_period,
    );
    context.spawn("persistent volumes resync", resync);
    // One worker: of two claims that are looked at together, both would take the same volume.
    context.work(
        ("persistent volumes", 1),
        queue,
        context.synced(),
        move |item: Item| {
            let controller = Arc::clone(&controller);
            async move { controller.sync(&item).await }
        },
    );
}

/// Queues what changes, and a volume's claim when the volume goes.
fn follow(
    queue: &Arc<WorkQueue<Item>>,
    claims: &Informer<PersistentVolumeClaim>,
    volumes: &Informer<PersistentVolume>,
) {
    let added = Arc::clone(queue);
    claims.on_change(move |change| {
        let claim = change.object();
        if !matches!(change, Change::Deleted(_)) {
            added.add(Item::Claim(Key::of(&**claim)));
        } else if !volume_name(claim).is_empty() {
            added.add(Item::Volume(Key::new("", volume_name(claim))));
        }
    });
    let added = Arc::clone(queue);
    volumes.on_change(move |change| {
        let volume = change.object();
        if !matches!(change, Change::Deleted(_)) {
            added.add(Item::Volume(Key::of(&**volume)));
        } else if let Some(claim) = claim_key(volume) {
            added.add(Item::Claim(claim));
        }
    });
}

/// Queues the claims without a volume for which a volume or a class has come.
fn follow_offers(
    queue: &Arc<WorkQueue<Item>>,
    claims: &Store<PersistentVolumeClaim>,
    volumes: &Informer<PersistentVolume>,
    classes: &Informer<StorageClass>,
) {
    let (added, open) = (Arc::clone(queue), claims.clone());
    volumes.on_change(move |change| {
        let is_free = |volume: &PersistentVolume| volume_phase(volume) == AVAILABLE;
        let has_come = match change {
            Change::Added(volume) => is_free(volume),
            Change::Modified { old, new } => is_free(new) && !is_free(old),
            Change::Deleted(_) => false,
        };
        if has_come {
            let class = volume_class(change.object());
            queue_open(&added, &open, |claim| claim_class(claim) == class);
        }
    });
    let (added, open) = (Arc::clone(queue), claims.clone());
    classes.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) {
            let class = change.object().metadata.name.clone().unwrap_or_default();
            queue_open(&added, &open, |claim| {
                claim_class(claim).is_empty() || claim_class(claim) == class
            });
        }
    });
}

fn queue_open(
    queue: &WorkQueue<Item>,
    claims: &Store<PersistentVolumeClaim>,
    is_meant: impl Fn(&PersistentVolumeClaim) -> bool,
) {
    let claims = claims.all().into_iter();
    for claim in claims.filter(|claim| volume_name(claim).is_empty() && is_meant(claim)) {
        queue.add(Item::Claim(Key::of(&*claim)));
    }
}

fn claim_key(volume: &PersistentVolume) -> Option<Key> {
    let reference = claim_reference(volume)?;
    Some(Key::new(
        reference.namespace.clone()?,
        reference.name.clone()?,
    ))
}

/// Looks at everything from time to time: pods and nodes change too.
async fn resync(controller: Arc<Controller>, period: Duration) {
    let mut ticks = tokio::time::interval(period.max(Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for volume in controller.volumes.all() {
            controller.queue.add(Item::Volume(Key::of(&*volume)));
        }
        for claim in controller.claims.all() {
            controller.queue.add(Item::Claim(Key::of(&*claim)));
        }
    }
}

impl Controller {
    async fn sync(&self, item: &Item) -> Result<Next> {
        let steps = match item {
            Item::Volume(key) => {
                let Some(volume) = self.volumes.get(key) else {
                    return Ok(Next::Done);
                };
                let claim = self.claim_of(&volume).await?;
                volumes::decide(&volume, claim.as_ref())
            }
            Item::Claim(key) => {
                let Some(claim) = self.claims.get(key) else {
                    return Ok(Next::Done);
                };
                self.decide_on(&claim)?
            }
        };
        for step in steps {
            if !self.carry_out(step).await? {
                break;
            }
        }
        Ok(Next::Done)
    }

    fn decide_on(&self, claim: &Arc<PersistentVolumeClaim>) -> Result<Vec<Step>> {
        let named = volume_name(claim);
        let (named, volumes) = if named.is_empty() {
            (None, self.volumes.all())
        } else {
            (self.volumes.get(&Key::new("", named)), Vec::new())
        };
        let mut waiting_pods = Vec::new();
        for pod in self.pods.by_index(BY_CLAIM, &Key::of(&**claim).to_string()) {
            if !pods::is_terminal(&pod) && pods::node_name(&pod).is_empty() {
                waiting_pods.extend(pod.metadata.name.clone());
            }
        }
        let node =
            claims::selected_node(claim).and_then(|name| self.nodes.get(&Key::new("", name)));
        let seen = claims::Seen {
            claim,
            named: named.as_ref(),
            volumes: &volumes,
            classes: &self.classes.all(),
            waiting_pods: &waiting_pods,
            node: node.as_deref(),
        };
        claims::decide(&seen).map_err(|fault| anyhow!("{fault}"))
    }

    /// The claim that a volume names. That it is gone is believed only of the server, for what it held may be deleted.
    async fn claim_of(
        &self,
        volume: &PersistentVolume,
    ) -> Result<Option<Arc<PersistentVolumeClaim>>> {
        let Some(key) = claim_key(volume) else {
            return Ok(None);
        };
        let uid = claim_reference(volume)
            .and_then(|reference| reference.uid.clone())
            .unwrap_or_default();
        let known = self.claims.get(&key);
        if uid.is_empty()
            || known
                .as_ref()
                .is_some_and(|claim| claim.metadata.uid.as_ref() == Some(&uid))
        {
            return Ok(known);
        }
        let is_over = matches!(volume_phase(volume), RELEASED | FAILED);
        if is_over && known.is_none() {
            return Ok(None);
        }
        match self.client.get::<PersistentVolumeClaim>(&key).await {
            Ok(claim) => Ok(Some(Arc::new(claim))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Carries out a step. Whether the next one is of use.
    async fn carry_out(&self, step: Step) -> Result<bool> {
        match step {
            Step::Volume { volume, patch } => self.patch(&*volume, patch).await,
            Step::VolumeStatus { volume, patch } => self.patch_status(&*volume, patch).await,
            Step::Claim { claim, patch } => self.patch(&*claim, patch).await,
            Step::ClaimStatus { claim, patch } => self.patch_status(&*claim, patch).await,
            Step::Create(volume) => match self.client.create(&*volume).await {
                Err(error) if error.is_already_exists() => Ok(false),
                outcome => outcome.map(|_| true).map_err(Into::into),
            },
            Step::Delete(volume) => {
                let options =
                    DeleteOptions::of_uid(volume.metadata.uid.clone().unwrap_or_default());
                match self
                    .client
                    .delete::<PersistentVolume>(&Key::of(&*volume), &options)
                    .await
                {
                    Err(error) if !error.is_not_found() && !error.is_conflict() => {
                        Err(error.into())
                    }
                    _ => Ok(true),
                }
            }
            Step::TellVolume { volume, event } => {
                self.teller.tell(&*volume, &event);
                Ok(true)
            }
            Step::TellClaim { claim, event } => {
                self.teller.tell(&*claim, &event);
                Ok(true)
            }
            Step::Look(claim) => {
                self.queue.add(Item::Claim(Key::of(&*claim)));
                Ok(true)
            }
        }
    }

    async fn patch<K: Kind>(&self, object: &K, patch: objects::Value) -> Result<bool> {
        goes_on(
            self.client
                .patch::<K>(&Key::of(object), &Patch::Merge(patch))
                .await,
        )
    }

    async fn patch_status<K: Kind>(&self, object: &K, patch: objects::Value) -> Result<bool> {
        goes_on(
            self.client
                .patch_status::<K>(&Key::of(object), &Patch::Merge(patch))
                .await,
        )
    }
}

/// An object that is gone needs no more steps; one that changed is tried again when that is seen.
fn goes_on<K>(outcome: Result<K, client::Error>) -> Result<bool> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
