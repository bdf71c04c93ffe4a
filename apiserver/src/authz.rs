//! Whether somebody may do something.

pub mod aggregation;
pub mod bootstrap;
pub mod escalation;
mod forbidden;
#[cfg(test)]
pub(crate) mod memory;
mod modes;
pub mod node;
pub mod rbac;
pub mod review;
mod rule;
mod text;

pub use forbidden::forbidden;
pub use modes::{AlwaysAllow, AlwaysDeny, Mode, Union};
pub use rule::Rule;

use crate::{attributes::Attributes, user::User};

/// What an authorizer says about a request. The reason may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Allow {
        reason: String,
    },
    /// Nobody who comes later is asked.
    Deny {
        reason: String,
    },
    /// The next one is asked; if there is none, the request is refused.
    NoOpinion {
        reason: String,
    },
}

impl Decision {
    /// Allowed, with nothing to say about it.
    #[must_use]
    pub fn allow() -> Decision {
        Decision::Allow {
            reason: String::new(),
        }
    }

    /// Not known to be allowed, and why.
    #[must_use]
    pub fn no_opinion(reason: impl Into<String>) -> Decision {
        Decision::NoOpinion {
            reason: reason.into(),
        }
    }

    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allow { .. })
    }

    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Decision::Allow { reason }
            | Decision::Deny { reason }
            | Decision::NoOpinion { reason } => reason,
        }
    }
}

/// What somebody may do in a namespace, as far as it can be enumerated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    pub rules: Vec<Rule>,
    /// Whether somebody may do more than the rules say.
    pub incomplete: bool,
    /// Why rules are missing.
    pub errors: Vec<String>,
}

/// The door: one question, one answer, without waiting.
pub trait Authorizer: Send + Sync {
    fn authorize(&self, attributes: &Attributes) -> Decision;

    /// The rules that apply to somebody in a namespace.
    fn rules_for(&self, user: &User, namespace: &str) -> Rules;
}

#[cfg(test)]
mod tests;
