//! What containers and pods ask for, and what they may use at most.

use super::{Faults, Spot, spec::Around};
use crate::{
    Value,
    amounts::{self, is_huge_pages},
    invalid::Invalid,
    path::Path,
    validate::{amount, names},
};

const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];
/// Whether a resource is one of Kubernetes' own.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified(&format!("requests.{name}")).is_empty()
}

/// The name of a resource that any place may use.
fn resource_name(name: &str, path: &Path, faults: &mut Faults) -> bool {
    let before = faults.len();
    names::check(faults, path, name, names::qualified);
    let standard =
        STANDARD.contains(&name) || is_huge_pages(name) || name.starts_with("requests.hugepages-");
    if faults.len() == before && !name.contains('/') && !standard {
        let words = "must be a standard resource type or fully qualified";
        faults.push(Invalid::value(path, name, words));
    }
    faults.len() == before
}

fn container_resource(name: &str, path: &Path, faults: &mut Faults) {
    resource_name(name, path, faults);
    let words = if !name.contains('/') {
        if OF_CONTAINERS.contains(&name) || is_huge_pages(name) {
            return;
        }
        "must be a standard resource for containers"
    } else if !is_native(name) && !is_extended(name) {
        "doesn't follow extended resource name standard"
    } else {
        return;
    };
    faults.push(Invalid::value(path, name, words));
}

fn pod_resource(name: &str, path: &Path, faults: &mut Faults) {
    if resource_name(name, path, faults) && !amounts::is_of_pods(name) {
        faults.push(Invalid::not_supported(
            path,
            name,
            &["cpu", "hugepages-", "memory"],
        ));
    }
}

/// An amount of a resource.
pub(super) fn quantity(name: &str, spot: &Spot<'_>, faults: &mut Faults) {
    let Some(number) = amount::read(spot.value) else {
        return;
    };
    if number.sign() < 0 {
        spot.invalid(faults, "must be greater than or equal to 0");
    }
    let counted = matches!(
        name,
        "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "services.nodeports"
            | "services.loadbalancers"
    );
    if (counted || is_extended(name)) && !amount::is_whole(&number) {
        spot.invalid(faults, "must be an integer");
    }
}

type NameCheck = fn(&str, &Path, &mut Faults);

pub(super) fn of_container(resources: &Spot<'_>, claims: &[&str], faults: &mut Faults) {
    check(resources, container_resource, claims, faults);
}

/// What runs a pod needs beside its containers.
pub(super) fn overhead(overhead: &Spot<'_>, faults: &mut Faults) {
    let wrapped = serde_json::json!({"limits": overhead.value});
    let spot = Spot {
        value: &wrapped,
        path: overhead.path.clone(),
    };
    check(&spot, container_resource, &[], faults);
}

/// Resources of the pod as a whole.
pub(super) fn of_pod(spec: &Spot<'_>, faults: &mut Faults) {
    let Some(resources) = spec.find("resources") else {
        return;
    };
    if spec.get("os").get("name").text() == "windows" {
        resources.forbidden(faults, "may not be set for a windows pod");
        return;
    }
    if let Some(claims) = resources.find("claims") {
        claims.forbidden(faults, "claims may not be set for Resources at pod-level");
    }
    check(&resources, pod_resource, &[], faults);
    at_least_containers(spec, &resources, faults);
    for (index, container) in spec.get("containers").each().enumerate() {
        for (name, own) in container.get("resources").get("limits").entries() {
            let limit = resources.value["limits"].get(name).unwrap_or(&Value::Null);
            if !limit.is_null() && amount::read(own.value) > amount::read(limit) {
                let words = format!(
                    "must be less than or equal to pod limits of {}",
                    shown(limit)
                );
                // Upstream's path: the container is told of below the pod's resources.
                let containers = resources.path.child("containers").index(index);
                let path = containers.key(name).child("limits");
                faults.push(Invalid::value(&path, shown(own.value), words));
            }
        }
    }
}

/// Containers together ask for no more than their pod, and have no more huge pages.
fn at_least_containers(spec: &Spot<'_>, resources: &Spot<'_>, faults: &mut Faults) {
    for part in ["requests", "limits"] {
        let own = resources.get(part);
        for (name, total) in amounts::containers_total(spec.value, part) {
            let whole = Spot {
                value: own.value.get(&name).unwrap_or(&Value::Null),
                path: own.path.key(&name),
            };
            let counts = part == "requests" || is_huge_pages(&name);
            if counts && amount::read(whole.value).is_some_and(|most| total > most) {
                let words = format!(
                    "must be greater than or equal to aggregate container {part} of {total}"
                );
                faults.push(Invalid::value(&whole.path, shown(whole.value), words));
            }
        }
    }
}

