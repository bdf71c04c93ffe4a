//! Which rule of a policy a request falls under, and policies that are refused.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Level, Policy};
use crate::attributes::Attributes;
use crate::audit::event::Stage;
use crate::user::User;

const HEAD: &str = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";

fn policy(rest: &str) -> Result<Policy, String> {
    Policy::parse(format!("{HEAD}{rest}").as_bytes())
}

/// `USER VERB GROUP/RESOURCE[/PART] NAMESPACE NAME`, or `USER VERB PATH`; `-` is nothing.
fn request(text: &str) -> Attributes {
    let words: Vec<&str> = text.split(' ').collect();
    let word = |at: usize| match words.get(at) {
        None | Some(&"-") => String::new(),
        Some(word) => (*word).to_owned(),
    };
    let mut attributes = Attributes {
        user: Arc::new(User {
            name: word(0),
            groups: vec!["devs".to_owned()],
            ..User::default()
        }),
        verb: word(1),
        namespace: word(3),
        name: word(4),
        ..Attributes::default()
    };
    if words[2].starts_with('/') {
        attributes.path = word(2);
    } else {
        let mut parts = words[2].split('/');
        let mut part = || parts.next().unwrap_or_default().replace('-', "");
        (
            attributes.group,
            attributes.resource,
            attributes.subresource,
        ) = (part(), part(), part());
    }
    attributes
}

#[test]
fn the_first_rule_that_fits_decides() {
    let policy = policy(
        r#"
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: [quiet]}
- {level: None, nonResourceURLs: ["/healthz*", "/version"]}
- {level: RequestResponse, resources: [{group: "", resources: [pods, "*/status"], resourceNames: [special]}]}
- {level: Request, resources: [{group: apps}, {group: "", resources: ["pods/*"]}], omitStages: [Panic], omitManagedFields: false}
- {level: Metadata, namespaces: [kube-system], verbs: [get]}
- {level: RequestResponse, userGroups: [others]}
- {level: Metadata, nonResourceURLs: ["*"]}
"#,
    )
    .unwrap();
    let cases = [
        ("quiet get -/pods a special", Level::None),
        ("a get /healthz/ping", Level::None),
        ("a get /version", Level::None),
        ("a get /versions", Level::Metadata),
        ("a get -/pods a special", Level::RequestResponse),
        ("a get -/pods a plain", Level::Request),
        ("a update -/nodes/status - special", Level::RequestResponse),
        ("a create -/pods/log a plain", Level::Request),
        ("a get -/pods/log a special", Level::Request),
        ("a list apps/deployments a -", Level::Request),
        ("a get batch/jobs kube-system x", Level::Metadata),
        ("a list batch/jobs kube-system -", Level::None),
    ];
    for (text, level) in cases {
        assert_eq!(policy.wish(&request(text)).level, level, "{text}");
    }
    let wish = policy.wish(&request("a list apps/deployments a -"));
    assert_eq!(wish.omitted, [Stage::Panic, Stage::RequestReceived]);
    assert!(!wish.omit_managed_fields);
    assert!(policy.wish(&request("a get /versions")).omit_managed_fields);
}

#[test]
fn a_bad_policy_is_refused_in_upstreams_words() {
    let cases = [
        ("", "loaded illegal policy with 0 rules"),
        ("rules: [{}]", "rules[0].level: Required value"),
        (
            "rules: [{level: All}]",
            "rules[0].level: Unsupported value: \"All\": supported values: \"None\", \"Metadata\", \"Request\", \"RequestResponse\"",
        ),
        (
            "rules: [{level: None, nonResourceURLs: [a, \"/b*c\"], namespaces: [x]}]",
            "[rules[0].nonResourceURLs[0]: Invalid value: \"a\": non-resource URL rules must begin with a '/' character, \
             rules[0].nonResourceURLs[1]: Invalid value: \"/b*c\": non-resource URL wildcards '*' must be the final character of \
             the rule, rules[0].nonResourceURLs: Invalid value: [\"a\",\"/b*c\"]: rules cannot apply to both regular resources \
             and non-resource URLs]",
        ),
        (
            "rules: [{level: None, omitStages: [Foo], resources: [{resourceNames: [a]}]}]",
            "[rules[0].resources.resourceNames: Invalid value: [\"a\"]: using resourceNames requires at least one resource, \
             rules[0].omitStages[0]: Invalid value: \"Foo\": allowed stages are \
             RequestReceived,ResponseStarted,ResponseComplete,Panic]",
        ),
    ];
    for (text, told) in cases {
        assert_eq!(policy(text).unwrap_err(), told);
    }
    assert!(Policy::parse(b"kind: Policy").is_err());
}

proptest! {
    #[test]
    fn no_file_brings_it_down(text in "\\PC{0,80}") {
        let _ = Policy::parse(text.as_bytes());
        let _ = policy(&text);
        let _ = policy(&format!("rules: [{text}]"));
    }
}
