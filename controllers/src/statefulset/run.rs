//! Carries out what is decided for StatefulSets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Change, Client, DeleteOptions, Error, Key, Next, Patch, Store};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    ControllerRevision, StatefulSet, StatefulSetSpec, StatefulSetStatus,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use objects::selector::label::Selector;
use serde_json::json;

use super::decide::{Action, Plan, Revision, Seen, decide, used_revisions};
use super::identity;
use crate::claims::{self, Unclaimed};
use crate::context::Context;
use crate::events::Event;
use crate::revisions::{self, keep};
use crate::telling::Teller;
use crate::turns::Turns;
use crate::written::Written;
use crate::{patches, selectors};

const REVISIONS_DEFAULT: i32 = 10;

/// Starts the controller.
pub(crate) fn start(context: &Context) {
    let (claims, revisions) = (
        context.informers.of::<PersistentVolumeClaim>(),
        context.informers.of::<ControllerRevision>(),
    );
    claims::index(&revisions);
    let selector =
        |set: &StatefulSet| selectors::read(set.spec.as_ref().map(|spec| &spec.selector));
    let turns = Turns::of(
        context,
        context.queue("statefulset"),
        selector,
        Duration::ZERO,
    );
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        teller: Teller::new(context, "statefulset-controller"),
        pods: context.informers.of().store(),
        claims: claims.store(),
        revisions: revisions.store(),
        turns: turns.clone(),
        written: Written::default(),
    });
    let told = controller.clone();
    claims.on_change(move |change| {
        if let Change::Deleted(claim) = change {
            told.claim_deleted(claim);
        }
    });
    let workers = context.options.workers.concurrent_statefulset_syncs;
    turns.start(context, ("statefulset-controller", workers), move |key| {
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
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    revisions: Store<ControllerRevision>,
    turns: Arc<Turns<StatefulSet>>,
    written: Written<Key>,
}

/// The revisions that a turn is about.
struct Revisions {
    all: Vec<Arc<ControllerRevision>>,
    current: Revision,
    update: Revision,
    collisions: i32,
}

impl Controller {
    /// A pod may have waited for a claim of its name to be gone.
    fn claim_deleted(&self, claim: &PersistentVolumeClaim) {
        let namespace = claim.metadata.namespace.as_deref().unwrap_or_default();
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        for set in self.turns.owners.in_namespace(namespace) {
            if identity::has_claim(&set, name) {
                self.turns.queue.add(Key::of(set.as_ref()));
            }
        }
    }

    async fn sync(&self, key: &Key) -> Result<Next, Failed> {
        let Some(set) = self.turns.owners.get(key) else {
            self.written.forget(key);
            return Ok(Next::Done);
        };
        let Some(spec) = set.spec.as_ref() else {
            return Ok(Next::Done);
        };
        if !self.written.is_seen(key, &set.metadata) {
            return Ok(Next::Done);
        }
        let selector = match selectors::read(Some(&spec.selector)) {
            Ok(selector) => selector,
            Err(fault) => {
                tracing::error!(%key, fault, "a selector cannot be read");
                return Ok(Next::Done);
            }
        };
        let revisions = self.revisions(&set, spec, &selector).await?;
        let mut candidates = claims::owned_and_orphans(&self.pods, &set.metadata);
        candidates.retain(|pod| identity::ordinal(&set, pod).is_some());
        let metadata = &set.metadata;
        let pods = claims::claim::<StatefulSet, Pod>(&self.client, metadata, &selector, candidates);
        let pods = pods.await?;
        let plan = decide(&Seen {
            set: &set,
            pods: &pods,
            claims: &self.claims(&set, spec),
            current: &revisions.current,
            update: &revisions.update,
            collisions: revisions.collisions,
            now: Timestamp::now(),
        });
        let next = plan.next.map_or(Next::Done, Next::After);
        self.carry_out(key, &set, plan).await?;
        let mut used = used_revisions(&pods);
        used.extend([
            revisions.current.name.as_str(),
            revisions.update.name.as_str(),
        ]);
        let limit = spec.revision_history_limit.unwrap_or(REVISIONS_DEFAULT);
        keep::truncate(&self.client, &revisions.all, &used, limit).await?;
        Ok(next)
    }

    async fn revisions(
        &self,
        set: &StatefulSet,
        spec: &StatefulSetSpec,
        selector: &Selector,
    ) -> Result<Revisions, Failed> {
        let all = keep::claimed(&self.client, &self.revisions, set, selector).await?;
        let status = set.status.as_ref();
        let collisions = status
            .and_then(|status| status.collision_count)
            .unwrap_or(0);
        let (latest, collisions) =
            keep::latest(&self.client, set, &spec.template, &all, collisions).await?;
        let of = |revision: &ControllerRevision| Revision {
            name: revision.metadata.name.clone().unwrap_or_default(),
            template: revisions::template(revision).unwrap_or_else(|| spec.template.clone()),
        };
        let update = Revision {
            template: spec.template.clone(),
            ..of(&latest)
        };
        let current_name = status.and_then(|status| status.current_revision.as_ref());
        let current = all
            .iter()
            .find(|revision| revision.metadata.name.as_ref() == current_name);
        let current = current.map_or_else(|| update.clone(), |revision| of(revision));
        Ok(Revisions {
            all,
            current,
            update,
            collisions,
        })
    }

    /// The claims in the set's namespace, if it has any.
    fn claims(
        &self,
        set: &StatefulSet,
        spec: &StatefulSetSpec,
    ) -> BTreeMap<String, Arc<PersistentVolumeClaim>> {
        if spec
            .volume_claim_templates
            .iter()
            .flatten()
            .next()
            .is_none()
        {
            return BTreeMap::new();
        }
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let claims = self.claims.in_namespace(namespace).into_iter();
        claims
            .filter_map(|claim| Some((claim.metadata.name.clone()?, claim)))
            .collect()
    }

    async fn carry_out(&self, key: &Key, set: &StatefulSet, plan: Plan) -> Result<(), Failed> {
        plan.events
            .iter()
            .for_each(|event| self.teller.tell(set, event));
        let mut outcome = Ok(());
        for action in &plan.actions {
            outcome = self.act(key, set, action).await;
            if outcome.is_err() {
                break;
            }
        }
        self.write_status(key, set, &plan.status).await?;
        Ok(outcome?)
    }

    async fn act(&self, key: &Key, set: &StatefulSet, action: &Action) -> Result<(), Error> {
        let at = |name: &str| Key::new(key.namespace.as_str(), name);
        match action {
            Action::CreateClaim { pod, claim } => self.create_claim(set, pod, claim).await,
            Action::CreatePod(pod) => {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let created = self.client.create(pod.as_ref()).await.map(drop);
                if created.as_ref().is_err_and(Error::is_already_exists) {
                    return created;
                }
                self.tell(
                    set,
                    "Create",
                    &format!("Pod {name}"),
                    ("successful", created),
                )
            }
            Action::DeletePod { name, uid } => {
                let options = DeleteOptions::of_uid(uid.clone());
                let deleted = match self.client.delete::<Pod>(&at(name), &options).await {
                    Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
                    deleted => deleted,
                };
                self.tell(
                    set,
                    "Delete",
                    &format!("Pod {name}"),
                    ("successful", deleted),
                )
            }
            Action::LabelPod { name, uid, patch } => {
                let mut patch = patch.clone();
                patch["metadata"]["uid"] = json!(uid);
                let patched = self
                    .client
                    .patch::<Pod>(&at(name), &Patch::Merge(patch))
                    .await;
                self.tell(
                    set,
                    "Update",
                    &format!("Pod {name}"),
                    ("successful", patched.map(drop)),
                )
            }
            Action::OwnClaim {
                name,
                uid,
                version,
                owners,
            } => {
                let patch = Patch::Merge(json!({"metadata": {
                    "uid": uid, "resourceVersion": version, "ownerReferences": owners,
                }}));
                let patched = self
                    .client
                    .patch::<PersistentVolumeClaim>(&at(name), &patch)
                    .await;
                patched.map(drop)
            }
        }
    }

    async fn create_claim(
        &self,
        set: &StatefulSet,
        pod: &str,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), Error> {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let created = self.client.create(claim).await;
        if created.as_ref().is_err_and(Error::is_already_exists) {
            return Ok(());
        }
        let about = match &created {
            Ok(_) => format!("Claim {name} Pod {pod}"),
            Err(_) => format!("Claim {name} for Pod {pod}"),
        };
        self.tell(set, "Create", &about, ("success", created.map(drop)))
    }

    fn tell(
        &self,
        set: &StatefulSet,
        verb: &str,
        about: &str,
        (word, outcome): (&str, Result<(), Error>),
    ) -> Result<(), Error> {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let words = format!("{verb} {about} in StatefulSet {name}");
        let event = match &outcome {
            Ok(()) => Event::normal(&format!("Successful{verb}"), format!("{words} {word}")),
            Err(error) => Event::warning(
                &format!("Failed{verb}"),
                format!("{words} failed error: {error}"),
            ),
        };
        self.teller.tell(set, &event);
        outcome
    }

    async fn write_status(
        &self,
        key: &Key,
        set: &StatefulSet,
        status: &StatefulSetStatus,
    ) -> Result<(), Error> {
        let old = set.status.clone().unwrap_or_default();
        let Some(patch) = patches::status(&set.metadata, &old, status) else {
            return Ok(());
        };
        let patched = self
            .client
            .patch_status::<StatefulSet>(key, &Patch::Merge(patch))
            .await?;
        self.written.note(key.clone(), &patched.metadata);
        Ok(())
    }
}
