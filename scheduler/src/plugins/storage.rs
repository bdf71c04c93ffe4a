//! What the volume plugins know of storage, and the questions that several of them ask.

use std::sync::Arc;

use k8s_openapi::{
    api::core::v1::{
        NodeSelector, ObjectReference, PersistentVolume, PersistentVolumeClaim,
        TopologySelectorTerm,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{
    cluster::Objects,
    framework::{ClusterEvent, EventKinds},
    pod::PodView,
    selector::{Labels, Requirement, Selector},
};

/// The annotation that names a claim's or volume's class in old objects.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// The annotation of a claim that is bound and stays so.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";

/// The annotation by which a claim says on which node its volume is needed.
pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// The provisioner of classes whose volumes are made by hand.
pub(super) const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// A claim that a pod uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimName {
    pub(super) name: String,
    /// It is made for the pod, and goes with it.
    pub(super) is_ephemeral: bool,
}

/// The claims that a pod uses, in the order of its volumes.
pub(super) fn claims(pod: &PodView) -> impl Iterator<Item = ClaimName> + '_ {
    pod.volumes.iter().filter_map(|volume| {
        if let Some(source) = &volume.persistent_volume_claim {
            return Some(ClaimName {
                name: source.claim_name.clone(),
                is_ephemeral: false,
            });
        }
        volume.ephemeral.as_ref().map(|_| ClaimName {
            name: format!("{}-{}", pod.name, volume.name),
            is_ephemeral: true,
        })
    })
}

/// A claim of a pod's namespace.
#[must_use]
pub(super) fn claim(
    objects: &Objects,
    pod: &PodView,
    name: &str,
) -> Option<Arc<PersistentVolumeClaim>> {
    objects
        .claims
        .get(&(pod.namespace.clone(), name.into()))
        .cloned()
}

/// Whether an event can change what a pod gets of storage: one of a claim only if the pod uses it.
#[must_use]
pub(super) fn event_matters(pod: &PodView, event: &ClusterEvent<'_>) -> bool {
    match event {
        ClusterEvent::Object {
            kind,
            namespace,
            name,
        } if *kind == EventKinds::CLAIM => {
            *namespace == &*pod.namespace && claims(pod).any(|claim| claim.name == *name)
        }
        _ => true,
    }
}

/// Whether a claim that is to be ephemeral was made for this pod.
///
/// # Errors
///
/// If it was not, in upstream's words.
pub(super) fn check_owner(pod: &PodView, claim: &PersistentVolumeClaim) -> Result<(), String> {
    let mut owners = claim.metadata.owner_references.iter().flatten();
    if owners.any(|owner| owner.controller == Some(true) && *owner.uid == *pod.uid) {
        return Ok(());
    }
    let (namespace, name) = (&pod.namespace, &pod.name);
    let claim = claim.metadata.name.as_deref().unwrap_or_default();
    Err(format!(
        "PVC {namespace}/{claim} was not created for pod {namespace}/{name} (pod is not owner)"
    ))
}

/// The class that a claim asks for; empty if none.
#[must_use]
pub(super) fn class_of_claim(claim: &PersistentVolumeClaim) -> &str {
    let annotations = claim.metadata.annotations.as_ref();
    let spec = claim.spec.as_ref();
    annotations
        .and_then(|annotations| annotations.get(CLASS_ANNOTATION))
        .or_else(|| spec?.storage_class_name.as_ref())
        .map_or("", String::as_str)
}

/// The class of a volume; empty if none.
#[must_use]
pub(super) fn class_of_volume(volume: &PersistentVolume) -> &str {
    let annotations = volume.metadata.annotations.as_ref();
    let spec = volume.spec.as_ref();
    annotations
        .and_then(|annotations| annotations.get(CLASS_ANNOTATION))
        .or_else(|| spec?.storage_class_name.as_ref())
        .map_or("", String::as_str)
}

