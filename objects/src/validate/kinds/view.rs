//! A value together with its path: what every rule of a kind reads from and speaks of.

use crate::{
    Map, Value,
    invalid::{Faults, Invalid},
    path::Path,
};

/// A field, present or not, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct View<'a> {
    pub(crate) path: Path,
    pub(crate) value: &'a Value,
}

impl<'a> View<'a> {
    /// The whole object.
    pub(crate) fn root(value: &'a Value) -> View<'a> {
        View {
            path: Path::root(),
            value,
        }
    }

    /// A field of what is here; null where it is missing.
    pub(crate) fn at(&self, name: &str) -> View<'a> {
        View {
            path: self.path.child(name),
            value: self.value.get(name).unwrap_or(&Value::Null),
        }
    }

    /// The same value as something else is told of.
    pub(crate) fn told_as(&self, path: Path) -> View<'a> {
        View {
            path,
            value: self.value,
        }
    }

    /// A value of a map, with its key in brackets.
    pub(crate) fn key(&self, key: &str) -> View<'a> {
        View {
            path: self.path.key(key),
            value: self.value.get(key).unwrap_or(&Value::Null),
        }
    }

    /// The elements of a list.
    pub(crate) fn items(&self) -> impl ExactSizeIterator<Item = View<'a>> + use<'a> {
        let path = self.path.clone();
        self.list()
            .iter()
            .enumerate()
            .map(move |(index, value)| View {
                path: path.index(index),
                value,
            })
    }

    pub(crate) fn list(&self) -> &'a [Value] {
        self.value.as_array().map_or(&[], Vec::as_slice)
    }

    /// The elements of a list of texts.
    pub(crate) fn texts(&self) -> Vec<&'a str> {
        self.list()
            .iter()
            .map(|item| item.as_str().unwrap_or_default())
            .collect()
    }

    /// Keys and values of a map, in the order of the keys.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a str, View<'a>)> + use<'a> {
        let path = self.path.clone();
        self.map().into_iter().flatten().map(move |(key, value)| {
            let view = View {
                path: path.key(key),
                value,
            };
            (key.as_str(), view)
        })
    }

    pub(crate) fn map(&self) -> Option<&'a Map> {
        self.value.as_object()
    }

    /// The text here; empty where there is none.
    pub(crate) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// The number here; 0 where there is none.
    pub(crate) fn number(&self) -> i64 {
        self.value.as_i64().unwrap_or_default()
    }

    /// The flag here; false where there is none.
    pub(crate) fn flag(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }

    /// Whether there is a value, be it an empty one.
    pub(crate) fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// Whether this is what Go calls empty: nothing, empty text, or a list or map without elements.
    pub(crate) fn is_empty(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }

    pub(crate) fn required(&self, detail: &str) -> Invalid {
        Invalid::required(&self.path, detail)
    }

    pub(crate) fn invalid(&self, detail: impl Into<String>) -> Invalid {
        Invalid::value(&self.path, self.value.clone(), detail)
    }

    pub(crate) fn duplicate(&self) -> Invalid {
        Invalid::duplicate(&self.path, self.value.clone())
    }

    pub(crate) fn forbidden(&self, detail: impl Into<String>) -> Invalid {
        Invalid::forbidden(&self.path, detail)
    }

    pub(crate) fn not_supported(&self, choices: &[&str]) -> Invalid {
        let value = if self.is_set() {
            self.value.clone()
        } else {
            Value::from("")
        };
        Invalid::not_supported(&self.path, value, choices)
    }

    /// Asks for a value.
    pub(crate) fn require(&self, detail: &str, faults: &mut Faults) -> bool {
        let empty = self.is_empty();
        if empty {
            faults.push(self.required(detail));
        }
        !empty
    }

    /// Asks for one of the choices, which are in the order in which the fault tells them.
    pub(crate) fn one_of(&self, choices: &[&str], faults: &mut Faults) {
        if !choices.contains(&self.text()) {
            faults.push(self.not_supported(choices));
        }
    }

    /// Asks for a value, and for one of the choices.
    pub(crate) fn require_one_of(&self, choices: &[&str], faults: &mut Faults) {
        if self.require("", faults) {
            self.one_of(choices, faults);
        }
    }

    /// Tells each of these of the value.
    pub(crate) fn tell(&self, details: Vec<String>, faults: &mut Faults) {
        for detail in details {
            faults.push(self.invalid(detail));
        }
    }

    /// Asks that a value stays as it was.
    pub(crate) fn immutable(&self, old: &View<'_>, faults: &mut Faults) {
        if !same(self.value, old.value) {
            faults.push(self.invalid(IMMUTABLE));
        }
    }

    pub(crate) fn non_negative(&self, faults: &mut Faults) {
        if self.number() < 0 {
            faults.push(self.number_invalid("must be greater than or equal to 0"));
        }
    }

    /// A fault of a number, which is 0 where there is none.
    pub(crate) fn number_invalid(&self, detail: impl Into<String>) -> Invalid {
        Invalid::value(&self.path, self.number(), detail)
    }
}

/// A struct as upstream's messages show it: its own names and order, and texts or JSON as values.
pub(crate) fn shown(fields: &[(&str, Value)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// Upstream's words for a field that changed and may not.
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// Whether two values are the same to Kubernetes, for which a missing field and an empty one are.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.iter()
                .all(|(key, value)| same(value, right.get(key).unwrap_or(&Value::Null)))
                && right
                    .iter()
                    .all(|(key, value)| left.contains_key(key) || is_nothing(value))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (left, right) => left == right || (is_nothing(left) && is_nothing(right)),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
