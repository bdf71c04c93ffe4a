//! Where a pod may run: affinity, tolerations, spread and gates.

use super::{Faults, Spot};
use crate::{
    invalid::Invalid,
    validate::{names, selectors},
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const WEIGHTS: std::ops::RangeInclusive<i64> = 1..=100;

pub(super) fn affinity(affinity: &Spot<'_>, faults: &mut Faults) {
    let nodes = affinity.get("nodeAffinity");
    if let Some(required) = nodes.find(REQUIRED) {
        let terms = required.get("nodeSelectorTerms");
        if terms.list().is_empty() {
            terms.required(faults, "must have at least one node selector term");
        }
        for term in terms.each() {
            node_term(&term, true, faults);
        }
    }
    for preferred in nodes.get(PREFERRED).each() {
        weight(&preferred, faults);
        node_term(&preferred.get("preference"), false, faults);
    }
    for field in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.get(field);
        for term in pods.get(REQUIRED).each() {
            pod_term(&term, faults);
        }
        for preferred in pods.get(PREFERRED).each() {
            weight(&preferred, faults);
            pod_term(&preferred.get("podAffinityTerm"), faults);
        }
    }
}

fn weight(preferred: &Spot<'_>, faults: &mut Faults) {
    let weight = preferred.get("weight");
    let number = weight.number().unwrap_or(0);
    if !WEIGHTS.contains(&number) {
        faults.push(Invalid::value(
            &weight.path,
            number,
            "must be in the range 1-100",
        ));
    }
}

