//! The roles and bindings that every cluster begins with, and how a cluster that has some of them is brought up to date.

use std::sync::LazyLock;

use objects::{Map, Value, meta};

use super::{Rule, escalation::uncovered};

/// Made by `cargo xtask facts` from upstream's published policy.
const POLICY: &str = include_str!("../../data/bootstrap-policy.json");

/// With this annotation at `false` an object is left as it is.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// One object of the policy and the resource it is of.
#[derive(Debug)]
pub struct Expected {
    /// `clusterroles`, `clusterrolebindings`, `roles` or `rolebindings`.
    pub plural: &'static str,
    pub object: Value,
}

/// What to do about one object of the policy.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Create(Value),
    Update(Value),
    /// A binding cannot change its role: the old one is deleted and this one created.
    Recreate(Value),
}

/// The policy: cluster roles, their bindings, then those of namespaces.
#[must_use]
pub fn policy() -> &'static [Expected] {
    static EXPECTED: LazyLock<Vec<Expected>> = LazyLock::new(|| {
        let objects: Vec<Value> =
            serde_json::from_str(POLICY).expect("the policy is part of the program and tested");
        objects
            .into_iter()
            .map(|object| Expected {
                plural: plural(meta::text(&object, &["kind"])),
                object,
            })
            .collect()
    });
    &EXPECTED
}

fn plural(kind: &str) -> &'static str {
    match kind {
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "Role" => "roles",
        _ => "rolebindings",
    }
}

/// What brings an object up to date with the policy; nothing if it is, or wants to be left alone. Rules, subjects, labels and
/// annotations are only ever added.
#[must_use]
pub fn reconcile(expected: &Value, current: Option<&Value>) -> Option<Step> {
    let Some(current) = current else {
        return Some(Step::Create(expected.clone()));
    };
    if meta::annotation(current, AUTOUPDATE) == Some("false") {
        return None;
    }
    let mut new = current.clone();
    for field in ["annotations", "labels"] {
        merge(&mut new, expected, field);
    }
    if expected.get("roleRef").is_some() {
        if expected.get("roleRef") != current.get("roleRef") {
            return Some(Step::Recreate(expected.clone()));
        }
        let missing = missing(expected, current, &["subjects"]);
        extend(&mut new, "subjects", missing);
    } else {
        let missing = uncovered(&Rule::list_of(current), &Rule::list_of(expected));
        extend(
            &mut new,
            "rules",
            missing.iter().map(Rule::to_value).collect(),
        );
        reconcile_aggregation(&mut new, expected, current);
    }
    (new != *current).then_some(Step::Update(new))
}

/// Adds the policy's keys to the labels or annotations; what stands there already stays.
fn merge(new: &mut Value, expected: &Value, field: &str) {
    let Some(wanted) = meta::map(expected, &["metadata", field]) else {
        return;
    };
    let own = meta::metadata_mut(new)
        .entry(field)
        .or_insert_with(|| Value::Object(Map::new()));
    if !own.is_object() {
        *own = Value::Object(Map::new());
    }
    let own = own.as_object_mut().expect("it was made an object");
    for (key, value) in wanted {
        own.entry(key.as_str()).or_insert_with(|| value.clone());
    }
}

/// The elements of a list that the current object has not.
fn missing(expected: &Value, current: &Value, path: &[&str]) -> Vec<Value> {
    let own = meta::list(current, path);
    let mut missing: Vec<Value> = Vec::new();
    for element in meta::list(expected, path) {
        if !own.contains(element) && !missing.contains(element) {
            missing.push(element.clone());
        }
    }
    missing
}

fn extend(object: &mut Value, field: &str, more: Vec<Value>) {
    if more.is_empty() {
        return;
    }
    match object.get_mut(field).and_then(Value::as_array_mut) {
        Some(own) => own.extend(more),
        None => object[field] = Value::from(more),
    }
}

fn reconcile_aggregation(new: &mut Value, expected: &Value, current: &Value) {
    const RULE: &str = "aggregationRule";
    let is_set = |object: &Value| object.get(RULE).is_some_and(|rule| !rule.is_null());
    if !is_set(expected) {
        if is_set(current)
            && let Some(fields) = new.as_object_mut()
        {
            fields.remove(RULE);
        }
        return;
    }
    let missing = missing(expected, current, &[RULE, "clusterRoleSelectors"]);
    if missing.is_empty() && is_set(current) {
        return;
    }
    let mut rule = new.get(RULE).filter(|rule| rule.is_object()).cloned();
    let rule = rule.get_or_insert_with(|| Value::Object(Map::new()));
    extend(rule, "clusterRoleSelectors", missing);
    new[RULE] = rule.take();
}

#[cfg(test)]
mod tests;
