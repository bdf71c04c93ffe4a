//! Writes of roles and bindings, and what their writers must hold.

use super::*;
use crate::authz::{
    aggregation::aggregate,
    escalation::{check_binding, check_role},
    rbac::Rbac,
};

/// Alice may write roles and bindings of `shop`, and get pods there; carl may escalate and bind besides.
fn cluster() -> Arc<Memory> {
    let memory = Arc::new(Memory::default());
    let writer =
        json!({"verbs": ["*"], "apiGroups": [GROUP], "resources": ["roles", "rolebindings"]});
    put(
        &memory,
        role(
            "Role",
            "shop/writer",
            json!([writer, {"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "*/log"]}]),
        ),
    );
    let mut narrow = writer.clone();
    narrow["verbs"] = json!(["create", "update"]);
    put(
        &memory,
        role(
            "Role",
            "shop/narrow",
            json!([narrow, {"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "*/log"]}]),
        ),
    );
    for (name, who) in [("writer", "carl"), ("narrow", "alice")] {
        put(
            &memory,
            binding(
                "RoleBinding",
                &format!("shop/{name}"),
                ("Role", name),
                json!([{"kind": "User", "name": who}]),
            ),
        );
    }
    memory
}

fn told(result: Result<(), objects::status::Status>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(status) => format!("{} {}", status.code, status.message),
    }
}

#[test]
fn rules_that_the_writer_does_not_hold_are_refused_by_name() {
    let rbac = Rbac::new(cluster());
    let check = |who: &str, rules: Value| {
        let request = asked(
            user_of(who),
            "create roles.rbac.authorization.k8s.io in shop",
        );
        told(check_role(
            &rbac,
            &rbac,
            &request,
            &role("Role", "shop/new", rules),
            None,
        ))
    };
    let pods = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/log"]}]);
    let more = json!([
        {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods", "secrets"]},
        {"verbs": ["get"], "nonResourceURLs": ["/x", "/y"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]},
        {"verbs": ["update"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a", "b"]},
    ]);
    assert_eq!(check("alice devs", pods), "ok");
    assert_eq!(
        check("alice devs system:authenticated", more.clone()),
        "403 roles.rbac.authorization.k8s.io \"new\" is forbidden: user \"alice\" (groups=[\"devs\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n\
        {APIGroups:[\"\"], Resources:[\"pods\"], ResourceNames:[\"a\"], Verbs:[\"update\"]}\n\
        {APIGroups:[\"\"], Resources:[\"pods\"], ResourceNames:[\"b\"], Verbs:[\"update\"]}\n\
        {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\" \"watch\"]}\n\
        {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\" \"watch\"]}\n\
        {NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}\n\
        {NonResourceURLs:[\"/y\"], Verbs:[\"get\"]}"
    );
    assert_eq!(check("carl", more.clone()), "ok");
    assert_eq!(check("root system:masters", more), "ok");
}

#[test]
fn a_role_with_more_combinations_than_can_be_checked_is_refused() {
    let rbac = Rbac::new(cluster());
    let many: Vec<String> = (0..1000).map(|n| format!("n{n}")).collect();
    let rules =
        json!([{"verbs": many, "apiGroups": many, "resources": many, "resourceNames": many}]);
    let request = asked(
        user_of("alice"),
        "create roles.rbac.authorization.k8s.io in shop",
    );
    let answer = told(check_role(
        &rbac,
        &rbac,
        &request,
        &role("Role", "shop/new", rules),
        None,
    ));
    assert!(answer.ends_with("rules with more than 100000 combinations cannot be checked"));
}

#[test]
fn an_update_that_only_lets_go_of_an_object_is_not_checked() {
    let rbac = Rbac::new(cluster());
    let mut old = role(
        "Role",
        "shop/new",
        json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]),
    );
    let mut new = old.clone();
    old["metadata"]["finalizers"] = json!(["x"]);
    let request = asked(
        user_of("alice"),
        "update roles.rbac.authorization.k8s.io new in shop",
    );
    assert_eq!(
        told(check_role(&rbac, &rbac, &request, &new, Some(&old))),
        "ok"
    );
    new["metadata"]["labels"] = json!({"a": "b"});
    assert!(told(check_role(&rbac, &rbac, &request, &new, Some(&old))).starts_with("403"));
}

#[test]
fn an_aggregation_rule_needs_everything() {
    let rbac = Rbac::new(cluster());
    let mut new = role("ClusterRole", "new", json!([]));
    new["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let request = asked(
        user_of("alice"),
        "create clusterroles.rbac.authorization.k8s.io",
    );
    assert_eq!(
        told(check_role(&rbac, &rbac, &request, &new, None)),
        "403 clusterroles.rbac.authorization.k8s.io \"new\" is forbidden: must have cluster-admin privileges to use the aggregationRule"
    );
}

#[test]
fn a_binding_gives_only_what_its_writer_holds_or_may_bind() {
    let memory = cluster();
    put(
        &memory,
        role(
            "ClusterRole",
            "big",
            json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]),
        ),
    );
    put(
        &memory,
        role(
            "Role",
            "shop/small",
            json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]),
        ),
    );
    let rbac = Rbac::new(memory);
    let check = |who: &str, to| {
        let request = asked(
            user_of(who),
            "create rolebindings.rbac.authorization.k8s.io in shop",
        );
        let new = binding("RoleBinding", "shop/new", to, json!([]));
        told(check_binding(&rbac, &rbac, &request, &new, None))
    };
    assert_eq!(check("alice", ("Role", "small")), "ok");
    assert_eq!(
        check("alice", ("ClusterRole", "big")),
        "403 rolebindings.rbac.authorization.k8s.io \"new\" is forbidden: user \"alice\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n\
        {APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}"
    );
    assert_eq!(
        check("alice", ("ClusterRole", "nope")),
        "404 rolebindings.rbac.authorization.k8s.io \"nope\" not found"
    );
    // The verb `bind` on roles of the namespace says nothing about cluster roles.
    assert_eq!(check("carl", ("Role", "nope")), "ok");
    assert!(check("carl", ("ClusterRole", "big")).starts_with("403"));
    assert_eq!(check("root system:masters", ("ClusterRole", "big")), "ok");
}

#[test]
fn an_aggregated_role_has_the_rules_of_those_its_selectors_select() {
    let rule = |verb: &str| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]});
    let labelled = |name: &str, labels: Value, rules: Value| {
        let mut role = role("ClusterRole", name, rules);
        role["metadata"]["labels"] = labels;
        Arc::new(role)
    };
    let mut all = role("ClusterRole", "all", json!([rule("own")]));
    all["metadata"]["labels"] = json!({"to": "all"});
    all["aggregationRule"] = json!({"clusterRoleSelectors": [
        {"matchExpressions": [{"key": "kind", "operator": "In", "values": ["x"]}, {"key": "off", "operator": "DoesNotExist"}]},
        {"matchLabels": {"to": "all"}},
    ]});
    let roles = [
        Arc::new(all.clone()),
        labelled("b", json!({"to": "all"}), json!([rule("b"), rule("get")])),
        labelled("a", json!({"to": "all"}), json!([rule("get")])),
        labelled("c", json!({"kind": "x"}), json!([rule("c")])),
        labelled("d", json!({"kind": "x", "off": ""}), json!([rule("d")])),
        labelled("e", json!({}), json!([rule("e")])),
    ];
    let verbs: Vec<String> = aggregate(&all, &roles)
        .unwrap()
        .into_iter()
        .flat_map(|rule| rule.verbs)
        .collect();
    assert_eq!(verbs, ["c", "get", "b"]);
    assert_eq!(aggregate(&roles[1], &roles), None);
}

