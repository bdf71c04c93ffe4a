//! The audit policy: how much is told of which requests. The first rule that fits a request decides.

use objects::Value;
use objects::codec::yaml;
use objects::invalid::{Faults, Invalid};
use objects::path::Path;
use objects::validate::names;

use super::event::Stage;
use crate::attributes::Attributes;

const API_VERSION: &str = "audit.k8s.io/v1";

/// How much is told of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Level {
    #[default]
    None,
    Metadata,
    Request,
    RequestResponse,
}

const LEVELS: [Level; 4] = [
    Level::None,
    Level::Metadata,
    Level::Request,
    Level::RequestResponse,
];

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Level::None => "None",
            Level::Metadata => "Metadata",
            Level::Request => "Request",
            Level::RequestResponse => "RequestResponse",
        }
    }
}

/// What is to be told of one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wish {
    pub(super) level: Level,
    pub(super) omitted: Vec<Stage>,
    pub(super) omit_managed_fields: bool,
}

/// A policy.
#[derive(Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    otherwise: Wish,
}

/// A rule; an empty list of what it is for is for all.
#[derive(Debug, Default)]
struct Rule {
    wish: Wish,
    users: Vec<String>,
    groups: Vec<String>,
    verbs: Vec<String>,
    namespaces: Vec<String>,
    resources: Vec<Resources>,
    paths: Vec<String>,
}

#[derive(Debug, Default)]
struct Resources {
    group: String,
    /// `pods`, `pods/log`, `pods/*`, `*/status`, `*`.
    resources: Vec<String>,
    names: Vec<String>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Policy, String> {
        let read = yaml::read(bytes).map_err(|fault| format!("failed decoding: {fault}"))?;
        let value = read.value;
        let (api_version, kind) = (&value["apiVersion"], &value["kind"]);
        if api_version != API_VERSION || kind != "Policy" {
            return Err(format!(
                "failed decoding: no kind {kind} is registered for version {api_version}; Policy of {API_VERSION} is wanted"
            ));
        }
        let mut faults = Faults::new();
        let omitted = stages(&value, &Path::new("omitStages"), &mut faults);
        let omit_managed_fields = value["omitManagedFields"].as_bool().unwrap_or(false);
        let otherwise = Wish {
            level: Level::None,
            omitted,
            omit_managed_fields,
        };
        let listed = value["rules"].as_array().map_or(&[][..], Vec::as_slice);
        let root = Path::new("rules");
        let rules: Vec<Rule> = listed
            .iter()
            .enumerate()
            .map(|(at, rule)| Rule::read(rule, &root.index(at), &otherwise, &mut faults))
            .collect();
        match faults.as_slice() {
            [] if rules.is_empty() => Err("loaded illegal policy with 0 rules".to_owned()),
            [] => Ok(Policy { rules, otherwise }),
            [one] => Err(one.to_string()),
            many => {
                let texts: Vec<String> = many.iter().map(ToString::to_string).collect();
                Err(format!("[{}]", texts.join(", ")))
            }
        }
    }

    /// What is to be told of a request.
    pub(super) fn wish(&self, attributes: &Attributes) -> Wish {
        let rule = self.rules.iter().find(|rule| rule.fits(attributes));
        rule.map_or(&self.otherwise, |rule| &rule.wish).clone()
    }
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    value[field]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn stages(value: &Value, path: &Path, faults: &mut Faults) -> Vec<Stage> {
    let mut found = Vec::new();
    for (at, name) in texts(value, "omitStages").iter().enumerate() {
        match Stage::ALL.into_iter().find(|stage| stage.name() == name) {
            Some(stage) => found.push(stage),
            None => {
                let names = Stage::ALL.map(Stage::name).join(",");
                let why = format!("allowed stages are {names}");
                faults.push(Invalid::value(&path.index(at), name.as_str(), why));
            }
        }
    }
    found
}

impl Rule {
    fn read(value: &Value, path: &Path, otherwise: &Wish, faults: &mut Faults) -> Rule {
        let level_path = path.child("level");
        let said = value["level"].as_str().unwrap_or_default();
        let level = LEVELS.into_iter().find(|level| level.name() == said);
        if said.is_empty() {
            faults.push(Invalid::required(&level_path, ""));
        } else if level.is_none() {
            let names = LEVELS.map(Level::name);
            faults.push(Invalid::not_supported(&level_path, said, &names));
        }
        let paths = texts(value, "nonResourceURLs");
        let paths_path = path.child("nonResourceURLs");
        check_paths(&paths, &paths_path, faults);
        let resources = resources(value, &path.child("resources"), faults);
        let mut omitted = stages(value, &path.child("omitStages"), faults);
        omitted.extend_from_slice(&otherwise.omitted);
        let namespaces = texts(value, "namespaces");
        let is_of_objects = !resources.is_empty() || !namespaces.is_empty();
        if !paths.is_empty() && is_of_objects {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            faults.push(Invalid::value(&paths_path, paths.clone(), why));
        }
        let omits = value["omitManagedFields"].as_bool();
        Rule {
            wish: Wish {
                level: level.unwrap_or_default(),
                omitted,
                omit_managed_fields: omits.unwrap_or(otherwise.omit_managed_fields),
            },
            users: texts(value, "users"),
            groups: texts(value, "userGroups"),
            verbs: texts(value, "verbs"),
            namespaces,
            resources,
            paths,
        }
    }

