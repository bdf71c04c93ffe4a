//! The policies of a job about pods that failed, succeeded or are replaced.

use super::{Faults, Invalid, Spot};
use crate::{Map, Value, meta, validate::names};

const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const CONDITIONS_MAX: usize = 20;
const INDEXES_LENGTH_MAX: usize = 64 * 1024;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// A fault whose value is not shown.
pub(super) fn hidden(spot: &Spot<'_>, faults: &mut Faults, words: impl Into<String>) {
    faults.push(Invalid::hidden(&spot.path, words));
}

fn too_many(spot: &Spot<'_>, count_max: usize, faults: &mut Faults) {
    let count = spot.list().len();
    if count > count_max {
        faults.push(Invalid::too_many(&spot.path, count, count_max));
    }
}

/// The choices as Go prints a list of texts.
fn choices(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
    format!("valid values: [{}]", quoted.join(" "))
}

fn choice(spot: &Spot<'_>, values: &[&str], faults: &mut Faults) {
    if spot.text().is_empty() {
        spot.required(faults, choices(values));
    } else {
        spot.one_of(faults, values);
    }
}

pub(super) fn failure(spec: &Spot<'_>, faults: &mut Faults) {
    let Some(policy) = spec.find("podFailurePolicy") else {
        return;
    };
    let rules = policy.get("rules");
    too_many(&rules, RULES_MAX, faults);
    for rule in rules.each() {
        let action = rule.get("action");
        match action.text() {
            "FailIndex" if spec.find("backoffLimitPerIndex").is_none() => {
                action.invalid(faults, "requires the backoffLimitPerIndex to be set");
            }
            _ => choice(&action, &ACTIONS, faults),
        }
        let codes = rule.get("onExitCodes");
        if codes.is_present() {
            exit_codes(&codes, spec, faults);
        }
        let conditions = rule.get("onPodConditions");
        pod_conditions(&conditions, faults);
        match (codes.is_present(), !conditions.list().is_empty()) {
            (true, true) => hidden(
                &rule,
                faults,
                "specifying both OnExitCodes and OnPodConditions is not supported",
            ),
            (false, false) => hidden(
                &rule,
                faults,
                "specifying one of OnExitCodes and OnPodConditions is required",
            ),
            _ => {}
        }
    }
}

fn pod_conditions(conditions: &Spot<'_>, faults: &mut Faults) {
    too_many(conditions, CONDITIONS_MAX, faults);
    for pattern in conditions.each() {
        pattern.get("type").named(faults, names::qualified);
        choice(&pattern.get("status"), &STATUSES, faults);
    }
}

fn exit_codes(codes: &Spot<'_>, spec: &Spot<'_>, faults: &mut Faults) {
    let operator = codes.get("operator");
    choice(&operator, &["In", "NotIn"], faults);
    if let Some(name) = codes.find("containerName") {
        let pod = spec.get("template").get("spec");
        let known = ["containers", "initContainers"].iter().any(|list| {
            pod.get(list)
                .each()
                .any(|container| container.get("name").text() == name.text())
        });
        if !known {
            name.invalid(
                faults,
                "must be one of the container or initContainer names in the pod template",
            );
        }
    }
    let values = codes.get("values");
    if values.list().is_empty() {
        values.invalid(faults, "at least one value is required");
    }
    too_many(&values, EXIT_CODES_MAX, faults);
    let mut seen = Vec::new();
    let mut ordered = true;
    for value in values.each() {
        let Some(code) = value.number() else { continue };
        if operator.text() == "In" && code == 0 {
            value.invalid(faults, "must not be 0 for the In operator");
        }
        if seen.contains(&code) {
            value.duplicate(faults);
        }
        ordered &= seen.last().is_none_or(|last| *last <= code);
        seen.push(code);
    }
    if !ordered {
        values.invalid(faults, "must be ordered");
    }
}

pub(super) fn success(spec: &Spot<'_>, faults: &mut Faults) {
    let Some(policy) = spec.find("successPolicy") else {
        return;
    };
    let rules = policy.get("rules");
    if spec.get("completionMode").text() != "Indexed" {
        policy.invalid(faults, "requires indexed completion mode");
        return;
    }
    if rules.list().is_empty() {
        rules.required(
            faults,
            "at least one rules must be specified when the successPolicy is specified",
        );
    }
    too_many(&rules, RULES_MAX, faults);
    let completions = spec.get("completions").number().unwrap_or(0);
    for rule in rules.each() {
        success_rule(&rule, completions, faults);
    }
}

