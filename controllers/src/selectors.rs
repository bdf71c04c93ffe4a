//! Label selectors of typed objects, asked about the labels of typed objects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use objects::selector::label::{Operator, Requirement, Selector};

/// Reads a selector: an absent one selects nothing, an empty one everything. The fault is upstream's text.
pub(crate) fn read(selector: Option<&LabelSelector>) -> Result<Selector, String> {
    let Some(selector) = selector else {
        return Ok(Selector::nothing());
    };
    let mut requirements = equalities(selector.match_labels.as_ref())?;
    for expression in selector.match_expressions.iter().flatten() {
        let operator = match expression.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => return Err(format!("{other:?} is not a valid label selector operator")),
        };
        let values = expression.values.clone().unwrap_or_default();
        requirements.push(Requirement::new(&expression.key, operator, values)?);
    }
    Ok(Selector::new(requirements))
}

/// Reads labels that must all be there, as a Service has them. None at all select everything.
pub(crate) fn read_map(labels: Option<&BTreeMap<String, String>>) -> Result<Selector, String> {
    Ok(Selector::new(equalities(labels)?))
}

fn equalities(labels: Option<&BTreeMap<String, String>>) -> Result<Vec<Requirement>, String> {
    labels
        .into_iter()
        .flatten()
        .map(|(key, value)| Requirement::new(key, Operator::Equals, vec![value.clone()]))
        .collect()
}

/// Whether the object's labels are selected.
pub(crate) fn selects(selector: &Selector, object: &ObjectMeta) -> bool {
    selects_labels(selector, object.labels.as_ref())
}

/// Whether these labels are selected.
pub(crate) fn selects_labels(
    selector: &Selector,
    labels: Option<&BTreeMap<String, String>>,
) -> bool {
    selector.matches(&|key| labels?.get(key).map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn labels_and_expressions_must_all_hold() {
        let selector = serde_json::from_value(json!({
            "matchLabels": {"app": "a"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["x", "y"]},
                {"key": "gone", "operator": "DoesNotExist"},
            ],
        }))
        .unwrap();
        let selector = read(Some(&selector)).unwrap();
        for (text, expected) in [
            ("app=a,tier=x", true),
            ("app=a,tier=z", false),
            ("app=b,tier=x", false),
            ("app=a,tier=y,gone=1", false),
            ("", false),
        ] {
            let labels = labels(text);
            assert_eq!(selects_labels(&selector, Some(&labels)), expected, "{text}");
        }
    }

    #[test]
    fn an_absent_selector_selects_nothing_and_an_empty_one_all() {
        let labels = labels("app=a");
        assert!(!selects_labels(&read(None).unwrap(), Some(&labels)));
        let empty = read(Some(&LabelSelector::default())).unwrap();
        assert!(selects_labels(&empty, Some(&labels)) && selects_labels(&empty, None));
    }

    #[test]
    fn an_unknown_operator_is_a_fault() {
        let selector = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
        let selector = serde_json::from_value(selector).unwrap();
        let fault = read(Some(&selector)).unwrap_err();
        assert_eq!(fault, "\"Near\" is not a valid label selector operator");
    }
}
