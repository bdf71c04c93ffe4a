//! Flow schemas and priority levels: how requests share the server.

use super::{admission::alone, rules, view::View};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    validate::names,
};

const PRECEDENCE_MAX: i64 = 10000;
const QUEUES_MAX: i64 = 10_000_000;
/// Hands of queues are dealt from so many bits of a hash.
const HASH_BITS_MAX: u32 = 60;
const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
];

pub(super) fn schema(new: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    let precedence = spec.at("matchingPrecedence");
    if precedence.number() <= 0 {
        faults.push(precedence.number_invalid("must be a positive value"));
    }
    if precedence.number() > PRECEDENCE_MAX {
        faults.push(precedence.invalid(format!("must not be greater than {PRECEDENCE_MAX}")));
    }
    if precedence.number() == 1 && meta::name(new) != "exempt" {
        faults.push(
            precedence.invalid("only the schema named 'exempt' may have matchingPrecedence 1"),
        );
    }
    let method = spec.at("distinguisherMethod");
    let choices = ["ByNamespace", "ByUser"];
    if method.is_set() && !choices.contains(&method.at("type").text()) {
        let shown = super::view::shown(&[("Type", method.at("type").text().into())]);
        faults.push(method.at("type").not_supported(&choices).showing(shown));
    }
    let level = spec.at("priorityLevelConfiguration").at("name");
    if level.require("must reference a priority level", faults) {
        rules::subdomain(&level, faults);
    }
    for rule in spec.at("rules").items() {
        policy_rule(&rule, faults);
    }
    conditions(new, faults);
}

/// Conditions of the status, each of a type of its own.
pub(super) fn conditions(new: &Value, faults: &mut Faults) {
    let mut seen = std::collections::BTreeSet::new();
    for condition in View::root(new).at("status").at("conditions").items() {
        let kind = condition.at("type");
        if !seen.insert(kind.text()) {
            faults.push(kind.duplicate());
        }
        kind.require("", faults);
    }
}

fn policy_rule(rule: &View<'_>, faults: &mut Faults) {
    let subjects = rule.at("subjects");
    subjects.require("subjects must contain at least one value", faults);
    for item in subjects.items() {
        subject(&item, faults);
    }
    let (resources, paths) = (rule.at("resourceRules"), rule.at("nonResourceRules"));
    if resources.is_empty() && paths.is_empty() {
        faults.push(
            rule.required("at least one of resourceRules and nonResourceRules has to be non-empty"),
        );
    }
    for item in resources.items() {
        resource_rule(&item, faults);
    }
    for item in paths.items() {
        path_rule(&item, faults);
    }
}

fn subject(subject: &View<'_>, faults: &mut Faults) {
    const KINDS: [(&str, &str); 3] = [
        ("serviceAccount", "ServiceAccount"),
        ("user", "User"),
        ("group", "Group"),
    ];
    let kind = subject.at("kind");
    let Some((field, name)) = KINDS.iter().find(|row| row.1 == kind.text()) else {
        faults.push(kind.not_supported(&["Group", "ServiceAccount", "User"]));
        return;
    };
    let own = subject.at(field);
    if !own.is_set() {
        let detail = format!("{field} is required when subject kind is '{name}'");
        faults.push(own.required(&detail));
    } else if own.at("name").require("", faults)
        && *name == "ServiceAccount"
        && own.at("name").text() != "*"
    {
        rules::subdomain(&own.at("name"), faults);
    }
    if own.is_set() && *name == "ServiceAccount" {
        let namespace = own.at("namespace");
        if namespace.require("must specify namespace for service account", faults) {
            rules::label(&namespace, faults);
        }
    }
    for (other, name) in KINDS.iter().filter(|row| row.0 != *field) {
        if subject.at(other).is_set() {
            faults.push(subject.at(other).forbidden(format!(
                "{other} is forbidden when subject kind is not '{name}'"
            )));
        }
    }
}

fn verbs(verbs: &View<'_>, faults: &mut Faults) {
    if !verbs.require("verbs must contain at least one value", faults) {
        return;
    }
    let texts = verbs.texts();
    if texts.contains(&"*") {
        alone(verbs, "verbs", faults);
    } else if !texts.iter().all(|verb| VERBS.contains(verb)) {
        faults.push(verbs.not_supported(VERBS));
    }
}

fn resource_rule(rule: &View<'_>, faults: &mut Faults) {
    verbs(&rule.at("verbs"), faults);
    for (field, one, others) in [
        ("apiGroups", "api group", "api groups"),
        ("resources", "resource", "resources"),
    ] {
        let list = rule.at(field);
        list.require(
            &format!("resource rules must supply at least one {one}"),
            faults,
        );
        alone(&list, others, faults);
    }
    let namespaces = rule.at("namespaces");
    if namespaces.is_empty() && !rule.at("clusterScope").flag() {
        faults.push(namespaces.required(
            "resource rules that are not cluster scoped must supply at least one namespace",
        ));
    } else if namespaces.texts().contains(&"*") {
        alone(&namespaces, "namespaces", faults);
    } else {
        for namespace in namespaces.items() {
            for detail in names::label(namespace.text()) {
                faults.push(namespace.invalid(format!(
                    "each member of this list must be '*' or a DNS-1123 label; {detail}"
                )));
            }
        }
    }
}

