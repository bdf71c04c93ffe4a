//! Which volumes a pod would use on a node: those that its claims have, ready ones that fit, or new ones.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::{CSIStorageCapacity, StorageClass},
};

use super::storage::{self, Reach};
use crate::{
    cluster::{Name, Objects},
    framework::Preparation,
    pod::PodView,
    selector::{Labels, Selector},
};

pub(super) const NODE_CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";
pub(super) const BIND_CONFLICT: &str = "node(s) didn't find available persistent volumes to bind";
pub(super) const NOT_ENOUGH_SPACE: &str = "node(s) did not have enough free storage";
pub(super) const VOLUME_MISSING: &str =
    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// Why no node can take a pod before something changes about a claim, in upstream's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);

/// The claims of a pod, with all that can be looked up before a node is known.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Where the volumes of bound claims can be used; `None` for a volume that does not exist.
    bound: Vec<Option<Reach>>,
    /// Claims that get a volume when the pod gets a node, those that ask for least first.
    waiting: Vec<Waiting>,
}

/// A claim that has no volume before its first pod has a node.
#[derive(Debug)]
struct Waiting {
    claim: Arc<PersistentVolumeClaim>,
    selected_node: Option<String>,
    /// Volumes of its class that would do, the smallest first; one that is kept for the claim is the only one.
    fitting: Vec<(Arc<PersistentVolume>, Reach)>,
    provision: Provision,
}

/// How a new volume for a claim would be made.
#[derive(Debug)]
enum Provision {
    /// By nobody.
    Never,
    /// By the class, where its topologies allow it and there is room.
    Class {
        class: Arc<StorageClass>,
        room: Option<Room>,
    },
}

/// Places with enough room for a claim, by the labels of their nodes.
#[derive(Debug)]
struct Room(Vec<Selector>);

/// What is to be written when the pod goes to the node.
#[derive(Debug, Clone, Default)]
pub(super) struct Choice {
    /// Volumes that exist, for these claims.
    pub(super) bindings: Vec<(Arc<PersistentVolume>, Arc<PersistentVolumeClaim>)>,
    /// Claims for which volumes are made once they name the node.
    pub(super) provisions: Vec<Arc<PersistentVolumeClaim>>,
}

impl Claims {
    /// Looks up the claims of a pod.
    ///
    /// # Errors
    ///
    /// If one of them must change first.
    pub(super) fn of(pod: &PodView, known: &Objects) -> Result<Claims, Unusable> {
        let mut claims = Claims::default();
        let mut is_unbound = false;
        for claim in usable(pod, known)? {
            if storage::is_bound(&claim) {
                let volume = known.volumes.get(storage::volume_of_claim(&claim));
                claims.bound.push(volume.map(|volume| Reach::of(volume)));
            } else if let Some(class) = waiting_class(&claim, known)? {
                claims.waiting.push(Waiting::of(claim, class, known));
            } else {
                is_unbound = true;
            }
        }
        if is_unbound {
            let words = "pod has unbound immediate PersistentVolumeClaims";
            return Err(Unusable(words.to_owned()));
        }
        claims
            .waiting
            .sort_by_key(|waiting| storage::bytes_asked(&waiting.claim).unwrap_or(0));
        Ok(claims)
    }

    /// Whether the pod uses no claim.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.bound.is_empty() && self.waiting.is_empty()
    }

    /// What the claims would get on a node.
    ///
    /// # Errors
    ///
    /// The reasons why the pod cannot be there.
    pub(super) fn choose(&self, node: &str, labels: &Labels) -> Result<Choice, Vec<&'static str>> {
        let mut reasons = Vec::new();
        let mut is_missing = false;
        for reach in &self.bound {
            match reach {
                None => is_missing = true,
                Some(reach) if reach.includes(labels) => continue,
                Some(_) => reasons.push(NODE_CONFLICT),
            }
            break;
        }
        let choice = self.choose_waiting(node, labels);
        let choice = choice
            .map_err(|reason| reasons.push(reason))
            .unwrap_or_default();
        if is_missing {
            reasons.push(VOLUME_MISSING);
        }
        if reasons.is_empty() {
            Ok(choice)
        } else {
            Err(reasons)
        }
    }

    fn choose_waiting(&self, node: &str, labels: &Labels) -> Result<Choice, &'static str> {
        let mut choice = Choice::default();
        let is_elsewhere = |waiting: &Waiting| {
            waiting
                .selected_node
                .as_ref()
                .is_some_and(|selected| selected != node)
        };
        if self.waiting.iter().any(is_elsewhere) {
            return Err(BIND_CONFLICT);
        }
        let mut unmatched = Vec::new();
        for waiting in &self.waiting {
            let found = match &waiting.selected_node {
                Some(_) => None,
                None => waiting.find(labels, &choice),
            };
            match found {
                Some(volume) => choice.bindings.push((volume, waiting.claim.clone())),
                None => unmatched.push(waiting),
            }
        }
        for waiting in unmatched {
            waiting.check_provision(labels)?;
            choice.provisions.push(waiting.claim.clone());
        }
        Ok(choice)
    }
}

