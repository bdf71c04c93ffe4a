//! Questions and answers, as upstream gives them.

use serde_json::json;

use super::*;
use crate::authz::{Union, memory::Memory, rbac::Rbac};

fn authorizer() -> Union {
    Union::new(vec![Box::new(Rbac::new(Memory::bootstrapped()))])
}

fn alice() -> Arc<User> {
    Arc::new(User {
        name: "alice".to_owned(),
        groups: vec!["devs".to_owned(), "system:authenticated".to_owned()],
        ..User::default()
    })
}

fn told(answer: Result<Value, Status>) -> String {
    match answer {
        Ok(answer) => answer["status"].to_string(),
        Err(status) => format!("{} {}", status.code, status.message),
    }
}

const DISCOVERY: &str = r#"{"allowed":true,"reason":"RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \"system:discovery\" to Group \"system:authenticated\""}"#;

#[test]
fn somebody_asks_about_itself() {
    for (body, wanted) in [
        (
            json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}}),
            r#"{"allowed":false}"#,
        ),
        (
            json!({"metadata": {"creationTimestamp": null}, "spec": {"nonResourceAttributes": {"verb": "get", "path": "/api"}}}),
            DISCOVERY,
        ),
        (
            json!({"spec": {}}),
            "422 .authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ),
        (
            json!({"metadata": {"name": "x"}, "spec": {"nonResourceAttributes": {"verb": "get", "path": "/api"}, "resourceAttributes": {"verb": "list"}}}),
            "422 .authorization.k8s.io \"\" is invalid: [spec.nonResourceAttributes: Invalid value: {\"Path\":\"/api\",\"Verb\":\"get\"}: cannot be specified in combination with resourceAttributes, metadata: Invalid value: {\"name\":\"x\"}: must be empty]",
        ),
    ] {
        assert_eq!(
            told(self_subject_access(&authorizer(), &alice(), &body)),
            wanted
        );
    }
}

#[test]
fn somebody_asks_about_another() {
    for (body, wanted) in [
        (
            json!({"spec": {"user": "bob", "groups": ["system:masters"], "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
            r#"{"allowed":true}"#,
        ),
        (
            json!({"spec": {"user": "bob", "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
            r#"{"allowed":false}"#,
        ),
        (
            json!({"spec": {"groups": ["system:authenticated"], "nonResourceAttributes": {"verb": "get", "path": "/api"}}}),
            DISCOVERY,
        ),
        (
            json!({"spec": {}}),
            "422 .authorization.k8s.io \"\" is invalid: [spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified, spec.user: Invalid value: \"\": at least one of user or group must be specified]",
        ),
        (
            json!({"spec": {"user": "bob", "resourceAttributes": {"fieldSelector": {}, "labelSelector": {"rawSelector": "a", "requirements": [{"key": "a", "operator": "In"}]}}}}),
            "422 .authorization.k8s.io \"\" is invalid: [spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required, spec.resourceAttributes.labelSelector.rawSelector: Invalid value: \"a\": may not specified at the same time as requirements, spec.resourceAttributes.labelSelector.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn']",
        ),
    ] {
        assert_eq!(told(subject_access(&authorizer(), &body)), wanted);
    }
}

#[test]
fn a_question_in_a_namespace_is_about_it() {
    for (body, wanted) in [
        (
            json!({"metadata": {"namespace": "default"}, "spec": {"user": "bob", "resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}}}),
            r#"{"allowed":false}"#,
        ),
        (
            json!({"metadata": {"name": "x"}, "spec": {"user": "bob", "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
            "422 .authorization.k8s.io \"\" is invalid: [metadata: Invalid value: {\"name\":\"x\",\"namespace\":\"default\"}: must be empty except for namespace, spec.resourceAttributes.namespace: Invalid value: \"\": must match metadata.namespace]",
        ),
        (
            json!({"spec": {"user": "bob", "nonResourceAttributes": {"verb": "get", "path": "/x"}}}),
            "422 .authorization.k8s.io \"\" is invalid: spec.nonResourceAttributes: Invalid value: {\"Path\":\"/x\",\"Verb\":\"get\"}: disallowed on this kind of request",
        ),
        (
            json!({"metadata": {"namespace": "other"}, "spec": {"user": "bob", "resourceAttributes": {"namespace": "other", "verb": "get", "resource": "pods"}}}),
            "400 spec.resourceAttributes.namespace must match namespace: default",
        ),
    ] {
        assert_eq!(
            told(local_subject_access(&authorizer(), "default", &body)),
            wanted
        );
    }
}

#[test]
fn the_rules_of_somebody_are_listed() {
    let body = json!({"spec": {"namespace": "default"}});
    let answer = self_subject_rules(&authorizer(), &alice(), &body).unwrap();
    assert_eq!(
        answer,
        json!({"kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": {}, "status": {
            "resourceRules": [
                {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
                {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
            ],
            "nonResourceRules": [
                {"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"]},
                {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"]},
            ],
            "incomplete": false,
        }})
    );
    let nowhere = json!({"spec": {}});
    assert_eq!(
        told(self_subject_rules(&authorizer(), &alice(), &nowhere)),
        "400 no namespace on request"
    );
}

#[test]
fn requirements_are_selectors_in_the_form_of_lists() {
    let body = json!({"spec": {"resourceAttributes": {
        "fieldSelector": {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n,1"]}, {"key": "a", "operator": "NotIn", "values": ["b"]}, {"key": "c", "operator": "Exists"}]},
        "labelSelector": {"requirements": [{"key": "a", "operator": "In", "values": ["b", "c"]}, {"key": "d", "operator": "DoesNotExist"}]},
    }}});
    let asked = attributes(&body, alice());
    assert_eq!(asked.field_selector, "spec.nodeName=n\\,1,a!=b");
    assert_eq!(asked.label_selector, "a in (b,c),!d");
    let raw = json!({"spec": {"resourceAttributes": {"fieldSelector": {"rawSelector": "x=y"}}}});
    assert_eq!(attributes(&raw, alice()).field_selector, "x=y");
}
