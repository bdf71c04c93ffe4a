//! The class of a pod by what its containers ask for: who is stopped first where memory is short.

use std::collections::BTreeMap;

use crate::{Value, meta, quantity::Quantity, validate::amount};

const COUNTED: [&str; 2] = ["cpu", "memory"];

type Sums = BTreeMap<&'static str, Quantity>;

/// `Guaranteed`, `Burstable` or `BestEffort`.
#[must_use]
pub(crate) fn class(pod: &Value) -> &'static str {
    let (mut requests, mut limits) = (Sums::new(), Sums::new());
    let mut all_limited = true;
    let mut count = |resources: &Value| {
        add(&mut requests, resources, "requests");
        let limited = add(&mut limits, resources, "limits");
        all_limited &= limited == COUNTED.len();
    };
    if let Some(resources) = meta::at(pod, &["spec", "resources"]).filter(|value| value.is_object())
    {
        count(resources);
    } else {
        for list in ["containers", "initContainers"] {
            for container in meta::list(pod, &["spec", list]) {
                count(container.get("resources").unwrap_or(&Value::Null));
            }
        }
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if all_limited && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds what a container asks for, and says of how many kinds.
fn add(sums: &mut Sums, resources: &Value, field: &str) -> usize {
    let mut found = 0;
    for name in COUNTED {
        let asked = meta::at(resources, &[field, name]).and_then(amount::read);
        if let Some(asked) = asked.filter(|asked| asked.sign() > 0) {
            let sum = sums.entry(name).or_insert_with(Quantity::zero);
            *sum = sum.add(&asked);
            found += 1;
        }
    }
    found
}
