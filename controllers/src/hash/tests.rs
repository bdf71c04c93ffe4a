//! When templates have the same name.

use super::*;
use serde_json::json;

fn pod_template(container: Value) -> PodTemplateSpec {
    let labels = json!({"app": "a"});
    serde_json::from_value(json!({
        "metadata": {"labels": labels},
        "spec": {"containers": [container]},
    }))
    .unwrap()
}

#[test]
fn a_name_does_not_change_between_releases() {
    let of = pod_template(json!({"name": "c", "image": "nginx:1"}));
    assert_eq!(template(&of, None), template(&of, None));
    assert_eq!(content(&json!({}), None), "5859f96865");
}

#[test]
fn what_says_the_same_has_the_same_name() {
    let short = pod_template(json!({"name": "c", "resources": {"limits": {"cpu": "1"}}}));
    let long = pod_template(json!({
        "name": "c", "args": [], "resources": {"limits": {"cpu": "1000m"}, "requests": {}},
    }));
    assert_eq!(template(&short, None), template(&long, None));
    assert!(is_same_template(&short, &long));
}

#[test]
fn what_says_something_else_has_another_name() {
    let plain = pod_template(json!({"name": "c", "image": "nginx:1"}));
    for other in [
        json!({"name": "c", "image": "nginx:2"}),
        json!({"name": "c", "image": "nginx:1", "securityContext": {}}),
        json!({"name": "c", "image": "nginx:1", "resources": {"limits": {"cpu": "2"}}}),
    ] {
        let other = pod_template(other);
        assert_ne!(template(&plain, None), template(&other, None));
        assert!(!is_same_template(&plain, &other));
    }
}

#[test]
fn each_collision_makes_another_name() {
    let of = pod_template(json!({"name": "c"}));
    let names = [None, Some(0), Some(1), Some(2)].map(|count| template(&of, count));
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
}

#[test]
fn the_label_of_the_template_is_no_difference() {
    let plain = pod_template(json!({"name": "c"}));
    let mut labelled = plain.clone();
    let labels = labelled.metadata.as_mut().unwrap().labels.as_mut().unwrap();
    labels.insert(TEMPLATE_HASH_LABEL.into(), "abc".into());
    assert!(is_same_template(&plain, &labelled));
    assert_ne!(template(&plain, None), template(&labelled, None));
}
