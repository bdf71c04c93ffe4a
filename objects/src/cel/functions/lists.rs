//! Functions on lists and sets.

use std::cmp::Ordering;

use super::{arithmetic, convert::shared};
use crate::cel::{
    eval::{Error, Outcome},
    value::{List, Value},
};

/// How long a list `lists.range` may make.
const RANGE_LENGTH_MAX: i64 = 1_000_000;

pub(super) fn call(function: &str, args: &[Value]) -> Option<Outcome> {
    let [Value::List(list), rest @ ..] = args else {
        return None;
    };
    let items = &list.items;
    Some(match (function, rest) {
        ("isSorted", []) => sorted(items),
        ("sum", []) => sum(items),
        ("min" | "max", []) => extreme(function, items),
        ("indexOf", [item]) => position(items.iter().position(|own| own == item)),
        ("lastIndexOf", [item]) => position(items.iter().rposition(|own| own == item)),
        ("first", []) => Ok(items
            .first()
            .cloned()
            .map_or(Value::Optional(None), Value::some)),
        ("last", []) => Ok(items
            .last()
            .cloned()
            .map_or(Value::Optional(None), Value::some)),
        ("join", []) => join(items, ""),
        ("join", [Value::String(separator)]) => join(items, separator),
        ("reverse", []) => Ok(items.iter().rev().cloned().collect::<Vec<_>>().into()),
        ("distinct", []) => Ok(distinct(items).into()),
        ("sort", []) => sort_by(items, items),
        ("@sortByAssociatedKeys", [Value::List(keys)]) => sort_by(items, &keys.items),
        ("flatten", []) => Ok(flatten(items, 1).into()),
        ("flatten", [Value::Int(depth)]) => match u32::try_from(*depth) {
            Ok(depth) => Ok(flatten(items, depth).into()),
            Err(_) => Err(Error::new("level must be non-negative")),
        },
        ("slice", [Value::Int(start), Value::Int(end)]) => slice(items, *start, *end),
        ("sets.contains" | "sets.equivalent" | "sets.intersects", [Value::List(other)]) => {
            Ok(Value::Bool(sets(function, list, other)))
        }
        _ => return None,
    })
}

/// The numbers below one, as `lists.range` makes them.
pub(super) fn range(length: i64) -> Outcome {
    if length > RANGE_LENGTH_MAX {
        return Err(Error::TooCostly);
    }
    Ok((0..length).map(Value::Int).collect::<Vec<_>>().into())
}

fn position(found: Option<usize>) -> Outcome {
    Ok(Value::Int(found.map_or(-1, |index| index as i64)))
}

fn order(left: &Value, right: &Value) -> Result<Ordering, Error> {
    left.order(right).ok_or_else(Error::overload)
}

fn sorted(items: &[Value]) -> Outcome {
    for pair in items.windows(2) {
        if order(&pair[0], &pair[1])? == Ordering::Greater {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

fn sum(items: &[Value]) -> Outcome {
    let Some((first, rest)) = items.split_first() else {
        return Ok(Value::Int(0));
    };
    rest.iter().try_fold(first.clone(), |total, item| {
        arithmetic::call("_+_", &[total, item.clone()]).unwrap_or_else(|| Err(Error::overload()))
    })
}

fn extreme(function: &str, items: &[Value]) -> Outcome {
    let Some((first, rest)) = items.split_first() else {
        return Err(Error::new(format!("{function} called on empty list")));
    };
    let wanted = if function == "min" {
        Ordering::Less
    } else {
        Ordering::Greater
    };
    let mut best = first;
    for item in rest {
        if order(item, best)? == wanted {
            best = item;
        }
    }
    Ok(best.clone())
}

fn join(items: &[Value], separator: &str) -> Outcome {
    let texts: Option<Vec<&str>> = items
        .iter()
        .map(|item| shared(item).map(|text| &**text))
        .collect();
    texts
        .map(|texts| Value::from(texts.join(separator)))
        .ok_or_else(Error::overload)
}

fn distinct(items: &[Value]) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    kept
}

/// The items in the order of their keys, of which there are as many.
fn sort_by(items: &[Value], keys: &[Value]) -> Outcome {
    let Some(first) = keys.first() else {
        return Ok(items.to_vec().into());
    };
    let has_place = |key: &Value| key.order(key).is_some();
    if !has_place(first) && !matches!(first, Value::Double(_)) {
        return Err(Error::new("list elements must be comparable"));
    }
    if keys.iter().any(|key| key.type_name() != first.type_name()) {
        return Err(Error::new("list elements must have the same type"));
    }
    let mut sorted: Vec<(&Value, &Value)> = keys.iter().zip(items).collect();
    // What is no number comes before all that are.
    let order = |left: &Value, right: &Value| {
        left.order(right)
            .unwrap_or_else(|| has_place(left).cmp(&has_place(right)))
    };
    sorted.sort_by(|(left, _), (right, _)| order(left, right));
    let items = sorted.into_iter().map(|(_, item)| item.clone());
    Ok(items.collect::<Vec<_>>().into())
}

fn flatten(items: &[Value], depth: u32) -> Vec<Value> {
    let mut flat = Vec::new();
    for item in items {
        match item {
            Value::List(inner) if depth > 0 => flat.extend(flatten(&inner.items, depth - 1)),
            other => flat.push(other.clone()),
        }
    }
    flat
}

fn slice(items: &[Value], start: i64, end: i64) -> Outcome {
    let fault = |why: String| Err(Error::new(format!("cannot slice({start}, {end}), {why}")));
    let (Ok(from), Ok(to)) = (usize::try_from(start), usize::try_from(end)) else {
        return fault("negative indexes not supported".to_owned());
    };
    if from > to {
        return fault("start index must be less than or equal to end index".to_owned());
    }
    match items.get(from..to) {
        Some(part) => Ok(part.to_vec().into()),
        None => fault(format!("list is length {}", items.len())),
    }
}

fn sets(function: &str, left: &List, right: &List) -> bool {
    let within =
        |inner: &List, outer: &List| inner.items.iter().all(|item| outer.items.contains(item));
    match function {
        "sets.contains" => within(right, left),
        "sets.equivalent" => within(left, right) && within(right, left),
        _ => left.items.iter().any(|item| right.items.contains(item)),
    }
}
