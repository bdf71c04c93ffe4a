//! Conversions between types, and values as text.

use std::sync::Arc;

use crate::cel::{
    eval::{Error, Outcome},
    time,
    value::{INT_END, Value, exact_uint},
};

pub(super) fn call(function: &str, args: &[Value]) -> Option<Outcome> {
    let [value] = args else {
        return None;
    };
    match function {
        "dyn" => Some(Ok(value.clone())),
        "type" => Some(Ok(Value::Type(value.type_name().into()))),
        "bool" => to_bool(value),
        "bytes" => to_bytes(value),
        "double" => to_double(value),
        "duration" => to_duration(value),
        "int" => to_int(value),
        "string" => to_string(value),
        "timestamp" => to_timestamp(value),
        _ => to_uint(value),
    }
}

fn to_bool(value: &Value) -> Option<Outcome> {
    match value {
        Value::Bool(_) => Some(Ok(value.clone())),
        Value::String(text) => Some(match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => Err(Error::new("type conversion error from 'string' to 'bool'")),
        }),
        _ => None,
    }
}

fn to_bytes(value: &Value) -> Option<Outcome> {
    match value {
        Value::Bytes(_) => Some(Ok(value.clone())),
        Value::String(text) => Some(Ok(Value::Bytes(text.as_bytes().into()))),
        _ => None,
    }
}

fn conversion(from: &str, to: &str) -> Error {
    Error::new(format!("type conversion error from '{from}' to '{to}'"))
}

fn to_double(value: &Value) -> Option<Outcome> {
    Some(match value {
        Value::Double(_) => Ok(value.clone()),
        Value::Int(number) => Ok(Value::Double(*number as f64)),
        Value::Uint(number) => Ok(Value::Double(*number as f64)),
        Value::String(text) => text
            .parse()
            .map(Value::Double)
            .map_err(|_syntax| conversion("string", "double")),
        _ => return None,
    })
}

fn to_duration(value: &Value) -> Option<Outcome> {
    Some(match value {
        Value::Duration(_) => Ok(value.clone()),
        Value::Int(nanoseconds) => Ok(Value::Duration(*nanoseconds)),
        Value::String(text) => time::parse_duration(text)
            .map(Value::Duration)
            .ok_or_else(|| conversion("string", "google.protobuf.Duration")),
        _ => return None,
    })
}

fn to_int(value: &Value) -> Option<Outcome> {
    let overflow = || Error::new("integer overflow");
    Some(match value {
        Value::Int(_) => Ok(value.clone()),
        Value::Uint(number) => i64::try_from(*number)
            .map(Value::Int)
            .map_err(|_too_large| overflow()),
        Value::Double(number) => {
            if *number > -INT_END && *number < INT_END {
                Ok(Value::Int(*number as i64))
            } else {
                Err(overflow())
            }
        }
        Value::Duration(nanoseconds) => Ok(Value::Int(*nanoseconds)),
        Value::Timestamp(at) => Ok(Value::Int(at.as_second())),
        Value::String(text) => text
            .parse()
            .map(Value::Int)
            .map_err(|_syntax| conversion("string", "int")),
        _ => return None,
    })
}

fn to_uint(value: &Value) -> Option<Outcome> {
    let overflow = || Error::new("unsigned integer overflow");
    Some(match value {
        Value::Uint(_) => Ok(value.clone()),
        Value::Int(number) => u64::try_from(*number)
            .map(Value::Uint)
            .map_err(|_negative| overflow()),
        Value::Double(number) => exact_uint(number.trunc())
            .filter(|_| *number >= 0.0)
            .map(Value::Uint)
            .ok_or_else(overflow),
        Value::String(text) => text
            .parse()
            .map(Value::Uint)
            .map_err(|_syntax| conversion("string", "uint")),
        _ => return None,
    })
}

fn to_string(value: &Value) -> Option<Outcome> {
    Some(match value {
        Value::Bytes(bytes) => std::str::from_utf8(bytes)
            .map(Value::from)
            .map_err(|_encoding| Error::new("invalid UTF-8 in bytes, cannot convert to string")),
        Value::String(_)
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Duration(_)
        | Value::Timestamp(_)
        | Value::Ip(_)
        | Value::Cidr(_) => Ok(Value::from(show(value))),
        _ => return None,
    })
}

fn to_timestamp(value: &Value) -> Option<Outcome> {
    Some(match value {
        Value::Timestamp(_) => Ok(value.clone()),
        Value::Int(seconds) => time::at(*seconds).map(Value::Timestamp),
        Value::String(text) => match time::parse(text) {
            Some(at) => Ok(Value::Timestamp(at)),
            None => Err(conversion("string", "google.protobuf.Timestamp")),
        },
        _ => return None,
    })
}

/// The first power of ten that Go's `%g` writes with an exponent.
const PLAIN_EXPONENT_END: i32 = 6;

/// A number as Go's `%g` with as few digits as tell it apart.
fn show_double(number: f64) -> String {
    if !number.is_finite() {
        return match number {
            _ if number.is_nan() => "NaN".to_owned(),
            _ if number > 0.0 => "+Inf".to_owned(),
            _ => "-Inf".to_owned(),
        };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..PLAIN_EXPONENT_END).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{number}")
}

/// A value as a message or `string()` shows it.
pub(in crate::cel) fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Double(number) => show_double(*number),
        Value::String(text) | Value::Type(text) | Value::Fault(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Timestamp(at) => time::show(*at),
        Value::Duration(nanoseconds) => time::show_duration(*nanoseconds),
        Value::Ip(ip) => ip.to_string(),
        Value::Cidr(cidr) => format!("{}/{}", cidr.ip, cidr.bits),
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(show_inner).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| {
                    format!("{}:{}", show_inner(&key.clone().into()), show_inner(value))
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Optional(Some(inner)) => show(inner),
        other => other.type_name().to_owned(),
    }
}

/// A value within another: text stands in quotes.
fn show_inner(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => show(other),
    }
}

/// Text shared by its value.
pub(super) fn shared(value: &Value) -> Option<&Arc<str>> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
