//! Functions on text. Places in text are counted in characters.

use super::convert::{shared, show};
use crate::cel::{
    eval::{Error, Outcome, Run},
    pattern,
    value::Value,
};

pub(super) fn call(function: &str, args: &[Value]) -> Option<Outcome> {
    let [Value::String(text), rest @ ..] = args else {
        return None;
    };
    Some(match (function, rest) {
        ("contains", [Value::String(part)]) => Ok(Value::Bool(text.contains(&**part))),
        ("startsWith", [Value::String(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
        ("endsWith", [Value::String(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
        ("lowerAscii", []) => Ok(text.to_ascii_lowercase().into()),
        ("upperAscii", []) => Ok(text.to_ascii_uppercase().into()),
        ("trim", []) => Ok(text.trim().into()),
        ("strings.quote", []) => Ok(quote(text).into()),
        ("charAt", [Value::Int(at)]) => char_at(text, *at),
        ("substring", [Value::Int(from)]) => substring(text, *from, None),
        ("substring", [Value::Int(from), Value::Int(to)]) => substring(text, *from, Some(*to)),
        ("indexOf" | "lastIndexOf", [Value::String(part)]) => find(function, text, part, None),
        ("indexOf" | "lastIndexOf", [Value::String(part), Value::Int(from)]) => {
            find(function, text, part, Some(*from))
        }
        ("replace", [Value::String(old), Value::String(new)]) => {
            Ok(text.replace(&**old, new).into())
        }
        ("replace", [Value::String(old), Value::String(new), Value::Int(count)]) => {
            Ok(match usize::try_from(*count) {
                Ok(count) => text.replacen(&**old, new, count).into(),
                Err(_) => text.replace(&**old, new).into(),
            })
        }
        ("split", [Value::String(separator)]) => Ok(split(text, separator, -1)),
        ("split", [Value::String(separator), Value::Int(count)]) => {
            Ok(split(text, separator, *count))
        }
        ("format", [Value::List(values)]) => format(text, &values.items),
        _ => return None,
    })
}

/// Functions with a pattern, whose compiled form is kept for the run.
pub(super) fn patterns(run: &mut Run<'_>, function: &str, args: &[Value]) -> Option<Outcome> {
    let [Value::String(text), Value::String(source), rest @ ..] = args else {
        return None;
    };
    if !run.patterns.contains_key(&**source) {
        match pattern::compile(source) {
            Ok(compiled) => run.patterns.insert(source.to_string(), compiled),
            Err(error) if function == "matches" => return Some(Err(error)),
            Err(error) => return Some(Err(Error::new(format!("Illegal regex: {error}")))),
        };
    }
    let compiled = &run.patterns[&**source];
    let most = match rest {
        [Value::Int(most)] => usize::try_from(*most).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    Some(Ok(match function {
        "matches" => Value::Bool(compiled.is_match(text)),
        "find" => compiled
            .find(text)
            .map_or("", |found| found.as_str())
            .into(),
        _ => compiled
            .find_iter(text)
            .take(most)
            .map(|found| Value::from(found.as_str()))
            .collect::<Vec<_>>()
            .into(),
    }))
}

fn out_of_range(index: i64) -> Error {
    Error::new(format!("index out of range: {index}"))
}

fn char_at(text: &str, at: i64) -> Outcome {
    let index = usize::try_from(at).map_err(|_negative| out_of_range(at))?;
    match text.chars().nth(index) {
        Some(found) => Ok(found.to_string().into()),
        None if index == text.chars().count() => Ok("".into()),
        None => Err(out_of_range(at)),
    }
}

fn substring(text: &str, from: i64, to: Option<i64>) -> Outcome {
    let length = text.chars().count() as i64;
    if let Some(to) = to.filter(|to| from > *to) {
        return Err(Error::new(format!(
            "invalid substring range. start: {from}, end: {to}"
        )));
    }
    let to = to.unwrap_or(length);
    if from < 0 || from > length {
        return Err(out_of_range(from));
    }
    if to > length {
        return Err(out_of_range(to));
    }
    let part: String = text
        .chars()
        .skip(from as usize)
        .take((to - from) as usize)
        .collect();
    Ok(part.into())
}

fn find(function: &str, text: &str, part: &str, from: Option<i64>) -> Outcome {
    let last = function == "lastIndexOf";
    let length = text.chars().count() as i64;
    let byte_of = |index: i64| {
        text.char_indices()
            .nth(index as usize)
            .map_or(text.len(), |(at, _)| at)
    };
    if let Some(from) = from {
        if part.is_empty() {
            return Ok(Value::Int(from));
        }
        if from < 0 || from >= length && !(last && from == length) {
            return Err(out_of_range(from));
        }
    } else if part.is_empty() {
        return Ok(Value::Int(if last { length } else { 0 }));
    }
    let found = if last {
        let until = from.map_or(text.len(), |from| {
            (byte_of(from) + part.len()).min(text.len())
        });
        let until = (until..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(text.len());
        text[..until].rfind(part)
    } else {
        let start = byte_of(from.unwrap_or(0));
        text[start..].find(part).map(|at| at + start)
    };
    Ok(Value::Int(
        found.map_or(-1, |at| text[..at].chars().count() as i64),
    ))
}

fn split(text: &str, separator: &str, count: i64) -> Value {
    let mut parts: Vec<String> = if separator.is_empty() {
        text.chars().map(String::from).collect()
    } else {
        text.split(separator).map(ToOwned::to_owned).collect()
    };
    if let Ok(count) = usize::try_from(count) {
        if count == 0 {
            parts.clear();
        } else if parts.len() > count {
            let rest = parts.split_off(count - 1);
            parts.push(rest.join(separator));
        }
    }
    parts
        .into_iter()
        .map(Value::from)
        .collect::<Vec<_>>()
        .into()
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for next in text.chars() {
        match next {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// `'%s has %d'.format([…])`: clauses in the text, each with the next value.
fn format(text: &str, values: &[Value]) -> Outcome {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let mut used = 0;
    while let Some(next) = chars.next() {
        if next != '%' {
            out.push(next);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut precision = None;
        if chars.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            precision = Some(digits.parse::<usize>().ok().filter(|most| *most <= 64).ok_or_else(
                || Error::new("error while parsing precision: unable to find end of precision specifier"),
            )?);
        }
        let clause = chars
            .next()
            .ok_or_else(|| Error::new("unexpected end of string"))?;
        let value = values
            .get(used)
            .ok_or_else(|| Error::new(format!("index {used} out of range")))?;
        used += 1;
        out.push_str(&clause_text(clause, precision, value)?);
    }
    Ok(out.into())
}

fn clause_text(clause: char, precision: Option<usize>, value: &Value) -> Result<String, Error> {
    let wrong = |what: &str| {
        Error::new(format!(
            "error during formatting: {what}, was given {}",
            value.type_name()
        ))
    };
    Ok(match (clause, value) {
        ('s', _) => show(value),
        ('d', Value::Int(_) | Value::Uint(_)) => show(value),
        ('d', _) => return Err(wrong("decimal clause can only be used on integers")),
        ('f', Value::Double(number)) => format!("{number:.*}", precision.unwrap_or(6)),
        ('f', Value::Int(number)) => format!("{:.*}", precision.unwrap_or(6), *number as f64),
        ('f', _) => return Err(wrong("fixed-point clause can only be used on doubles")),
        ('e', Value::Double(number)) => scientific(*number, precision.unwrap_or(6)),
        ('e', _) => return Err(wrong("scientific clause can only be used on doubles")),
        ('b', Value::Int(number)) if *number < 0 => format!("-{:b}", number.unsigned_abs()),
        ('b', Value::Int(number)) => format!("{number:b}"),
        ('b', Value::Uint(number)) => format!("{number:b}"),
        ('b', Value::Bool(flag)) => u8::from(*flag).to_string(),
        ('b', _) => {
            return Err(wrong("only integers and bools can be formatted as binary"));
        }
        ('o', Value::Int(number)) if *number < 0 => format!("-{:o}", number.unsigned_abs()),
        ('o', Value::Int(number)) => format!("{number:o}"),
        ('o', Value::Uint(number)) => format!("{number:o}"),
        ('o', _) => return Err(wrong("octal clause can only be used on integers")),
        ('x' | 'X', _) => hexadecimal(value, clause == 'X').ok_or_else(|| {
            wrong("only integers, byte buffers, and strings can be formatted as hex")
        })?,
        _ => {
            return Err(Error::new(format!(
                "could not parse formatting clause: unrecognized formatting clause \"{clause}\""
            )));
        }
    })
}

/// Digits as an exponent shows them.
const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];

fn scientific(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let power: i32 = exponent.parse().unwrap_or(0);
            let digits: String = format!("{:02}", power.abs())
                .bytes()
                .map(|digit| SUPERSCRIPTS[usize::from(digit - b'0')])
                .collect();
            format!("{mantissa}×10{}{digits}", if power < 0 { "⁻" } else { "" })
        }
        None => text,
    }
}

fn hexadecimal(value: &Value, upper: bool) -> Option<String> {
    let text = match value {
        Value::Int(number) if *number < 0 => format!("-{:x}", number.unsigned_abs()),
        Value::Int(number) => format!("{number:x}"),
        Value::Uint(number) => format!("{number:x}"),
        Value::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => shared(other)?
            .bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    };
    Some(if upper { text.to_uppercase() } else { text })
}
