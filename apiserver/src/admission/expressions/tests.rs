//! Expressions over requests: what they read, what they cost, and what conditions say.

use std::sync::Arc;

use objects::cel::Environment;
use objects::cel::admission::{Returns, Scope};
use serde_json::json;

use super::*;
use crate::admission::{Operation, Review, Warnings};
use crate::attributes::Attributes;
use crate::authz::{AlwaysAllow, Authorizer};
use crate::served::Resources;
use crate::user::User;

const ALL: Scope = Scope {
    params: true,
    authorizer: true,
    patches: true,
};

/// What a request that makes a pod gives to expressions.
fn inputs() -> Inputs {
    let table = Resources::default().table();
    let served = table.get("", "v1", "pods").unwrap();
    let attributes = Attributes {
        user: Arc::new(User {
            name: "alice".to_owned(),
            groups: vec!["devs".to_owned()],
            ..User::default()
        }),
        verb: "create".to_owned(),
        version: "v1".to_owned(),
        resource: "pods".to_owned(),
        namespace: "shop".to_owned(),
        ..Attributes::default()
    };
    let warnings = Warnings::default();
    let review = Review {
        operation: Operation::Create,
        attributes: &attributes,
        served,
        old: None,
        options: &Value::Null,
        dry_run: false,
        warnings: &warnings,
    };
    let object = json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let subject = Subject {
        served,
        object: Some(&object),
        old: None,
    };
    let authorizer: Arc<dyn Authorizer> = Arc::new(AlwaysAllow);
    Inputs::new(&review, &subject, &authorizer)
        .with_namespace(&json!({"metadata": {"name": "shop", "labels": {"team": "t"}}}))
}

fn conditions(expressions: &[&str], failure_policy: &str) -> MatchConditions {
    let conditions: Vec<Value> = expressions
        .iter()
        .map(|text| json!({"name": "n", "expression": text}))
        .collect();
    MatchConditions::compile(&conditions, failure_policy, &Environment::admission(ALL))
}

#[test]
fn expressions_read_the_request_and_its_objects() {
    let environment = Environment::admission(ALL);
    for source in [
        "object.metadata.name == 'a' && oldObject == null && params == null",
        "request.kind.kind == 'Pod' && request.resource.resource == 'pods' && request.name == 'a'",
        "request.operation == 'CREATE' && request.userInfo.username == 'alice' && request.namespace == 'shop'",
        "!has(request.subResource) && !has(request.userInfo.extra) && !request.dryRun",
        "namespaceObject.metadata.labels['team'] == 't'",
        "authorizer.group('').resource('pods').namespace('x').check('delete').allowed()",
        "authorizer.requestResource.check('create').allowed()",
        "authorizer.serviceAccount('a', 'b').path('/x').check('get').allowed()",
    ] {
        let expression = Expression::compile(source, &environment, Returns::Bool);
        let outcome = expression.evaluate(&inputs(), &mut budget(COST_MAX));
        let value = outcome
            .unwrap()
            .unwrap_or_else(|why| panic!("{source}: {why}"));
        assert_eq!(value, CelValue::Bool(true), "{source}");
    }
}

#[test]
fn a_condition_that_says_no_outweighs_failures_and_failures_follow_the_policy() {
    let (yes, no, fails) = ("true", "object.metadata.name == 'b'", "object.nothing == 1");
    let failure =
        "expression 'object.nothing == 1' resulted in error: no such key: nothing".to_owned();
    for (expressions, policy, expected) in [
        (&[yes][..], "Fail", Ok(Matched::Yes)),
        (&[], "Fail", Ok(Matched::Yes)),
        (&[yes, no], "Fail", Ok(Matched::No)),
        (&[fails, no], "Fail", Ok(Matched::No)),
        (&[fails, yes, fails], "Fail", Err(failure)),
        (&[yes, fails], "Ignore", Ok(Matched::No)),
    ] {
        let held = conditions(expressions, policy).hold(&inputs());
        assert_eq!(held, expected, "{expressions:?} {policy}");
    }
}

#[test]
fn conditions_run_within_a_budget() {
    let costly = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all(a, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all(b, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all(c, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all(d, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all(e, a + b + c + d + e > 0)))))";
    let why = conditions(&[costly], "Fail").hold(&inputs()).unwrap_err();
    assert!(
        why.ends_with("operation cancelled: actual cost limit exceeded"),
        "{why}"
    );
    let many = vec![costly; 4];
    let why = conditions(&many, "Fail").hold(&inputs()).unwrap_err();
    assert_eq!(why, OutOfBudget.to_string());
    assert_eq!(conditions(&many, "Ignore").hold(&inputs()), Ok(Matched::No));
}

#[test]
fn composed_variables_run_when_they_are_read_and_see_those_before_them() {
    let variables = [
        json!({"name": "count", "expression": "object.spec.containers.size()"}),
        json!({"name": "more", "expression": "variables.count + 1"}),
        json!({"name": "fails", "expression": "object.nothing"}),
    ];
    let environment = Environment::admission(ALL);
    let composed = Arc::new(Composed::compile(&variables, &environment));
    let environment = composed.environment(environment);
    let run = |source: &str| {
        let expression = Expression::compile(source, &environment, Returns::Anything);
        let inputs = inputs().with_composed(&composed);
        let outcome = expression.evaluate(&inputs, &mut budget(COST_MAX)).unwrap();
        outcome.map(|value| value == CelValue::Bool(true))
    };
    assert_eq!(run("variables.more == 2 || variables.fails"), Ok(true));
    assert_eq!(
        run("variables.fails == 1").unwrap_err(),
        "expression 'variables.fails == 1' resulted in error: composited variable \"fails\" fails to evaluate: no such key: nothing"
    );
    assert!(
        run("variables.other")
            .unwrap_err()
            .contains("undefined field 'other'")
    );
}
