//! Nobody grants what they do not hold: what is checked before a role or a binding is written.

use std::collections::{BTreeMap, BTreeSet};

use objects::{Value, meta, status::Status};

use super::{
    Authorizer, Rule, Rules,
    rbac::{GROUP, Rbac},
    rule::{covers_url, has},
    text::{quoted, quoted_list},
};
use crate::{
    attributes::Attributes,
    user::{MASTERS, User},
};

/// How many combinations of verbs, groups, resources and names the rules of a role may have to be checked one by one.
const PARTS_MAX: usize = 100_000;

/// Checks the write of a Role or ClusterRole: the rules must be held already, unless the verb `escalate` is.
///
/// # Errors
/// 403 with the rules that are missing.
pub fn check_role(
    authorizer: &dyn Authorizer,
    rbac: &Rbac,
    request: &Attributes,
    role: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let escalate = Attributes {
        verb: "escalate".to_owned(),
        version: "*".to_owned(),
        subresource: String::new(),
        ..request.clone()
    };
    if request.user.is_in(MASTERS) || authorizer.authorize(&escalate).is_allowed() {
        return Ok(());
    }
    if old.is_some_and(|old| only_lets_go(role, old)) {
        return Ok(());
    }
    let forbidden = |why| Status::forbidden(GROUP, &request.resource, meta::name(role), why);
    let held = rbac.held(&request.user, &request.namespace, &request.resource);
    confirm(&request.user, &held, &Rule::list_of(role)).map_err(forbidden)?;
    let aggregates =
        |role: &Value| !meta::list(role, &["aggregationRule", "clusterRoleSelectors"]).is_empty();
    if (aggregates(role) || old.is_some_and(aggregates))
        && confirm(&request.user, &held, &everything()).is_err()
    {
        let why = "must have cluster-admin privileges to use the aggregationRule";
        return Err(forbidden(why.to_owned()));
    }
    Ok(())
}

/// Checks the write of a RoleBinding or ClusterRoleBinding: the rules of its role must be held already, unless the verb `bind` is.
///
/// # Errors
/// 403 with the rules that are missing, or 404 for a role that does not exist.
pub fn check_binding(
    authorizer: &dyn Authorizer,
    rbac: &Rbac,
    request: &Attributes,
    binding: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if request.user.is_in(MASTERS) || old.is_some_and(|old| only_lets_go(binding, old)) {
        return Ok(());
    }
    let reference = binding.get("roleRef").unwrap_or(&Value::Null);
    if may_bind(authorizer, request, reference) {
        return Ok(());
    }
    let rules = rbac.rules_of_reference(&request.resource, reference, &request.namespace)?;
    let held = rbac.held(&request.user, &request.namespace, &request.resource);
    confirm(&request.user, &held, &rules)
        .map_err(|why| Status::forbidden(GROUP, &request.resource, meta::name(binding), why))
}

fn may_bind(authorizer: &dyn Authorizer, request: &Attributes, reference: &Value) -> bool {
    let resource = match meta::text(reference, &["kind"]) {
        "ClusterRole" => "clusterroles",
        "Role" => "roles",
        _ => return false,
    };
    let bind = Attributes {
        user: request.user.clone(),
        verb: "bind".to_owned(),
        group: meta::text(reference, &["apiGroup"]).to_owned(),
        version: "*".to_owned(),
        resource: resource.to_owned(),
        namespace: request.namespace.clone(),
        name: meta::text(reference, &["name"]).to_owned(),
        ..Attributes::default()
    };
    authorizer.authorize(&bind).is_allowed()
}

/// Whether an update changes nothing but what the garbage collector needs to change.
fn only_lets_go(new: &Value, old: &Value) -> bool {
    let rest = |object: &Value| {
        let mut rest = object.clone();
        let metadata = meta::metadata_mut(&mut rest);
        for field in ["ownerReferences", "finalizers", "managedFields", "selfLink"] {
            metadata.remove(field);
        }
        rest
    };
    rest(new) == rest(old)
}

fn everything() -> [Rule; 2] {
    let all = || vec!["*".to_owned()];
    [
        Rule {
            verbs: all(),
            groups: all(),
            resources: all(),
            ..Rule::default()
        },
        Rule {
            verbs: all(),
            non_resource_urls: all(),
            ..Rule::default()
        },
    ]
}

