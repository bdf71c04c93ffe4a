//! What has to be done about a claim.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;

use super::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, CLASS_BETA, DEFAULT_CLASS, DEFAULT_CLASS_BETA, LOST,
    PENDING, PROVISIONER, PROVISIONER_BETA, SELECTED_NODE, Step, annotation, bind, claim_class,
    claim_phase, claim_reference, claim_status, local_path, matching, names, tell_claim,
    volume_name,
};
use crate::events::Event;
use crate::patches;

/// A claim and what there is for it.
pub(crate) struct Seen<'a> {
    pub claim: &'a Arc<PersistentVolumeClaim>,
    /// The volume that the claim names, if it does and there is one.
    pub named: Option<&'a Arc<PersistentVolume>>,
    /// All volumes, if the claim names none.
    pub volumes: &'a [Arc<PersistentVolume>],
    pub classes: &'a [Arc<StorageClass>],
    /// The pods that use the claim and have no node yet.
    pub waiting_pods: &'a [String],
    /// The node that was chosen for the claim's pod, if one was and it exists.
    pub node: Option<&'a Node>,
}

/// The node that the scheduler chose for the first pod of a claim.
pub(crate) fn selected_node(claim: &PersistentVolumeClaim) -> Option<&str> {
    annotation(&claim.metadata, SELECTED_NODE)
}

/// What has to be done about a claim. The fault is that its selector is none.
pub(crate) fn decide(seen: &Seen<'_>) -> Result<Vec<Step>, String> {
    let claim = seen.claim;
    if annotation(&claim.metadata, BIND_COMPLETED).is_some() {
        return Ok(bound(seen));
    }
    if volume_name(claim).is_empty() {
        return unbound(seen);
    }
    let Some(volume) = seen.named else {
        return Ok(pending(claim));
    };
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    if claim_reference(volume).is_none() {
        let Some(misfit) = matching::misfit(volume, claim) else {
            return Ok(bind(volume, claim));
        };
        let message = format!("Cannot bind to requested volume {name:?}: {misfit}");
        return Ok(told(claim, Event::warning("VolumeMismatch", message)));
    }
    if names(volume, claim) {
        return Ok(bind(volume, claim));
    }
    let event = Event::warning(
        "FailedBinding",
        format!("volume {name:?} already bound to a different claim."),
    );
    if annotation(&claim.metadata, BOUND_BY_CONTROLLER).is_some() {
        return Ok(vec![tell_claim(claim, event)]);
    }
    Ok(told(claim, event))
}

fn pending(claim: &Arc<PersistentVolumeClaim>) -> Vec<Step> {
    claim_status(claim, PENDING, None).into_iter().collect()
}

fn told(claim: &Arc<PersistentVolumeClaim>, event: Event) -> Vec<Step> {
    let mut steps = vec![tell_claim(claim, event)];
    steps.extend(pending(claim));
    steps
}

/// A claim that was bound stays so as long as its volume is there and is its own.
fn bound(seen: &Seen<'_>) -> Vec<Step> {
    let claim = seen.claim;
    let (reason, message) = match seen.named {
        Some(volume) => match claim_reference(volume) {
            None => return bind(volume, claim),
            Some(reference) if reference.uid == claim.metadata.uid => return bind(volume, claim),
            Some(_) => (
                "ClaimMisbound",
                "Two claims are bound to the same volume, this one is bound incorrectly",
            ),
        },
        None if volume_name(claim).is_empty() => (
            "ClaimLost",
            "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
        ),
        None => (
            "ClaimLost",
            "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        ),
    };
    if claim_phase(claim) == LOST {
        return Vec::new();
    }
    let mut steps: Vec<Step> = claim_status(claim, LOST, None).into_iter().collect();
    steps.push(tell_claim(claim, Event::warning(reason, message)));
    steps
}

fn unbound(seen: &Seen<'_>) -> Result<Vec<Step>, String> {
    let claim = seen.claim;
    let class = class_named(seen, claim_class(claim));
    let mode = class.and_then(|class| class.volume_binding_mode.as_deref());
    let is_delayed = mode == Some("WaitForFirstConsumer");
    if let Some(volume) = matching::best(claim, seen.volumes, is_delayed)? {
        return Ok(bind(volume, claim));
    }
    if let Some(step) = assign_default_class(seen) {
        return Ok(vec![step]);
    }
    if is_delayed && selected_node(claim).is_none() {
        return Ok(told(claim, wait_for_pod(seen.waiting_pods)));
    }
    if !claim_class(claim).is_empty() {
        return Ok(provision(seen, class.map(Arc::as_ref)));
    }
    let message = "no persistent volumes available for this claim and no storage class is set";
    Ok(told(claim, Event::normal("FailedBinding", message)))
}

fn class_named<'a>(seen: &Seen<'a>, name: &str) -> Option<&'a Arc<StorageClass>> {
    seen.classes
        .iter()
        .find(|class| class.metadata.name.as_deref() == Some(name) && !name.is_empty())
}