/// The volume that a claim names; empty if none.
#[must_use]
pub(super) fn volume_of_claim(claim: &PersistentVolumeClaim) -> &str {
    claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.as_deref())
        .unwrap_or_default()
}

/// Whether a claim has its volume for good.
#[must_use]
pub(super) fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let annotations = claim.metadata.annotations.as_ref();
    !volume_of_claim(claim).is_empty()
        && annotations.is_some_and(|annotations| annotations.contains_key(BIND_COMPLETED))
}

/// The node that a claim says its volume is needed on.
#[must_use]
pub(super) fn selected_node(claim: &PersistentVolumeClaim) -> Option<&str> {
    let annotations = claim.metadata.annotations.as_ref()?;
    annotations.get(SELECTED_NODE).map(String::as_str)
}

/// Whether a volume is kept for some claim.
#[must_use]
pub(super) fn is_kept(volume: &PersistentVolume) -> bool {
    volume
        .spec
        .as_ref()
        .is_some_and(|spec| spec.claim_ref.is_some())
}

/// Whether a volume is bound to one certain claim, and not only kept for one of some name.
#[must_use]
pub(super) fn is_bound_to_one(volume: &PersistentVolume) -> bool {
    let reference = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.claim_ref.as_ref());
    let uid = reference.and_then(|reference| reference.uid.as_deref());
    uid.is_some_and(|uid| !uid.is_empty())
}

/// Whether a volume is kept for a claim.
#[must_use]
pub(super) fn is_kept_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.claim_ref.as_ref());
    reference.is_some_and(|reference| refers_to(reference, claim))
}

fn refers_to(reference: &ObjectReference, claim: &PersistentVolumeClaim) -> bool {
    let uid = reference.uid.as_deref().unwrap_or_default();
    reference.name == claim.metadata.name
        && reference.namespace == claim.metadata.namespace
        && (uid.is_empty() || Some(uid) == claim.metadata.uid.as_deref())
}

/// Bytes of a quantity; 0 where there is none, or none can be read.
#[must_use]
pub(super) fn bytes(quantity: Option<&Quantity>) -> i64 {
    quantity
        .and_then(|quantity| objects::quantity::Quantity::parse(&quantity.0).ok())
        .map_or(0, |quantity| quantity.value())
}

/// Bytes that a claim asks for, if it says.
#[must_use]
pub(super) fn bytes_asked(claim: &PersistentVolumeClaim) -> Option<i64> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    Some(bytes(Some(resources.requests.as_ref()?.get("storage")?)))
}

/// Where a volume can be used: nodes with labels that one of the selectors takes.
#[derive(Debug, Clone)]
pub(super) struct Reach(Option<Vec<Selector>>);

impl Reach {
    /// Where this volume can be used. One that does not say can be used everywhere.
    #[must_use]
    pub(super) fn of(volume: &PersistentVolume) -> Reach {
        let affinity = volume
            .spec
            .as_ref()
            .and_then(|spec| spec.node_affinity.as_ref());
        Reach(
            affinity
                .and_then(|affinity| affinity.required.as_ref())
                .map(label_terms),
        )
    }

    /// Whether it can be used on a node with these labels.
    #[must_use]
    pub(super) fn includes(&self, labels: &Labels) -> bool {
        self.0
            .as_ref()
            .is_none_or(|terms| terms.iter().any(|term| term.matches(labels)))
    }
}

/// The terms of a node selector by labels alone; those that ask for nothing select no node.
fn label_terms(selector: &NodeSelector) -> Vec<Selector> {
    let asks = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
    selector
        .node_selector_terms
        .iter()
        .filter(|term| asks(&term.match_expressions) || asks(&term.match_fields))
        .map(|term| {
            let expressions = term.match_expressions.iter().flatten();
            Selector::new(expressions.map(Requirement::from).collect())
        })
        .collect()
}

