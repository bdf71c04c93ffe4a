//! Which flow schema a request is of, and which flow of it.

use std::sync::Arc;

use objects::{Value, meta};
use sha2::{Digest, Sha256};

use crate::attributes::Attributes;
use crate::user::User;

const ALL: &str = "*";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// A flow schema, read.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) name: Arc<str>,
    pub(super) uid: Arc<str>,
    /// The name of its priority level.
    pub(super) level: Arc<str>,
    precedence: i64,
    distinguisher: Distinguisher,
    rules: Vec<Rule>,
}

/// What tells the flows of a schema apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distinguisher {
    Nothing,
    User,
    Namespace,
}

#[derive(Debug)]
struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

#[derive(Debug)]
enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
}

#[derive(Debug)]
struct ResourceRule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    cluster_scope: bool,
    namespaces: Vec<String>,
}

#[derive(Debug)]
struct PathRule {
    verbs: Vec<String>,
    paths: Vec<String>,
}

impl Schema {
    pub(super) fn read(object: &Value) -> Schema {
        let spec = &object["spec"];
        Schema {
            name: meta::name(object).into(),
            uid: meta::uid(object).into(),
            level: meta::text(spec, &["priorityLevelConfiguration", "name"]).into(),
            precedence: spec["matchingPrecedence"].as_i64().unwrap_or_default(),
            distinguisher: match meta::text(spec, &["distinguisherMethod", "type"]) {
                "ByUser" => Distinguisher::User,
                "ByNamespace" => Distinguisher::Namespace,
                _ => Distinguisher::Nothing,
            },
            rules: meta::list(spec, &["rules"])
                .iter()
                .map(Rule::read)
                .collect(),
        }
    }

    /// Where it stands among the others: the first that matches is a request's.
    pub(super) fn order(&self) -> (i64, Arc<str>) {
        (self.precedence, self.name.clone())
    }

    pub(super) fn matches(&self, attributes: &Attributes) -> bool {
        self.rules.iter().any(|rule| rule.matches(attributes))
    }

