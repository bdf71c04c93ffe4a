//! The values of the variables that expressions of admission read.

use std::fmt;
use std::sync::Arc;

use objects::Value;
use objects::cel::authorizer::{Authorizer as Asked, Check, Decision, Question};
use objects::cel::declared::from_data;
use objects::cel::{Bindings, Value as CelValue};

use super::composed::{Composed, Values};
use crate::admission::Review;
use crate::admission::request::request;
use crate::attributes::Attributes;
use crate::authn::{service_account_groups, service_account_name};
use crate::authz::Authorizer;
use crate::served::Served;
use crate::user::User;

/// What a request is about, in the version that a configuration asks for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub served: &'a Served,
    pub object: Option<&'a Value>,
    pub old: Option<&'a Value>,
}

/// Variables with their values. Copies are cheap.
#[derive(Debug, Clone)]
pub struct Inputs {
    bindings: Bindings,
    composed: Option<Values>,
}

impl Inputs {
    /// What every expression of admission may read; parameters and the namespace are null.
    #[must_use]
    pub fn new(
        review: &Review<'_>,
        subject: &Subject<'_>,
        authorizer: &Arc<dyn Authorizer>,
    ) -> Inputs {
        let data = |value: Option<&Value>| value.map_or(CelValue::Null, from_data);
        let asker: Arc<dyn Asked> = Arc::new(Asker {
            authorizer: authorizer.clone(),
            user: review.attributes.user.clone(),
        });
        let asked = review.attributes;
        let name = review.name_of(subject.object.or(subject.old));
        let namespace = review.namespace_of(subject.object.or(subject.old));
        let mut shown = request(review, subject.served, subject.object.or(subject.old));
        // Expressions may read the name even where there is none.
        shown["name"] = name.into();
        let own = Question {
            group: asked.group.clone(),
            resource: asked.resource.clone(),
            subresource: asked.subresource.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Question::default()
        };
        let check = |check| CelValue::Authorizer(Arc::new(check));
        let bindings = [
            ("object", data(subject.object)),
            ("oldObject", data(subject.old)),
            ("params", CelValue::Null),
            ("namespaceObject", CelValue::Null),
            ("request", from_data(&shown)),
            (
                "authorizer",
                check(Check::Start(asker.clone(), Question::default())),
            ),
            (
                "authorizer.requestResource",
                check(Check::Resource(asker, own)),
            ),
        ];
        Inputs {
            bindings: bindings
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            composed: None,
        }
    }

    fn with(mut self, name: &str, value: CelValue) -> Inputs {
        self.bindings.insert(name.to_owned(), value);
        self
    }

    #[must_use]
    pub fn with_params(self, params: &Value) -> Inputs {
        self.with("params", from_data(params))
    }

    /// With the object of the request's namespace, as far as expressions see it.
    #[must_use]
    pub fn with_namespace(self, namespace: &Value) -> Inputs {
        let mut shown = namespace.clone();
        if let Some(metadata) = shown.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            metadata.remove("ownerReferences");
        }
        self.with("namespaceObject", from_data(&shown))
    }

    /// Without anybody to ask for leave.
    #[must_use]
    pub fn without_authorizer(mut self) -> Inputs {
        self.bindings.remove("authorizer");
        self.bindings.remove("authorizer.requestResource");
        self
    }

    /// With the variables of a policy, which see what was given until now.
    #[must_use]
    pub fn with_composed(mut self, composed: &Arc<Composed>) -> Inputs {
        let name = objects::cel::admission::VARIABLES;
        self.bindings.remove(name);
        let values = Values::new(composed.clone(), self.bindings.clone());
        self.composed = Some(values.clone());
        self.with(name, CelValue::Lazy(Arc::new(values)))
    }

    pub(super) fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    pub(super) fn take_composed_cost(&self) -> u64 {
        self.composed.as_ref().map_or(0, Values::take_cost)
    }
}

/// Answers what expressions ask about the request's user, or a service account.
struct Asker {
    authorizer: Arc<dyn Authorizer>,
    user: Arc<User>,
}

impl fmt::Debug for Asker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Asker")
    }
}

impl Asked for Asker {
    fn decide(&self, question: &Question) -> Decision {
        let user = match &question.service_account {
            Some((namespace, name)) => Arc::new(service_account(namespace, name)),
            None => self.user.clone(),
        };
        let about_resource = question.path.is_none();
        let attributes = Attributes {
            user,
            verb: question.verb.clone(),
            group: question.group.clone(),
            version: if about_resource { "*" } else { "" }.to_owned(),
            resource: question.resource.clone(),
            subresource: question.subresource.clone(),
            namespace: question.namespace.clone(),
            name: question.name.clone(),
            path: question.path.clone().unwrap_or_default(),
            field_selector: question.field_selector.clone().unwrap_or_default(),
            label_selector: question.label_selector.clone().unwrap_or_default(),
        };
        let decision = self.authorizer.authorize(&attributes);
        Decision {
            allowed: decision.is_allowed(),
            reason: decision.reason().to_owned(),
            error: None,
        }
    }
}

fn service_account(namespace: &str, name: &str) -> User {
    User {
        name: service_account_name(namespace, name),
        groups: service_account_groups(namespace),
        ..User::default()
    }
}
