//! Webhooks and admission policies: which requests they see, and what they are called with.

use std::collections::BTreeSet;

use super::{
    rules,
    view::{View, same},
};
use crate::{
    Value,
    cel::admission::Returns,
    invalid::{Faults, Invalid},
    validate::names,
};

mod expressions;
pub(super) mod policies;
mod url;

use expressions::Compiler;

const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
const REINVOCATIONS: &[&str] = &["IfNeeded", "Never"];
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun", "Some", "Unknown"];
const NO_SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
/// Versions of the review that the server sends.
const REVIEW_VERSIONS: &[&str] = &["v1", "v1beta1"];
const TIMEOUT_SECONDS_MAX: i64 = 30;
const CONDITIONS_MAX: usize = 64;

/// What an older configuration had wrong and a newer one may keep.
#[derive(Clone, Copy, Default)]
struct Allowed {
    side_effects: bool,
    review_versions: bool,
    same_names: bool,
    conditions: bool,
}

pub(super) fn webhooks(new: &Value, faults: &mut Faults) {
    checked(new, Allowed::default(), faults);
}

pub(super) fn webhooks_update(new: &Value, old: &Value, faults: &mut Faults) {
    let (after, before) = (
        View::root(new).at("webhooks"),
        View::root(old).at("webhooks"),
    );
    let mut names = BTreeSet::new();
    let conditions = after.list().len() == before.list().len()
        && after.items().zip(before.items()).all(|(after, before)| {
            same(
                after.at("matchConditions").value,
                before.at("matchConditions").value,
            )
        });
    let allowed = Allowed {
        side_effects: before
            .items()
            .any(|hook| !NO_SIDE_EFFECTS.contains(&hook.at("sideEffects").text())),
        review_versions: before.items().any(|hook| {
            let versions = hook.at("admissionReviewVersions").texts();
            !versions.is_empty()
                && !versions
                    .iter()
                    .any(|version| REVIEW_VERSIONS.contains(version))
        }),
        same_names: before
            .items()
            .any(|hook| !names.insert(hook.at("name").text())),
        conditions,
    };
    checked(new, allowed, faults);
}

fn checked(new: &Value, allowed: Allowed, faults: &mut Faults) {
    let mut names = BTreeSet::new();
    for hook in View::root(new).at("webhooks").items() {
        webhook(&hook, allowed, faults);
        review_versions(&hook.at("admissionReviewVersions"), allowed, faults);
        let name = hook.at("name");
        let first = names.insert(name.text());
        if !first && !name.is_empty() && !allowed.same_names {
            faults.push(name.duplicate());
        }
    }
}

fn webhook(hook: &View<'_>, allowed: Allowed, faults: &mut Faults) {
    full_name(&hook.at("name"), faults);
    for rule in hook.at("rules").items() {
        operations_rule(&rule, faults);
    }
    for (field, choices) in [
        ("failurePolicy", FAILURE_POLICIES),
        ("matchPolicy", MATCH_POLICIES),
    ] {
        if hook.at(field).is_set() {
            hook.at(field).one_of(choices, faults);
        }
    }
    let effects = hook.at("sideEffects");
    let choices = if allowed.side_effects {
        SIDE_EFFECTS
    } else {
        NO_SIDE_EFFECTS
    };
    if effects.is_set() {
        effects.one_of(choices, faults);
    } else {
        faults.push(effects.required(&format!("must specify one of {}", choices.join(", "))));
    }
    let timeout = hook.at("timeoutSeconds");
    if timeout.is_set() && !(1..=TIMEOUT_SECONDS_MAX).contains(&timeout.number()) {
        faults.push(timeout.invalid("the timeout value must be between 1 and 30 seconds"));
    }
    rules::selector(&hook.at("namespaceSelector"), faults);
    rules::selector(&hook.at("objectSelector"), faults);
    if hook.at("reinvocationPolicy").is_set() {
        hook.at("reinvocationPolicy").one_of(REINVOCATIONS, faults);
    }
    let client = hook.at("clientConfig");
    match (client.at("url").is_set(), client.at("service").is_set()) {
        (true, false) => url::check(&client.at("url"), faults),
        (false, true) => service(&client.at("service"), faults),
        _ => faults.push(client.required("exactly one of url or service is required")),
    }
    if !allowed.conditions {
        match_conditions(&hook.at("matchConditions"), false, faults);
    }
}

/// A name of at least three labels.
fn full_name(name: &View<'_>, faults: &mut Faults) {
    if !name.require("", faults) {
        return;
    }
    let wrong = names::subdomain(name.text());
    if !wrong.is_empty() {
        faults.push(name.invalid(wrong.join(",")));
    } else if name.text().split('.').count() < 3 {
        faults.push(
            name.invalid("should be a domain with at least three segments separated by dots"),
        );
    }
}

