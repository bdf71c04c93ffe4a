//! Expressions over a request under review: compiled once, run within budgets, and the conditions that say whether anything else is asked.

mod composed;
mod inputs;
mod kept;

use std::fmt;

use objects::cel::admission::{Returns, compile};
use objects::cel::{Budget, Environment, OBJECT_COST_MAX, Program, Value as CelValue};
use objects::{Value, meta};

pub use composed::Composed;
pub use inputs::{Inputs, Subject};
pub use kept::Kept;

/// What all expressions of one kind in one configuration may cost together.
pub const COST_MAX: u64 = OBJECT_COST_MAX;

/// What all conditions of one configuration may cost together.
const CONDITIONS_COST_MAX: u64 = OBJECT_COST_MAX / 4;

/// Why no further expression is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfBudget;

impl fmt::Display for OutOfBudget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("validation failed due to running out of cost budget, no further validation rules will be run")
    }
}

/// An expression and its program, or why there is none.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Result<Program, String>,
}

impl Expression {
    #[must_use]
    pub fn compile(text: &str, environment: &Environment, returns: Returns) -> Expression {
        Expression {
            text: text.to_owned(),
            program: compile(text, environment, returns),
        }
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Why it does not compile.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.program.as_ref().err().map(String::as_str)
    }

    /// Runs it. The inner failure is its own; after the outer one nothing else may run.
    pub fn evaluate(
        &self,
        inputs: &Inputs,
        budget: &mut Budget,
    ) -> Result<Result<CelValue, String>, OutOfBudget> {
        let program = match &self.program {
            Ok(program) => program,
            Err(why) => return Ok(Err(format!("compilation error: {why}"))),
        };
        let outcome = program.evaluate(inputs.bindings(), budget);
        let composed = inputs.take_composed_cost();
        if budget.exhausted || composed > budget.left {
            return Err(OutOfBudget);
        }
        budget.left -= composed;
        Ok(outcome
            .map_err(|error| format!("expression '{}' resulted in error: {error}", self.text)))
    }
}

/// A budget of so much.
#[must_use]
pub fn budget(left: u64) -> Budget {
    Budget {
        left,
        exhausted: false,
    }
}

/// What conditions come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matched {
    Yes,
    /// The configuration is not asked: because of a condition that does not hold, or a failure that is ignored.
    No,
}

/// The `matchConditions` of a configuration, with what it says of failures.
#[derive(Debug, Default)]
pub struct MatchConditions {
    conditions: Vec<Expression>,
    ignores_failures: bool,
}

impl MatchConditions {
    /// Reads conditions as they stand in a configuration, beside its `failurePolicy`.
    #[must_use]
    pub fn compile(
        conditions: &[Value],
        failure_policy: &str,
        environment: &Environment,
    ) -> MatchConditions {
        let conditions = conditions.iter().map(|condition| {
            let text = meta::text(condition, &["expression"]);
            Expression::compile(text, environment, Returns::Bool)
        });
        MatchConditions {
            conditions: conditions.collect(),
            ignores_failures: failure_policy == "Ignore",
        }
    }

    /// Whether all of them hold. One that does not outweighs the failures of others.
    ///
    /// # Errors
    ///
    /// If a condition fails, none says no, and failures are not ignored.
    pub fn hold(&self, inputs: &Inputs) -> Result<Matched, String> {
        let mut budget = budget(CONDITIONS_COST_MAX);
        let mut failures: Vec<String> = Vec::new();
        let mut holds = Matched::Yes;
        for condition in &self.conditions {
            match condition.evaluate(inputs, &mut budget) {
                Ok(Ok(CelValue::Bool(false))) => holds = Matched::No,
                Ok(Ok(_)) => {}
                Ok(Err(why)) if failures.contains(&why) => {}
                Ok(Err(why)) => failures.push(why),
                // Nothing was decided by what ran before.
                Err(_) if self.ignores_failures => return Ok(Matched::No),
                Err(out) => return Err(out.to_string()),
            }
        }
        match failures.as_slice() {
            _ if holds == Matched::No => Ok(Matched::No),
            [] => Ok(Matched::Yes),
            _ if self.ignores_failures => Ok(Matched::No),
            [only] => Err(only.clone()),
            all => Err(format!("[{}]", all.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests;
