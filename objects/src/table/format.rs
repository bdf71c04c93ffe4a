//! How cells write times, selectors, labels and lists.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Map, Value, meta};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// How many elements of a list are written before the rest is only counted.
pub(super) const SHOWN_MAX: usize = 3;

/// Reads a time in microseconds since 1970.
pub(super) fn micros(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1000).ok()
}

/// How long a time is ago.
pub(super) fn since(text: &str, now_micros: i64) -> String {
    match micros(text) {
        Some(then) => duration(now_micros.saturating_sub(then)),
        None => "<unknown>".to_owned(),
    }
}

/// A span of time with two or three digits that count, as people read it: `3m20s`, `5d1h`.
pub(super) fn duration(micros: i64) -> String {
    let (seconds, minutes, hours) = (micros / SECOND, micros / MINUTE, micros / HOUR);
    let days = hours / 24;
    let pair = |large: i64, unit: &str, small: i64, rest: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{rest}")
        }
    };
    match () {
        // Clocks may differ by a little.
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => pair(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 8 * 365 => pair(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

/// Labels with commas between them.
pub(super) fn labels(labels: Option<&Map>) -> String {
    let pairs: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    none_if_empty(pairs.join(","))
}

/// A label selector in the words of `kubectl -l`; none if it is not valid.
pub(super) fn selector(selector: &Value) -> Option<String> {
    let mut parts: Vec<(&str, String)> = Vec::new();
    for (key, value) in meta::map(selector, &["matchLabels"]).into_iter().flatten() {
        parts.push((key, format!("{key}={}", value.as_str()?)));
    }
    for expression in meta::list(selector, &["matchExpressions"]) {
        let key = meta::text(expression, &["key"]);
        let values = meta::list(expression, &["values"]);
        let mut values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let part = match meta::text(expression, &["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        };
        parts.push((key, part));
    }
    parts.sort_by_key(|(key, _)| *key);
    let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
    Some(parts.join(","))
}

/// A label selector as most tables write it.
pub(super) fn selector_or_none(value: Option<&Value>) -> String {
    match value.map_or_else(|| Some(String::new()), selector) {
        Some(text) => none_if_empty(text),
        None => "<error>".to_owned(),
    }
}

/// Names and images of containers.
pub(super) fn containers(containers: &[Value]) -> (String, String) {
    let all = |field: &str| {
        let texts: Vec<&str> = containers
            .iter()
            .map(|container| meta::text(container, &[field]))
            .collect();
        texts.join(",")
    };
    (all("name"), all("image"))
}

/// The first elements of a list, and how many more there are.
pub(super) fn first_of(texts: &[String], otherwise: &str) -> String {
    let shown = texts[..texts.len().min(SHOWN_MAX)].join(",");
    if texts.len() > SHOWN_MAX {
        return format!("{shown} + {} more...", texts.len() - SHOWN_MAX);
    }
    if shown.is_empty() {
        return otherwise.to_owned();
    }
    shown
}

pub(super) fn none_if_empty(text: String) -> String {
    if text.is_empty() {
        "<none>".to_owned()
    } else {
        text
    }
}

/// A quantity or an integer or text, as it is written.
pub(super) fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// The name of an object, with a note if one of the annotations says that it is the default one of its kind.
pub(super) fn name_or_default(object: &Value, annotations: &[&str]) -> String {
    let is_default = annotations
        .iter()
        .any(|key| meta::annotation(object, key) == Some("true"));
    let note = if is_default { " (default)" } else { "" };
    format!("{}{note}", meta::name(object))
}

/// A number as Go prints it: floats with an exponent from seven digits on.
pub(super) fn number(number: &serde_json::Number) -> String {
    let float = match (number.as_i64(), number.as_f64()) {
        (None, Some(float)) => float,
        _ => return number.to_string(),
    };
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent @ (..-4 | 6..)) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => float.to_string(),
    }
}

/// A value as JSON with the characters of HTML escaped, as Go writes it.
pub(super) fn json(value: &Value) -> String {
    let mut escaped = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}
