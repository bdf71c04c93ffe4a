//! Requests in words, and what is decided about them.

use super::*;
use crate::authz::rbac::Rbac;

fn cluster() -> Arc<Memory> {
    let memory = Memory::bootstrapped();
    put(
        &memory,
        role(
            "Role",
            "shop/reader",
            json!([
                {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]},
                {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["open"]},
                {"verbs": ["update"], "apiGroups": ["*"], "resources": ["*/scale"]},
            ]),
        ),
    );
    put(
        &memory,
        binding(
            "RoleBinding",
            "shop/readers",
            ("Role", "reader"),
            json!([{"kind": "User", "name": "alice"}, {"kind": "ServiceAccount", "name": "robot"}, {"kind": "ServiceAccount", "name": "guest", "namespace": "other"}]),
        ),
    );
    put(
        &memory,
        role(
            "ClusterRole",
            "paths",
            json!([{"verbs": ["get"], "nonResourceURLs": ["/metrics", "/debug/*"]}]),
        ),
    );
    put(
        &memory,
        binding(
            "ClusterRoleBinding",
            "paths",
            ("ClusterRole", "paths"),
            json!([{"kind": "Group", "name": "watchers"}]),
        ),
    );
    put(
        &memory,
        binding(
            "RoleBinding",
            "shop/broken",
            ("ClusterRole", "nope"),
            json!([{"kind": "Group", "name": "lost"}]),
        ),
    );
    put(
        &memory,
        binding(
            "RoleBinding",
            "shop/broken2",
            ("Role", "nope"),
            json!([{"kind": "Group", "name": "lost"}]),
        ),
    );
    memory
}

const READER: &str =
    "+RBAC: allowed by RoleBinding \"readers/shop\" of Role \"reader\" to User \"alice\"";

#[test]
fn rbac_decides_as_upstream_and_says_why() {
    let rbac = Rbac::new(cluster());
    for (who, what, wanted) in [
        ("alice", "get pods x in shop", READER),
        ("alice", "list pods in shop", READER),
        ("alice", "get pods/log x in shop", READER),
        ("alice", "get pods/exec x in shop", "-"),
        ("alice", "get pods x in other", "-"),
        ("alice", "list pods", "-"),
        ("alice", "delete pods x in shop", "-"),
        ("alice", "get secrets open in shop", READER),
        ("alice", "get secrets shut in shop", "-"),
        ("alice", "list secrets in shop", "-"),
        ("alice", "update deployments/scale.apps x in shop", READER),
        ("alice", "update scale.apps x in shop", "-"),
        ("alice", "get /pods", "-"),
        (
            "system:serviceaccount:shop:robot",
            "list pods in shop",
            "+RBAC: allowed by RoleBinding \"readers/shop\" of Role \"reader\" to ServiceAccount \"robot/shop\"",
        ),
        (
            "system:serviceaccount:other:guest",
            "list pods in shop",
            "+RBAC: allowed by RoleBinding \"readers/shop\" of Role \"reader\" to ServiceAccount \"guest/other\"",
        ),
        (
            "system:serviceaccount:other:robot",
            "list pods in shop",
            "-",
        ),
        (
            "bob watchers",
            "get /debug/pprof/heap",
            "+RBAC: allowed by ClusterRoleBinding \"paths\" of ClusterRole \"paths\" to Group \"watchers\"",
        ),
        ("bob watchers", "get /debug", "-"),
        ("bob watchers", "get /metrics/x", "-"),
        ("bob watchers", "post /metrics", "-"),
        (
            "bob lost",
            "list pods in shop",
            "-RBAC: [clusterrole.rbac.authorization.k8s.io \"nope\" not found, role.rbac.authorization.k8s.io \"nope\" not found]",
        ),
        ("bob lost", "list pods in other", "-"),
        (
            "bob system:authenticated",
            "get /api",
            "+RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \"system:discovery\" to Group \"system:authenticated\"",
        ),
        (
            "system:kube-scheduler",
            "create pods/binding x in shop",
            "+RBAC: allowed by ClusterRoleBinding \"system:kube-scheduler\" of ClusterRole \"system:kube-scheduler\" to User \"system:kube-scheduler\"",
        ),
        (
            "system:kube-controller-manager",
            "update leases.coordination.k8s.io kube-controller-manager in kube-system",
            "+RBAC: allowed by ClusterRoleBinding \"system:kube-controller-manager\" of ClusterRole \"system:kube-controller-manager\" to User \"system:kube-controller-manager\"",
        ),
    ] {
        let decision = rbac.authorize(&asked(user_of(who), what));
        let sign = if decision.is_allowed() { "+" } else { "-" };
        assert_eq!(
            format!("{sign}{}", decision.reason()),
            wanted,
            "{who} {what}"
        );
    }
}

