//! Amounts of several resources, by name, and what a whole pod needs of them.

use std::collections::BTreeMap;

use crate::quantity::Quantity;
use crate::{Value, meta};

/// Amounts by the name of what they are of.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts in a field. What is no quantity is left out.
#[must_use]
pub fn at(object: &Value, path: &[&str]) -> Amounts {
    let fields = meta::map(object, path).into_iter().flatten();
    fields
        .filter_map(|(name, value)| Some((name.clone(), Quantity::from_value(value).ok()?)))
        .collect()
}

/// Adds amounts to a total.
pub fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = total
            .get(name)
            .map_or_else(|| amount.clone(), |before| before.add(amount));
        total.insert(name.clone(), sum);
    }
}

/// Makes a total at least as large as these amounts.
pub fn raise(total: &mut Amounts, least: &Amounts) {
    for (name, amount) in least {
        if total.get(name).is_none_or(|before| before < amount) {
            total.insert(name.clone(), amount.clone());
        }
    }
}

/// Whether a resource can be asked for by a pod as a whole.
#[must_use]
pub fn is_of_pods(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_pages(name)
}

/// Whether a resource is memory in pages of one size, of which a node gives no more than it has.
#[must_use]
pub fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// What a whole pod needs in `requests` or `limits`: what its containers need, and instead of that its own words for CPU and memory.
/// Its own words for huge pages are left out, as limit ranges do not look at them; quotas do.
#[must_use]
pub fn pod_total(pod: &Value, part: &str) -> Amounts {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let mut total = containers_total(spec, part);
    for (name, amount) in at(pod, &["spec", "resources", part]) {
        if matches!(name.as_str(), "cpu" | "memory") {
            total.insert(name, amount);
        }
    }
    total
}

/// What the containers of a pod's spec need: all of them together, or an init container and the sidecars before it if that is more.
#[must_use]
pub fn containers_total(spec: &Value, part: &str) -> Amounts {
    let of = |container: &Value| at(container, &["resources", part]);
    let mut total = Amounts::new();
    for container in meta::list(spec, &["containers"]) {
        add(&mut total, &of(container));
    }
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for container in meta::list(spec, &["initContainers"]) {
        let own = of(container);
        if container["restartPolicy"] == "Always" {
            add(&mut total, &own);
            add(&mut sidecars, &own);
            raise(&mut starting, &sidecars);
        } else {
            let mut sum = own;
            add(&mut sum, &sidecars);
            raise(&mut starting, &sum);
        }
    }
    raise(&mut total, &starting);
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_needs_its_sidecars_beside_its_containers() {
        let of = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let pod = json!({"spec": {
            "containers": [{"resources": of("1")}],
            "initContainers": [{"restartPolicy": "Always", "resources": of("1")}, {"resources": of("3")}],
        }});
        assert_eq!(pod_total(&pod, "requests")["cpu"].to_string(), "4");
    }
}
