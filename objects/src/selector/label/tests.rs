//! What selectors are read as and what they select; the messages are those of a kube-apiserver.

use proptest::prelude::*;
use serde_json::json;

use super::Selector;

#[test]
fn a_selector_is_written_as_it_is_read() {
    for (given, expected) in [
        ("", ""),
        ("a=b", "a=b"),
        ("x == y", "x==y"),
        ("z!=1,a", "a,z!=1"),
        ("!a", "!a"),
        ("k in (b, a,b)", "k in (a,b)"),
        ("k notin (in,notin)", "k notin (in,notin)"),
        ("in=1", "in=1"),
        ("x in ()", "x in ()"),
        ("x in (,a)", "x in (,a)"),
        ("x in (a,,)", "x in (,a)"),
        ("a=", "a="),
        ("a=,b", "a=,b"),
        ("b<2,a>1", "a>1,b<2"),
        ("example.com/a=b", "example.com/a=b"),
    ] {
        assert_eq!(Selector::parse(given).unwrap().to_string(), expected);
    }
}

#[test]
fn what_is_no_selector_is_told_in_upstreams_words() {
    let parse = "unable to parse requirement: ";
    for (given, expected) in [
        ("a in b", format!("{parse}found 'b' expected: '('")),
        ("a in (b", format!("{parse}found '', expected: ',' or ')'")),
        ("!", format!("{parse}found '', expected: identifier")),
        (
            "a=b=c",
            "found '=', expected: ',' or 'end of string'".into(),
        ),
        (
            "a>x",
            format!(
                "{parse}values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"
            ),
        ),
        (
            ",a",
            "found ',', expected: !, identifier, or 'end of string'".into(),
        ),
        ("a,", "found '', expected: identifier after ','".into()),
        (
            "a!",
            format!("{parse}found '!', expected: in, notin, =, ==, !=, gt, lt"),
        ),
        (
            "a b",
            format!("{parse}found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ),
        ("a=(", format!("{parse}found '(', expected: identifier")),
        (
            "a notin (",
            format!("{parse}found '', expected: ',', ')' or identifier"),
        ),
        (
            "-a=1",
            format!(
                "{parse}<nil>: Invalid value: \"-a\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            ),
        ),
        (
            "a=-b",
            format!(
                "{parse}values[0][a]: Invalid value: \"-b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ),
        ),
        (
            "a/b/c=1",
            format!(
                "{parse}<nil>: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ),
        ),
    ] {
        assert_eq!(Selector::parse(given).unwrap_err(), expected, "{given}");
    }
}

#[test]
fn requirements_are_held_against_labels() {
    let object = json!({"metadata": {"labels": {"a": "1", "b": "x", "c": ""}}});
    for (selector, selected) in [
        ("", true),
        ("a", true),
        ("!a", false),
        ("d", false),
        ("!d", true),
        ("a=1,b=x", true),
        ("a=2", false),
        ("d!=1", true),
        ("b in (x,y)", true),
        ("b notin (x)", false),
        ("d notin (x)", true),
        ("a>0", true),
        ("a<1", false),
        ("b>0", false),
        ("c=", true),
    ] {
        let parsed = Selector::parse(selector).unwrap();
        assert_eq!(parsed.selects(&object), selected, "{selector}");
    }
}

#[test]
fn a_label_selector_object_says_the_same_as_text() {
    let selector = json!({"matchLabels": {"b": "2"}, "matchExpressions": [
        {"key": "a", "operator": "NotIn", "values": ["y", "x"]}, {"key": "c", "operator": "Exists"},
    ]});
    let read = Selector::from_object(&selector).unwrap();
    assert_eq!(read.to_string(), "a notin (x,y),b=2,c");
    assert!(Selector::from_object(&json!({})).unwrap().is_everything());
    assert!(Selector::from_object(&json!(null)).unwrap().is_nothing());
    let wrong = json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]});
    assert_eq!(
        Selector::from_object(&wrong).unwrap_err(),
        "\"Gt\" is not a valid label selector operator"
    );
    let empty = json!({"matchExpressions": [{"key": "a", "operator": "In"}]});
    assert_eq!(
        Selector::from_object(&empty).unwrap_err(),
        "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_is_written_alike(text in "[a-c=!(),<>1 in]{0,20}") {
        if let Ok(selector) = Selector::parse(&text) {
            let written = selector.to_string();
            prop_assert_eq!(Selector::parse(&written).unwrap().to_string(), written);
        }
    }
}