#[test]
fn a_change_of_a_role_or_binding_counts_for_the_next_request() {
    let memory = cluster();
    let rbac = Rbac::new(memory.clone());
    let request = asked(user_of("alice"), "list pods in shop");
    assert!(rbac.authorize(&request).is_allowed());
    memory.remove(GROUP, "rolebindings", "shop", "readers");
    assert!(!rbac.authorize(&request).is_allowed());
}

#[test]
fn masters_are_allowed_before_anybody_is_asked_and_modes_are_asked_in_turn() {
    let deny = || Union::new(vec![Box::new(AlwaysDeny), Box::new(Rbac::new(cluster()))]);
    assert_eq!(
        deny().authorize(&asked(user_of("x system:masters"), "delete nodes n")),
        Decision::allow()
    );
    assert!(
        deny()
            .authorize(&asked(user_of("alice"), "list pods in shop"))
            .is_allowed()
    );
    assert_eq!(
        deny().authorize(&asked(user_of("bob lost"), "list pods in shop")),
        Decision::no_opinion(
            "Everything is forbidden.\nRBAC: [clusterrole.rbac.authorization.k8s.io \"nope\" not found, role.rbac.authorization.k8s.io \"nope\" not found]"
        )
    );
    let all = Union::new(vec![Box::new(AlwaysAllow)]);
    assert!(
        all.authorize(&asked(user_of("bob"), "delete nodes n"))
            .is_allowed()
    );
}

#[test]
fn the_flag_of_modes_is_checked() {
    assert_eq!(
        Mode::parse_list("Node,RBAC"),
        Ok(vec![Mode::Node, Mode::Rbac])
    );
    for (flag, wanted) in [
        ("", "at least one authorization-mode must be passed"),
        ("rbac", "authorization-mode \"rbac\" is not a valid mode"),
        (
            "RBAC,RBAC",
            "authorization-mode \"RBAC\" has mode specified more than once",
        ),
        (
            "Webhook",
            "authorization-mode \"Webhook\" is not offered by this server",
        ),
    ] {
        assert_eq!(Mode::parse_list(flag), Err(wanted.to_owned()));
    }
}

#[test]
fn a_refusal_says_who_may_not_do_what() {
    for (what, reason, wanted) in [
        (
            "list pods in default",
            "",
            "pods is forbidden: User \"alice\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ),
        (
            "list nodes",
            "",
            "nodes is forbidden: User \"alice\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
        ),
        (
            "get /foo",
            "",
            "forbidden: User \"alice\" cannot get path \"/foo\"",
        ),
        (
            "get /a<b>&",
            "",
            "forbidden: User \"alice\" cannot get path \"/a&lt;b&gt;&amp;\"",
        ),
        (
            "get deployments/status.apps x in a",
            "",
            "deployments.apps \"x\" is forbidden: User \"alice\" cannot get resource \"deployments/status\" in API group \"apps\" in the namespace \"a\"",
        ),
        (
            "get pods/log x in default",
            "RBAC: why",
            "pods \"x\" is forbidden: User \"alice\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"default\": RBAC: why",
        ),
    ] {
        let status = forbidden(&asked(user_of("alice devs"), what), reason);
        assert_eq!((status.code, status.message.as_str()), (403, wanted));
    }
}

#[test]
fn a_refusal_has_details_even_if_there_are_none() {
    let status = forbidden(&asked(user_of("alice"), "get /foo"), "");
    assert_eq!(status.to_value()["details"], json!({}));
}

#[test]
fn the_modes_of_the_flag_decide_in_their_order() {
    let view: Arc<dyn crate::objects_view::ObjectsView> = cluster();
    let union = |flag: &str| Union::of_modes(&Mode::parse_list(flag).unwrap(), &view);
    let node = user("system:node:n1", &["system:nodes"]);
    for (flag, who, what, wanted) in [
        ("Node,RBAC", node.clone(), "get nodes n1", true),
        ("RBAC", node, "get nodes n1", false),
        ("Node,RBAC", user_of("alice"), "list pods in shop", true),
        ("Node", user_of("alice"), "list pods in shop", false),
        (
            "AlwaysDeny,AlwaysAllow",
            user_of("bob"),
            "delete nodes n1",
            true,
        ),
    ] {
        let decision = union(flag).authorize(&asked(who, what));
        assert_eq!(decision.is_allowed(), wanted, "{flag} {what}");
    }
}