fn success_rule(rule: &Spot<'_>, completions: i64, faults: &mut Faults) {
    let (count, indexes) = (rule.get("succeededCount"), rule.get("succeededIndexes"));
    if !count.is_present() && !indexes.is_present() {
        rule.required(
            faults,
            "at least one of succeededCount or succeededIndexes must be specified",
        );
    }
    let mut total = 0;
    if indexes.is_present() {
        if indexes.text().len() > INDEXES_LENGTH_MAX {
            faults.push(Invalid::too_long(&indexes.path, INDEXES_LENGTH_MAX));
        }
        match count_indexes(indexes.text(), completions) {
            Ok(number) => total = number,
            Err(words) => {
                indexes.invalid(faults, format!("error parsing succeededIndexes: {words}"))
            }
        }
    }
    count.not_negative(faults);
    let Some(number) = count.number() else { return };
    if number > completions {
        let words = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        count.invalid(faults, words);
    }
    if indexes.is_present() && number > total {
        let words = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        count.invalid(faults, words);
    }
}

/// How many indexes a text as `1,3-5` names.
fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let mut total = 0;
    let mut last: Option<i64> = None;
    for interval in text.split(',').filter(|_| !text.is_empty()) {
        let (low, high) = interval_of(interval, completions)?;
        if let Some(last) = last.filter(|last| *last >= low) {
            return Err(format!(
                "non-increasing order, previous: {last}, current: {low}"
            ));
        }
        total += high - low + 1;
        last = Some(high);
    }
    Ok(total)
}

fn interval_of(interval: &str, completions: i64) -> Result<(i64, i64), String> {
    let parts: Vec<&str> = interval.split('-').collect();
    if parts.len() > 2 {
        return Err(format!(
            "the fragment \"{interval}\" violates the requirement that an index interval can have at most two parts separated by '-'"
        ));
    }
    let index = |text: &str| match text.parse::<i64>() {
        Err(_) => Err(format!(
            "cannot convert string to integer for index: \"{text}\""
        )),
        Ok(index) if index >= completions => Err(format!("too large index: \"{text}\"")),
        Ok(index) => Ok(index),
    };
    let low = index(parts[0])?;
    let Some(high) = parts.get(1) else {
        return Ok((low, low));
    };
    let high = index(high)?;
    if low >= high {
        return Err(format!(
            "non-increasing order, previous: {low}, current: {high}"
        ));
    }
    Ok((low, high))
}

pub(super) fn replacement(spec: &Spot<'_>, faults: &mut Faults) {
    let Some(policy) = spec.find("podReplacementPolicy") else {
        return;
    };
    if spec.find("podFailurePolicy").is_some() {
        policy.one_of(faults, &["Failed"]);
    } else {
        policy.one_of(faults, &["Failed", "TerminatingOrFailed"]);
    }
}

/// Where pods of a job that waits are to run may change: the old template gets it from the new one.
pub(super) fn scheduling(old: &mut Value, new: &Value) {
    let node_affinity = meta::at(new, &["spec", "affinity", "nodeAffinity"]).cloned();
    let spec = meta::spec_mut(old);
    let affinity = meta::fields_mut(spec, "affinity");
    place(affinity, "nodeAffinity", node_affinity);
    let spec = meta::fields_mut(old, "spec");
    if spec["affinity"].as_object().is_some_and(Map::is_empty) {
        spec.remove("affinity");
    }
    for field in ["nodeSelector", "tolerations", "schedulingGates"] {
        place(spec, field, meta::at(new, &["spec", field]).cloned());
    }
    for field in ["annotations", "labels"] {
        place(
            meta::metadata_mut(old),
            field,
            meta::at(new, &["metadata", field]).cloned(),
        );
    }
}

/// What containers ask for may change: the old template gets it from the new one.
pub(super) fn resources(old: &mut Value, new: &Value) {
    let spec = meta::spec_mut(old);
    for list in ["containers", "initContainers"] {
        let after = meta::list(new, &["spec", list]);
        let Some(before) = spec.get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        if before.len() != after.len() {
            continue;
        }
        for (before, after) in before.iter_mut().zip(after) {
            if before.get("name") == after.get("name")
                && let Some(before) = before.as_object_mut()
            {
                place(before, "resources", after.get("resources").cloned());
            }
        }
    }
}

fn place(fields: &mut Map, field: &str, value: Option<Value>) {
    match value {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
}