    fn fits(&self, attributes: &Attributes) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|own| own == word);
        let user = &attributes.user;
        if !self.users.is_empty() && !has(&self.users, &user.name)
            || !self.groups.is_empty() && !user.groups.iter().any(|group| has(&self.groups, group))
            || !self.verbs.is_empty() && !has(&self.verbs, &attributes.verb)
        {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return attributes.is_resource()
                && (self.namespaces.is_empty() || has(&self.namespaces, &attributes.namespace))
                && (self.resources.is_empty()
                    || self.resources.iter().any(|listed| listed.has(attributes)));
        }
        self.paths.is_empty()
            || !attributes.is_resource()
                && self
                    .paths
                    .iter()
                    .any(|path| is_path(path, &attributes.path))
    }
}

/// Whether a path is the one of a rule, or below one that ends with `*`.
fn is_path(rule: &str, path: &str) -> bool {
    rule == path
        || rule
            .strip_suffix('*')
            .is_some_and(|start| path.starts_with(start.trim_end_matches('*')))
}

fn check_paths(paths: &[String], at: &Path, faults: &mut Faults) {
    for (index, path) in paths.iter().enumerate().filter(|(_, path)| *path != "*") {
        let mut wrong = |why| faults.push(Invalid::value(&at.index(index), path.as_str(), why));
        if !path.starts_with('/') {
            wrong("non-resource URL rules must begin with a '/' character");
        }
        if path.strip_suffix('*').unwrap_or(path).contains('*') {
            wrong("non-resource URL wildcards '*' must be the final character of the rule");
        }
    }
}

fn resources(value: &Value, path: &Path, faults: &mut Faults) -> Vec<Resources> {
    let listed = value["resources"].as_array().into_iter().flatten();
    let read = listed.map(|item| {
        let found = Resources {
            group: item["group"].as_str().unwrap_or_default().to_owned(),
            resources: texts(item, "resources"),
            names: texts(item, "resourceNames"),
        };
        if !matches!(found.group.as_str(), "" | "*") {
            let why = names::subdomain(&found.group);
            if !why.is_empty() {
                let path = path.child("group");
                faults.push(Invalid::value(&path, found.group.as_str(), why.join(",")));
            }
        }
        if found.resources.is_empty() && !found.names.is_empty() {
            let why = "using resourceNames requires at least one resource";
            faults.push(Invalid::value(
                &path.child("resourceNames"),
                found.names.clone(),
                why,
            ));
        }
        found
    });
    read.collect()
}

impl Resources {
    fn has(&self, attributes: &Attributes) -> bool {
        if self.group != "*" && self.group != attributes.group {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        let (resource, part) = (&attributes.resource, &attributes.subresource);
        self.names_fit(&attributes.name)
            && self.resources.iter().any(|listed| {
                if listed == "*" || listed.strip_suffix("/*") == Some(resource) {
                    return true;
                }
                match listed.split_once('/') {
                    Some(("*", listed_part)) => !part.is_empty() && listed_part == part,
                    Some((listed, listed_part)) => listed == resource && listed_part == part,
                    None => listed == resource && part.is_empty(),
                }
            })
    }

    fn names_fit(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|own| own == name)
    }
}

#[cfg(test)]
mod tests;
