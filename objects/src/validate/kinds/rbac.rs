//! Roles and their bindings.

use super::{
    rules,
    view::{self, View},
};
use crate::{Value, invalid::Faults, validate::names};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn role(new: &Value, faults: &mut Faults) {
    for rule in View::root(new).at("rules").items() {
        policy_rule(&rule, true, faults);
    }
}

pub(super) fn cluster_role(new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    for rule in root.at("rules").items() {
        policy_rule(&rule, false, faults);
    }
    let aggregation = root.at("aggregationRule");
    if !aggregation.is_set() {
        return;
    }
    let selectors = aggregation.at("clusterRoleSelectors");
    selectors.require(
        "at least one clusterRoleSelector required if aggregationRule is non-nil",
        faults,
    );
    for selector in selectors.items() {
        let before = faults.len();
        rules::selector(&selector, faults);
        if faults.len() > before {
            // What upstream shows is a selector that could not be made.
            faults.push(selector.invalid("invalid label selector.").showing("null"));
        }
    }
}

fn policy_rule(rule: &View<'_>, namespaced: bool, faults: &mut Faults) {
    rule.at("verbs")
        .require("verbs must contain at least one value", faults);
    let urls = rule.at("nonResourceURLs");
    if urls.is_empty() {
        rule.at("apiGroups")
            .require("resource rules must supply at least one api group", faults);
        rule.at("resources")
            .require("resource rules must supply at least one resource", faults);
        return;
    }
    if namespaced {
        faults.push(urls.invalid("namespaced rules cannot apply to non-resource URLs"));
    }
    if ["apiGroups", "resources", "resourceNames"]
        .iter()
        .any(|field| !rule.at(field).is_empty())
    {
        faults.push(
            urls.invalid("rules cannot apply to both regular resources and non-resource URLs"),
        );
    }
}

pub(super) fn role_binding(new: &Value, faults: &mut Faults) {
    binding(new, true, faults);
}

pub(super) fn cluster_role_binding(new: &Value, faults: &mut Faults) {
    binding(new, false, faults);
}

fn binding(new: &Value, namespaced: bool, faults: &mut Faults) {
    let root = View::root(new);
    let role = root.at("roleRef");
    role.at("apiGroup").one_of(&[GROUP], faults);
    let kinds: &[&str] = if namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    role.at("kind").one_of(kinds, faults);
    if role.at("name").require("", faults) {
        rules::named(&role.at("name"), names::path_segment, faults);
    }
    for item in root.at("subjects").items() {
        subject(&item, namespaced, faults);
    }
}

fn subject(subject: &View<'_>, namespaced: bool, faults: &mut Faults) {
    let (name, group) = (subject.at("name"), subject.at("apiGroup"));
    name.require("", faults);
    match subject.at("kind").text() {
        "ServiceAccount" => {
            if !name.is_empty() {
                rules::subdomain(&name, faults);
            }
            if !group.is_empty() {
                faults.push(group.not_supported(&[""]));
            }
            if !namespaced {
                subject.at("namespace").require("", faults);
            }
        }
        "User" | "Group" => group.one_of(&[GROUP], faults),
        _ => faults.push(
            subject
                .at("kind")
                .not_supported(&["ServiceAccount", "User", "Group"]),
        ),
    }
}

/// What no binding may change.
fn role_ref(new: &Value, old: &Value, faults: &mut Faults) {
    let (role, before) = (View::root(new).at("roleRef"), View::root(old).at("roleRef"));
    let parts = |role: &View<'_>| {
        ["apiGroup", "kind", "name"].map(|field| role.at(field).text().to_owned())
    };
    let (after, before) = (parts(&role), parts(&before));
    if after != before {
        let [group, kind, name] = after.map(Value::from);
        let shown = view::shown(&[("APIGroup", group), ("Kind", kind), ("Name", name)]);
        faults.push(role.invalid("cannot change roleRef").showing(shown));
    }
}

pub(super) fn role_binding_update(new: &Value, old: &Value, faults: &mut Faults) {
    binding(new, true, faults);
    role_ref(new, old, faults);
}

pub(super) fn cluster_role_binding_update(new: &Value, old: &Value, faults: &mut Faults) {
    binding(new, false, faults);
    role_ref(new, old, faults);
}
