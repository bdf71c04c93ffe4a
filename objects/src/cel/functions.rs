//! What calls do when they run: the right room by the name of the function and the type of its first argument.

mod arithmetic;
mod convert;
mod kubernetes;
mod lists;
mod strings;

use super::{
    eval::{self, Error, Outcome, Run},
    network, time,
    value::{Key, Value},
};

pub(super) use convert::show;

/// Runs a function on values. Which overload is meant shows in the values.
pub(super) fn call(run: &mut Run<'_>, function: &str, mut args: Vec<Value>) -> Outcome {
    let missing = |args: &[Value]| {
        let types: Vec<&str> = args.iter().map(Value::type_name).collect();
        Error::new(format!(
            "no such overload: {function}({})",
            types.join(", ")
        ))
    };
    let found = match function {
        "_+_" => return add(args),
        "cel.@mapInsert" => return insert(args),
        "_==_" | "_!=_" => equality(function, &args),
        "!_" | "-_" | "_-_" | "_*_" | "_/_" | "_%_" | "_<_" | "_<=_" | "_>_" | "_>=_" => {
            arithmetic::call(function, &args)
        }
        "@in" => contained(&args),
        "size" => size(&args),
        "matches" | "find" | "findAll" => strings::patterns(run, function, &args),
        name if name.starts_with("optional.") => optional(name, &mut args),
        "hasValue" | "value" | "unwrapOpt" => optional(function, &mut args),
        name if name.starts_with("get") => times(function, &args),
        "bool" | "bytes" | "double" | "duration" | "dyn" | "int" | "string" | "timestamp"
        | "uint" | "type" => convert::call(function, &args),
        _ => match args.first() {
            Some(Value::List(_)) => lists::call(function, &args),
            _ => strings::call(function, &args),
        },
    };
    match found {
        Some(outcome) => outcome,
        None => kubernetes::call(function, &args).unwrap_or_else(|| Err(missing(&args))),
    }
}

fn add(args: Vec<Value>) -> Outcome {
    let Ok([left, right]) = <[Value; 2]>::try_from(args) else {
        return Err(Error::overload());
    };
    match (left, right) {
        (Value::List(left), Value::List(right)) => Ok(eval::append(left, &right)),
        (left, right) => {
            arithmetic::call("_+_", &[left, right]).unwrap_or_else(|| Err(Error::overload()))
        }
    }
}

/// Adds entries to a map that a loop grows.
fn insert(args: Vec<Value>) -> Outcome {
    let mut args = args.into_iter();
    let (Some(Value::Map(mut map)), Some(first)) = (args.next(), args.next()) else {
        return Err(Error::overload());
    };
    let entries: Vec<(Key, Value)> = match (first, args.next()) {
        (Value::Map(more), None) => more
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        (key, Some(value)) => vec![(key.key().ok_or_else(Error::overload)?, value)],
        _ => return Err(Error::overload()),
    };
    let grown = std::sync::Arc::make_mut(&mut map);
    for (key, value) in entries {
        if grown.contains_key(&key) {
            let key = show(&key.into());
            return Err(Error::new(format!(
                "insert failed: key {key} already exists"
            )));
        }
        grown.insert(key, value);
    }
    Ok(Value::Map(map))
}

fn equality(function: &str, args: &[Value]) -> Option<Outcome> {
    let [left, right] = args else {
        return None;
    };
    Some(Ok(Value::Bool((left == right) == (function == "_==_"))))
}

fn contained(args: &[Value]) -> Option<Outcome> {
    let [item, of] = args else {
        return None;
    };
    let found = match of {
        Value::List(list) => list.items.contains(item),
        Value::Map(map) => item
            .key()
            .is_some_and(|key| super::value::look_up(map, &key).is_some()),
        _ => return None,
    };
    Some(Ok(Value::Bool(found)))
}

fn size(args: &[Value]) -> Option<Outcome> {
    match args {
        [of @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_))] => {
            Some(Ok(Value::Int(of.size() as i64)))
        }
        _ => None,
    }
}

fn optional(function: &str, args: &mut [Value]) -> Option<Outcome> {
    Some(Ok(match (function, args) {
        ("optional.of", [value]) => Value::some(value.clone()),
        ("optional.ofNonZeroValue", [value]) if value.is_zero() => Value::Optional(None),
        ("optional.ofNonZeroValue", [value]) => Value::some(value.clone()),
        ("optional.none", []) => Value::Optional(None),
        ("hasValue", [Value::Optional(inner)]) => Value::Bool(inner.is_some()),
        ("value", [Value::Optional(None)]) => {
            return Some(Err(Error::new("optional.none() dereference")));
        }
        ("value", [Value::Optional(Some(inner))]) => (**inner).clone(),
        ("optional.unwrap" | "unwrapOpt", [Value::List(list)]) => {
            let items: Vec<Value> = list
                .items
                .iter()
                .filter_map(|item| match item {
                    Value::Optional(inner) => inner.as_deref().cloned(),
                    other => Some(other.clone()),
                })
                .collect();
            items.into()
        }
        _ => return None,
    }))
}

/// The parts of times; `get…` of other values is no business of this room.
fn times(function: &str, args: &[Value]) -> Option<Outcome> {
    match args {
        [Value::Duration(nanoseconds)] => {
            time::duration_part(*nanoseconds, function).map(|part| Ok(Value::Int(part)))
        }
        [Value::Timestamp(at)] => Some(time::part(*at, None, function).map(Value::Int)),
        [Value::Timestamp(at), Value::String(zone)] => {
            Some(time::part(*at, Some(zone), function).map(Value::Int))
        }
        _ => None,
    }
}

/// An address as a value.
fn ip(text: &str) -> Outcome {
    network::parse_ip(text).map(Value::Ip)
}
