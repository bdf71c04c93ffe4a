//! What pods ask for of a resource, which their use is measured by.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use objects::quantity::Quantity;

/// Thousandths that each pod asks for, by its name: of one container, if one is named.
pub(super) fn of_pods(
    pods: &[&Pod],
    resource: &str,
    container: Option<&str>,
) -> Result<BTreeMap<String, i64>, String> {
    let each = pods.iter().map(|pod| {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let request = of_pod(pod, &name, resource, container)?;
        Ok((name, request))
    });
    each.collect()
}

/// An amount in thousandths; what is no amount is none.
pub(super) fn milli(amount: &Text) -> i64 {
    Quantity::parse(&amount.0).map_or(0, |amount| amount.milli_value())
}

fn of_pod(pod: &Pod, name: &str, resource: &str, container: Option<&str>) -> Result<i64, String> {
    let spec = pod.spec.as_ref();
    let whole = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    if let Some(whole) = whole.filter(|whole| container.is_none() && !whole.is_empty()) {
        let overhead = spec
            .and_then(|spec| spec.overhead.as_ref()?.get(resource))
            .map_or(0, milli);
        return match whole.get(resource) {
            Some(amount) => Ok(milli(amount).saturating_add(overhead)),
            None => Err(format!(
                "missing pod-level request for {resource} in Pod {name}"
            )),
        };
    }
    let containers = spec.iter().flat_map(|spec| &spec.containers);
    let first = spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars = first.filter(|one| one.restart_policy.as_deref() == Some("Always"));
    let mut sum: i64 = 0;
    let mut is_found = container.is_none();
    for one in containers.chain(sidecars) {
        if container.is_some_and(|container| container != one.name) {
            continue;
        }
        is_found = true;
        let requests = one
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref());
        let Some(amount) = requests.and_then(|requests| requests.get(resource)) else {
            let container = &one.name;
            return Err(format!(
                "missing request for {resource} in container {container} of Pod {name}"
            ));
        };
        sum = sum.saturating_add(milli(amount));
    }
    match container {
        Some(container) if !is_found => {
            Err(format!("container {container} not found in Pod {name}"))
        }
        _ => Ok(sum),
    }
}
