//! Operators on numbers, times, text and truth: exact, with overflow as an error.

use std::cmp::Ordering;

use crate::cel::{
    eval::{Error, Outcome},
    time,
    value::Value,
};

pub(super) fn call(function: &str, args: &[Value]) -> Option<Outcome> {
    match args {
        [Value::Bool(flag)] if function == "!_" => Some(Ok(Value::Bool(!flag))),
        [one] if function == "-_" => negated(one),
        [left, right] => match function {
            "_<_" | "_<=_" | "_>_" | "_>=_" => compared(function, left, right),
            _ => combined(function, left, right),
        },
        _ => None,
    }
}

fn negated(value: &Value) -> Option<Outcome> {
    match value {
        Value::Int(number) => Some(int(number.checked_neg())),
        Value::Double(number) => Some(Ok(Value::Double(-number))),
        _ => None,
    }
}

fn int(number: Option<i64>) -> Outcome {
    number
        .map(Value::Int)
        .ok_or_else(|| Error::new("integer overflow"))
}

fn uint(number: Option<u64>) -> Outcome {
    number
        .map(Value::Uint)
        .ok_or_else(|| Error::new("unsigned integer overflow"))
}

fn duration(nanoseconds: Option<i64>) -> Outcome {
    nanoseconds
        .map(Value::Duration)
        .ok_or_else(|| Error::new("integer overflow"))
}

fn compared(function: &str, left: &Value, right: &Value) -> Option<Outcome> {
    let nan = |value: &Value| matches!(value, Value::Double(number) if number.is_nan());
    if nan(left) || nan(right) {
        return Some(Err(Error::new("NaN values cannot be ordered")));
    }
    let order = left.order(right)?;
    Some(Ok(Value::Bool(match function {
        "_<_" => order == Ordering::Less,
        "_<=_" => order != Ordering::Greater,
        "_>_" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })))
}

fn combined(function: &str, left: &Value, right: &Value) -> Option<Outcome> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => ints(function, *left, *right),
        (Value::Uint(left), Value::Uint(right)) => uints(function, *left, *right),
        (Value::Double(left), Value::Double(right)) => Some(Ok(Value::Double(match function {
            "_+_" => left + right,
            "_-_" => left - right,
            "_*_" => left * right,
            "_/_" => left / right,
            _ => return None,
        }))),
        (Value::String(left), Value::String(right)) if function == "_+_" => {
            Some(Ok(Value::from(format!("{left}{right}"))))
        }
        (Value::Bytes(left), Value::Bytes(right)) if function == "_+_" => {
            Some(Ok(Value::Bytes([&**left, &**right].concat().into())))
        }
        _ => times(function, left, right),
    }
}

fn ints(function: &str, left: i64, right: i64) -> Option<Outcome> {
    Some(match function {
        "_+_" => int(left.checked_add(right)),
        "_-_" => int(left.checked_sub(right)),
        "_*_" => int(left.checked_mul(right)),
        "_/_" if right == 0 => Err(Error::new("division by zero")),
        "_%_" if right == 0 => Err(Error::new("modulus by zero")),
        "_/_" => int(left.checked_div(right)),
        "_%_" => int(left.checked_rem(right)),
        _ => return None,
    })
}

fn uints(function: &str, left: u64, right: u64) -> Option<Outcome> {
    Some(match function {
        "_+_" => uint(left.checked_add(right)),
        "_-_" => uint(left.checked_sub(right)),
        "_*_" => uint(left.checked_mul(right)),
        "_/_" if right == 0 => Err(Error::new("division by zero")),
        "_%_" if right == 0 => Err(Error::new("modulus by zero")),
        "_/_" => uint(left.checked_div(right)),
        "_%_" => uint(left.checked_rem(right)),
        _ => return None,
    })
}

fn times(function: &str, left: &Value, right: &Value) -> Option<Outcome> {
    Some(match (function, left, right) {
        ("_+_", Value::Duration(left), Value::Duration(right)) => {
            duration(left.checked_add(*right))
        }
        ("_-_", Value::Duration(left), Value::Duration(right)) => {
            duration(left.checked_sub(*right))
        }
        ("_+_", Value::Timestamp(at), Value::Duration(by))
        | ("_+_", Value::Duration(by), Value::Timestamp(at)) => {
            time::later(*at, *by).map(Value::Timestamp)
        }
        ("_-_", Value::Timestamp(at), Value::Duration(by)) => by
            .checked_neg()
            .ok_or_else(|| Error::new("timestamp overflow"))
            .and_then(|by| time::later(*at, by))
            .map(Value::Timestamp),
        ("_-_", Value::Timestamp(left), Value::Timestamp(right)) => {
            let apart = left.as_nanosecond() - right.as_nanosecond();
            duration(i64::try_from(apart).ok())
        }
        _ => return None,
    })
}
