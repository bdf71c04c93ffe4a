//! Kubernetes' own libraries: quantities, versions, addresses, URLs, formats and the authorizer.

use std::{cmp::Ordering, sync::Arc};

use super::{ip, lists};
use crate::cel::{
    authorizer::Check,
    eval::{Error, Outcome},
    format, network,
    quantity::Quantity,
    semver::Semver,
    url::Url,
    value::{Key, Map, Value},
};

pub(super) fn call(function: &str, args: &[Value]) -> Option<Outcome> {
    match args {
        [] => {
            let name = function.strip_prefix("format.")?;
            format::named(name).map(|found| Ok(Value::Format(found)))
        }
        [Value::String(text), rest @ ..] => from_text(function, text, rest),
        [Value::Quantity(one), rest @ ..] => quantities(function, *one, rest),
        [Value::Semver(one), rest @ ..] => versions(function, one, rest),
        [Value::Ip(_) | Value::Cidr(_), ..] => networks(function, args),
        [Value::Url(url)] => urls(function, url).map(Ok),
        [Value::Format(format), Value::String(text)] if function == "validate" => {
            let faults: Vec<Value> = format.faults(text).into_iter().map(Value::from).collect();
            Some(Ok(if faults.is_empty() {
                Value::Optional(None)
            } else {
                Value::some(faults.into())
            }))
        }
        [Value::Int(length)] if function == "lists.range" => Some(lists::range(*length)),
        [Value::Authorizer(check), rest @ ..] => authorizer(function, check, rest),
        _ => None,
    }
}

fn from_text(function: &str, text: &str, rest: &[Value]) -> Option<Outcome> {
    let tolerant = matches!(rest, [Value::Bool(true)]);
    let version = || {
        if tolerant {
            Semver::parse_tolerant(text)
        } else {
            Semver::parse(text)
        }
    };
    Some(match function {
        "quantity" => Quantity::parse(text).map(Value::Quantity).ok_or_else(|| {
            Error::new("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
        }),
        "isQuantity" => Ok(Value::Bool(Quantity::parse(text).is_some())),
        "semver" => version().map(|found| Value::Semver(Arc::new(found))),
        "isSemver" => Ok(Value::Bool(version().is_ok())),
        "ip" => ip(text),
        "isIP" => Ok(Value::Bool(ip(text).is_ok())),
        "ip.isCanonical" => network::parse_ip(text).map(|found| Value::Bool(found.to_string() == text)),
        "cidr" => network::parse_cidr(text).map(Value::Cidr),
        "isCIDR" => Ok(Value::Bool(network::parse_cidr(text).is_ok())),
        "url" => Url::parse(text).map(|found| Value::Url(Arc::new(found))).map_err(|why| {
            Error::new(format!("URL parse error during conversion from string: {why}"))
        }),
        "jsonpatch.escapeKey" => Ok(text.replace('~', "~0").replace('/', "~1").into()),
        "isURL" => Ok(Value::Bool(Url::parse(text).is_ok())),
        "format.named" => Ok(format::named(text).map_or(Value::Optional(None), |found| {
            Value::some(Value::Format(found))
        })),
        _ => return None,
    })
}

/// How two values that compare answer the three methods of order.
fn ordered(function: &str, order: Ordering) -> Option<Value> {
    Some(match function {
        "isGreaterThan" => Value::Bool(order == Ordering::Greater),
        "isLessThan" => Value::Bool(order == Ordering::Less),
        "compareTo" => Value::Int(order as i64),
        _ => return None,
    })
}

fn quantities(function: &str, one: Quantity, rest: &[Value]) -> Option<Outcome> {
    let other = match rest {
        [Value::Quantity(other)] => Some(*other),
        [Value::Int(number)] if matches!(function, "add" | "sub") => {
            Some(Quantity::from_int(*number))
        }
        [] => None,
        _ => return None,
    };
    Some(Ok(match (function, other) {
        ("sign", None) => Value::Int(one.sign()),
        ("isInteger", None) => Value::Bool(one.as_int().is_some()),
        ("asInteger", None) => {
            return Some(
                one.as_int()
                    .map(Value::Int)
                    .ok_or_else(|| Error::new("cannot convert value to integer")),
            );
        }
        ("asApproximateFloat", None) => Value::Double(one.as_double()),
        ("add", Some(other)) => Value::Quantity(one.plus(other)),
        ("sub", Some(other)) => Value::Quantity(one.minus(other)),
        (_, Some(other)) => ordered(function, one.cmp(&other))?,
        _ => return None,
    }))
}

fn versions(function: &str, one: &Semver, rest: &[Value]) -> Option<Outcome> {
    let number = |position: usize| Value::Int(one.numbers[position] as i64);
    Some(Ok(match (function, rest) {
        ("major", []) => number(0),
        ("minor", []) => number(1),
        ("patch", []) => number(2),
        (_, [Value::Semver(other)]) => ordered(function, one.cmp(other))?,
        _ => return None,
    }))
}

fn networks(function: &str, args: &[Value]) -> Option<Outcome> {
    Some(Ok(match (function, args) {
        ("family", [Value::Ip(ip)]) => Value::Int(if ip.is_ipv4() { 4 } else { 6 }),
        (_, [Value::Ip(ip)]) => Value::Bool(network::about(*ip, function)?),
        ("ip", [Value::Cidr(own)]) => Value::Ip(own.ip),
        ("prefixLength", [Value::Cidr(own)]) => Value::Int(i64::from(own.bits)),
        ("masked", [Value::Cidr(own)]) => Value::Cidr(own.masked()),
        ("containsIP", [Value::Cidr(own), Value::Ip(ip)]) => Value::Bool(own.contains(*ip)),
        ("containsIP", [Value::Cidr(own), Value::String(text)]) => {
            return Some(network::parse_ip(text).map(|ip| Value::Bool(own.contains(ip))));
        }
        ("containsCIDR", [Value::Cidr(own), Value::Cidr(other)]) => {
            Value::Bool(own.contains_network(*other))
        }
        ("containsCIDR", [Value::Cidr(own), Value::String(text)]) => {
            return Some(
                network::parse_cidr(text).map(|other| Value::Bool(own.contains_network(other))),
            );
        }
        _ => return None,
    }))
}

fn urls(function: &str, url: &Url) -> Option<Value> {
    Some(match function {
        "getScheme" => url.scheme.as_str().into(),
        "getHost" => url.host.as_str().into(),
        "getHostname" => url.hostname().into(),
        "getPort" => url.port().into(),
        "getEscapedPath" => url.path.as_str().into(),
        "getQuery" => {
            let query: Map = url
                .query
                .iter()
                .map(|(key, values)| {
                    let values: Vec<Value> =
                        values.iter().map(|value| value.as_str().into()).collect();
                    (Key::String(key.as_str().into()), values.into())
                })
                .collect();
            Value::Map(Arc::new(query))
        }
        _ => return None,
    })
}

fn authorizer(function: &str, check: &Check, rest: &[Value]) -> Option<Outcome> {
    if let Check::Decision(decision) = check {
        return Some(Ok(match function {
            "allowed" => Value::Bool(decision.allowed),
            "reason" => decision.reason.as_str().into(),
            "errored" => Value::Bool(decision.error.is_some()),
            "error" => decision.error.as_deref().unwrap_or_default().into(),
            _ => return None,
        }));
    }
    let args: Vec<&str> = rest
        .iter()
        .filter_map(|arg| match arg {
            Value::String(text) => Some(&**text),
            _ => None,
        })
        .collect();
    check
        .step(function, &args)
        .map(|next| Ok(Value::Authorizer(Arc::new(next))))
}