/// Whether what somebody holds covers what is granted; the text names what does not.
fn confirm(user: &User, held: &Rules, granted: &[Rule]) -> Result<(), String> {
    if granted
        .iter()
        .map(parts_count)
        .fold(0, usize::saturating_add)
        > PARTS_MAX
    {
        return Err(format!(
            "rules with more than {PARTS_MAX} combinations cannot be checked"
        ));
    }
    let missing = uncovered(&held.rules, granted);
    if missing.is_empty() {
        return Ok(());
    }
    let lines: BTreeSet<String> = compact(missing).iter().map(Rule::describe).collect();
    let lines: Vec<String> = lines.into_iter().collect();
    let mut text = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        quoted(&user.name),
        quoted_list(&user.groups),
        lines.join("\n")
    );
    if !held.errors.is_empty() {
        let told = objects::invalid::aggregate(&held.errors);
        text.push_str(&format!("; resolution errors: [{told}]"));
    }
    Err(text)
}

/// The smallest parts of rules that no rule of the owner covers.
pub(super) fn uncovered(owned: &[Rule], granted: &[Rule]) -> Vec<Rule> {
    granted
        .iter()
        .flat_map(parts)
        .filter(|part| !owned.iter().any(|own| covers(own, part)))
        .collect()
}

/// How many parts a rule has.
fn parts_count(rule: &Rule) -> usize {
    let (verbs, names) = (rule.verbs.len(), rule.resource_names.len().max(1));
    let objects = [rule.groups.len(), rule.resources.len(), verbs, names];
    let objects = objects.into_iter().fold(1, usize::saturating_mul);
    objects.saturating_add(rule.non_resource_urls.len().saturating_mul(verbs))
}

/// A rule as rules of one verb on one resource, name or path each.
fn parts(rule: &Rule) -> Vec<Rule> {
    let one = |text: &String| vec![text.clone()];
    let mut parts = Vec::new();
    for group in &rule.groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let part = Rule {
                    verbs: one(verb),
                    groups: one(group),
                    resources: one(resource),
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    parts.push(part);
                    continue;
                }
                parts.extend(rule.resource_names.iter().map(|name| Rule {
                    resource_names: one(name),
                    ..part.clone()
                }));
            }
        }
    }
    for url in &rule.non_resource_urls {
        parts.extend(rule.verbs.iter().map(|verb| Rule {
            verbs: one(verb),
            non_resource_urls: one(url),
            ..Rule::default()
        }));
    }
    parts
}

fn covers(own: &Rule, part: &Rule) -> bool {
    let all = |list: &[String], parts: &[String]| parts.iter().all(|part| has(list, part));
    let resource = |part: &String| {
        has(&own.resources, part)
            || part
                .split_once('/')
                .is_some_and(|(_, below)| own.resources.contains(&format!("*/{below}")))
    };
    let url = |part: &String| {
        own.non_resource_urls
            .iter()
            .any(|own| covers_url(own, part))
    };
    let names = own.resource_names.is_empty()
        || (!part.resource_names.is_empty()
            && part
                .resource_names
                .iter()
                .all(|name| own.resource_names.contains(name)));
    all(&own.verbs, &part.verbs)
        && all(&own.groups, &part.groups)
        && part.resources.iter().all(resource)
        && part.non_resource_urls.iter().all(url)
        && names
}

/// Parts about the same resource and name as one rule with all their verbs.
fn compact(parts: Vec<Rule>) -> Vec<Rule> {
    let mut merged: BTreeMap<[Vec<String>; 3], Rule> = BTreeMap::new();
    let mut rules = Vec::new();
    for part in parts {
        if part.resources.is_empty() {
            rules.push(part);
            continue;
        }
        let key = [
            part.groups.clone(),
            part.resources.clone(),
            part.resource_names.clone(),
        ];
        match merged.get_mut(&key) {
            Some(rule) => rule.verbs.extend(part.verbs),
            None => {
                merged.insert(key, part);
            }
        }
    }
    rules.extend(merged.into_values());
    rules
}
