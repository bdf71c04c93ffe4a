//! Holds objects to the schema of their definition, in the words of upstream's OpenAPI validator.

use std::collections::HashMap;

use regex::Regex;

use super::{
    formats,
    numbers::{self, Bound},
    read::{DEPTH_MAX, flag, word},
};
use crate::{
    Map, Value,
    invalid::{Faults, Invalid},
    path::Path,
};

/// The patterns of a schema, read once; a pattern that is none matches everything.
#[derive(Debug, Default)]
pub(super) struct Patterns(HashMap<String, Option<Regex>>);

impl Patterns {
    /// Reads all patterns below a schema.
    pub(super) fn of(schema: &Value) -> Patterns {
        let mut patterns = Patterns::default();
        patterns.collect(schema, 0);
        patterns
    }

    fn collect(&mut self, value: &Value, depth: usize) {
        if depth > DEPTH_MAX * 2 {
            return;
        }
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(pattern)) = fields.get("pattern") {
                    self.0
                        .entry(pattern.clone())
                        .or_insert_with(|| Regex::new(pattern).ok());
                }
                fields
                    .values()
                    .for_each(|below| self.collect(below, depth + 1));
            }
            Value::Array(items) => items
                .iter()
                .for_each(|below| self.collect(below, depth + 1)),
            _ => {}
        }
    }

    fn matches(&self, pattern: &str, text: &str) -> bool {
        match self.0.get(pattern) {
            Some(Some(regex)) => regex.is_match(text),
            _ => true,
        }
    }
}

/// What a value led to: its faults, and how many checks it passed, by which the likeliest of several schemas is told.
#[derive(Debug, Default)]
struct Outcome {
    faults: Faults,
    passed: usize,
}

impl Outcome {
    fn of(fault: Invalid) -> Outcome {
        Outcome {
            faults: vec![fault],
            passed: 0,
        }
    }

    fn merge(&mut self, other: Outcome) {
        self.faults.extend(other.faults);
        self.passed += other.passed;
    }

    fn is_valid(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A value at its place.
#[derive(Clone)]
struct Subject<'a> {
    value: &'a Value,
    /// What stood here before an update, where the two can be told to belong together.
    old: Option<&'a Value>,
    path: Path,
    depth: usize,
}

/// Judges an object; old is what it was before an update, and what did not change since is not judged again.
pub(super) fn check(
    schema: &Value,
    patterns: &Patterns,
    new: &Value,
    old: Option<&Value>,
) -> Faults {
    let subject = Subject {
        value: new,
        old,
        path: Path::root(),
        depth: 0,
    };
    Checker { patterns }.value(schema, &subject).faults
}

struct Checker<'a> {
    patterns: &'a Patterns,
}

