//! Taints of nodes and what pods tolerate of them.

use std::sync::Arc;

use k8s_openapi::api::core::v1;

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
    /// One that is not known, which does nothing.
    Other,
}

impl Effect {
    fn parse(text: &str) -> Effect {
        match text {
            "NoSchedule" => Effect::NoSchedule,
            "PreferNoSchedule" => Effect::PreferNoSchedule,
            "NoExecute" => Effect::NoExecute,
            _ => Effect::Other,
        }
    }

    /// Whether it keeps pods away: `NoSchedule` and `NoExecute`.
    #[must_use]
    pub fn is_hard(self) -> bool {
        matches!(self, Effect::NoSchedule | Effect::NoExecute)
    }
}

/// A taint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Taint {
    pub key: Arc<str>,
    /// Empty where none was given.
    pub value: Arc<str>,
    pub effect: Effect,
}

impl From<&v1::Taint> for Taint {
    fn from(from: &v1::Taint) -> Taint {
        Taint {
            key: from.key.as_str().into(),
            value: from.value.as_deref().unwrap_or("").into(),
            effect: Effect::parse(&from.effect),
        }
    }
}

/// How a toleration compares values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Equal,
    Exists,
    /// The taint's value is a whole number greater than the toleration's.
    GreaterThan,
    /// The taint's value is a whole number less than the toleration's.
    LessThan,
    /// One that is not known, which tolerates nothing.
    Other,
}

/// A toleration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// Empty for all keys.
    pub key: Arc<str>,
    pub comparison: Comparison,
    pub value: Arc<str>,
    /// `None` for all effects.
    pub effect: Option<Effect>,
}

impl From<&v1::Toleration> for Toleration {
    fn from(from: &v1::Toleration) -> Toleration {
        let effect = from.effect.as_deref().filter(|effect| !effect.is_empty());
        Toleration {
            key: from.key.as_deref().unwrap_or("").into(),
            comparison: match from.operator.as_deref().unwrap_or("") {
                "" | "Equal" => Comparison::Equal,
                "Exists" => Comparison::Exists,
                "Gt" => Comparison::GreaterThan,
                "Lt" => Comparison::LessThan,
                _ => Comparison::Other,
            },
            value: from.value.as_deref().unwrap_or("").into(),
            effect: effect.map(Effect::parse),
        }
    }
}

impl Toleration {
    /// Whether it tolerates a taint.
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        if self.effect.is_some_and(|effect| effect != taint.effect)
            || (!self.key.is_empty() && self.key != taint.key)
        {
            return false;
        }
        let numbers = || {
            Some((
                taint.value.parse::<i64>().ok()?,
                self.value.parse::<i64>().ok()?,
            ))
        };
        match self.comparison {
            Comparison::Equal => self.value == taint.value,
            Comparison::Exists => true,
            Comparison::GreaterThan => numbers().is_some_and(|(taint, own)| taint > own),
            Comparison::LessThan => numbers().is_some_and(|(taint, own)| taint < own),
            Comparison::Other => false,
        }
    }
}

/// The first taint that keeps pods away and that none of these tolerates.
#[must_use]
pub fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration]) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|taint| taint.effect.is_hard())
        .find(|taint| !tolerations.iter().any(|one| one.tolerates(taint)))
}
