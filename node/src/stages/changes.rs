//! What was changed of a pod that runs, and is not in its status yet.

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::behaviour::is_sidecar;

/// Whether the status has to be written again, though the containers go on as they did.
pub(super) fn is_behind(pod: &Pod) -> bool {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else {
        return false;
    };
    let generation = pod.metadata.generation.unwrap_or(0);
    generation != status.observed_generation.unwrap_or(0)
        || has_other_containers(spec, status)
        || has_other_resources(spec, status)
}

/// Whether ephemeral containers came that the status does not tell of.
fn has_other_containers(spec: &PodSpec, status: &PodStatus) -> bool {
    let told = || status.ephemeral_container_statuses.iter().flatten();
    let mut containers = spec.ephemeral_containers.iter().flatten();
    containers.any(|container| told().all(|told| told.name != container.name))
}

/// Whether containers that run are to have other resources than the status tells.
fn has_other_resources(spec: &PodSpec, status: &PodStatus) -> bool {
    let told = || {
        let first = &status.init_container_statuses;
        status.container_statuses.iter().chain(first).flatten()
    };
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| is_sidecar(container));
    let mut containers = spec.containers.iter().chain(sidecars);
    containers.any(|container| {
        let wanted = amounts(container.resources.as_ref());
        told().any(|told| told.name == container.name && amounts(told.resources.as_ref()) != wanted)
    })
}

/// What resources say; those that are not there say as much as empty ones.
fn amounts(resources: Option<&ResourceRequirements>) -> Vec<(&'static str, &str, &Quantity)> {
    let limits = resources.into_iter().flat_map(|all| &all.limits).flatten();
    let requests = resources
        .into_iter()
        .flat_map(|all| &all.requests)
        .flatten();
    let limits = limits.map(|(name, amount)| ("limits", name.as_str(), amount));
    let requests = requests.map(|(name, amount)| ("requests", name.as_str(), amount));
    limits.chain(requests).collect()
}

/// Whether containers are to run other images than they do.
pub(super) fn has_other_images(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .zip(statuses.into_iter().flatten())
        .any(|(container, status)| {
            container.name == status.name
                && container
                    .image
                    .as_deref()
                    .is_some_and(|image| image != status.image)
        })
}
