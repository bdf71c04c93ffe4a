//! What the expressions of a validating policy come to for one request.

use objects::cel::Value as CelValue;
use objects::cel::rules::MESSAGE_LENGTH_MAX;
use objects::status::Reason;

use super::Head;
use crate::admission::expressions::{COST_MAX, Expression, Inputs, Matched, OutOfBudget, budget};

/// A validating policy, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) head: Head,
    pub(super) validations: Vec<Validation>,
    /// The keys of audit annotations, and what their values are made by.
    pub(super) annotations: Vec<(String, Expression)>,
}

/// One of its validations.
#[derive(Debug)]
pub(super) struct Validation {
    pub(super) expression: Expression,
    pub(super) message: String,
    pub(super) message_expression: Option<Expression>,
    pub(super) reason: Reason,
}

/// What a validation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    Admitted,
    Refused { reason: Reason, message: String },
}

/// What an audit annotation comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Annotation {
    Noted(String, String),
    Failed(String),
}

/// Runs a policy on a request. Failures refuse, unless they are ignored.
pub(super) fn decide(
    policy: &Compiled,
    inputs: &Inputs,
    namespace: Option<&objects::Value>,
    ignores_failures: bool,
) -> (Vec<Decision>, Vec<Annotation>) {
    let failed = |message: String| match ignores_failures {
        true => Decision::Admitted,
        false => Decision::Refused {
            reason: Reason::Invalid,
            message,
        },
    };
    // Each group of expressions composes its variables anew, as what they cost is the group's.
    let fresh = |inputs: Inputs| inputs.with_composed(&policy.head.composed);
    match policy.head.conditions.hold(&fresh(inputs.clone())) {
        Err(why) => return (vec![failed(why)], Vec::new()),
        Ok(Matched::No) => return (Vec::new(), Vec::new()),
        Ok(Matched::Yes) => {}
    }
    let inputs = match namespace {
        Some(namespace) => inputs.clone().with_namespace(namespace),
        None => inputs.clone(),
    };
    let decisions = match validate(policy, &inputs, &failed) {
        Ok(decisions) => decisions,
        Err(out) => return (vec![failed(out.to_string())], Vec::new()),
    };
    match annotate(
        policy,
        &fresh(inputs.without_authorizer()),
        ignores_failures,
    ) {
        Ok(annotations) => (decisions, annotations),
        Err(out) => (vec![failed(out.to_string())], Vec::new()),
    }
}

fn validate(
    policy: &Compiled,
    inputs: &Inputs,
    failed: &dyn Fn(String) -> Decision,
) -> Result<Vec<Decision>, OutOfBudget> {
    let mut left = budget(COST_MAX);
    let composed = inputs.clone().with_composed(&policy.head.composed);
    let mut outcomes = Vec::with_capacity(policy.validations.len());
    for validation in &policy.validations {
        outcomes.push(validation.expression.evaluate(&composed, &mut left)?);
    }
    // What the messages may cost is what the validations left.
    let composed = inputs
        .clone()
        .without_authorizer()
        .with_composed(&policy.head.composed);
    let mut messages: Result<Vec<Option<String>>, OutOfBudget> = Ok(Vec::new());
    for validation in &policy.validations {
        let Ok(made) = &mut messages else { break };
        let expression = validation.message_expression.as_ref();
        match expression.map(|expression| expression.evaluate(&composed, &mut left)) {
            None | Some(Ok(Err(_))) => made.push(None),
            Some(Ok(Ok(value))) => made.push(usable(&value)),
            Some(Err(out)) => messages = Err(out),
        }
    }
    let outcomes = policy.validations.iter().zip(outcomes).enumerate();
    let decisions = outcomes.map(
        |(index, (validation, outcome))| match (outcome, &messages) {
            (Err(why), _) => failed(why),
            (_, Err(out)) => failed(format!("failed messageExpression: {out}")),
            (Ok(CelValue::Bool(true)), _) => Decision::Admitted,
            (Ok(_), Ok(made)) => Decision::Refused {
                reason: validation.reason,
                message: validation.told(made.get(index).cloned().flatten()),
            },
        },
    );
    Ok(decisions.collect())
}

/// A message that an expression made, if it is one that can be shown.
fn usable(value: &CelValue) -> Option<String> {
    let CelValue::String(text) = value else {
        return None;
    };
    let text = text.trim();
    let usable = !text.is_empty() && text.len() <= MESSAGE_LENGTH_MAX && !text.contains('\n');
    usable.then(|| text.to_owned())
}

impl Validation {
    fn told(&self, made: Option<String>) -> String {
        if let Some(made) = made {
            return made;
        }
        match self.message.trim() {
            "" => format!("failed expression: {}", self.expression.text().trim()),
            message => message.to_owned(),
        }
    }
}

fn annotate(
    policy: &Compiled,
    inputs: &Inputs,
    ignores_failures: bool,
) -> Result<Vec<Annotation>, OutOfBudget> {
    let mut left = budget(COST_MAX);
    let mut found = Vec::new();
    for (key, expression) in &policy.annotations {
        match expression.evaluate(inputs, &mut left)? {
            Ok(CelValue::String(text)) if text.trim().is_empty() => {}
            Ok(CelValue::String(text)) => {
                found.push(Annotation::Noted(key.clone(), text.trim().to_owned()));
            }
            Err(why) if !ignores_failures => found.push(Annotation::Failed(why)),
            _ => {}
        }
    }
    Ok(found)
}
