//! Tests of the policy that every cluster begins with, and of bringing a cluster up to it.

use serde_json::json;

use super::*;

#[test]
fn the_policy_has_every_object_once_and_each_is_marked() {
    let mut seen = std::collections::BTreeSet::new();
    for expected in policy() {
        let object = &expected.object;
        assert!(seen.insert((expected.plural, meta::namespace(object), meta::name(object))));
        assert_eq!(
            meta::label(object, "kubernetes.io/bootstrapping"),
            Some("rbac-defaults")
        );
        assert_eq!(meta::annotation(object, AUTOUPDATE), Some("true"));
    }
    assert!(seen.contains(&("clusterroles", "", "cluster-admin")));
    assert!(seen.contains(&(
        "rolebindings",
        "kube-system",
        "system::leader-locking-kube-scheduler"
    )));
}

#[test]
fn what_is_as_the_policy_says_is_left_and_what_is_missing_is_made() {
    for expected in policy() {
        assert_eq!(reconcile(&expected.object, Some(&expected.object)), None);
        assert_eq!(
            reconcile(&expected.object, None),
            Some(Step::Create(expected.object.clone()))
        );
    }
}

fn role(rules: Value) -> Value {
    json!({"kind": "ClusterRole", "metadata": {"name": "r", "labels": {"a": "b"}, "annotations": {AUTOUPDATE: "true"}}, "rules": rules})
}

#[test]
fn rules_and_labels_are_added_and_nothing_is_taken_away() {
    let expected =
        role(json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]));
    let current = json!({"kind": "ClusterRole", "metadata": {"name": "r", "labels": {"a": "mine"}, "uid": "u"},
        "rules": [{"verbs": ["get", "delete"], "apiGroups": [""], "resources": ["pods"]}]});
    let Some(Step::Update(new)) = reconcile(&expected, Some(&current)) else {
        panic!("an update is due");
    };
    assert_eq!(
        new,
        json!({"kind": "ClusterRole", "metadata": {"name": "r", "labels": {"a": "mine"}, "uid": "u", "annotations": {AUTOUPDATE: "true"}},
        "rules": [
            {"verbs": ["get", "delete"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]},
        ]})
    );
}

#[test]
fn an_object_that_wants_to_be_left_alone_is() {
    let mut current = role(json!([]));
    current["metadata"]["annotations"][AUTOUPDATE] = json!("false");
    let expected = role(json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]));
    assert_eq!(reconcile(&expected, Some(&current)), None);
}

#[test]
fn a_role_that_is_not_to_aggregate_stops_and_one_that_is_begins() {
    let plain = role(json!([]));
    let mut aggregated = role(json!([]));
    aggregated["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"x": "y"}}]});
    assert_eq!(
        reconcile(&plain, Some(&aggregated)),
        Some(Step::Update(plain.clone()))
    );
    assert_eq!(
        reconcile(&aggregated, Some(&plain)),
        Some(Step::Update(aggregated))
    );
}

#[test]
fn a_binding_gets_missing_subjects_and_one_to_another_role_is_made_again() {
    let binding = |role: &str, subjects: Value| json!({"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects});
    let expected = binding("a", json!([{"kind": "Group", "name": "g"}]));
    let current = binding("a", json!([{"kind": "User", "name": "u"}]));
    assert_eq!(
        reconcile(&expected, Some(&current)),
        Some(Step::Update(binding(
            "a",
            json!([{"kind": "User", "name": "u"}, {"kind": "Group", "name": "g"}])
        )))
    );
    let other = binding("z", json!([]));
    assert_eq!(
        reconcile(&expected, Some(&other)),
        Some(Step::Recreate(expected))
    );
}
