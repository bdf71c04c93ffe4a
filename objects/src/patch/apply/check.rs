//! Whether an object holds to its type as far as merging needs it, told in upstream's words.

use std::collections::BTreeSet;

use super::element::Element;
use super::golang;
use super::place::{Form, List, MapForm, Place, Scalar};
use crate::{Map, Value};

/// The most levels of an object that is merged. Every walk after the check is as deep as the check at most.
pub(super) const DEPTH_MAX: usize = 128;

/// What is wrong, by the path of the place where it is.
struct Problem {
    path: String,
    text: String,
}

/// How an object is checked.
#[derive(Clone, Copy)]
struct Check {
    duplicates_allowed: bool,
    depth_left: usize,
}

/// Checks an object. Duplicates in lists are allowed in what is stored, which older rules may have let in.
pub(super) fn check(
    value: &Value,
    place: Place<'_>,
    duplicates_allowed: bool,
) -> Result<(), String> {
    let check = Check {
        duplicates_allowed,
        depth_left: DEPTH_MAX,
    };
    let mut problems = Vec::new();
    check.value(value, place, &mut problems);
    let texts: Vec<String> = problems.iter().map(Problem::text).collect();
    match texts.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        several => Err(format!("errors:\n  {}", several.join("\n  "))),
    }
}

impl Problem {
    fn new(text: impl Into<String>) -> Problem {
        Problem {
            path: String::new(),
            text: text.into(),
        }
    }

    fn text(&self) -> String {
        if self.path.is_empty() {
            self.text.clone()
        } else {
            format!("{}: {}", self.path, self.text)
        }
    }
}

impl Check {
    fn value(self, value: &Value, place: Place<'_>, problems: &mut Vec<Problem>) {
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            problems.push(Problem::new(format!("more than {DEPTH_MAX} levels")));
            return;
        };
        let check = Check { depth_left, ..self };
        match (place.form(Some(value)), value) {
            (_, Value::Null) => {}
            (Form::Scalar(scalar), value) => problems.extend(scalar_problem(scalar, value)),
            (Form::List(list), Value::Array(items)) => check.items(items, list, problems),
            (Form::List(_), other) => problems.push(expected("list", other)),
            (Form::Map(map), Value::Object(fields)) => check.fields(fields, map, problems),
            (Form::Map(_), other) => problems.push(expected("map", other)),
        }
    }

    fn items(self, items: &[Value], list: List<'_>, problems: &mut Vec<Problem>) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let before = problems.len();
            if list.atomic {
                self.value(item, list.items, problems);
                prefix(&mut problems[before..], || format!("[{index}]"));
                continue;
            }
            let element = match list.element(item) {
                Ok(element) => element,
                Err(fault) => {
                    problems.push(Problem::new(format!("element {index}: {fault}")));
                    return;
                }
            };
            self.value(item, list.items, problems);
            prefix(&mut problems[before..], || element.to_string());
            if self.duplicates_allowed {
                continue;
            }
            if seen.contains(&element) {
                let problem = Problem::new(format!("duplicate entries for key {element}"));
                problems.insert(before, problem);
            }
            seen.insert(element);
        }
    }

    fn fields(self, fields: &Map, map: MapForm<'_>, problems: &mut Vec<Problem>) {
        for (name, value) in fields {
            let before = problems.len();
            let field = map.field(name);
            match field {
                Some(field) => self.value(value, field.place, problems),
                None => problems.push(Problem::new("field not declared in schema")),
            }
            prefix(&mut problems[before..], || Element::field(name).to_string());
            if field.is_none() {
                return;
            }
        }
    }
}

fn prefix(problems: &mut [Problem], step: impl Fn() -> String) {
    for problem in problems {
        problem.path.insert_str(0, &step());
    }
}

fn expected(what: &str, value: &Value) -> Problem {
    Problem::new(format!(
        "expected {what}, got &{{{}}}",
        golang::plain(value)
    ))
}

fn scalar_problem(scalar: Scalar, value: &Value) -> Option<Problem> {
    let text = match (scalar, value) {
        (Scalar::Number, Value::Number(_))
        | (Scalar::Text, Value::String(_))
        | (Scalar::Bool, Value::Bool(_))
        | (Scalar::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => return None,
        (Scalar::Number, other) => format!(
            "expected numeric (int or float), got {}",
            golang::type_name(other)
        ),
        (Scalar::Text, other) => format!(
            "expected string, got &value.valueUnstructured{{Value:{}}}",
            golang::syntax(other)
        ),
        (Scalar::Bool, other) => return Some(expected("boolean", other)),
        (Scalar::Any, other) => return Some(expected("any scalar", other)),
    };
    Some(Problem::new(text))
}
