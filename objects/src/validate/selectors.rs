//! Label selectors: whether they are well, and which labels they match.

use super::{metadata, names, spot::Spot};
use crate::{Map, Value, invalid::Faults, meta};

/// Checks a label selector that is there.
pub(super) fn check(selector: &Spot<'_>, faults: &mut Faults) {
    let labels = selector.get("matchLabels");
    metadata::labels(labels.map(), &labels.path, faults);
    for requirement in selector.get("matchExpressions").each() {
        let values = requirement.get("values");
        let operator = requirement.get("operator");
        match operator.text() {
            "In" | "NotIn" if values.list().is_empty() => {
                values.required(
                    faults,
                    "must be specified when `operator` is 'In' or 'NotIn'",
                );
            }
            "Exists" | "DoesNotExist" if !values.list().is_empty() => {
                values.forbidden(
                    faults,
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => operator.invalid_text(faults, "not a valid selector operator"),
        }
        requirement.get("key").named(faults, names::qualified);
        for value in values.each() {
            value.named(faults, names::label_value);
        }
    }
}

/// Whether a selector says nothing.
pub(super) fn is_empty(selector: &Value) -> bool {
    meta::map(selector, &["matchLabels"]).is_none_or(Map::is_empty)
        && meta::list(selector, &["matchExpressions"]).is_empty()
}

/// Whether a selector matches labels; none for a selector that no one could ask by.
pub(super) fn matches(selector: &Value, labels: Option<&Map>) -> Option<bool> {
    if !selector.is_object() {
        return Some(false);
    }
    let mut all = true;
    for (key, value) in meta::map(selector, &["matchLabels"]).into_iter().flatten() {
        let value_text = value.as_str()?;
        if !names::qualified(key).is_empty() || !names::label_value(value_text).is_empty() {
            return None;
        }
        all &= labels.and_then(|labels| labels.get(key)) == Some(value);
    }
    for requirement in meta::list(selector, &["matchExpressions"]) {
        all &= requirement_matches(requirement, labels)?;
    }
    Some(all)
}

fn requirement_matches(requirement: &Value, labels: Option<&Map>) -> Option<bool> {
    let key = meta::text(requirement, &["key"]);
    let values = meta::list(requirement, &["values"]);
    let well = names::qualified(key).is_empty()
        && values.iter().all(|value| {
            value
                .as_str()
                .is_some_and(|value| names::label_value(value).is_empty())
        });
    if !well {
        return None;
    }
    let label = labels.and_then(|labels| labels.get(key));
    match (meta::text(requirement, &["operator"]), values.is_empty()) {
        ("In", false) => Some(label.is_some_and(|label| values.contains(label))),
        ("NotIn", false) => Some(label.is_none_or(|label| !values.contains(label))),
        ("Exists", true) => Some(label.is_some()),
        ("DoesNotExist", true) => Some(label.is_none()),
        _ => None,
    }
}