fn wait_for_pod(pods: &[String]) -> Event {
    match pods {
        [] => Event::normal(
            "WaitForFirstConsumer",
            "waiting for first consumer to be created before binding",
        ),
        [pod] => Event::normal(
            "WaitForPodScheduled",
            format!("waiting for pod {pod} to be scheduled"),
        ),
        pods => Event::normal(
            "WaitForPodScheduled",
            format!("waiting for pods {} to be scheduled", pods.join(",")),
        ),
    }
}

/// A claim that leaves its class open gets the newest default class once there is one.
fn assign_default_class(seen: &Seen<'_>) -> Option<Step> {
    let claim = seen.claim;
    let is_named = claim
        .spec
        .as_ref()
        .is_some_and(|spec| spec.storage_class_name.is_some());
    if is_named || annotation(&claim.metadata, CLASS_BETA).is_some() {
        return None;
    }
    let is_default = |class: &&Arc<StorageClass>| {
        [DEFAULT_CLASS, DEFAULT_CLASS_BETA]
            .iter()
            .any(|key| annotation(&class.metadata, key) == Some("true"))
    };
    let created = |class: &StorageClass| {
        class
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0)
    };
    let defaults = seen.classes.iter().filter(is_default);
    let newest = defaults.max_by(|a, b| {
        created(a)
            .cmp(&created(b))
            .then_with(|| b.metadata.name.cmp(&a.metadata.name))
    })?;
    let patch = json!({"spec": {"storageClassName": newest.metadata.name}});
    let patch = patches::when_unchanged(&claim.metadata, patch);
    Some(Step::Claim {
        claim: Arc::clone(claim),
        patch,
    })
}

/// Asks the class's provisioner for a volume, or makes one if that is this controller.
fn provision(seen: &Seen<'_>, class: Option<&StorageClass>) -> Vec<Step> {
    let claim = seen.claim;
    let failed = |message: String| {
        vec![tell_claim(
            claim,
            Event::warning("ProvisioningFailed", message),
        )]
    };
    let Some(class) = class else {
        return failed(format!(
            "storageclass.storage.k8s.io {:?} not found",
            claim_class(claim)
        ));
    };
    let provisioner = class.provisioner.as_str();
    if provisioner.starts_with("kubernetes.io/") {
        return failed(format!("no volume plugin matched name: {provisioner}"));
    }
    let mut steps = Vec::new();
    if annotation(&claim.metadata, PROVISIONER) != Some(provisioner) {
        let patch = json!({"metadata": {"annotations": {PROVISIONER: provisioner, PROVISIONER_BETA: provisioner}}});
        let patch = patches::when_unchanged(&claim.metadata, patch);
        steps.push(Step::Claim {
            claim: Arc::clone(claim),
            patch,
        });
    }
    if provisioner == local_path::PROVISIONER_NAME {
        steps.extend(local_path::provision(claim, class, seen.node));
        return steps;
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
         system administrator. If volume creation is delayed, please verify that the provisioner is running and \
         correctly registered."
    );
    steps.push(tell_claim(
        claim,
        Event::normal("ExternalProvisioning", message),
    ));
    steps
}