impl Checker<'_> {
    fn value(&self, schema: &Value, subject: &Subject<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        if subject.depth > DEPTH_MAX || subject.old == Some(subject.value) {
            return outcome;
        }
        outcome.merge(type_of(schema, subject));
        if subject.value.is_null() {
            outcome.merge(choices(schema, subject));
            return outcome;
        }
        outcome.merge(self.junctions(schema, subject));
        match subject.value {
            Value::String(text) => outcome.merge(self.text(schema, subject, text)),
            Value::Number(number) => {
                outcome
                    .faults
                    .extend(numbers::check(schema, &subject.path, number));
                outcome.passed += 1;
            }
            Value::Array(items) => outcome.merge(self.items(schema, subject, items)),
            _ => {}
        }
        outcome.merge(choices(schema, subject));
        if let Value::Object(fields) = subject.value {
            outcome.merge(self.fields(schema, subject, fields));
        }
        outcome.passed += 1;
        outcome
    }

    fn text(&self, schema: &Value, subject: &Subject<'_>, text: &str) -> Outcome {
        let path = &subject.path;
        let count = text.chars().count() as u64;
        let limit = |name: &str| schema.get(name).and_then(Value::as_u64);
        let mut outcome = Outcome::default();
        let pattern = word(schema, "pattern");
        if let Some(most) = limit("maxLength").filter(|most| count > *most) {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            outcome.faults.push(Invalid::too_long(path, most));
        } else if let Some(least) = limit("minLength").filter(|least| count < *least) {
            let detail = format!("{path} in body should be at least {least} chars long");
            outcome.faults.push(Invalid::value(path, text, detail));
        } else if !pattern.is_empty() && !self.patterns.matches(pattern, text) {
            let detail = format!("{path} in body should match '{pattern}'");
            outcome.faults.push(Invalid::value(path, text, detail));
        }
        let format = formats::known(word(schema, "type"), word(schema, "format"));
        if let Some(format) = format.filter(|format| !formats::fits(format, text)) {
            let detail = format!("{path} in body must be of type {format}: {text:?}");
            outcome
                .faults
                .push(Invalid::type_invalid(path, text, detail));
        }
        outcome
    }

    fn items(&self, schema: &Value, subject: &Subject<'_>, items: &[Value]) -> Outcome {
        let path = &subject.path;
        let mut outcome = Outcome {
            passed: 1,
            ..Outcome::default()
        };
        if let Some(inner) = schema.get("items") {
            for (index, value) in items.iter().enumerate() {
                let below = Subject {
                    value,
                    old: subject.old.and_then(|old| partner(schema, old, value)),
                    path: path.index(index),
                    depth: subject.depth + 1,
                };
                outcome.merge(self.value(inner, &below));
            }
        }
        let count = items.len() as u64;
        let limit = |name: &str| schema.get(name).and_then(Value::as_u64);
        if let Some(least) = limit("minItems").filter(|least| count < *least) {
            let detail = format!("{path} in body should have at least {least} items");
            outcome.faults.push(Invalid::value(path, count, detail));
        }
        if let Some(most) = limit("maxItems").filter(|most| count > *most) {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            outcome
                .faults
                .push(Invalid::too_many(path, items.len(), most));
        }
        let repeated = || (1..items.len()).any(|at| items[..at].contains(&items[at]));
        if flag(schema, "uniqueItems") && repeated() {
            let detail = format!("{path} in body shouldn't contain duplicates");
            outcome.faults.push(Invalid::value(path, "", detail));
        }
        outcome
    }

    fn fields(&self, schema: &Value, subject: &Subject<'_>, fields: &Map) -> Outcome {
        let path = &subject.path;
        let mut outcome = Outcome::default();
        let count = fields.len() as u64;
        let limit = |name: &str| schema.get(name).and_then(Value::as_u64);
        if let Some(least) = limit("minProperties").filter(|least| count < *least) {
            let detail = format!("{path} in body should have at least {least} properties");
            outcome.faults.push(Invalid::value(path, count, detail));
        }
        if let Some(most) = limit("maxProperties").filter(|most| count > *most) {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            outcome
                .faults
                .push(Invalid::too_many(path, fields.len(), most));
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|schema| schema.is_object());
        for (name, value) in fields {
            let inner = properties
                .and_then(|properties| properties.get(name))
                .or(others);
            if let Some(inner) = inner {
                let below = Subject {
                    value,
                    old: subject.old.and_then(|old| old.get(name)),
                    path: path.child(name),
                    depth: subject.depth + 1,
                };
                outcome.merge(self.value(inner, &below));
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                outcome
                    .faults
                    .push(Invalid::required(&path.child(name), ""));
            }
        }
        outcome
    }

    /// `allOf`, `anyOf`, `oneOf` and `not`.
    fn junctions(&self, schema: &Value, subject: &Subject<'_>) -> Outcome {
        let path = subject.path.as_str();
        let mut outcome = Outcome {
            passed: 1,
            ..Outcome::default()
        };
        let below = Subject {
            depth: subject.depth + 1,
            old: None,
            ..subject.clone()
        };
        let outcomes = |name: &str| -> Vec<Outcome> {
            let schemas = schema.get(name).and_then(Value::as_array);
            schemas
                .into_iter()
                .flatten()
                .map(|inner| self.value(inner, &below))
                .collect()
        };
        let told = |text: String| Invalid::value(&Path::root(), "", text);
        let any = outcomes("anyOf");
        if !any.is_empty() {
            if !any.iter().any(Outcome::is_valid) {
                outcome.faults.push(told(format!(
                    "{path:?} must validate at least one schema (anyOf)"
                )));
            }
            outcome.merge(likeliest(any));
        }
        let one = outcomes("oneOf");
        let valid = one.iter().filter(|one| one.is_valid()).count();
        if !one.is_empty() && valid != 1 {
            let found = match valid {
                0 => "Found none valid".to_owned(),
                _ => format!("Found {valid} valid alternatives"),
            };
            let text = format!("{path:?} must validate one and only one schema (oneOf). {found}");
            outcome.faults.push(told(text));
        }
        if !one.is_empty() && valid < 2 {
            outcome.merge(likeliest(one));
        }
        let all = outcomes("allOf");
        let (count, valid) = (all.len(), all.iter().filter(|one| one.is_valid()).count());
        all.into_iter().for_each(|one| outcome.merge(one));
        if valid != count {
            let none = if valid == 0 { ". None validated" } else { "" };
            let text = format!("{path:?} must validate all the schemas (allOf){none}");
            outcome.faults.push(told(text));
        }
        if let Some(not) = schema.get("not").filter(|not| not.is_object())
            && self.value(not, &below).is_valid()
        {
            outcome
                .faults
                .push(told(format!("{path:?} must not validate the schema (not)")));
        }
        outcome
    }
}

