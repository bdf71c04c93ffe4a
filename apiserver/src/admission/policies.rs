//! Admission policies: expressions that judge and change objects, put to use by bindings.

mod decide;
mod hooks;
mod matching;
mod mutating;
mod patching;
mod validating;

use std::sync::Arc;

use objects::cel::Environment;
use objects::cel::admission::Scope;
use objects::status::Status;
use objects::{Value, meta};

use super::Review;
use super::chain::Parts;
use super::expressions::{Composed, Inputs, MatchConditions, Subject};
use super::rules::{is_whole, shown};
use crate::registry::{as_read, as_served};
use crate::served::Served;

pub(super) use mutating::{Mutating, Round};
pub(super) use validating::Validating;

/// What policies of both kinds have.
#[derive(Debug)]
struct Head {
    composed: Arc<Composed>,
    conditions: MatchConditions,
    scope: Scope,
}

impl Head {
    fn compile(policy: &Value) -> Head {
        let scope = Scope {
            params: meta::at(policy, &["spec", "paramKind"]).is_some_and(Value::is_object),
            authorizer: true,
            patches: false,
        };
        let environment = Environment::admission(scope);
        let composed = Composed::compile(meta::list(policy, &["spec", "variables"]), &environment);
        let conditions = MatchConditions::compile(
            meta::list(policy, &["spec", "matchConditions"]),
            meta::text(policy, &["spec", "failurePolicy"]),
            &composed.environment(environment),
        );
        Head {
            composed: Arc::new(composed),
            conditions,
            scope,
        }
    }

    /// The environment of expressions of the policy.
    fn environment(&self, scope: Scope) -> Environment {
        self.composed.environment(Environment::admission(scope))
    }
}

/// A request as a policy sees it: its objects in the version that the policy asks for.
struct Seen {
    served: Arc<Served>,
    object: Option<Value>,
    old: Option<Value>,
}

impl Seen {
    async fn of(
        served: Arc<Served>,
        review: &Review<'_>,
        object: Option<&Value>,
    ) -> Result<Seen, Status> {
        let object = shown(&served, object).await?;
        let old = shown(&served, review.old).await?;
        Ok(Seen {
            served,
            object,
            old,
        })
    }

    fn inputs(&self, review: &Review<'_>, parts: &Parts) -> Inputs {
        let subject = Subject {
            served: &self.served,
            object: self.object.as_ref(),
            old: self.old.as_ref(),
        };
        Inputs::new(review, &subject, &parts.authorizer)
    }

    /// A changed object in the version of the request.
    async fn taken(&self, review: &Review<'_>, changed: Value) -> Result<Value, Status> {
        if !is_whole(review.served, &changed) {
            return as_read(review.served, changed);
        }
        as_served(review.served, as_read(&self.served, changed)?).await
    }
}

/// The object of the request's namespace, for what has one.
async fn namespace(parts: &Parts, review: &Review<'_>) -> Result<Option<Arc<Value>>, Status> {
    let asked = review.attributes;
    if asked.namespace.is_empty() || asked.group.is_empty() && asked.resource == "namespaces" {
        return Ok(None);
    }
    let found = parts.find(("", "namespaces"), "", &asked.namespace).await?;
    match found {
        None => Err(Status::not_found("", "namespaces", &asked.namespace)),
        found => Ok(found),
    }
}
