//! A place in an object that is checked: its value, where it stands, and the faults that can be found with it.

use std::borrow::Cow;

use super::{kinds::view::View, names};
use crate::{
    Map, Value,
    invalid::{Faults, Invalid},
    path::Path,
};

/// A value and its path. A field that is absent is a place too; its value is null.
#[derive(Debug, Clone)]
pub(super) struct Spot<'a> {
    pub(super) value: &'a Value,
    pub(super) path: Path,
}

static NULL: Value = Value::Null;

impl<'a> Spot<'a> {
    pub(super) fn root(value: &'a Value) -> Spot<'a> {
        Spot {
            value,
            path: Path::root(),
        }
    }

    /// The same place as the rules of other kinds see it.
    pub(super) fn view(&self) -> View<'a> {
        View {
            path: self.path.clone(),
            value: self.value,
        }
    }

    pub(super) fn get(&self, field: &str) -> Spot<'a> {
        Spot {
            value: self.value.get(field).unwrap_or(&NULL),
            path: self.path.child(field),
        }
    }

    /// Whether the field says anything.
    pub(super) fn is_present(&self) -> bool {
        !self.value.is_null()
    }

    /// The field, if it says anything.
    pub(super) fn find(&self, field: &str) -> Option<Spot<'a>> {
        let spot = self.get(field);
        spot.is_present().then_some(spot)
    }

    pub(super) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    pub(super) fn number(&self) -> Option<i64> {
        self.value.as_i64()
    }

    pub(super) fn is_true(&self) -> bool {
        self.value == &Value::Bool(true)
    }

    pub(super) fn list(&self) -> &'a [Value] {
        self.value.as_array().map_or(&[], Vec::as_slice)
    }

    pub(super) fn map(&self) -> Option<&'a Map> {
        self.value.as_object()
    }

    /// The fields of the map here, each with its path as a key.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Spot<'a>)> {
        self.map().into_iter().flatten().map(|(key, value)| {
            let path = self.path.key(key);
            (key.as_str(), Spot { value, path })
        })
    }

    pub(super) fn each(&self) -> impl Iterator<Item = Spot<'a>> {
        self.list().iter().enumerate().map(|(index, value)| Spot {
            value,
            path: self.path.index(index),
        })
    }

    pub(super) fn invalid(&self, faults: &mut Faults, words: impl Into<String>) {
        faults.push(Invalid::value(&self.path, self.value.clone(), words));
    }

    /// As `invalid`, for text that Go shows as empty where it is absent.
    pub(super) fn invalid_text(&self, faults: &mut Faults, words: impl Into<String>) {
        faults.push(Invalid::value(&self.path, self.text(), words));
    }

    pub(super) fn required(&self, faults: &mut Faults, words: impl Into<String>) {
        faults.push(Invalid::required(&self.path, words));
    }

    pub(super) fn forbidden(&self, faults: &mut Faults, words: impl Into<String>) {
        faults.push(Invalid::forbidden(&self.path, words));
    }

    pub(super) fn duplicate(&self, faults: &mut Faults) {
        faults.push(Invalid::duplicate(&self.path, self.value.clone()));
    }

    pub(super) fn not_supported(&self, faults: &mut Faults, choices: &[&str]) {
        let value = match self.value {
            Value::Null => Cow::Owned(Value::from("")),
            value => Cow::Borrowed(value),
        };
        faults.push(Invalid::not_supported(
            &self.path,
            value.into_owned(),
            choices,
        ));
    }

    /// Text that is one of the choices, which are told in their order.
    pub(super) fn one_of(&self, faults: &mut Faults, choices: &[&str]) {
        if !choices.contains(&self.text()) {
            self.not_supported(faults, choices);
        }
    }

    /// As `one_of`; text that is empty is missing.
    pub(super) fn required_one_of(&self, faults: &mut Faults, choices: &[&str]) {
        if self.text().is_empty() {
            self.required(faults, "");
        } else {
            self.one_of(faults, choices);
        }
    }

    /// A number that is 0 or more, or is not there.
    pub(super) fn not_negative(&self, faults: &mut Faults) {
        if self.number().is_some_and(|number| number < 0) {
            self.invalid(faults, "must be greater than or equal to 0");
        }
    }

    /// Text that has to be there.
    pub(super) fn filled(&self, faults: &mut Faults) -> bool {
        let filled = !self.text().is_empty();
        if !filled {
            self.required(faults, "");
        }
        filled
    }

    pub(super) fn named(&self, faults: &mut Faults, rule: names::Rule) {
        names::check(faults, &self.path, self.text(), rule);
    }
}
