//! Labels and the selectors over them, parsed once and comparable, so that equal selectors share what is counted for them.

use std::sync::Arc;

use k8s_openapi::{
    api::core::v1::NodeSelectorRequirement,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};

/// Labels by key, in order of their keys. A clone shares them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self
            .0
            .binary_search_by(|(name, _)| (**name).cmp(key))
            .ok()?;
        Some(&self.0[at].1)
    }

    /// All pairs, in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Labels {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> = pairs
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        pairs.sort();
        pairs.dedup_by(|a, b| a.0 == b.0);
        Labels(pairs.into())
    }
}

/// What a requirement asks of the value of its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// There is a value, and it is one of these.
    In(Box<[Arc<str>]>),
    /// There is no value, or it is none of these.
    NotIn(Box<[Arc<str>]>),
    Exists,
    DoesNotExist,
    /// There is a value, it is a whole number, and it is greater.
    GreaterThan(i64),
    /// There is a value, it is a whole number, and it is less.
    LessThan(i64),
    /// Nothing satisfies it: what a requirement that cannot be understood becomes.
    Never,
}

/// One requirement on labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    pub key: Arc<str>,
    pub condition: Condition,
}

impl Requirement {
    /// A requirement in the words of the API: `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`.
    #[must_use]
    pub fn new(key: &str, operator: &str, values: &[String]) -> Requirement {
        let set = || {
            let mut set: Vec<Arc<str>> = values.iter().map(|value| value.as_str().into()).collect();
            set.sort();
            set.dedup();
            set.into_boxed_slice()
        };
        let number = || match values {
            [one] => one.parse().ok(),
            _ => None,
        };
        let condition = match operator {
            "In" if !values.is_empty() => Condition::In(set()),
            "NotIn" if !values.is_empty() => Condition::NotIn(set()),
            "Exists" => Condition::Exists,
            "DoesNotExist" => Condition::DoesNotExist,
            "Gt" => number().map_or(Condition::Never, Condition::GreaterThan),
            "Lt" => number().map_or(Condition::Never, Condition::LessThan),
            _ => Condition::Never,
        };
        Requirement {
            key: key.into(),
            condition,
        }
    }

    /// Whether a value of the key, or its absence, satisfies this.
    #[must_use]
    pub fn allows(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.condition {
            Condition::In(set) => value.is_some_and(|value| set.iter().any(|one| **one == *value)),
            Condition::NotIn(set) => {
                value.is_none_or(|value| set.iter().all(|one| **one != *value))
            }
            Condition::Exists => value.is_some(),
            Condition::DoesNotExist => value.is_none(),
            Condition::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Condition::LessThan(bound) => number().is_some_and(|number| number < *bound),
            Condition::Never => false,
        }
    }
}

impl From<&NodeSelectorRequirement> for Requirement {
    fn from(from: &NodeSelectorRequirement) -> Requirement {
        Requirement::new(
            &from.key,
            &from.operator,
            from.values.as_deref().unwrap_or_default(),
        )
    }
}

impl From<&LabelSelectorRequirement> for Requirement {
    fn from(from: &LabelSelectorRequirement) -> Requirement {
        Requirement::new(
            &from.key,
            &from.operator,
            from.values.as_deref().unwrap_or_default(),
        )
    }
}

/// Requirements that must all hold. Without any it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selector(Box<[Requirement]>);

impl Selector {
    /// A selector of these requirements, in any order.
    #[must_use]
    pub fn new(mut requirements: Vec<Requirement>) -> Selector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector(requirements.into_boxed_slice())
    }

    /// Selects everything.
    #[must_use]
    pub fn everything() -> Selector {
        Selector::default()
    }

    /// Selects nothing.
    #[must_use]
    pub fn nothing() -> Selector {
        Selector(Box::new([Requirement {
            key: "".into(),
            condition: Condition::Never,
        }]))
    }

    /// Selects what has all these labels.
    #[must_use]
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Selector {
        let exact = |(key, value): (&str, &str)| Requirement {
            key: key.into(),
            condition: Condition::In(Box::new([value.into()])),
        };
        Selector::new(pairs.into_iter().map(exact).collect())
    }

    /// The API's label selector: a missing one selects nothing, an empty one everything.
    #[must_use]
    pub fn of(selector: Option<&LabelSelector>) -> Selector {
        let Some(selector) = selector else {
            return Selector::nothing();
        };
        let mut requirements: Vec<Requirement> = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(Requirement::new(key, "In", std::slice::from_ref(value)));
        }
        requirements.extend(
            selector
                .match_expressions
                .iter()
                .flatten()
                .map(|one: &LabelSelectorRequirement| one.into()),
        );
        Selector::new(requirements)
    }

    /// The same with more requirements.
    #[must_use]
    pub fn and(&self, more: impl IntoIterator<Item = Requirement>) -> Selector {
        Selector::new(self.0.iter().cloned().chain(more).collect())
    }

    /// Whether these labels are selected.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|one| one.allows(labels.get(&one.key)))
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Its requirements, in order of their keys.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }
}
