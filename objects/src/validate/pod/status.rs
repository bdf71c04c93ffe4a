//! The status of a pod: what the node writes, and what it cannot take back.

use super::{Faults, Spot, checks};
use crate::{
    Value,
    invalid::Invalid,
    validate::{metadata, names},
};

/// Conditions that the system itself sets.
const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

pub(super) fn update(new: &Value, old: &Value, faults: &mut Faults) {
    let (after, before) = (Spot::root(new).get("status"), Spot::root(old).get("status"));
    for condition in after.get("conditions").each() {
        observed(&condition, faults);
        let kind = condition.get("type").text();
        if !SYSTEM_CONDITIONS.contains(&kind) {
            names::check(
                faults,
                &condition.path.child("Type"),
                kind,
                names::qualified,
            );
        }
    }
    let (nominated, previous) = (
        after.get("nominatedNodeName"),
        before.get("nominatedNodeName"),
    );
    if nominated.text() != previous.text() && !nominated.text().is_empty() {
        nominated.named(faults, names::subdomain);
        if !Spot::root(old)
            .get("spec")
            .get("nodeName")
            .text()
            .is_empty()
        {
            nominated.forbidden(
                faults,
                "may not be set on pods that are already bound to a node",
            );
        }
    }
    observed(&after, faults);
    let quality = after.get("qosClass");
    metadata::immutable(
        after.value.get("qosClass"),
        before.value.get("qosClass"),
        &quality.path,
        faults,
    );
    let spec = Spot::root(old).get("spec");
    for (field, containers) in [
        ("containerStatuses", "containers"),
        ("initContainerStatuses", "initContainers"),
        ("ephemeralContainerStatuses", ""),
    ] {
        transitions(
            &after.get(field),
            &before.get(field),
            |name, code| !containers.is_empty() && may_restart(&spec, containers, name, code),
            faults,
        );
    }
    addresses(new, Some(old), faults);
}

fn observed(spot: &Spot<'_>, faults: &mut Faults) {
    let generation = spot.get("observedGeneration");
    if generation.number().is_some_and(|generation| generation < 0) {
        generation.invalid(faults, "must be a non-negative integer");
    }
}

/// A container that has ended stays so, unless it may be started again.
fn transitions(
    after: &Spot<'_>,
    before: &Spot<'_>,
    may_restart: impl Fn(&str, i64) -> bool,
    faults: &mut Faults,
) {
    for (index, status) in before.each().enumerate() {
        let Some(end) = ended(&status) else { continue };
        let name = status.get("name").text();
        let next = after
            .each()
            .find(|status| status.get("name").text() == name);
        let revived = next.is_some_and(|status| ended(&status).is_none());
        if revived && !may_restart(name, end.get("exitCode").number().unwrap_or(0)) {
            let words = "may not be transitioned to non-terminated state";
            faults.push(Invalid::forbidden(
                &after.path.index(index).child("state"),
                words,
            ));
        }
    }
}

/// How a container ended, if it did.
fn ended<'a>(status: &Spot<'a>) -> Option<Spot<'a>> {
    status.get("state").find("terminated")
}

fn may_restart(spec: &Spot<'_>, list: &str, name: &str, code: i64) -> bool {
    let Some(container) = spec
        .get(list)
        .each()
        .find(|container| container.get("name").text() == name)
    else {
        return false;
    };
    for rule in container.get("restartPolicyRules").each() {
        let codes = rule.get("exitCodes");
        let listed = codes
            .get("values")
            .list()
            .iter()
            .any(|value| value.as_i64() == Some(code));
        if listed == (codes.get("operator").text() == "In") {
            return rule.get("action").text() == "Restart";
        }
    }
    let own = container.get("restartPolicy").text();
    match if own.is_empty() {
        spec.get("restartPolicy").text()
    } else {
        own
    } {
        "Always" => true,
        "OnFailure" => code != 0,
        _ => false,
    }
}

/// Addresses of the pod and of its host: those that are new are well, at most one of each family.
pub(super) fn addresses(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let status = Spot::root(new).get("status");
    for field in ["podIPs", "hostIPs"] {
        let all = status.get(field);
        if let Some(first) = all.each().next().filter(|_| field == "hostIPs") {
            let address = first.get("ip");
            if address.text() != status.get("hostIP").text() {
                address.invalid_text(faults, "must be equal to `hostIP`");
            }
        }
        let known: Vec<&str> = old
            .map(|old| Spot::root(old).get("status").get(field))
            .iter()
            .flat_map(|known| {
                known
                    .each()
                    .map(|address| address.get("ip").text())
                    .collect::<Vec<_>>()
            })
            .collect();
        for address in all.each() {
            let text = address.get("ip");
            if !known.contains(&text.text()) {
                let spot = Spot {
                    value: text.value,
                    path: address.path,
                };
                checks::address(&spot, faults);
            }
        }
        let families: Vec<bool> = all
            .each()
            .map(|address| address.get("ip").text().contains(':'))
            .collect();
        let dual = families.contains(&true) && families.contains(&false);
        if families.len() > 2 || families.len() == 2 && !dual {
            let shown: Vec<Value> = all
                .each()
                .map(|address| serde_json::json!({"IP": address.get("ip").text()}))
                .collect();
            let words = "may specify no more than one IP for each IP family";
            faults.push(Invalid::value(&all.path, shown, words));
        }
    }
}
