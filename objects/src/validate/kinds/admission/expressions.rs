//! The expressions of policies and webhooks, compiled to tell what is wrong with them.

use std::collections::BTreeMap;

use crate::{
    cel::{
        Environment, Type,
        admission::{Returns, Scope, compile, composed_type},
    },
    invalid::{Faults, Invalid},
    validate::kinds::view::View,
};

/// Compiles the expressions of one policy.
pub(super) struct Compiler {
    scope: Scope,
    /// The types of the policy's variables, if it may have any.
    composed: Option<BTreeMap<String, Type>>,
}

impl Compiler {
    /// For the conditions of webhooks and policies, which read no variables.
    pub(super) fn of_conditions(params: bool) -> Compiler {
        Compiler {
            scope: Scope {
                params,
                authorizer: true,
                patches: false,
            },
            composed: None,
        }
    }

    /// For what a policy says, with the variables that it composes.
    pub(super) fn of_policy(spec: &View<'_>, composes: bool) -> Compiler {
        Compiler {
            composed: composes.then(BTreeMap::new),
            ..Compiler::of_conditions(spec.at("paramKind").is_set())
        }
    }

    fn environment(&self, scope: Scope) -> Environment {
        let environment = Environment::admission(scope);
        match &self.composed {
            Some(types) => environment.with_composed(types),
            None => environment,
        }
    }

    /// A variable, which later expressions may read whatever is wrong with it.
    pub(super) fn variable(&mut self, name: &str, expression: &View<'_>, faults: &mut Faults) {
        let environment = self.environment(self.scope);
        let of = match compile(expression.text(), &environment, Returns::Anything) {
            Ok(program) => composed_type(program.output()),
            Err(why) => {
                faults.push(expression.invalid(why));
                Type::Dyn
            }
        };
        if let Some(types) = &mut self.composed {
            types.insert(name.to_owned(), of);
        }
    }

    /// An expression as it was written.
    pub(super) fn check(&self, expression: &View<'_>, returns: Returns, faults: &mut Faults) {
        let environment = self.environment(self.scope);
        if let Err(why) = compile(expression.text(), &environment, returns) {
            faults.push(expression.invalid(why));
        }
    }

    /// An expression that makes a message, which asks nobody for leave.
    pub(super) fn check_message(&self, expression: &View<'_>, faults: &mut Faults) {
        let mut scope = self.scope;
        scope.authorizer = false;
        if let Err(why) = compile(expression.text(), &self.environment(scope), Returns::Text) {
            faults.push(expression.invalid(why));
        }
    }

    /// An expression of which the space around it does not count, but is shown.
    pub(super) fn check_annotation(&self, expression: &View<'_>, faults: &mut Faults) {
        let environment = self.environment(self.scope);
        let text = expression.text().trim();
        if let Err(why) = compile(text, &environment, Returns::TextOrNull) {
            faults.push(expression.invalid(why));
        }
    }

    /// An expression of which the space around it does not count.
    pub(super) fn check_trimmed(
        &self,
        expression: &View<'_>,
        returns: Returns,
        faults: &mut Faults,
    ) {
        let mut scope = self.scope;
        scope.patches = matches!(returns, Returns::Object | Returns::Patches);
        let text = expression.text().trim();
        if let Err(why) = compile(text, &self.environment(scope), returns) {
            faults.push(Invalid::value(&expression.path, text, why));
        }
    }
}
