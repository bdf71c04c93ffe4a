//! What objects take out of the quotas of their namespace, and which quotas count them.

mod constraints;
mod scopes;

use crate::amounts::{self, Amounts, add, pod_total};
use crate::codec::time;
use crate::quantity::{Format, Quantity};
use crate::{Value, meta, status};

pub use constraints::unsaid;
pub use scopes::in_scope;

/// Resources that quotas also count by their plain name.
const PLAIN: [&str; 7] = [
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
];
/// What pods ask for under names that quotas know without a prefix.
const COMPUTED: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";
const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";

/// Whether quotas never count a resource: what is not stored, and events.
#[must_use]
pub fn is_ignored(group: &str, plural: &str) -> bool {
    matches!(
        (group, plural),
        ("", "bindings" | "componentstatuses" | "events")
            | ("events.k8s.io", "events")
            | ("authentication.k8s.io" | "authorization.k8s.io", _)
    )
}

/// Whether a quota's name is one that objects of this resource are counted under.
#[must_use]
pub fn counts(group: &str, plural: &str, name: &str) -> bool {
    if name.strip_prefix("count/") == Some(status::qualified(group, plural).as_str()) {
        return true;
    }
    if !group.is_empty() {
        return false;
    }
    if PLAIN.contains(&plural) && name == plural {
        return true;
    }
    match plural {
        "pods" => counts_pods(name),
        "services" => matches!(name, "services.nodeports" | "services.loadbalancers"),
        CLAIMS => {
            let of_class = name.split_once(OF_CLASS).map(|(_, counted)| counted);
            name == STORAGE || matches!(of_class, Some(CLAIMS | STORAGE))
        }
        _ => false,
    }
}

fn counts_pods(name: &str) -> bool {
    if COMPUTED.contains(&name) || amounts::is_huge_pages(name) {
        return true;
    }
    if let Some(limited) = name.strip_prefix("limits.") {
        return COMPUTED.contains(&limited);
    }
    let is_foreign = name.contains('/') && !name.contains("kubernetes.io/");
    name.strip_prefix("requests.").is_some_and(|requested| {
        is_foreign || COMPUTED.contains(&requested) || amounts::is_huge_pages(requested)
    })
}

/// What an object takes at a time, by the names that quotas have for it.
#[must_use]
pub fn usage(group: &str, plural: &str, object: &Value, now_seconds: i64) -> Amounts {
    let one = || Quantity::new(1, Format::Decimal);
    let mut usage = Amounts::new();
    let counted = status::qualified(group, plural);
    usage.insert(format!("count/{counted}"), one());
    if !group.is_empty() || (plural == "pods" && is_over(object, now_seconds)) {
        return usage;
    }
    if PLAIN.contains(&plural) {
        usage.insert(plural.to_owned(), one());
    }
    match plural {
        "pods" => add_pod(&mut usage, object),
        "services" => add_service(&mut usage, object),
        CLAIMS => add_claim(&mut usage, object),
        _ => {}
    }
    usage
}

/// Whether a pod has ended, or would have had to.
#[must_use]
pub fn is_over(pod: &Value, now_seconds: i64) -> bool {
    if matches!(
        meta::text(pod, &["status", "phase"]),
        "Failed" | "Succeeded"
    ) {
        return true;
    }
    let grace = meta::at(pod, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
    let deleted = time::parse(meta::text(pod, &["metadata", "deletionTimestamp"])).ok();
    grace
        .zip(deleted)
        .is_some_and(|(grace, deleted)| deleted.seconds.saturating_add(grace) < now_seconds)
}

fn add_pod(usage: &mut Amounts, pod: &Value) {
    let overhead = amounts::at(pod, &["spec", "overhead"]);
    let mut requests = of_pod(pod, "requests");
    add(&mut requests, &overhead);
    let mut limits = of_pod(pod, "limits");
    for (name, amount) in &mut limits {
        if let Some(more) = overhead.get(name).filter(|_| !amount.is_zero()) {
            *amount = amount.add(more);
        }
    }
    for (name, amount) in requests {
        if COMPUTED.contains(&name.as_str()) || amounts::is_huge_pages(&name) {
            usage.insert(name.clone(), amount.clone());
        }
        usage.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in limits {
        usage.insert(format!("limits.{name}"), amount);
    }
}

/// What a pod needs, with the huge pages that it has as a whole.
fn of_pod(pod: &Value, part: &str) -> Amounts {
    let mut total = pod_total(pod, part);
    let mut pages = amounts::at(pod, &["spec", "resources", part]);
    pages.retain(|name, _| amounts::is_huge_pages(name));
    total.append(&mut pages);
    total
}

fn add_service(usage: &mut Amounts, service: &Value) {
    let kind = meta::text(service, &["spec", "type"]);
    let is_balanced = kind == "LoadBalancer";
    let ports = meta::list(service, &["spec", "ports"]);
    let asks_for_all = service["spec"]["allocateLoadBalancerNodePorts"] != false;
    let count = match kind {
        "NodePort" => ports.len(),
        "LoadBalancer" if asks_for_all => ports.len(),
        "LoadBalancer" => {
            let given = |port: &&Value| port["nodePort"].as_i64().unwrap_or_default() != 0;
            ports.iter().filter(given).count()
        }
        _ => 0,
    };
    let amount = |count| Quantity::new(count, Format::Decimal);
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    usage.insert("services.nodeports".to_owned(), amount(count));
    usage.insert(
        "services.loadbalancers".to_owned(),
        amount(i64::from(is_balanced)),
    );
}

fn add_claim(usage: &mut Amounts, claim: &Value) {
    let class = meta::annotation(claim, "volume.beta.kubernetes.io/storage-class")
        .unwrap_or_else(|| meta::text(claim, &["spec", "storageClassName"]));
    let mut insert = |name: &str, amount: &Quantity| {
        usage.insert(name.to_owned(), amount.clone());
        if !class.is_empty() {
            usage.insert(format!("{class}{OF_CLASS}{name}"), amount.clone());
        }
    };
    insert(CLAIMS, &Quantity::new(1, Format::Decimal));
    let mut requests = amounts::at(claim, &["spec", "resources", "requests"]);
    if let Some(asked) = requests.remove("storage") {
        let mut given = amounts::at(claim, &["status", "allocatedResources"]);
        let given = given.remove("storage").filter(|given| *given > asked);
        insert(STORAGE, &given.unwrap_or(asked));
    }
}

#[cfg(test)]
mod tests;
