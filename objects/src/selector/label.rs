//! Label selectors, from text and from objects.

use std::collections::BTreeSet;
use std::fmt;

use crate::invalid::{Invalid, aggregate};
use crate::path::Path;
use crate::validate::names;
use crate::{Map, Value, meta};

mod parse;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Equals,
    DoubleEquals,
    NotEquals,
    GreaterThan,
    LessThan,
}

/// What a selector asks of one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

/// Requirements that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
    /// Nothing is selected, whatever the requirements are.
    nothing: bool,
}

impl Requirement {
    /// A requirement whose values suit its operator. The fault is upstream's text.
    ///
    /// # Errors
    ///
    /// If the key or a value is none of a label's, or the operator takes other values.
    pub fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, String> {
        let mut faults = Vec::new();
        let broken = names::qualified(key);
        if !broken.is_empty() {
            faults.push(Invalid::value(&Path::new("key"), key, broken.join("; ")));
        }
        let path = Path::new("values");
        let count = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                "for 'in', 'notin' operators, values set can't be empty"
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals
                if values.len() != 1 =>
            {
                "exact-match compatibility requires one single value"
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                "values set must be empty for exists and does not exist"
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                "for 'Gt', 'Lt' operators, exactly one value is required"
            }
            _ => "",
        };
        if !count.is_empty() {
            faults.push(Invalid::value(&path, values.clone(), count));
        }
        let is_ordered = matches!(operator, Operator::GreaterThan | Operator::LessThan);
        for (index, value) in values.iter().enumerate().filter(|_| is_ordered) {
            if value.parse::<i64>().is_err() {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                faults.push(Invalid::value(&path.index(index), value.as_str(), detail));
            }
        }
        for (index, value) in values.iter().enumerate() {
            let broken = names::label_value(value);
            if !broken.is_empty() {
                let path = path.index(index).key(key);
                faults.push(Invalid::value(&path, value.as_str(), broken.join("; ")));
            }
        }
        if faults.is_empty() {
            return Ok(Requirement {
                key: key.to_owned(),
                operator,
                values,
            });
        }
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Err(aggregate(&texts))
    }

    /// Whether a label with this value, or none, is what is asked for.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let contains = |value: &str| self.values.iter().any(|asked| asked == value);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(contains),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(contains),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self
                .numbers(value)
                .is_some_and(|(found, asked)| found > asked),
            Operator::LessThan => self
                .numbers(value)
                .is_some_and(|(found, asked)| found < asked),
        }
    }

    fn numbers(&self, value: Option<&str>) -> Option<(i64, i64)> {
        Some((value?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirement { key, values, .. } = self;
        let sorted: BTreeSet<&str> = values.iter().map(String::as_str).collect();
        let joined = sorted.into_iter().collect::<Vec<_>>().join(",");
        match self.operator {
            Operator::In => write!(formatter, "{key} in ({joined})"),
            Operator::NotIn => write!(formatter, "{key} notin ({joined})"),
            Operator::Exists => write!(formatter, "{key}"),
            Operator::DoesNotExist => write!(formatter, "!{key}"),
            Operator::Equals => write!(formatter, "{key}={joined}"),
            Operator::DoubleEquals => write!(formatter, "{key}=={joined}"),
            Operator::NotEquals => write!(formatter, "{key}!={joined}"),
            Operator::GreaterThan => write!(formatter, "{key}>{joined}"),
            Operator::LessThan => write!(formatter, "{key}<{joined}"),
        }
    }
}

impl Selector {
    /// Selects everything.
    #[must_use]
    pub fn everything() -> Selector {
        Selector::default()
    }

    /// Selects nothing.
    #[must_use]
    pub fn nothing() -> Selector {
        Selector {
            requirements: Vec::new(),
            nothing: true,
        }
    }

    /// Requirements that must all hold; they are kept by key.
    #[must_use]
    pub fn new(mut requirements: Vec<Requirement>) -> Selector {
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        Selector {
            requirements,
            nothing: false,
        }
    }

    /// Reads `a=b,c in (d,e),!f`. The fault is upstream's text.
    ///
    /// # Errors
    ///
    /// If the text is no selector.
    pub fn parse(text: &str) -> Result<Selector, String> {
        Ok(Selector::new(parse::requirements(text)?))
    }

    /// Reads a `LabelSelector`: an absent one selects nothing, an empty one everything. The fault is upstream's text.
    ///
    /// # Errors
    ///
    /// If a requirement is none.
    pub fn from_object(selector: &Value) -> Result<Selector, String> {
        if selector.is_null() {
            return Ok(Selector::nothing());
        }
        let mut requirements = equalities(meta::map(selector, &["matchLabels"]))?;
        for expression in meta::list(selector, &["matchExpressions"]) {
            let operator = match meta::text(expression, &["operator"]) {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(format!("{other:?} is not a valid label selector operator"));
                }
            };
            let values = meta::list(expression, &["values"])
                .iter()
                .map(|value| value.as_str().unwrap_or_default().to_owned())
                .collect();
            let key = meta::text(expression, &["key"]);
            requirements.push(Requirement::new(key, operator, values)?);
        }
        Ok(Selector::new(requirements))
    }

    /// Reads a map of labels that must all be there, as a Service has.
    ///
    /// # Errors
    ///
    /// If one of them is no label.
    pub fn from_map(labels: Option<&Map>) -> Result<Selector, String> {
        Ok(Selector::new(equalities(labels)?))
    }

    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    #[must_use]
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// Whether labels, which are asked for by key, are selected.
    #[must_use]
    pub fn matches<'a>(&self, label: &dyn Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing
            && self
                .requirements
                .iter()
                .all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Whether an object is selected by its labels.
    #[must_use]
    pub fn selects(&self, object: &Value) -> bool {
        self.matches(&|key| meta::label(object, key))
    }
}

fn equalities(labels: Option<&Map>) -> Result<Vec<Requirement>, String> {
    labels
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            let value = value.as_str().unwrap_or_default().to_owned();
            Requirement::new(key, Operator::Equals, vec![value])
        })
        .collect()
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        formatter.write_str(&texts.join(","))
    }
}

#[cfg(test)]
mod tests;