/// A quantity as text.
fn shown(quantity: &Value) -> String {
    quantity
        .as_str()
        .map_or_else(|| quantity.to_string(), str::to_owned)
}

fn check(resources: &Spot<'_>, name_check: NameCheck, claims: &[&str], faults: &mut Faults) {
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    let (mut pages, mut computed) = (false, false);
    let mut one = |name: &str, spot: &Spot<'_>, faults: &mut Faults| {
        name_check(name, &spot.path, faults);
        quantity(name, spot, faults);
        pages |= is_huge_pages(name);
        computed |= name == "cpu" || name == "memory";
    };
    for (name, limit) in limits.entries() {
        one(name, &limit, faults);
    }
    for (name, request) in requests.entries() {
        one(name, &request, faults);
        let overcommitted = is_native(name) && !is_huge_pages(name);
        let Some(limit) = limits.value.get(name) else {
            if !overcommitted {
                limits.required(faults, "Limit must be set for non overcommitable resources");
            }
            continue;
        };
        let (asked, most) = (amount::read(request.value), amount::read(limit));
        let relation = if asked != most && !overcommitted {
            "equal to"
        } else if asked > most {
            "less than or equal to"
        } else {
            continue;
        };
        let words = format!("must be {relation} {name} limit of {}", shown(limit));
        faults.push(Invalid::value(&requests.path, shown(request.value), words));
    }
    if pages && !computed {
        resources.forbidden(faults, "HugePages require cpu or memory");
    }
    claim_names(&resources.get("claims"), claims, faults);
}

fn claim_names(used: &Spot<'_>, claims: &[&str], faults: &mut Faults) {
    let mut seen = Vec::new();
    for claim in used.each() {
        let name = claim.get("name");
        let key = (name.text(), claim.get("request").text());
        if name.text().is_empty() {
            claim.required(faults, "");
            continue;
        }
        if seen.contains(&key) {
            faults.push(Invalid::duplicate(&claim.path, name.text()));
        } else if !claims.contains(&name.text()) {
            let mut fault = Invalid::not_found(&claim.path, name.text());
            fault.detail = "must be one of the names in pod.spec.resourceClaims".to_owned();
            if claims.is_empty() {
                fault.detail.push_str(" which is empty");
            }
            faults.push(fault);
        }
        seen.push(key);
    }
}

/// How a container takes new resources.
pub(super) fn resize_policy(policies: &Spot<'_>, around: &Around<'_>, faults: &mut Faults) {
    let never = around.spec.get("restartPolicy").text() == "Never";
    let mut seen = Vec::new();
    for policy in policies.each() {
        let (name, restart) = (
            policy.get("resourceName").text(),
            policy.get("restartPolicy").text(),
        );
        if seen.contains(&name) {
            faults.push(Invalid::duplicate(&policy.path, name));
        }
        seen.push(name);
        for (text, choices) in [
            (name, ["cpu", "memory"]),
            (restart, ["NotRequired", "RestartContainer"]),
        ] {
            if text.is_empty() {
                policies.required(faults, "");
            } else if !choices.contains(&text) {
                faults.push(Invalid::not_supported(&policies.path, text, &choices));
            }
        }
        if never && restart != "NotRequired" {
            let words = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            faults.push(Invalid::value(&policies.path, restart, words));
        }
    }
}

/// Claims of devices that containers share.
pub(super) fn claims(claims: &Spot<'_>, faults: &mut Faults) {
    let mut seen = Vec::new();
    for claim in claims.each() {
        let name = claim.get("name");
        if name.filled(faults) {
            if seen.contains(&name.text()) {
                name.duplicate(faults);
            } else {
                name.named(faults, names::label);
            }
            seen.push(name.text());
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"];
        let found = super::checks::found(&claim, &sources);
        if found.len() == 2 {
            let words = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
            faults.push(Invalid::value(&claim.path, shown_claim(&claim), words));
        }
        if found.is_empty() {
            let words = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            faults.push(Invalid::value(&claim.path, shown_claim(&claim), words));
        }
        for reference in found {
            reference.named(faults, names::subdomain);
        }
    }
}

/// A claim in Go's names.
fn shown_claim(claim: &Spot<'_>) -> Value {
    serde_json::json!({
        "Name": claim.get("name").text(),
        "ResourceClaimName": claim.get("resourceClaimName").value,
        "ResourceClaimTemplateName": claim.get("resourceClaimTemplateName").value,
    })
}
