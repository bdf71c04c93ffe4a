//! One step of a path as field ownership writes it: a field, an element of a list by key or by value, or an index.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::golang;
use crate::Value;

/// A step. The order of the variants is upstream's order of steps.
#[derive(Debug, Clone)]
pub enum Element {
    /// A field of an object or a key of a map.
    Field(Arc<str>),
    /// An element of a list by the fields that tell its elements apart, ordered by name.
    Key(Arc<[(Box<str>, Value)]>),
    /// An element of a set.
    Item(Arc<Value>),
    Index(i64),
}

impl Element {
    #[must_use]
    pub fn field(name: &str) -> Element {
        Element::Field(name.into())
    }

    /// The key of an element of a list, whatever the order of its fields.
    #[must_use]
    pub fn key(mut fields: Vec<(Box<str>, Value)>) -> Element {
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        Element::Key(fields.into())
    }

    /// How this step stands to a field of that name, in the order of steps.
    #[must_use]
    pub fn cmp_field(&self, name: &str) -> Ordering {
        match self {
            Element::Field(field) => (**field).cmp(name),
            _ => Ordering::Greater,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Element::Field(_) => 0,
            Element::Key(_) => 1,
            Element::Item(_) => 2,
            Element::Index(_) => 3,
        }
    }

    /// The text of the step in `fieldsV1`: `f:spec`, `k:{"name":"web"}`.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Element::Field(name) => format!("f:{name}"),
            Element::Key(fields) => {
                let mut text = "k:{".to_owned();
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    text.push_str(&Value::from(&**name).to_string());
                    text.push(':');
                    text.push_str(&golang::json(value));
                }
                text.push('}');
                text
            }
            Element::Item(value) => format!("v:{}", golang::json(value)),
            Element::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads the text of a step. None for a sort of step that this version does not know, which is to be skipped.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn decode(text: &str) -> Result<Option<Element>, String> {
        if text.len() < 2 {
            return Err("key must be 2 characters long:".to_owned());
        }
        let Some((sort, rest)) = text.split_once(':').filter(|(sort, _)| sort.len() == 1) else {
            return Err(format!("missing colon: {text}"));
        };
        let fault = |error: serde_json::Error| error.to_string();
        Ok(match sort {
            "f" => Some(Element::field(rest)),
            "v" => Some(Element::Item(Arc::new(
                serde_json::from_str(rest).map_err(fault)?,
            ))),
            "k" => {
                let fields: crate::Map = serde_json::from_str(rest).map_err(fault)?;
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (name.into_boxed_str(), value))
                    .collect();
                Some(Element::key(fields))
            }
            "i" => Some(Element::Index(
                rest.parse().map_err(|error| format!("{error}: {rest:?}"))?,
            )),
            _ => None,
        })
    }
}

impl fmt::Display for Element {
    /// The step as conflicts and faults name it: `.spec`, `[name="web"]`, `[="a"]`, `[0]`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(formatter, ".{name}"),
            Element::Key(fields) => {
                formatter.write_str("[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(formatter, "{comma}{name}={}", golang::shown(value))?;
                }
                formatter.write_str("]")
            }
            Element::Item(value) => write!(formatter, "[={}]", golang::shown(value)),
            Element::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Element) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element {}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Element) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Element) -> Ordering {
        match (self, other) {
            (Element::Field(left), Element::Field(right)) => left.cmp(right),
            (Element::Key(left), Element::Key(right)) => cmp_all(
                left.iter().zip(right.iter()),
                |(left, right)| {
                    left.0
                        .cmp(&right.0)
                        .then_with(|| cmp_values(&left.1, &right.1))
                },
                left.len().cmp(&right.len()),
            ),
            (Element::Item(left), Element::Item(right)) => cmp_values(left, right),
            (Element::Index(left), Element::Index(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// The order of values: numbers, texts, booleans, lists, maps, null. Numbers are equal by value, whether written as integers or not.
pub(super) fn cmp_values(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            // JSON has no number that is none, so all are in order.
            _ => left
                .as_f64()
                .partial_cmp(&right.as_f64())
                .unwrap_or(Ordering::Equal),
        },
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => cmp_all(
            left.iter().zip(right),
            |(left, right)| cmp_values(left, right),
            left.len().cmp(&right.len()),
        ),
        (Value::Object(left), Value::Object(right)) => cmp_all(
            left.iter().zip(right),
            |(left, right)| {
                left.0
                    .cmp(right.0)
                    .then_with(|| cmp_values(left.1, right.1))
            },
            left.len().cmp(&right.len()),
        ),
        _ => rank(left).cmp(&rank(right)),
    }
}

/// Whether two values are the same; integers equal floats of the same value.
pub(super) fn same_values(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same_values(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| same_values(left, right)))
        }
        (Value::Number(_), Value::Number(_)) => cmp_values(left, right) == Ordering::Equal,
        _ => left == right,
    }
}

/// The first difference, or what the lengths say.
fn cmp_all<T>(
    pairs: impl Iterator<Item = T>,
    cmp: impl Fn(T) -> Ordering,
    lengths: Ordering,
) -> Ordering {
    pairs
        .map(cmp)
        .find(|ordering| ordering.is_ne())
        .unwrap_or(lengths)
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}