impl Waiting {
    fn of(claim: Arc<PersistentVolumeClaim>, class: Arc<StorageClass>, known: &Objects) -> Waiting {
        let selected_node = match known.prepared.get(&name_of(&claim)) {
            Some(Preparation::Provision { node, .. }) => Some(node.to_string()),
            _ => storage::selected_node(&claim).map(str::to_owned),
        };
        let fitting = fitting(&claim, known);
        let is_made = !matches!(class.provisioner.as_str(), "" | storage::NO_PROVISIONER);
        let provision = if is_made {
            let room = room(&claim, &class, known);
            Provision::Class { class, room }
        } else {
            Provision::Never
        };
        Waiting {
            claim,
            selected_node,
            fitting,
            provision,
        }
    }

    /// The smallest volume that would do on a node and is not chosen for another claim.
    fn find(&self, labels: &Labels, chosen: &Choice) -> Option<Arc<PersistentVolume>> {
        let is_chosen = |volume: &Arc<PersistentVolume>| {
            let mut bindings = chosen.bindings.iter();
            bindings.any(|(chosen, _)| chosen.metadata.name == volume.metadata.name)
        };
        let mut fitting = self.fitting.iter();
        let found = fitting.find(|(volume, reach)| reach.includes(labels) && !is_chosen(volume));
        found.map(|(volume, _)| volume.clone())
    }

    fn check_provision(&self, labels: &Labels) -> Result<(), &'static str> {
        let Provision::Class { class, room } = &self.provision else {
            return Err(BIND_CONFLICT);
        };
        if !storage::allows_topology(class.allowed_topologies.as_deref(), labels) {
            return Err(BIND_CONFLICT);
        }
        match room {
            Some(Room(places)) if !places.iter().any(|place| place.matches(labels)) => {
                Err(NOT_ENOUGH_SPACE)
            }
            _ => Ok(()),
        }
    }
}

/// The claims of a pod, if none of them is missing, lost, or on its way out.
fn usable(pod: &PodView, known: &Objects) -> Result<Vec<Arc<PersistentVolumeClaim>>, Unusable> {
    let mut found = Vec::new();
    for claim in storage::claims(pod) {
        let name = &claim.name;
        let Some(object) = storage::claim(known, pod, name) else {
            return Err(Unusable(if claim.is_ephemeral {
                format!(
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"
                )
            } else {
                format!("persistentvolumeclaim {name:?} not found")
            }));
        };
        let phase = object
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        if phase == Some("Lost") {
            let volume = storage::volume_of_claim(&object);
            return Err(Unusable(format!(
                "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
            )));
        }
        if object.metadata.deletion_timestamp.is_some() {
            return Err(Unusable(format!(
                "persistentvolumeclaim {name:?} is being deleted"
            )));
        }
        if claim.is_ephemeral {
            storage::check_owner(pod, &object).map_err(Unusable)?;
        }
        found.push(object);
    }
    Ok(found)
}

/// The class of a claim that waits for its first pod; `None` if the claim is bound without one.
fn waiting_class(
    claim: &PersistentVolumeClaim,
    known: &Objects,
) -> Result<Option<Arc<StorageClass>>, Unusable> {
    let name = storage::class_of_claim(claim);
    if name.is_empty() {
        return Ok(None);
    }
    let Some(class) = known.storage_classes.get(name).cloned() else {
        return Ok(None);
    };
    let Some(mode) = &class.volume_binding_mode else {
        return Err(Unusable(format!(
            "VolumeBindingMode not set for StorageClass {name:?}"
        )));
    };
    let waits = mode == "WaitForFirstConsumer" && storage::volume_of_claim(claim).is_empty();
    Ok(waits.then_some(class))
}

