//! Cluster roles whose rules are those of others, which their labels select.

use std::sync::Arc;

use objects::{Map, Value, meta};

use super::Rule;

/// The rules of an aggregated role: those of every other cluster role that one of its selectors selects, each rule once.
/// Nothing if the role does not aggregate.
#[must_use]
pub fn aggregate(role: &Value, all: &[Arc<Value>]) -> Option<Vec<Rule>> {
    role.get("aggregationRule").filter(|rule| !rule.is_null())?;
    let mut sorted: Vec<&Value> = all.iter().map(Arc::as_ref).collect();
    sorted.sort_by(|a, b| meta::name(a).cmp(meta::name(b)));
    let mut rules: Vec<Rule> = Vec::new();
    for selector in meta::list(role, &["aggregationRule", "clusterRoleSelectors"]) {
        for other in &sorted {
            if meta::name(other) == meta::name(role) || !selects(selector, meta::labels(other)) {
                continue;
            }
            for rule in Rule::list_of(other) {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
    }
    Some(rules)
}

/// Whether a `LabelSelector` selects labels. An expression that is not understood selects nothing.
fn selects(selector: &Value, labels: Option<&Map>) -> bool {
    let label = |key: &str| labels.and_then(|labels| labels.get(key)?.as_str());
    let wanted = meta::map(selector, &["matchLabels"]);
    let all_match = wanted.is_none_or(|wanted| {
        wanted.iter().all(|(key, value)| {
            value
                .as_str()
                .is_some_and(|value| label(key) == Some(value))
        })
    });
    all_match
        && meta::list(selector, &["matchExpressions"])
            .iter()
            .all(|expression| {
                let own = label(meta::text(expression, &["key"]));
                let values = meta::list(expression, &["values"]);
                let listed = own.is_some_and(|own| values.iter().any(|value| value == own));
                match meta::text(expression, &["operator"]) {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => own.is_some(),
                    "DoesNotExist" => own.is_none(),
                    _ => false,
                }
            })
}
