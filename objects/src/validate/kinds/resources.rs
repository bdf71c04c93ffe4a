//! Names of resources, and limits and quotas of them.

use std::collections::BTreeSet;

use super::{
    amount,
    view::{IMMUTABLE, View},
};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    path::Path,
    validate::names,
};

mod limits;

pub(super) use limits::limit_range;

/// Resources that a quota counts and that have no domain.
const QUOTA_RESOURCES: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];
const COUNTED_RESOURCES: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];
const COMPUTE_RESOURCES: &[&str] = &[
    "cpu",
    "memory",
    "limits.cpu",
    "limits.memory",
    "requests.cpu",
    "requests.memory",
];
const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "VolumeAttributesClass",
    "CrossNamespacePodAffinity",
];
/// Scopes that no quota can have together.
const OPPOSITES: &[[&str; 2]] = &[
    ["BestEffort", "NotBestEffort"],
    ["Terminating", "NotTerminating"],
];

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_quota_resource(name: &str) -> bool {
    QUOTA_RESOURCES.contains(&name) || is_huge_page(name) || name.starts_with("requests.hugepages-")
}

/// A resource of Kubernetes' own domain, or of none.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified(&format!("requests.{name}")).is_empty()
}

/// Asks for the name of a resource.
pub(crate) fn resource_name(name: &str, path: &Path, faults: &mut Faults) {
    let before = faults.len();
    names::check(faults, path, name, names::qualified);
    let known = is_quota_resource(name) || name == "storage" || name.contains('/');
    if faults.len() == before && !known {
        let detail = "must be a standard resource type or fully qualified";
        faults.push(Invalid::value(path, name, detail));
    }
}

/// Asks for the name of a resource that a container can have.
pub(crate) fn container_resource_name(name: &str, path: &Path, faults: &mut Faults) {
    resource_name(name, path, faults);
    if !name.contains('/') {
        let known = ["cpu", "memory", "ephemeral-storage"].contains(&name) || is_huge_page(name);
        if !known {
            let detail = "must be a standard resource for containers";
            faults.push(Invalid::value(path, name, detail));
        }
    } else if !is_native(name) && !is_extended(name) {
        let detail = "doesn't follow extended resource name standard";
        faults.push(Invalid::value(path, name, detail));
    }
}

/// Asks for a resource that a container can have, in an amount that it can have.
pub(crate) fn container_resource(name: &str, amount: &View<'_>, faults: &mut Faults) {
    container_resource_name(name, &amount.path, faults);
    resource_amount(name, amount, faults);
}

/// Asks for an amount that the resource can have.
pub(crate) fn resource_amount(name: &str, amount: &View<'_>, faults: &mut Faults) {
    amount::non_negative(amount, faults);
    let counted = COUNTED_RESOURCES.contains(&name) || is_extended(name);
    if counted && !amount::is_whole(amount.value) {
        let shown = amount::shown(amount.value);
        faults.push(Invalid::value(&amount.path, shown, "must be an integer"));
    }
}

pub(super) fn quota(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    quota_spec(&root.at("spec"), faults);
    quota_status(new, faults);
}

pub(super) fn quota_update(new: &Value, old: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    quota_spec(&spec, faults);
    let scopes = spec.at("scopes");
    let old = View::root(old).at("spec").at("scopes").texts();
    let set = |texts: Vec<&str>| {
        texts
            .into_iter()
            .map(str::to_owned)
            .collect::<BTreeSet<String>>()
    };
    if set(scopes.texts()) != set(old) {
        faults.push(scopes.invalid(IMMUTABLE));
    }
}

pub(super) fn quota_status(new: &Value, faults: &mut Faults) {
    let status = View::root(new).at("status");
    amounts(&status.at("hard"), faults);
    amounts(&status.at("used"), faults);
}

fn amounts(list: &View<'_>, faults: &mut Faults) {
    for (name, amount) in list.entries() {
        resource_name(name, &amount.path, faults);
        if !name.contains('/') && !is_quota_resource(name) {
            let detail = "must be a standard resource for quota";
            faults.push(Invalid::value(&amount.path, name, detail));
        }
        resource_amount(name, &amount, faults);
    }
}

fn quota_spec(spec: &View<'_>, faults: &mut Faults) {
    amounts(&spec.at("hard"), faults);
    let hard: Vec<&str> = spec.at("hard").entries().map(|(name, _)| name).collect();
    let scopes = spec.at("scopes");
    for scope in scopes.texts() {
        if !SCOPES.contains(&scope) {
            faults.push(scopes.invalid("unsupported scope"));
        }
        for _ in hard.iter().filter(|name| !fits(scope, name)) {
            faults.push(scopes.invalid("unsupported scope applied to resource"));
        }
    }
    opposites(&scopes.texts(), &scopes, &scopes.path, faults);
    let selector = spec.at("scopeSelector");
    if selector.is_set() {
        scope_selector(spec, &hard, faults);
    }
}

/// Whether a scope says something of a resource.
fn fits(scope: &str, resource: &str) -> bool {
    if !is_quota_resource(resource) {
        return true;
    }
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => {
            matches!(resource, "persistentvolumeclaims" | "requests.storage")
        }
        scope if SCOPES.contains(&scope) => {
            resource == "pods" || COMPUTE_RESOURCES.contains(&resource)
        }
        _ => true,
    }
}

fn opposites(found: &[&str], scopes: &View<'_>, path: &Path, faults: &mut Faults) {
    for pair in OPPOSITES {
        if pair.iter().all(|scope| found.contains(scope)) {
            faults.push(Invalid::value(
                path,
                scopes.value.clone(),
                "conflicting scopes",
            ));
        }
    }
}

fn scope_selector(spec: &View<'_>, hard: &[&str], faults: &mut Faults) {
    let selector = spec.at("scopeSelector");
    let expressions = selector.at("matchExpressions");
    // Upstream tells of no index here.
    let path = &expressions.path;
    let mut found = Vec::new();
    for requirement in expressions.items() {
        let scope = requirement.at("scopeName").text();
        let operator = requirement.at("operator").text();
        let values = requirement.at("values").told_as(path.child("values"));
        if !SCOPES.contains(&scope) {
            let name = path.child("scopeName");
            faults.push(Invalid::value(&name, scope, "unsupported scope"));
        }
        for _ in hard.iter().filter(|name| !fits(scope, name)) {
            let detail = "unsupported scope applied to resource";
            faults.push(Invalid::value(path, selector.value.clone(), detail));
        }
        let plain = !matches!(scope, "PriorityClass" | "VolumeAttributesClass");
        if plain && SCOPES.contains(&scope) && operator != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            faults.push(Invalid::value(&path.child("operator"), operator, detail));
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => faults.push(values.required(
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => faults.push(values.invalid(
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => {
                let detail = "not a valid selector operator";
                faults.push(Invalid::value(&path.child("operator"), operator, detail));
            }
        }
        found.push(scope);
    }
    opposites(&found, &spec.at("scopes"), path, faults);
}
