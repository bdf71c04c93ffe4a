//! The ReplicaSets of a Deployment: which is the new one, and what a turn makes of each.

mod annotations;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Action, limits};
use crate::events::Event;
use crate::hash::{self, TEMPLATE_HASH_LABEL};
use crate::owners;
use crate::replicaset::replicas;

pub(super) use annotations::{
    DESIRED_REPLICAS_ANNOTATION, MAX_REPLICAS_ANNOTATION, REVISION_ANNOTATION, number, revision,
};

/// A name of a ReplicaSet may have as many characters.
const NAME_LENGTH_MAX: usize = 253;

/// A ReplicaSet as it is when the turn's decisions so far are carried out.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// None when it is yet to be made.
    pub(super) seen: Option<&'a ReplicaSet>,
    pub(super) set: ReplicaSet,
}

/// A Deployment's ReplicaSets.
#[derive(Debug)]
pub(super) struct Sets<'a> {
    pub(super) deployment: &'a Deployment,
    /// The one with the Deployment's template; the oldest if there are several.
    pub(super) new: Option<Draft<'a>>,
    /// From the oldest to the youngest.
    pub(super) old: Vec<Draft<'a>>,
}

impl Draft<'_> {
    pub(super) fn replicas(&self) -> i32 {
        replicas(&self.set)
    }

    pub(super) fn available(&self) -> i32 {
        let status = self.set.status.as_ref();
        status
            .and_then(|status| status.available_replicas)
            .unwrap_or(0)
    }

    /// Pods it has, by its own word.
    pub(super) fn actual(&self) -> i32 {
        self.set.status.as_ref().map_or(0, |status| status.replicas)
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        annotations::get(&self.set, name)
    }

    /// Sets its size, and notes the Deployment's on it.
    pub(super) fn resize(&mut self, deployment: &Deployment, size: i32) {
        self.set.spec.get_or_insert_default().replicas = Some(size);
        annotations::note_sizes(&mut self.set, deployment);
    }

    fn event(&self) -> Option<Event> {
        let (before, after) = (self.seen.map_or(0, replicas), self.replicas());
        let name = self.set.metadata.name.as_deref().unwrap_or_default();
        let direction = if after > before { "up" } else { "down" };
        (before != after).then(|| {
            let message = format!("Scaled {direction} replica set {name} from {before} to {after}");
            Event::normal("ScalingReplicaSet", message)
        })
    }

    fn into_action(self) -> Option<Action> {
        let event = self.event();
        let set = Box::new(self.set);
        match self.seen {
            None => Some(Action::Create { set, event }),
            Some(seen) if *seen == *set => None,
            Some(seen) => Some(Action::Update {
                seen: Box::new(seen.clone()),
                set,
                event,
            }),
        }
    }
}

/// Older sets come first, and names decide between sets of one second.
pub(super) fn age(set: &ReplicaSet) -> (Option<jiff::Timestamp>, Option<&str>) {
    let metadata = &set.metadata;
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    (created, metadata.name.as_deref())
}

impl<'a> Sets<'a> {
    pub(super) fn new(deployment: &'a Deployment, sets: &[&'a ReplicaSet]) -> Sets<'a> {
        let mut sorted = sets.to_vec();
        sorted.sort_by(|left, right| age(left).cmp(&age(right)));
        let template = deployment.spec.as_ref().map(|spec| &spec.template);
        let template = template.map(hash::without_hash);
        let is_new = |set: &&ReplicaSet| {
            let own = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
            template.is_some() && own.map(hash::without_hash) == template
        };
        let new = sorted
            .iter()
            .position(is_new)
            .map(|place| sorted.remove(place));
        let draft = |set: &'a ReplicaSet| Draft {
            seen: Some(set),
            set: set.clone(),
        };
        Sets {
            deployment,
            new: new.map(draft),
            old: sorted.into_iter().map(draft).collect(),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Draft<'a>> {
        self.old.iter().chain(&self.new)
    }

    /// The sum of a count over all sets.
    pub(super) fn sum(&self, count: fn(&Draft<'a>) -> i32) -> i32 {
        self.all().map(count).fold(0, i32::saturating_add)
    }

    /// Numbers the new set after all others and copies the Deployment's annotations to it. Returns its revision.
    pub(super) fn renumber(&mut self) -> Option<String> {
        let next = self.next_revision();
        let new = self.new.as_mut()?;
        annotations::copy(self.deployment, &mut new.set);
        annotations::renumber(&mut new.set, next);
        let spec = self.deployment.spec.as_ref();
        let min_ready_seconds = spec.and_then(|spec| spec.min_ready_seconds);
        let own = new.set.spec.get_or_insert_default();
        if own.min_ready_seconds.unwrap_or(0) != min_ready_seconds.unwrap_or(0) {
            own.min_ready_seconds = min_ready_seconds;
        }
        new.annotation(REVISION_ANNOTATION).map(str::to_owned)
    }

    fn next_revision(&self) -> i64 {
        let old = self.old.iter().filter_map(|draft| revision(&draft.set));
        old.max().unwrap_or(0).max(0).saturating_add(1)
    }

    /// Makes a set for the Deployment's template, as large as it may be at once. Returns its revision.
    pub(super) fn create(&mut self, collisions: Option<i32>) -> String {
        let deployment = self.deployment;
        let spec = deployment.spec.clone().unwrap_or_default();
        let mut template = spec.template;
        let hash = hash::template(&template, collisions);
        let labels = template.metadata.get_or_insert_default();
        let labels = labels.labels.get_or_insert_default();
        labels.insert(TEMPLATE_HASH_LABEL.to_owned(), hash.clone());
        let labels = labels.clone();
        let mut selector = spec.selector;
        let equal = selector.match_labels.get_or_insert_default();
        equal.insert(TEMPLATE_HASH_LABEL.to_owned(), hash.clone());
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let metadata = ObjectMeta {
            name: Some(set_name(name, &hash)),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![owners::reference::<Deployment>(&deployment.metadata)]),
            ..ObjectMeta::default()
        };
        let mut set = ReplicaSet {
            metadata,
            spec: Some(ReplicaSetSpec {
                replicas: Some(0),
                min_ready_seconds: spec.min_ready_seconds,
                selector,
                template: Some(template),
            }),
            status: None,
        };
        let next = self.next_revision();
        annotations::copy(deployment, &mut set);
        annotations::renumber(&mut set, next);
        let mut draft = Draft { seen: None, set };
        draft.resize(deployment, self.size_of_new(0));
        self.new = Some(draft);
        next.to_string()
    }

    /// What the new set, which now has `current` pods, may grow to.
    pub(super) fn size_of_new(&self, current: i32) -> i32 {
        let desired = limits::desired(self.deployment);
        if !limits::is_rolling(self.deployment) {
            return desired;
        }
        let room = limits::total_max(self.deployment).saturating_sub(self.sum(Draft::replicas));
        if room <= 0 {
            return current;
        }
        current.saturating_add(room.min(desired.saturating_sub(current)))
    }

    /// What there is to write: first the new set, then the old ones.
    pub(super) fn into_actions(self) -> Vec<Action> {
        let drafts = self.new.into_iter().chain(self.old);
        drafts.filter_map(Draft::into_action).collect()
    }
}

fn set_name(deployment: &str, hash: &str) -> String {
    let length = NAME_LENGTH_MAX.saturating_sub(1 + hash.len());
    let kept = deployment.get(..length).unwrap_or(deployment);
    format!("{kept}-{hash}")
}
