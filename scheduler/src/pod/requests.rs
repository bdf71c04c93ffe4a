//! What a pod asks for, summed over its containers.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodSpec, PodStatus};

use crate::resources::{Amounts, ResourceId, ResourceNames};

/// CPU that a container counts with in scores if it asks for none, in thousandths.
const CPU_DEFAULT_MILLIS: i64 = 100;
/// Memory that a container counts with in scores if it asks for none.
const MEMORY_DEFAULT_BYTES: i64 = 200 * 1024 * 1024;

/// All requests, and CPU and memory as scores count them.
pub(super) fn of(
    spec: &PodSpec,
    status: Option<&PodStatus>,
    names: &ResourceNames,
) -> (Amounts, [i64; 2]) {
    let mut requests = sum(spec, status, names, false);
    let mut scored = sum(spec, status, names, true);
    if let Some(whole) = spec
        .resources
        .as_ref()
        .and_then(|all| all.requests.as_ref())
    {
        let whole = Amounts::of(Some(whole), names);
        for (id, amount) in whole
            .iter()
            .filter(|(id, _)| of_whole_pods(&names.name(*id)))
        {
            requests.set(id, amount);
            scored.set(id, amount);
        }
    }
    let overhead = Amounts::of(spec.overhead.as_ref(), names);
    requests.add(&overhead);
    scored.add(&overhead);
    (
        requests,
        [scored.get(ResourceId::CPU), scored.get(ResourceId::MEMORY)],
    )
}

/// Resources that can be asked for by a whole pod.
fn of_whole_pods(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn sum(
    spec: &PodSpec,
    status: Option<&PodStatus>,
    names: &ResourceNames,
    with_defaults: bool,
) -> Amounts {
    let of_container = |container: &Container, resizable: bool| {
        let status = status.filter(|_| resizable);
        container_requests(container, status, names, with_defaults)
    };
    let mut total = Amounts::default();
    for container in &spec.containers {
        total.add(&of_container(container, true));
    }
    let mut sidecars = Amounts::default();
    let mut peak = Amounts::default();
    for container in spec.init_containers.iter().flatten() {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        let mut own = of_container(container, sidecar);
        if sidecar {
            total.add(&own);
            sidecars.add(&own);
            own = sidecars.clone();
        } else {
            own.add(&sidecars);
        }
        peak.raise(&own);
    }
    total.raise(&peak);
    total
}

/// What one container asks for. While it is resized in place, the larger of what it has and what it is to have counts.
fn container_requests(
    container: &Container,
    status: Option<&PodStatus>,
    names: &ResourceNames,
    with_defaults: bool,
) -> Amounts {
    let list = container
        .resources
        .as_ref()
        .and_then(|all| all.requests.as_ref());
    let mut amounts = Amounts::of(list, names);
    if with_defaults {
        let asks = |name: &str| list.is_some_and(|list| list.contains_key(name));
        if !asks("cpu") {
            amounts.set(ResourceId::CPU, CPU_DEFAULT_MILLIS);
        }
        if !asks("memory") {
            amounts.set(ResourceId::MEMORY, MEMORY_DEFAULT_BYTES);
        }
    }
    let known = status.and_then(|status| status_of(status, &container.name));
    if let Some(known) = known.filter(|known| known.resources.is_some()) {
        let actual = known
            .resources
            .as_ref()
            .and_then(|all| all.requests.as_ref());
        if status.is_some_and(resize_infeasible) {
            amounts = Amounts::default();
        }
        amounts.raise(&Amounts::of(actual, names));
        amounts.raise(&Amounts::of(known.allocated_resources.as_ref(), names));
    }
    amounts
}

fn status_of<'a>(status: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
        .find(|one| one.name == name)
}

/// Whether the node has said that it can never do what the resize asks for.
fn resize_infeasible(status: &PodStatus) -> bool {
    status
        .conditions
        .iter()
        .flatten()
        .any(|one| one.type_ == "PodResizePending" && one.reason.as_deref() == Some("Infeasible"))
}