#[test]
fn a_refusal_tells_of_bindings_to_roles_that_do_not_exist() {
    let memory = cluster();
    let alice = json!([{"kind": "User", "name": "alice"}]);
    for (name, to) in [("b1", ("ClusterRole", "nope3")), ("b2", ("Role", "nope4"))] {
        let place = format!("shop/{name}");
        put(&memory, binding("RoleBinding", &place, to, alice.clone()));
    }
    let rbac = Rbac::new(memory);
    let request = asked(
        user_of("alice"),
        "create roles.rbac.authorization.k8s.io in shop",
    );
    let new = role(
        "Role",
        "shop/new",
        json!([{"verbs": ["watch"], "apiGroups": [""], "resources": ["pods"]}]),
    );
    assert_eq!(
        told(check_role(&rbac, &rbac, &request, &new, None)),
        "403 roles.rbac.authorization.k8s.io \"new\" is forbidden: user \"alice\" (groups=[]) is attempting to grant RBAC permissions not currently held:\n\
        {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"watch\"]}; \
        resolution errors: [[roles.rbac.authorization.k8s.io \"nope3\" not found, roles.rbac.authorization.k8s.io \"nope4\" not found]]"
    );
    assert_eq!(
        rbac.rules_for(&request.user, "shop").errors,
        [
            "clusterrole.rbac.authorization.k8s.io \"nope3\" not found",
            "role.rbac.authorization.k8s.io \"nope4\" not found"
        ]
    );
}
