//! Tests of authorization: a small language for requests, and objects to decide about.

mod decisions;
mod grants;

use std::sync::Arc;

use objects::{Value, meta};
use serde_json::json;

use super::{memory::Memory, rbac::GROUP, *};

fn user(name: &str, groups: &[&str]) -> Arc<User> {
    Arc::new(User {
        name: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..User::default()
    })
}

/// `alice devs` is the user alice in the group devs.
fn user_of(text: &str) -> Arc<User> {
    let words: Vec<&str> = text.split(' ').collect();
    user(words[0], &words[1..])
}

/// `get pods/log x in default`, `list deployments.apps` or `get /healthz`: a request in words.
pub(super) fn asked(user: Arc<User>, text: &str) -> Attributes {
    let (what, namespace) = text.split_once(" in ").unwrap_or((text, ""));
    let words: Vec<&str> = what.split(' ').collect();
    let mut attributes = Attributes {
        user,
        verb: words[0].to_owned(),
        namespace: namespace.to_owned(),
        ..Attributes::default()
    };
    if words[1].starts_with('/') {
        attributes.path = words[1].to_owned();
        return attributes;
    }
    let (resource, group) = words[1].split_once('.').unwrap_or((words[1], ""));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    attributes.resource = resource.to_owned();
    attributes.subresource = subresource.to_owned();
    attributes.group = group.to_owned();
    attributes.version = "v1".to_owned();
    attributes.name = words.get(2).copied().unwrap_or_default().to_owned();
    attributes
}

fn plural(kind: &str) -> &'static str {
    match kind {
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "Role" => "roles",
        "RoleBinding" => "rolebindings",
        other => panic!("no plural of {other}"),
    }
}

fn put(memory: &Memory, object: Value) {
    memory.put(GROUP, plural(meta::text(&object, &["kind"])), object);
}

fn role(kind: &str, place: &str, rules: Value) -> Value {
    let (namespace, name) = place.split_once('/').unwrap_or(("", place));
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "rules": rules})
}

fn binding(kind: &str, place: &str, to: (&str, &str), subjects: Value) -> Value {
    let (namespace, name) = place.split_once('/').unwrap_or(("", place));
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": GROUP, "kind": to.0, "name": to.1}, "subjects": subjects})
}
