//! The rules of a CRD's schema (`x-kubernetes-validations`): checked when the CRD is made, run when its objects are written.

mod compile;
mod field_path;
mod run;

pub use compile::compile;
pub use run::Validator;

use serde::Deserialize;

use super::Budget;
use crate::{
    Value,
    invalid::Faults,
    schema::{At, Constraints, Shape},
};

/// What the cost of one rule may be estimated to, and of all rules of a schema.
pub const RULE_COST_MAX: u64 = 10_000_000;
pub const SCHEMA_COST_MAX: u64 = 100_000_000;

/// The longest text that a message expression may make, in bytes.
pub const MESSAGE_LENGTH_MAX: usize = 5 * 1024;

/// How deep a schema is walked.
const DEPTH_MAX: usize = 128;

/// One rule, as it was written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    rule: String,
    message: String,
    message_expression: String,
    reason: Option<String>,
    field_path: String,
    optional_old_self: Option<bool>,
}

impl Rule {
    /// What a message calls it.
    fn name(&self) -> &str {
        if self.message.is_empty() {
            self.rule.trim()
        } else {
            self.message.trim()
        }
    }
}

/// The rules of a place. What is no rule was refused before it came here.
fn rules_of(constraints: &Constraints) -> Vec<Rule> {
    read(&constraints.rules)
}

fn read(rules: &[Value]) -> Vec<Rule> {
    rules
        .iter()
        .map(|rule| Rule::deserialize(rule).unwrap_or_default())
        .collect()
}

/// OpenAPI's name of a place's type.
fn type_name(at: At<'_>) -> &'static str {
    match at.shape() {
        Shape::Object(_) | Shape::Map { .. } | Shape::RawExtension => "object",
        Shape::List(_) | Shape::WrappedList { .. } => "array",
        Shape::Integer { .. } => "integer",
        Shape::Number => "number",
        Shape::Boolean => "boolean",
        Shape::Any | Shape::Json | Shape::IntOrString => "",
        _ => "string",
    }
}

/// Whether upstream shows no value of this place in a fault.
fn is_container(at: At<'_>) -> bool {
    matches!(type_name(at), "object" | "array")
}

/// Holds an object to all rules of its schema. Old is what it was before an update. For more than one object of a kind, keep a `Validator`.
#[must_use]
pub fn validate(at: At<'_>, new: &Value, old: Option<&Value>, budget: &mut Budget) -> Faults {
    Validator::new(at).map_or_else(Faults::new, |validator| {
        validator.validate(at, new, old, budget)
    })
}