    /// The number of a request's flow.
    pub(super) fn flow(&self, attributes: &Attributes) -> u64 {
        let distinguished = match self.distinguisher {
            Distinguisher::Nothing => "",
            Distinguisher::User => attributes.user.name.as_str(),
            Distinguisher::Namespace => attributes.namespace.as_str(),
        };
        let mut digest = Sha256::new();
        digest.update(self.name.as_bytes());
        digest.update([0]);
        digest.update(distinguished.as_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        let (first, _) = digest
            .split_first_chunk()
            .expect("32 bytes are more than 8");
        u64::from_le_bytes(*first)
    }
}

fn texts(object: &Value, field: &str) -> Vec<String> {
    let list = meta::list(object, &[field]).iter();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Rule {
    fn read(rule: &Value) -> Rule {
        let list = |field| meta::list(rule, &[field]).iter();
        Rule {
            subjects: list("subjects").filter_map(Subject::read).collect(),
            resources: list("resourceRules").map(ResourceRule::read).collect(),
            paths: list("nonResourceRules").map(PathRule::read).collect(),
        }
    }

    fn matches(&self, attributes: &Attributes) -> bool {
        self.subjects
            .iter()
            .any(|one| one.matches(&attributes.user))
            && if attributes.is_resource() {
                self.resources.iter().any(|rule| rule.matches(attributes))
            } else {
                self.paths.iter().any(|rule| rule.matches(attributes))
            }
    }
}

impl Subject {
    fn read(subject: &Value) -> Option<Subject> {
        let text = |path: &[&str]| meta::text(subject, path).to_owned();
        Some(match meta::text(subject, &["kind"]) {
            "User" => Subject::User(text(&["user", "name"])),
            "Group" => Subject::Group(text(&["group", "name"])),
            "ServiceAccount" => Subject::ServiceAccount {
                namespace: text(&["serviceAccount", "namespace"]),
                name: text(&["serviceAccount", "name"]),
            },
            _ => return None,
        })
    }

    fn matches(&self, user: &User) -> bool {
        match self {
            Subject::User(name) => name == ALL || *name == user.name,
            Subject::Group(name) => name == ALL || user.is_in(name),
            Subject::ServiceAccount { namespace, name } => user
                .name
                .strip_prefix(SERVICE_ACCOUNT)
                .and_then(|rest| rest.split_once(':'))
                .is_some_and(|(at, own)| at == namespace && (name == ALL || own == name)),
        }
    }
}

impl ResourceRule {
    fn read(rule: &Value) -> ResourceRule {
        ResourceRule {
            verbs: texts(rule, "verbs"),
            groups: texts(rule, "apiGroups"),
            resources: texts(rule, "resources"),
            cluster_scope: rule["clusterScope"] == true,
            namespaces: texts(rule, "namespaces"),
        }
    }

    fn matches(&self, attributes: &Attributes) -> bool {
        has(&self.verbs, &attributes.verb)
            && has(&self.groups, &attributes.group)
            && has(&self.resources, &attributes.resource_and_subresource())
            && if attributes.namespace.is_empty() {
                self.cluster_scope
            } else {
                has(&self.namespaces, &attributes.namespace)
            }
    }
}

impl PathRule {
    fn read(rule: &Value) -> PathRule {
        PathRule {
            verbs: texts(rule, "verbs"),
            paths: texts(rule, "nonResourceURLs"),
        }
    }

    fn matches(&self, attributes: &Attributes) -> bool {
        has(&self.verbs, &attributes.verb)
            && self
                .paths
                .iter()
                .any(|path| is_below(path, &attributes.path))
    }
}

/// Whether a path is the one of a rule, or below it.
fn is_below(rule: &str, path: &str) -> bool {
    if rule == ALL || rule == path {
        return true;
    }
    let folder = rule.strip_suffix('*').unwrap_or(rule);
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a list has a word. Everything is a list of its own.
fn has(list: &[String], word: &str) -> bool {
    matches!(list, [only] if only == ALL) || list.iter().any(|one| one == word)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{Schema, is_below};
    use crate::attributes::Attributes;
    use crate::fairness::bootstrap;
    use crate::user::User;

    /// A request in words: user, groups, verb, group, resource, namespace; a resource that begins with a slash is a path.
    fn request(line: &str) -> Attributes {
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| if word == "-" { "" } else { word })
            .collect();
        let user = User {
            name: words[0].to_owned(),
            groups: words[1].split(',').map(str::to_owned).collect(),
            ..User::default()
        };
        let (resource, path) = if words[4].starts_with('/') {
            ("", words[4])
        } else {
            (words[4], "")
        };
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Attributes {
            user: Arc::new(user),
            verb: words[2].to_owned(),
            group: words[3].to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: words[5].to_owned(),
            path: path.to_owned(),
            ..Attributes::default()
        }
    }

    #[test]
    fn requests_are_of_the_schemas_that_upstream_says() {
        let mut schemas: Vec<Schema> = bootstrap::schemas()
            .map(|one| Schema::read(&one.object))
            .collect();
        schemas.sort_by_key(Schema::order);
        for (line, schema) in [
            (
                "admin system:masters,system:authenticated list - pods a",
                "exempt",
            ),
            ("me system:authenticated get - /healthz -", "probes"),
            ("me system:authenticated get - /healthz/etcd -", "probes"),
            ("me system:authenticated get - /version -", "global-default"),
            ("me system:authenticated list - pods -", "global-default"),
            (
                "system:kube-scheduler system:authenticated update coordination.k8s.io leases kube-system",
                "system-leader-election",
            ),
            (
                "system:kube-scheduler system:authenticated delete coordination.k8s.io leases kube-system",
                "kube-scheduler",
            ),
            (
                "system:node:n system:nodes,system:authenticated patch - nodes/status -",
                "system-node-high",
            ),
            (
                "system:node:n system:nodes,system:authenticated get - nodes/proxy -",
                "system-nodes",
            ),
            (
                "system:serviceaccount:kube-system:dns system:serviceaccounts get - pods a",
                "kube-system-service-accounts",
            ),
            (
                "system:serviceaccount:kube-systemx:dns system:serviceaccounts get - pods a",
                "service-accounts",
            ),
        ] {
            let request = request(line);
            let found = schemas.iter().find(|one| one.matches(&request)).unwrap();
            assert_eq!(&*found.name, schema, "{line}");
        }
        let nobody = request("x other list - pods a");
        assert!(!schemas.iter().any(|one| one.matches(&nobody)));
    }

    #[test]
    fn flows_are_told_apart_by_what_the_schema_says() {
        let schema = |method: &str| {
            Schema::read(
                &json!({"metadata": {"name": "s"}, "spec": {"distinguisherMethod": {"type": method}}}),
            )
        };
        let one = request("a g list - pods x");
        let other_user = request("b g list - pods x");
        let other_namespace = request("a g list - pods y");
        let by_user = schema("ByUser");
        assert_ne!(by_user.flow(&one), by_user.flow(&other_user));
        assert_eq!(by_user.flow(&one), by_user.flow(&other_namespace));
        let by_namespace = schema("ByNamespace");
        assert_eq!(by_namespace.flow(&one), by_namespace.flow(&other_user));
        assert_ne!(by_namespace.flow(&one), by_namespace.flow(&other_namespace));
        assert_eq!(schema("").flow(&one), schema("").flow(&other_user));
    }

    #[test]
    fn a_path_of_a_rule_stands_for_what_is_below_it() {
        assert!(is_below("/healthz/*", "/healthz/etcd") && is_below("/healthz", "/healthz/etcd"));
        assert!(!is_below("/healthz", "/healthzz") && !is_below("/a/b", "/a"));
        assert!(is_below("*", "/anything"));
    }
}