/// Whether a class makes volumes for nodes with these labels.
#[must_use]
pub(super) fn allows_topology(terms: Option<&[TopologySelectorTerm]>, labels: &Labels) -> bool {
    let Some(terms) = terms.filter(|terms| !terms.is_empty()) else {
        return true;
    };
    terms.iter().any(|term| {
        let expressions = term.match_label_expressions.as_deref().unwrap_or_default();
        !expressions.is_empty()
            && expressions.iter().all(|one| {
                labels
                    .get(&one.key)
                    .is_some_and(|value| one.values.iter().any(|own| own == value))
            })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{from_value, json};

    use super::*;

    /// Objects of storage as a test writes them down.
    pub(in crate::plugins) fn objects(list: &[serde_json::Value]) -> Objects {
        let mut objects = Objects::default();
        for object in list {
            let text = |field: &str| -> Arc<str> {
                object["metadata"][field]
                    .as_str()
                    .unwrap_or_default()
                    .into()
            };
            let (namespace, name) = (text("namespace"), text("name"));
            let object = object.clone();
            match object["kind"].as_str().unwrap() {
                "PersistentVolumeClaim" => {
                    drop(objects.claims.insert((namespace, name), read(object)));
                }
                "PersistentVolume" => drop(objects.volumes.insert(name, read(object))),
                "StorageClass" => drop(objects.storage_classes.insert(name, read(object))),
                "CSINode" => drop(objects.csi_nodes.insert(name, read(object))),
                "CSIDriver" => drop(objects.csi_drivers.insert(name, read(object))),
                "CSIStorageCapacity" => {
                    drop(objects.capacities.insert((namespace, name), read(object)));
                }
                "VolumeAttachment" => drop(objects.attachments.insert(name, read(object))),
                other => panic!("{other} is no kind of storage"),
            }
        }
        objects
    }

    fn read<T: serde::de::DeserializeOwned>(object: serde_json::Value) -> Arc<T> {
        Arc::new(from_value(object).unwrap())
    }

    fn labels(zone: &str) -> Labels {
        [("zone", zone), ("kubernetes.io/hostname", "n1")]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_volume_is_used_where_its_affinity_says() {
        let cases = [
            (json!(null), true),
            (
                json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]),
                true,
            ),
            (
                json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}]),
                false,
            ),
            (
                json!([
                    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]},
                    {"matchExpressions": [{"key": "zone", "operator": "Exists"}]},
                ]),
                true,
            ),
            (json!([{}]), false),
            (json!([]), false),
        ];
        for (terms, expected) in cases {
            let mut volume = json!({"metadata": {"name": "v"}, "spec": {}});
            if !terms.is_null() {
                volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": terms}});
            }
            let volume: PersistentVolume = from_value(volume).unwrap();
            assert_eq!(
                Reach::of(&volume).includes(&labels("a")),
                expected,
                "{terms}"
            );
        }
    }

    #[test]
    fn a_class_may_be_bound_to_topologies() {
        let term = |values: serde_json::Value| json!({"matchLabelExpressions": [{"key": "zone", "values": values}]});
        let cases = [
            (json!([]), true),
            (json!([{}]), false),
            (json!([term(json!(["a", "b"]))]), true),
            (json!([term(json!(["b"]))]), false),
            (json!([term(json!(["b"])), term(json!(["a"]))]), true),
        ];
        for (terms, expected) in cases {
            let read: Vec<TopologySelectorTerm> = from_value(terms.clone()).unwrap();
            assert_eq!(
                allows_topology(Some(&read), &labels("a")),
                expected,
                "{terms}"
            );
        }
        assert!(allows_topology(None, &labels("a")));
    }

    #[test]
    fn a_claim_is_bound_once_it_says_so() {
        let cases = [
            (json!({"metadata": {}, "spec": {"volumeName": "v"}}), false),
            (
                json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {}}),
                false,
            ),
            (
                json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "v"}}),
                true,
            ),
        ];
        for (claim, expected) in cases {
            let read: PersistentVolumeClaim = from_value(claim.clone()).unwrap();
            assert_eq!(is_bound(&read), expected, "{claim}");
        }
    }
}
