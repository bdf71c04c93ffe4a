//! Variables that a policy composes of expressions: each is run when it is first read, and once in a run.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use objects::cel::admission::{Returns, VARIABLES, compile, composed_type};
use objects::cel::{Bindings, Budget, CALL_COST_MAX, Environment, Fields, Program, Type, Value};
use objects::meta;
use parking_lot::Mutex;

/// How deep expressions that read one another may nest together.
const NESTING_MAX: usize = 512;

/// The variables of a policy, compiled in their order: each may read those before it.
#[derive(Debug, Default)]
pub struct Composed {
    programs: HashMap<String, Result<Program, String>>,
    types: BTreeMap<String, Type>,
}

impl Composed {
    /// Reads variables as they stand in a policy.
    #[must_use]
    pub fn compile(variables: &[objects::Value], environment: &Environment) -> Composed {
        let mut composed = Composed::default();
        for variable in variables {
            let name = meta::text(variable, &["name"]).to_owned();
            let own = environment.clone().with_composed(&composed.types);
            let text = meta::text(variable, &["expression"]);
            let program = compile(text, &own, Returns::Anything);
            let of = program
                .as_ref()
                .map_or(Type::Dyn, |program| composed_type(program.output()));
            composed.types.insert(name.clone(), of);
            composed.programs.insert(name, program);
        }
        composed
    }

    /// What expressions that read them are compiled in.
    #[must_use]
    pub fn environment(&self, environment: Environment) -> Environment {
        environment.with_composed(&self.types)
    }
}

/// Their values in one run.
#[derive(Debug, Clone)]
pub(super) struct Values(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    composed: Arc<Composed>,
    bindings: Bindings,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<String, Value>,
    cost: u64,
    /// Of the expressions that are being run.
    nesting: usize,
}

impl Values {
    pub(super) fn new(composed: Arc<Composed>, bindings: Bindings) -> Values {
        Values(Arc::new(Inner {
            composed,
            bindings,
            state: Mutex::default(),
        }))
    }

    /// What was spent since this was asked before.
    pub(super) fn take_cost(&self) -> u64 {
        std::mem::take(&mut self.0.state.lock().cost)
    }

    fn run(&self, name: &str, program: &Program) -> Value {
        let height = program.height();
        {
            let mut state = self.0.state.lock();
            if state.nesting + height > NESTING_MAX {
                return failed(name, "fails to evaluate", "expressions nest too deep");
            }
            state.nesting += height;
        }
        let mut bindings = self.0.bindings.clone();
        bindings.insert(VARIABLES.to_owned(), Value::Lazy(Arc::new(self.clone())));
        let mut budget = Budget {
            left: CALL_COST_MAX.saturating_mul(2),
            exhausted: false,
        };
        let before = budget.left;
        let outcome = program.evaluate(&bindings, &mut budget);
        let mut state = self.0.state.lock();
        state.nesting -= height;
        state.cost = state.cost.saturating_add(before - budget.left);
        outcome.unwrap_or_else(|error| failed(name, "fails to evaluate", &error.to_string()))
    }
}

fn failed(name: &str, how: &str, why: &str) -> Value {
    Value::Fault(format!("composited variable {name:?} {how}: {why}").into())
}

impl Fields for Values {
    fn get(&self, name: &str) -> Option<Value> {
        let program = self.0.composed.programs.get(name)?;
        if let Some(known) = self.0.state.lock().known.get(name) {
            return Some(known.clone());
        }
        let value = match program {
            Ok(program) => self.run(name, program),
            Err(why) => failed(name, "fails to compile", why),
        };
        let mut state = self.0.state.lock();
        state.known.insert(name.to_owned(), value.clone());
        Some(value)
    }
}