fn node_term(term: &Spot<'_>, strict: bool, faults: &mut Faults) {
    for requirement in term.get("matchExpressions").each() {
        let values = requirement.get("values");
        let operator = requirement.get("operator");
        match operator.text() {
            "In" | "NotIn" if values.list().is_empty() => {
                values.required(
                    faults,
                    "must be specified when `operator` is 'In' or 'NotIn'",
                );
            }
            "Exists" | "DoesNotExist" if !values.list().is_empty() => {
                values.forbidden(
                    faults,
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "Gt" | "Lt" if values.list().len() != 1 => {
                values.required(
                    faults,
                    "must be specified single value when `operator` is 'Lt' or 'Gt'",
                );
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            _ => operator.invalid_text(faults, "not a valid selector operator"),
        }
        requirement.get("key").named(faults, names::qualified);
        for value in values.each().filter(|_| strict) {
            value.named(faults, names::label_value);
        }
    }
    for requirement in term.get("matchFields").each() {
        let (key, operator, values) = (
            requirement.get("key"),
            requirement.get("operator"),
            requirement.get("values"),
        );
        match operator.text() {
            "In" | "NotIn" if values.list().len() != 1 => {
                values.required(faults, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
            }
            "In" | "NotIn" => {}
            _ => operator.invalid_text(faults, "not a valid selector operator"),
        }
        if key.text() == "metadata.name" {
            for value in values.each() {
                value.named(faults, names::subdomain);
            }
        } else {
            key.invalid_text(faults, "not a valid field selector key");
        }
    }
}

fn pod_term(term: &Spot<'_>, faults: &mut Faults) {
    for field in ["labelSelector", "namespaceSelector"] {
        selectors::check(&term.get(field), faults);
    }
    let path = term.path.child("namespace");
    for namespace in term.get("namespaces").each() {
        names::check(faults, &path, namespace.text(), names::label);
    }
    label_keys(term, faults);
    let key = term.get("topologyKey");
    if key.text().is_empty() {
        key.required(faults, "can not be empty");
    }
    key.named(faults, names::qualified);
}

/// Keys of the pod's own labels that are written into the selector, which must not name them itself.
fn label_keys(term: &Spot<'_>, faults: &mut Faults) {
    let (matched, mismatched) = (term.get("matchLabelKeys"), term.get("mismatchLabelKeys"));
    let selector = term.get("labelSelector");
    for keys in [&matched, &mismatched] {
        if keys.list().is_empty() {
            continue;
        }
        if !selector.is_present() {
            keys.forbidden(
                faults,
                "must not be specified when labelSelector is not set",
            );
            continue;
        }
        for key in keys.each() {
            key.named(faults, names::qualified);
        }
    }
    let labels = selector.get("matchLabels");
    let mut seen: Vec<&str> = labels
        .map()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    for expression in selector.get("matchExpressions").each() {
        let key = expression.get("key").text();
        let index = matched.list().iter().position(|matched| matched == key);
        if let Some(index) = index.filter(|_| seen.contains(&key)) {
            let words = "exists in both matchLabelKeys and labelSelector";
            faults.push(Invalid::value(&term.path.index(index), key, words));
        }
        seen.push(key);
    }
    for key in matched.each() {
        if mismatched.list().contains(key.value) {
            key.invalid(
                faults,
                "exists in both matchLabelKeys and mismatchLabelKeys",
            );
        }
    }
}

pub(super) fn tolerations(tolerations: &Spot<'_>, faults: &mut Faults) {
    for toleration in tolerations.each() {
        let (key, operator) = (toleration.get("key"), toleration.get("operator"));
        let (value, effect) = (toleration.get("value").text(), toleration.get("effect"));
        if !key.text().is_empty() {
            key.named(faults, names::qualified);
        } else if operator.text() != "Exists" {
            let words = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            operator.invalid_text(faults, words);
        }
        if toleration.find("tolerationSeconds").is_some() && effect.text() != "NoExecute" {
            effect.invalid_text(
                faults,
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            );
        }
        match operator.text() {
            "Equal" | "" => {
                let sentences = names::label_value(value);
                if !sentences.is_empty() {
                    faults.push(Invalid::value(&operator.path, value, sentences.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                let words = "value must be empty when `operator` is 'Exists'";
                faults.push(Invalid::value(&operator.path, value, words));
            }
            "Exists" => {}
            "Lt" | "Gt" => operator.not_supported(faults, &["Equal", "Exists", "Lt", "Gt"]),
            _ => operator.not_supported(faults, &["Equal", "Exists"]),
        }
        if !effect.text().is_empty() {
            effect.one_of(faults, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

pub(super) fn spread(constraints: &Spot<'_>, faults: &mut Faults) {
    let mut rest = constraints.list();
    for constraint in constraints.each() {
        rest = &rest[1..];
        let skew = constraint.get("maxSkew");
        positive(&skew, faults);
        let key = constraint.get("topologyKey");
        if key.text().is_empty() {
            key.required(faults, "can not be empty");
        }
        let action = constraint.get("whenUnsatisfiable");
        action.one_of(faults, &["DoNotSchedule", "ScheduleAnyway"]);
        let repeated = rest.iter().any(|other| {
            ["topologyKey", "whenUnsatisfiable"]
                .iter()
                .all(|field| other.get(*field) == constraint.value.get(*field))
        });
        if repeated {
            let path = constraint.path.child("{topologyKey, whenUnsatisfiable}");
            faults.push(Invalid::duplicate(
                &path,
                format!("{{{}, {}}}", key.text(), action.text()),
            ));
        }
        if let Some(domains) = constraint.find("minDomains") {
            positive(&domains, faults);
            if action.text() != "DoNotSchedule" {
                let words = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                    action.text()
                );
                domains.invalid(faults, words);
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = constraint.find(field) {
                policy.one_of(faults, &["Honor", "Ignore"]);
            }
        }
        label_keys(&constraint, faults);
        selectors::check(&constraint.get("labelSelector"), faults);
    }
}

fn positive(spot: &Spot<'_>, faults: &mut Faults) {
    let number = spot.number().unwrap_or(0);
    if number <= 0 {
        faults.push(Invalid::value(
            &spot.path,
            number,
            "must be greater than zero",
        ));
    }
}

pub(super) fn gates(gates: &Spot<'_>, faults: &mut Faults) {
    let mut seen = Vec::new();
    for gate in gates.each() {
        let name = gate.get("name").text();
        names::check(faults, &gate.path, name, names::qualified);
        if seen.contains(&name) {
            faults.push(Invalid::duplicate(&gate.path, name));
        }
        seen.push(name);
    }
}
