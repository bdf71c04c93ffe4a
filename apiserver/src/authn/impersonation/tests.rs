//! Headers and rules, and who is acted as.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::authz::{
    memory::Memory,
    rbac::{self, Rbac},
};

/// A cluster in which the user `actor` has these rules.
fn cluster(rules: objects::Value) -> Rbac {
    let memory = Memory::default();
    memory.put(
        rbac::GROUP,
        "clusterroles",
        json!({"kind": "ClusterRole", "metadata": {"name": "act"}, "rules": rules}),
    );
    memory.put(rbac::GROUP, "clusterrolebindings", json!({"kind": "ClusterRoleBinding", "metadata": {"name": "act"},
        "roleRef": {"kind": "ClusterRole", "name": "act"}, "subjects": [{"kind": "User", "name": "actor"}]}));
    Rbac::new(Arc::new(memory))
}

fn request() -> Attributes {
    Attributes {
        user: Arc::new(User {
            name: "actor".to_owned(),
            ..User::default()
        }),
        verb: "list".to_owned(),
        resource: "pods".to_owned(),
        namespace: "default".to_owned(),
        ..Attributes::default()
    }
}

fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

/// The user with its groups, or what is wrong.
fn told(rules: &objects::Value, lines: &[&str]) -> String {
    let judge = Impersonation::default();
    match judge.impersonate(&cluster(rules.clone()), &request(), &headers(lines)) {
        Ok(None) => "nobody".to_owned(),
        Ok(Some(user)) => format!("{} {}", user.name, user.groups.join(",")),
        Err(status) => format!("{} {}", status.code, status.message),
    }
}

#[test]
fn headers_without_a_user_are_refused_and_none_are_none() {
    let rules = json!([]);
    assert_eq!(told(&rules, &[]), "nobody");
    assert_eq!(
        told(&rules, &["Impersonate-Group: g"]),
        "400 requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"g\"}, Extra:map[string][]string(nil)} without impersonating a user name"
    );
    assert_eq!(
        told(
            &rules,
            &[
                "Impersonate-Uid: g",
                "Impersonate-Extra-Foo%2fBar: x",
                "Impersonate-Group: g1",
                "Impersonate-Group: g2"
            ]
        ),
        "400 requested &user.DefaultInfo{Name:\"\", UID:\"g\", Groups:[]string{\"g1\", \"g2\"}, Extra:map[string][]string{\"foo/bar\":[]string{\"x\"}}} without impersonating a user name"
    );
}

