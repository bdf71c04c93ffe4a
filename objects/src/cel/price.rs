//! What a call costs when it runs, by upstream's table of factors.

use super::{eval::Outcome, value::Value};

/// A tenth, rounded up: what text and bytes cost by their length.
fn tenth(size: u64) -> u64 {
    size.div_ceil(10)
}

/// What matching text with a pattern costs.
fn pattern(text: u64, pattern: u64) -> u64 {
    tenth(text + 1).saturating_mul(pattern.div_ceil(4))
}

/// The cost that is known from the arguments; nothing where it depends on the result.
pub(super) fn before(function: &str, overload: &str, args: &[Value]) -> Option<u64> {
    let size = |position: usize| args.get(position).map_or(1, Value::size);
    Some(match function {
        "check" => 350_000,
        "fieldSelector" | "labelSelector" => {
            let length = size(1);
            10 + tenth(length) + length.div_ceil(2) * 50
        }
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
            args.first().map_or(0, Value::walk_cost)
        }
        "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "cidr" | "isIP" | "isCIDR"
        | "quantity" | "isQuantity" | "semver" | "isSemver" => tenth(size(0)),
        "ip" if overload != "cidr_ip" => tenth(size(0)),
        "replace" | "split" | "ip.isCanonical" => (size(0) * 2).div_ceil(10),
        "join" => return None,
        "find" | "findAll" => pattern(size(0), size(1)),
        "containsIP" | "containsCIDR" => {
            let nested = function == "containsCIDR";
            let own = (size(0) * 2).div_ceil(10);
            let other = if overload.ends_with("_string") {
                tenth(size(1))
            } else {
                0
            };
            own + other + if nested { tenth(size(0)) + 1 } else { 0 }
        }
        "validate" => match args {
            [Value::Format(format), _] => pattern(size(1), format.pattern_length),
            _ => 1,
        },
        "_==_"
            if matches!(
                args.first(),
                Some(
                    Value::Quantity(_)
                        | Value::Ip(_)
                        | Value::Cidr(_)
                        | Value::Format(_)
                        | Value::Url(_)
                        | Value::Semver(_)
                        | Value::Authorizer(_)
                )
            ) =>
        {
            1
        }
        name if name.starts_with("sets.") => {
            let factor = if name == "sets.equivalent" { 2 } else { 1 };
            1 + size(0).saturating_mul(size(1)).saturating_mul(factor)
        }
        "flatten" => {
            let depth = match args.get(1) {
                Some(Value::Int(depth)) => u64::try_from(*depth).unwrap_or(0),
                _ => 1,
            };
            11 + size(0).saturating_mul(depth)
        }
        "distinct" | "sort" => compare_all(args.first()),
        "@sortByAssociatedKeys" => compare_all(args.get(1)),
        "slice" | "reverse" | "lists.range" => made_list(function, args),
        "_==_" | "_!=_" => tenth(size(0).min(size(1))),
        _ => by_overload(overload, args),
    })
}

/// The cost of making a list, which is known before it is made.
fn made_list(function: &str, args: &[Value]) -> u64 {
    let length = match (function, args) {
        ("lists.range", [Value::Int(length)]) => u64::try_from(*length).unwrap_or(0),
        ("slice", [_, Value::Int(start), Value::Int(end)]) => {
            u64::try_from(end.saturating_sub(*start)).unwrap_or(0)
        }
        _ => args.first().map_or(1, Value::size),
    };
    length.saturating_add(11)
}

/// The cost of comparing all elements of a list with one another.
fn compare_all(list: Option<&Value>) -> u64 {
    let Some(Value::List(list)) = list else {
        return 1;
    };
    let length = list.items.len() as f64;
    let text = matches!(list.items.first(), Some(Value::String(_) | Value::Bytes(_)));
    (length * length * if text { 2.1 } else { 2.0 }) as u64 + 11
}

fn by_overload(overload: &str, args: &[Value]) -> u64 {
    let size = |position: usize| args.get(position).map_or(1, Value::size);
    match overload {
        "starts_with_string"
        | "ends_with_string"
        | "string_to_bytes"
        | "bytes_to_string"
        | "strings_quote"
        | "string_format"
        | "string_jsonpatch_escapeKey_string" => tenth(size(0)),
        "in_list" => size(1),
        "less_string"
        | "greater_string"
        | "less_equals_string"
        | "greater_equals_string"
        | "less_bytes"
        | "greater_bytes"
        | "less_equals_bytes"
        | "greater_equals_bytes" => tenth(size(0).min(size(1))),
        "add_string" | "add_bytes" => tenth(size(0) + size(1)),
        "matches_string" => pattern(size(0), size(1)),
        "contains_string" => tenth(size(0)).saturating_mul(tenth(size(1))),
        _ => 1,
    }
}

/// The cost of what is paid by its result: joined text, twice over.
pub(super) fn after(result: &Outcome) -> u64 {
    let size = result.as_ref().map_or(1, Value::size);
    (size * 2).div_ceil(10)
}