fn review_versions(versions: &View<'_>, allowed: Allowed, faults: &mut Faults) {
    let known = REVIEW_VERSIONS.join(", ");
    if !versions.require(&format!("must specify one of {known}"), faults) {
        return;
    }
    let mut seen = BTreeSet::new();
    for version in versions.items() {
        if !seen.insert(version.text()) {
            faults.push(version.invalid("duplicate version"));
            continue;
        }
        rules::named(&version, names::letter_label, faults);
    }
    if !allowed.review_versions && !REVIEW_VERSIONS.iter().any(|version| seen.contains(version)) {
        faults.push(versions.invalid(format!("must include at least one of {known}")));
    }
}

/// The service that a webhook is called at.
fn service(service: &View<'_>, faults: &mut Faults) {
    // Upstream tells of the one where the other is missing.
    for (field, told) in [("namespace", "name"), ("name", "namespace")] {
        if service.at(field).is_empty() {
            faults.push(service.at(told).required(""));
        }
    }
    let port = service.at("port");
    let wrong = names::port_number(port.number());
    if !wrong.is_empty() {
        faults.push(port.number_invalid(format!("port is not valid: {}", wrong.join(", "))));
    }
    let path = service.at("path");
    if path.is_set() {
        url::path(&path, faults);
    }
}

/// Groups, versions and resources with the operations on them.
fn operations_rule(rule: &View<'_>, faults: &mut Faults) {
    let operations = rule.at("operations");
    operations.require("", faults);
    alone(&operations, "operations", faults);
    for operation in operations.items() {
        operation.one_of(OPERATIONS, faults);
    }
    let groups = rule.at("apiGroups");
    groups.require("", faults);
    alone(&groups, "API groups", faults);
    let versions = rule.at("apiVersions");
    versions.require("", faults);
    alone(&versions, "API versions", faults);
    for version in versions.items() {
        version.require("", faults);
    }
    resources(&rule.at("resources"), faults);
    if rule.at("scope").is_set() {
        rule.at("scope").one_of(SCOPES, faults);
    }
}

/// Asks that `*` has no company.
pub(super) fn alone(list: &View<'_>, others: &str, faults: &mut Faults) {
    let texts = list.texts();
    if texts.len() > 1 && texts.contains(&"*") {
        faults.push(list.invalid(format!(
            "if '*' is present, must not specify other {others}"
        )));
    }
}

fn resources(list: &View<'_>, faults: &mut Faults) {
    list.require("", faults);
    // Resources whose subresources are all named already, and subresources named for all resources.
    let (mut whole, mut everywhere) = (BTreeSet::new(), BTreeSet::new());
    let mut plain = false;
    for item in list.items() {
        let text = item.text();
        if !item.require("", faults) {
            continue;
        }
        let Some((resource, below)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if whole.contains(resource) {
            faults.push(item.invalid(format!(
                "if '{resource}/*' is present, must not specify {text}"
            )));
        }
        if everywhere.contains(below) {
            faults.push(item.invalid(format!(
                "if '*/{below}' is present, must not specify {text}"
            )));
        }
        if below == "*" {
            whole.insert(resource);
        }
        if resource == "*" {
            everywhere.insert(below);
        }
    }
    let texts = list.texts();
    if texts.len() > 1 && texts.contains(&"*/*") {
        faults.push(list.invalid("if '*/*' is present, must not specify other resources"));
    }
    if texts.contains(&"*") && plain {
        faults.push(
            list.invalid(
                "if '*' is present, must not specify other resources without subresources",
            ),
        );
    }
}

/// The conditions on which a request is looked at; their expressions are compiled elsewhere.
/// Conditions, which may read parameters where a policy has them.
fn match_conditions(conditions: &View<'_>, params: bool, faults: &mut Faults) {
    let compiler = Compiler::of_conditions(params);
    let count = conditions.list().len();
    if count > CONDITIONS_MAX {
        faults.push(Invalid::too_many(&conditions.path, count, CONDITIONS_MAX));
    }
    let mut seen = BTreeSet::new();
    for condition in conditions.items() {
        let (name, expression) = (condition.at("name"), condition.at("expression"));
        if expression.text().trim().is_empty() {
            faults.push(expression.required(""));
        } else {
            compiler.check_trimmed(&expression, Returns::Bool, faults);
        }
        if name.require("", faults) {
            rules::qualified_name(&name, faults);
            if !seen.insert(name.text()) {
                faults.push(name.duplicate());
            }
        }
    }
}