/// Volumes that would do for a claim somewhere, the smallest first.
fn fitting(claim: &PersistentVolumeClaim, known: &Objects) -> Vec<(Arc<PersistentVolume>, Reach)> {
    let asked = storage::bytes_asked(claim).unwrap_or(0);
    let class = storage::class_of_claim(claim);
    let own_name = name_of(claim);
    let promised: HashMap<&str, &Name> = known.prepared.values().filter_map(promise).collect();
    let mut sized: Vec<(i64, &Arc<PersistentVolume>)> = Vec::new();
    for volume in known
        .volumes
        .values()
        .filter(|volume| storage::class_of_volume(volume) == class)
    {
        let name = volume.metadata.name.as_deref().unwrap_or_default();
        let (is_kept, is_own) = match promised.get(name) {
            Some(promised_to) => (true, **promised_to == own_name),
            None => (
                storage::is_kept(volume),
                storage::is_kept_for(volume, claim),
            ),
        };
        let size = size(volume);
        if (is_kept && !is_own) || size < asked || !is_alike(claim, volume) {
            continue;
        }
        if is_own {
            return vec![(volume.clone(), Reach::of(volume))];
        }
        if is_offered(claim, volume) {
            sized.push((size, volume));
        }
    }
    sized.sort_by_key(|(size, _)| *size);
    sized
        .into_iter()
        .map(|(_, volume)| (volume.clone(), Reach::of(volume)))
        .collect()
}

/// A volume that is to be bound to a claim.
fn promise(preparation: &Preparation) -> Option<(&str, &Name)> {
    match preparation {
        Preparation::BindVolume { claim, volume, .. } => Some((volume, claim)),
        Preparation::Provision { .. } => None,
    }
}

fn name_of(claim: &PersistentVolumeClaim) -> Name {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    (text(&claim.metadata.namespace), text(&claim.metadata.name))
}

fn size(volume: &PersistentVolume) -> i64 {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
    storage::bytes(capacity.and_then(|capacity| capacity.get("storage")))
}

/// Whether a volume is of the claim's mode and attributes, and stays.
fn is_alike(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let (Some(asked), Some(has)) = (&claim.spec, &volume.spec) else {
        return false;
    };
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".to_owned());
    mode(&asked.volume_mode) == mode(&has.volume_mode)
        && asked
            .volume_attributes_class_name
            .as_deref()
            .unwrap_or_default()
            == has
                .volume_attributes_class_name
                .as_deref()
                .unwrap_or_default()
        && volume.metadata.deletion_timestamp.is_none()
}

/// Whether a volume that is kept for nobody is available, and what the claim selects.
fn is_offered(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let (Some(asked), Some(has)) = (&claim.spec, &volume.spec) else {
        return false;
    };
    let phase = volume
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let labels: Labels = volume
        .metadata
        .labels
        .iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let is_selected = asked
        .selector
        .as_ref()
        .is_none_or(|selector| Selector::of(Some(selector)).matches(&labels));
    let modes = has.access_modes.as_deref().unwrap_or_default();
    phase == Some("Available")
        && is_selected
        && asked
            .access_modes
            .iter()
            .flatten()
            .all(|mode| modes.contains(mode))
}

/// Where a new volume would have room; `None` if the driver does not say, or the claim does not ask for an amount.
fn room(claim: &PersistentVolumeClaim, class: &StorageClass, known: &Objects) -> Option<Room> {
    let asked = storage::bytes_asked(claim)?;
    let driver = known.csi_drivers.get(&*class.provisioner)?;
    if driver.spec.storage_capacity != Some(true) {
        return None;
    }
    let has_room = |capacity: &&Arc<CSIStorageCapacity>| {
        let limit = capacity
            .maximum_volume_size
            .as_ref()
            .or(capacity.capacity.as_ref());
        Some(&capacity.storage_class_name) == class.metadata.name.as_ref()
            && limit.is_some_and(|limit| storage::bytes(Some(limit)) >= asked)
    };
    let places = known.capacities.values().filter(has_room);
    Some(Room(
        places
            .map(|place| Selector::of(place.node_topology.as_ref()))
            .collect(),
    ))
}
