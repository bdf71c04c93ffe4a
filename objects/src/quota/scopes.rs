//! Quotas of some objects only: those that their scopes select.

use crate::selector::label::{Operator, Requirement};
use crate::strategy::pod::quality;
use crate::{Value, meta};

/// Whether a quota counts an object, as far as its scopes go. Scopes that say nothing about a resource select none of it.
#[must_use]
pub fn in_scope(quota: &Value, group: &str, plural: &str, object: &Value) -> bool {
    let matches = |scope: &str, operator: &str, values: &[Value]| match (group, plural) {
        ("", "pods") => pod_is_in(object, scope, operator, values),
        ("", "persistentvolumeclaims") if scope == "VolumeAttributesClass" => {
            claim_is_in(object, operator, values)
        }
        _ => false,
    };
    let all = meta::list(quota, &["spec", "scopes"]);
    let selected = meta::list(quota, &["spec", "scopeSelector", "matchExpressions"]);
    all.iter()
        .all(|scope| matches(scope.as_str().unwrap_or_default(), "Exists", &[]))
        && selected.iter().all(|expression| {
            let text = |field| meta::text(expression, &[field]);
            let values = meta::list(expression, &["values"]);
            matches(text("scopeName"), text("operator"), values)
        })
}

fn pod_is_in(pod: &Value, scope: &str, operator: &str, values: &[Value]) -> bool {
    let deadline = meta::at(pod, &["spec", "activeDeadlineSeconds"]).and_then(Value::as_i64);
    let ends = deadline.is_some_and(|seconds| seconds >= 0);
    match scope {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => {
            let class = meta::text(pod, &["spec", "priorityClassName"]);
            let class = (!class.is_empty()).then_some(class);
            asks(scope, operator, values, class)
        }
        "CrossNamespacePodAffinity" => looks_elsewhere(pod),
        _ => false,
    }
}

fn is_best_effort(pod: &Value) -> bool {
    let told = meta::text(pod, &["status", "qosClass"]);
    let class = if told.is_empty() {
        quality::class(pod)
    } else {
        told
    };
    class == "BestEffort"
}

/// Whether an expression holds of a name, or of there being none.
fn asks(scope: &str, operator: &str, values: &[Value], name: Option<&str>) -> bool {
    let operator = match operator {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => return false,
    };
    let values = values.iter().filter_map(Value::as_str).map(str::to_owned);
    Requirement::new(scope, operator, values.collect())
        .is_ok_and(|requirement| requirement.matches(name))
}

/// Whether the pod's place depends on pods of other namespaces.
fn looks_elsewhere(pod: &Value) -> bool {
    let names_others = |term: &Value| {
        !meta::list(term, &["namespaces"]).is_empty()
            || term
                .get("namespaceSelector")
                .is_some_and(|selector| !selector.is_null())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let of = |list| meta::list(pod, &["spec", "affinity", kind, list]).iter();
        of("requiredDuringSchedulingIgnoredDuringExecution").any(names_others)
            || of("preferredDuringSchedulingIgnoredDuringExecution")
                .any(|term| names_others(&term["podAffinityTerm"]))
    })
}

/// A claim is between classes while it changes from one to another: each of them counts.
fn claim_is_in(claim: &Value, operator: &str, values: &[Value]) -> bool {
    let names: Vec<&str> = [
        &["spec", "volumeAttributesClassName"][..],
        &["status", "currentVolumeAttributesClassName"],
        &[
            "status",
            "modifyVolumeStatus",
            "targetVolumeAttributesClassName",
        ],
    ]
    .iter()
    .map(|path| meta::text(claim, path))
    .filter(|name| !name.is_empty())
    .collect();
    let holds = |name| asks("VolumeAttributesClass", operator, values, name);
    if names.is_empty() {
        return holds(None);
    }
    names.into_iter().any(|name| holds(Some(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_are_in_the_scopes_that_they_fit() {
        let plain = json!({"spec": {"containers": [{}]}});
        let asking = json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "1"}}}], "activeDeadlineSeconds": 0}});
        let elsewhere = json!({"spec": {"affinity": {"podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {"namespaceSelector": {}}}],
        }}}});
        for (scope, of_plain, of_asking, of_elsewhere) in [
            ("Terminating", false, true, false),
            ("NotTerminating", true, false, true),
            ("BestEffort", true, false, true),
            ("NotBestEffort", false, true, false),
            ("CrossNamespacePodAffinity", false, false, true),
            ("Unheard", false, false, false),
        ] {
            let quota = json!({"spec": {"scopes": [scope]}});
            for (pod, expected) in [
                (&plain, of_plain),
                (&asking, of_asking),
                (&elsewhere, of_elsewhere),
            ] {
                assert_eq!(in_scope(&quota, "", "pods", pod), expected, "{scope} {pod}");
            }
            assert!(!in_scope(&quota, "", "configmaps", &plain));
        }
        assert!(in_scope(&json!({"spec": {}}), "", "configmaps", &plain));
    }

    #[test]
    fn priority_classes_are_selected_by_name() {
        let high = json!({"spec": {"priorityClassName": "high"}});
        let none = json!({"spec": {}});
        for (operator, values, of_high, of_none) in [
            ("In", json!(["high", "low"]), true, false),
            ("NotIn", json!(["high"]), false, true),
            ("Exists", json!([]), true, false),
            ("DoesNotExist", json!([]), false, true),
        ] {
            let expression =
                json!({"scopeName": "PriorityClass", "operator": operator, "values": values});
            let quota = json!({"spec": {"scopeSelector": {"matchExpressions": [expression]}}});
            assert_eq!(in_scope(&quota, "", "pods", &high), of_high, "{operator}");
            assert_eq!(in_scope(&quota, "", "pods", &none), of_none, "{operator}");
        }
    }

    #[test]
    fn a_claim_counts_for_every_class_it_is_between() {
        let claim = json!({
            "spec": {"volumeAttributesClassName": "new"},
            "status": {"currentVolumeAttributesClassName": "old"},
        });
        let quota = |class: &str| {
            let expression =
                json!({"scopeName": "VolumeAttributesClass", "operator": "In", "values": [class]});
            json!({"spec": {"scopeSelector": {"matchExpressions": [expression]}}})
        };
        for (class, expected) in [("new", true), ("old", true), ("other", false)] {
            let found = in_scope(&quota(class), "", "persistentvolumeclaims", &claim);
            assert_eq!(found, expected, "{class}");
        }
    }
}
