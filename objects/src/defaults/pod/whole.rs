//! Defaults of what a pod asks for as a whole.

use crate::{
    Map, Value,
    amounts::{self, Amounts},
    meta,
};

/// Where a pod says something for all of its containers, it says also what follows from them and from its limits.
pub(super) fn apply(spec: &mut Value) {
    limits_of_pages(spec);
    requests(spec);
}

fn own<'a>(spec: &'a Value, part: &str) -> Option<&'a Map> {
    meta::map(spec, &["resources", part]).filter(|own| !own.is_empty())
}

/// Huge pages that only containers limit are limited for all of them.
fn limits_of_pages(spec: &mut Value) {
    let (limits, requests) = (own(spec, "limits"), own(spec, "requests"));
    if limits.is_none() && requests.is_none() {
        return;
    }
    let mut missing = amounts::containers_total(spec, "limits");
    missing.retain(|name, _| {
        amounts::is_huge_pages(name) && !requests.is_some_and(|own| own.contains_key(name))
    });
    put(spec, "limits", missing);
}

/// CPU and memory that containers ask for are asked for all of them; what is only limited is asked for as far as its limit.
fn requests(spec: &mut Value) {
    let Some(limits) = own(spec, "limits") else {
        return;
    };
    let mut missing = amounts::at(&Value::Object(limits.clone()), &[]);
    missing.retain(|name, _| amounts::is_of_pods(name));
    let mut of_containers = amounts::containers_total(spec, "requests");
    of_containers.retain(|name, _| amounts::is_of_pods(name) && !amounts::is_huge_pages(name));
    missing.extend(of_containers);
    put(spec, "requests", missing);
}

/// Adds amounts of resources that a part says nothing of.
fn put(spec: &mut Value, part: &str, missing: Amounts) {
    if missing.is_empty() {
        return;
    }
    let resources = &mut spec["resources"];
    let known = meta::fields_mut(resources, part);
    for (name, amount) in missing {
        known
            .entry(name)
            .or_insert_with(|| Value::from(amount.to_string()));
    }
}