/// The first that is valid, or the one that passed the most checks.
fn likeliest(outcomes: Vec<Outcome>) -> Outcome {
    let mut best: Option<Outcome> = None;
    for outcome in outcomes {
        if outcome.is_valid() {
            return outcome;
        }
        if best
            .as_ref()
            .is_none_or(|best| outcome.passed > best.passed)
        {
            best = Some(outcome);
        }
    }
    best.unwrap_or_default()
}

/// The element of the old list that has the keys of an element of the new one.
fn partner<'a>(schema: &Value, old: &'a Value, new: &Value) -> Option<&'a Value> {
    if word(schema, "x-kubernetes-list-type") != "map" {
        return None;
    }
    let keys = schema.get("x-kubernetes-list-map-keys")?.as_array()?;
    let same = |item: &&Value| {
        keys.iter()
            .filter_map(Value::as_str)
            .all(|key| item.get(key) == new.get(key))
    };
    old.as_array()?.iter().find(same)
}

fn type_of(schema: &Value, subject: &Subject<'_>) -> Outcome {
    let wanted = if flag(schema, "x-kubernetes-int-or-string") {
        "integer,string"
    } else {
        word(schema, "type")
    };
    let passed = Outcome {
        passed: 1,
        ..Outcome::default()
    };
    if wanted.is_empty() {
        return Outcome::default();
    }
    let found = match subject.value {
        Value::Null if flag(schema, "nullable") => return passed,
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(number) if numbers::is_integer(number) => "integer",
        Value::Number(_) => "number",
    };
    let fits = wanted.split(',').any(|wanted| wanted == found)
        || (found == "integer" && wanted == "number");
    if fits {
        return passed;
    }
    let found = match subject.value {
        Value::Number(number) if number.is_f64() => "number",
        _ => found,
    };
    let path = &subject.path;
    let detail = format!("{path} in body must be of type {wanted}: {found:?}");
    Outcome::of(Invalid::type_invalid(path, found, detail))
}

fn choices(schema: &Value, subject: &Subject<'_>) -> Outcome {
    let Some(choices) = schema.get("enum").and_then(Value::as_array) else {
        return Outcome::default();
    };
    let same = |choice: &Value| match (choice, subject.value) {
        (Value::Number(choice), Value::Number(value)) => Bound::of(choice) == Bound::of(value),
        _ => choice == subject.value,
    };
    if choices.is_empty() || choices.iter().any(same) {
        return Outcome::default();
    }
    let texts: Vec<String> = choices
        .iter()
        .map(|choice| {
            choice
                .as_str()
                .map_or_else(|| choice.to_string(), str::to_owned)
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Outcome::of(Invalid::not_supported(
        &subject.path,
        subject.value.clone(),
        &texts,
    ))
}
