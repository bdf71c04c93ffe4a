//! Finds what a path leads to.

use std::cmp::Ordering;

use super::{EvalError, Filter, Last, Slice, Step};
use crate::Value;

/// How deep `..` goes into an object.
const DESCENT_MAX: usize = 128;

pub(super) fn path<'a>(steps: &'a [Step], object: &'a Value) -> Result<Vec<&'a Value>, EvalError> {
    steps
        .iter()
        .try_fold(vec![object], |values, step| apply(step, values))
}

fn error(text: impl Into<String>) -> EvalError {
    EvalError(text.into())
}

fn apply<'a>(step: &'a Step, values: Vec<&'a Value>) -> Result<Vec<&'a Value>, EvalError> {
    let mut found = Vec::new();
    let present = values.iter().copied().filter(|value| !value.is_null());
    match step {
        Step::Field(name) => found.extend(present.filter_map(|value| value.as_object()?.get(name))),
        Step::Wildcard => found.extend(present.flat_map(children)),
        Step::Recursive => {
            for value in present {
                descend(value, 0, &mut found);
            }
        }
        Step::Slice(slice) => {
            for value in present {
                found.extend(take(*slice, value)?);
            }
        }
        Step::Filter(filter) => {
            for value in values {
                found.extend(matching(filter, value)?);
            }
        }
        Step::Union(paths) => {
            for steps in paths {
                for value in &values {
                    found.extend(path(steps, value)?);
                }
            }
        }
        // Text stands for itself and a number for every value before; columns show the first of either.
        Step::Literal(literal) => {
            found.extend((!values.is_empty() || literal.is_string()).then_some(literal))
        }
        Step::Word(word) => return Err(error(format!("unrecognized identifier {word}"))),
    }
    Ok(found)
}

/// The values of a map or the elements of a list.
fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(elements) => elements.iter().collect(),
        _ => Vec::new(),
    }
}

/// Everything that has something below it, from here down.
fn descend<'a>(value: &'a Value, depth: usize, found: &mut Vec<&'a Value>) {
    let below = children(value);
    if below.is_empty() || depth > DESCENT_MAX {
        return;
    }
    found.push(value);
    for child in below {
        descend(child, depth + 1, found);
    }
}

fn take(slice: Slice, value: &Value) -> Result<Vec<&Value>, EvalError> {
    let Value::Array(elements) = value else {
        return Err(error("is not array or slice"));
    };
    let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    let given = slice.first.unwrap_or(0);
    let first = if given < 0 {
        given.saturating_add(length)
    } else {
        given
    };
    let last = match slice.last {
        Last::Open => length,
        Last::Before(last) if last < 0 => last.saturating_add(length),
        Last::Before(last) => last,
        // The element at -1 is the last.
        Last::Single if given < 0 => given.saturating_add(1).saturating_add(length),
        Last::Single => given.saturating_add(1),
    };
    if first == last {
        return Ok(Vec::new());
    }
    if first >= length || first < 0 || last > length || last < 0 {
        return Err(error(format!(
            "array index out of bounds: index {first}, length {length}"
        )));
    }
    if first > last {
        return Err(error(format!(
            "starting index {first} is greater than ending index {last}"
        )));
    }
    let step = match slice.step.map(usize::try_from) {
        None => 1,
        Some(Ok(step @ 1..)) => step,
        Some(_) => return Err(error("step must be > 0")),
    };
    let bounds = usize::try_from(first).ok().zip(usize::try_from(last).ok());
    let (first, last) = bounds.expect("both were found to be within the list");
    Ok(elements[first..last].iter().step_by(step).collect())
}

fn matching<'a>(filter: &'a Filter, value: &'a Value) -> Result<Vec<&'a Value>, EvalError> {
    let Value::Array(elements) = value else {
        return Err(error("is not array or slice and cannot be filtered"));
    };
    let mut found = Vec::new();
    for element in elements {
        let left = path(&filter.left, element);
        let passes = match &filter.comparison {
            // What cannot be followed is there, as upstream has it.
            None => left.map_or(true, |values| !values.is_empty()),
            Some((operator, right)) => match (only(left?)?, only(path(right, element)?)?) {
                (Some(left), Some(right)) => holds(left, operator, right)?,
                _ => false,
            },
        };
        if passes {
            found.push(element);
        }
    }
    Ok(found)
}

fn only(values: Vec<&Value>) -> Result<Option<&Value>, EvalError> {
    match values[..] {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        _ => Err(error("can only compare one element at a time")),
    }
}

fn holds(left: &Value, operator: &str, right: &Value) -> Result<bool, EvalError> {
    let order = compare(left, right)?;
    let ordered = |holds: bool| {
        if left.is_boolean() {
            Err(error("invalid type for comparison"))
        } else {
            Ok(holds)
        }
    };
    match operator {
        "==" => Ok(order == Some(Ordering::Equal)),
        "!=" => Ok(order != Some(Ordering::Equal)),
        "<" => ordered(order == Some(Ordering::Less)),
        ">" => ordered(order == Some(Ordering::Greater)),
        "<=" => ordered(matches!(order, Some(Ordering::Less | Ordering::Equal))),
        ">=" => ordered(matches!(order, Some(Ordering::Greater | Ordering::Equal))),
        _ => Err(error(format!("unrecognized filter operator {operator}"))),
    }
}

/// Values of one type compare; integers and floats are two types.
fn compare(left: &Value, right: &Value) -> Result<Option<Ordering>, EvalError> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(Some(left.cmp(right))),
        (Value::String(left), Value::String(right)) => Ok(Some(left.cmp(right))),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Ok(Some(left.cmp(&right))),
            (None, None) => Ok(left.as_f64().partial_cmp(&right.as_f64())),
            _ => Err(error("incompatible types for comparison")),
        },
        _ => Err(error("incompatible types for comparison")),
    }
}