fn path_rule(rule: &View<'_>, faults: &mut Faults) {
    verbs(&rule.at("verbs"), faults);
    let paths = rule.at("nonResourceURLs");
    if !paths.require("nonResourceURLs must contain at least one value", faults) {
        return;
    }
    if paths.texts().contains(&"*") {
        alone(&paths, "non-resource URLs", faults);
        return;
    }
    for path in paths.items() {
        let text = path.text();
        let stars = text.matches('*').count();
        let detail = if text.is_empty() {
            "must not be empty"
        } else if !text.starts_with('/') {
            "must start with slash"
        } else if text.contains(' ') {
            "must not contain white-space"
        } else if text.contains("//") {
            "must not contain double slash"
        } else if stars > 1 || (stars == 1 && !text.ends_with("/*")) {
            "wildcard can only do suffix matching"
        } else {
            continue;
        };
        faults.push(path.invalid(detail));
    }
}

pub(super) fn level(new: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    let kind = spec.at("type");
    if (meta::name(new) == "exempt") != (kind.text() == "Exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        faults.push(Invalid::value(&kind.path, kind.text(), detail));
    }
    let (limited, exempt) = (spec.at("limited"), spec.at("exempt"));
    match kind.text() {
        "Exempt" => {
            if limited.is_set() {
                faults.push(limited.forbidden("must be nil if the type is not Limited"));
            }
            shares(&exempt, faults);
        }
        "Limited" => {
            if exempt.is_set() {
                faults.push(exempt.forbidden("must be nil if the type is Limited"));
            }
            if limited.is_set() {
                limits(&limited, faults);
            } else {
                faults.push(limited.required("must not be empty when type is Limited"));
            }
        }
        _ => kind.require_one_of(&["Exempt", "Limited"], faults),
    }
    conditions(new, faults);
}

fn shares(level: &View<'_>, faults: &mut Faults) {
    let count = level.at("nominalConcurrencyShares");
    if count.number() < 0 {
        faults.push(count.invalid("must be a non-negative integer"));
    }
    lendable(level, faults);
}

fn lendable(level: &View<'_>, faults: &mut Faults) {
    let percent = level.at("lendablePercent");
    if !(0..=100).contains(&percent.number()) {
        faults.push(percent.invalid("must be between 0 and 100, inclusive"));
    }
}

fn limits(limited: &View<'_>, faults: &mut Faults) {
    let count = limited.at("nominalConcurrencyShares");
    if count.number() < 0 {
        faults.push(count.invalid("must be a non-negative integer"));
    }
    let response = limited.at("limitResponse");
    let (kind, queuing) = (response.at("type"), response.at("queuing"));
    match kind.text() {
        "Reject" if queuing.is_set() => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            faults.push(queuing.forbidden(detail));
        }
        "Queue" if queuing.is_set() => queues(&queuing, faults),
        "Queue" => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            faults.push(queuing.required(detail));
        }
        "Reject" => {}
        _ => kind.require_one_of(&["Queue", "Reject"], faults),
    }
    lendable(limited, faults);
    let borrowed = limited.at("borrowingLimitPercent");
    if borrowed.number() < 0 {
        faults.push(borrowed.invalid("if specified, must be a non-negative integer"));
    }
}

fn queues(queuing: &View<'_>, faults: &mut Faults) {
    let (length, queues, hand) = (
        queuing.at("queueLengthLimit"),
        queuing.at("queues"),
        queuing.at("handSize"),
    );
    if length.number() <= 0 {
        faults.push(length.number_invalid("must be positive"));
    }
    if queues.number() <= 0 {
        faults.push(queues.number_invalid("must be positive"));
    } else if queues.number() > QUEUES_MAX {
        faults.push(queues.invalid(format!("must not be greater than {QUEUES_MAX}")));
    }
    let (deck, size) = (queues.number(), hand.number());
    if size <= 0 {
        faults.push(hand.number_invalid("must be positive"));
    } else if size > deck {
        faults.push(hand.invalid(format!("should not be greater than queues ({deck})")));
    } else if entropy_bits(deck, size) > HASH_BITS_MAX {
        faults.push(hand.invalid(format!("required entropy bits of deckSize {deck} and handSize {size} should not be greater than {HASH_BITS_MAX}")));
    }
}

/// How many bits tell the hands apart that can be dealt from so many queues.
fn entropy_bits(deck: i64, size: i64) -> u32 {
    let mut bits = 0.0_f64;
    for card in 0..size {
        // More bits than there are need no counting.
        if bits > f64::from(HASH_BITS_MAX) {
            return HASH_BITS_MAX + 1;
        }
        let left = u32::try_from(deck - card).unwrap_or(u32::MAX);
        bits += f64::from(left).log2();
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the bits are between 0 and a hundred"
    )]
    let whole = bits.ceil() as u32;
    whole
}