#[test]
fn whoever_may_not_is_told_of_the_first_permission_that_is_missing() {
    let nothing = json!([]);
    for (user, wanted) in [
        (
            "bob",
            "403 pods is forbidden: User \"actor\" cannot impersonate-on:user-info:list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ),
        (
            "system:serviceaccount:a:b",
            "403 pods is forbidden: User \"actor\" cannot impersonate-on:serviceaccount:list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ),
        (
            "system:node:n1",
            "403 pods is forbidden: User \"actor\" cannot impersonate-on:arbitrary-node:list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ),
    ] {
        assert_eq!(
            told(&nothing, &[&format!("Impersonate-User: {user}")]),
            wanted
        );
    }
    // A service account with groups of somebody's choice is a matter of the old way alone.
    assert_eq!(
        told(
            &nothing,
            &[
                "Impersonate-User: system:serviceaccount:a:b",
                "Impersonate-Group: g"
            ]
        ),
        "403 serviceaccounts \"b\" is forbidden: User \"actor\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"a\""
    );
}

#[test]
fn the_old_way_asks_for_each_part_of_the_user() {
    let old = |resources: &[&str], group: &str| json!({"verbs": ["impersonate"], "apiGroups": [group], "resources": resources});
    let own = "authentication.k8s.io";
    let all = json!([
        old(&["users", "groups", "serviceaccounts"], ""),
        old(&["uids", "userextras/scopes"], own)
    ]);
    let lines = [
        "Impersonate-User: bob",
        "Impersonate-Group: g",
        "Impersonate-Uid: u",
        "Impersonate-Extra-Scopes: s",
    ];
    assert_eq!(told(&all, &lines), "bob g,system:authenticated");
    assert_eq!(
        told(&all, &["Impersonate-User: system:serviceaccount:a:b"]),
        "system:serviceaccount:a:b system:serviceaccounts,system:serviceaccounts:a,system:authenticated"
    );
    assert_eq!(
        told(&all, &["Impersonate-User: system:anonymous"]),
        "system:anonymous system:unauthenticated"
    );
    assert_eq!(
        told(
            &all,
            &[
                "Impersonate-User: bob",
                "Impersonate-Group: system:unauthenticated"
            ]
        ),
        "bob system:unauthenticated"
    );
    // The old way knows nothing of nodes' groups.
    assert_eq!(
        told(&all, &["Impersonate-User: system:node:n1"]),
        "system:node:n1 system:authenticated"
    );
    let users = json!([old(&["users"], "")]);
    assert!(told(&users, &lines).starts_with("403"));
    assert!(told(&users, &lines[..1]).starts_with("bob "));
}

#[test]
fn the_newer_ways_ask_for_the_request_and_the_kind_of_user() {
    let on = |mode: &str| json!({"verbs": [format!("impersonate-on:{mode}:list")], "apiGroups": [""], "resources": ["pods"]});
    let who = |mode: &str, resources: &[&str]| json!({"verbs": [format!("impersonate:{mode}")], "apiGroups": ["authentication.k8s.io"], "resources": resources});
    let node = json!([on("arbitrary-node"), who("arbitrary-node", &["nodes"])]);
    assert_eq!(
        told(&node, &["Impersonate-User: system:node:n1"]),
        "system:node:n1 system:nodes,system:authenticated"
    );
    let info = json!([on("user-info"), who("user-info", &["users", "groups"])]);
    assert_eq!(
        told(&info, &["Impersonate-User: bob", "Impersonate-Group: g"]),
        "bob g,system:authenticated"
    );
    assert_eq!(
        told(
            &info,
            &["Impersonate-User: bob", "Impersonate-Group: system:masters"]
        ),
        "403 groups.authentication.k8s.io \"system:masters\" is forbidden: User \"actor\" cannot impersonate:user-info resource \"groups\" in API group \"authentication.k8s.io\" at the cluster scope: impersonating the system:masters group is not allowed"
    );
    assert!(told(&info, &["Impersonate-User: system:node:n1"]).starts_with("403"));
}

#[test]
fn a_service_account_may_be_let_act_as_the_node_of_its_pod() {
    let memory = Memory::default();
    let rules = json!([
        {"verbs": ["impersonate-on:associated-node:list"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["impersonate:associated-node"], "apiGroups": ["authentication.k8s.io"], "resources": ["nodes"]},
    ]);
    memory.put(
        rbac::GROUP,
        "clusterroles",
        json!({"kind": "ClusterRole", "metadata": {"name": "act"}, "rules": rules}),
    );
    memory.put(rbac::GROUP, "clusterrolebindings", json!({"kind": "ClusterRoleBinding", "metadata": {"name": "act"},
        "roleRef": {"kind": "ClusterRole", "name": "act"}, "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": "infra"}]}));
    let rbac = Rbac::new(Arc::new(memory));
    let mut request = request();
    let key = "authentication.kubernetes.io/node-name".to_owned();
    request.user = Arc::new(User {
        name: "system:serviceaccount:infra:agent".to_owned(),
        extra: [(key, vec!["n1".to_owned()])].into(),
        ..User::default()
    });
    let act = |node: &str| {
        let line = format!("Impersonate-User: system:node:{node}");
        Impersonation::default().impersonate(&rbac, &request, &headers(&[&line]))
    };
    assert_eq!(
        act("n1").unwrap().unwrap().groups,
        ["system:nodes", "system:authenticated"]
    );
    assert_eq!(act("n2").unwrap_err().code, 403);
}

#[test]
fn the_way_that_was_allowed_last_is_the_one_whose_refusal_is_told() {
    let rules = json!([
        {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"]},
        {"verbs": ["impersonate"], "apiGroups": ["authentication.k8s.io"], "resources": ["userextras/scopes"]},
        {"verbs": ["impersonate-on:user-info:list"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["impersonate:user-info"], "apiGroups": ["authentication.k8s.io"], "resources": ["users"]},
    ]);
    let (judge, rbac) = (Impersonation::default(), cluster(rules));
    let act = |lines: &[&str]| match judge.impersonate(&rbac, &request(), &headers(lines)) {
        Ok(user) => user.unwrap().name,
        Err(status) => status.message,
    };
    let group = ["Impersonate-User: bob", "Impersonate-Group: g"];
    assert_eq!(
        act(&group),
        "groups.authentication.k8s.io \"g\" is forbidden: User \"actor\" cannot impersonate:user-info resource \"groups\" in API group \"authentication.k8s.io\" at the cluster scope"
    );
    assert_eq!(
        act(&["Impersonate-User: bob", "Impersonate-Extra-Scopes: s"]),
        "bob"
    );
    assert_eq!(
        act(&group),
        "groups \"g\" is forbidden: User \"actor\" cannot impersonate resource \"groups\" in API group \"\" at the cluster scope"
    );
    assert_eq!(
        act(&["Impersonate-User: bob", "Impersonate-Extra-Other: g"]),
        "userextras.authentication.k8s.io \"g\" is forbidden: User \"actor\" cannot impersonate resource \"userextras/other\" in API group \"authentication.k8s.io\" at the cluster scope"
    );
}

#[test]
fn the_headers_are_gone_after_they_were_read() {
    let mut headers = headers(&["Impersonate-User: a", "Impersonate-Extra-X: y", "Accept: z"]);
    strip(&mut headers);
    assert_eq!(
        headers
            .keys()
            .map(http::HeaderName::as_str)
            .collect::<Vec<_>>(),
        ["accept"]
    );
}

proptest! {
    #[test]
    fn any_headers_are_read_or_refused(name in "[a-z%0-9-]{0,12}", value in proptest::collection::vec(any::<u8>(), 0..12)) {
        let mut headers = HeaderMap::new();
        if let (Ok(name), Ok(value)) = (format!("impersonate-{name}").parse::<http::HeaderName>(), http::HeaderValue::from_bytes(&value)) {
            headers.append(name, value.clone());
            headers.append("impersonate-user", value.clone());
            headers.append("impersonate-extra-%4", value);
        }
        let _ = Impersonation::default().impersonate(&cluster(json!([])), &request(), &headers);
    }
}
