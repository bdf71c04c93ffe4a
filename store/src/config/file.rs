//! A configuration file, YAML or JSON, as `--config-file` names it: etcd's keys, and then no flag or variable counts.

use std::path::Path;

use serde_json::{Map, Value};

use super::ConfigError;
use super::table::{self, Kind};
use super::values::Values;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Keys of the file below `client-transport-security`, and the flags they stand for.
const CLIENT_KEYS: [(&str, &str); 10] = [
    ("cert-file", "cert-file"),
    ("key-file", "key-file"),
    ("client-cert-file", "client-cert-file"),
    ("client-key-file", "client-key-file"),
    ("client-cert-auth", "client-cert-auth"),
    ("trusted-ca-file", "trusted-ca-file"),
    ("auto-tls", "auto-tls"),
    ("allowed-hostname", "client-cert-allowed-hostname"),
    ("allowed-hostnames", "client-cert-allowed-hostname"),
    ("crl-file", "client-crl-file"),
];

/// The same below `peer-transport-security`.
const PEER_KEYS: [(&str, &str); 11] = [
    ("cert-file", "peer-cert-file"),
    ("key-file", "peer-key-file"),
    ("client-cert-file", "peer-client-cert-file"),
    ("client-key-file", "peer-client-key-file"),
    ("client-cert-auth", "peer-client-cert-auth"),
    ("trusted-ca-file", "peer-trusted-ca-file"),
    ("auto-tls", "peer-auto-tls"),
    ("allowed-cn", "peer-cert-allowed-cn"),
    ("allowed-hostname", "peer-cert-allowed-hostname"),
    (
        "skip-client-san-verification",
        "peer-skip-client-san-verification",
    ),
    ("crl-file", "peer-crl-file"),
];

/// Keys of those sections that must not be passed over where they are not known.
const PROTECTING_KEYS: [&str; 4] = [
    "allowed-cn",
    "allowed-hostname",
    "allowed-hostnames",
    "crl-file",
];

const SOCKET_KEYS: [(&str, &str); 2] = [
    ("reuse-port", "socket-reuse-port"),
    ("reuse-address", "socket-reuse-address"),
];

/// Flags that say what to do rather than how; a file cannot.
const NOT_IN_A_FILE: [&str; 2] = ["config-file", "version"];

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<Values, ConfigError> {
    let invalid = |reason: String| {
        ConfigError::Invalid(format!("configuration file {}: {reason}", path.display()))
    };
    let bytes = std::fs::metadata(path).map_err(|error| invalid(error.to_string()))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(invalid(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
    values(&text).map_err(invalid)
}

/// The values of a file's text. Keys that etcd does not know are passed over with a warning, as etcd passes them over.
pub(super) fn values(text: &str) -> Result<Values, String> {
    let parsed: Value = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    let keys = match parsed {
        Value::Null => Map::new(),
        Value::Object(keys) => keys,
        _ => return Err("it has to be a list of keys with their values".to_owned()),
    };
    let mut values = Values::from_file();
    for (key, value) in &keys {
        match key.as_str() {
            "client-transport-security" => section(&mut values, key, value, &CLIENT_KEYS)?,
            "peer-transport-security" => section(&mut values, key, value, &PEER_KEYS)?,
            "socket-options" => section(&mut values, key, value, &SOCKET_KEYS)?,
            name if table::find(name).is_some() && !NOT_IN_A_FILE.contains(&name) => {
                set(&mut values, key, name, value)?;
            }
            unknown => values.warnings.push(format!(
                "the configuration file has the key {unknown:?}, which means nothing"
            )),
        }
    }
    Ok(values)
}

fn section(
    values: &mut Values,
    name: &str,
    section: &Value,
    keys: &[(&str, &str)],
) -> Result<(), String> {
    let section = match section {
        Value::Null => return Ok(()),
        Value::Object(section) => section,
        _ => return Err(format!("invalid {name}")),
    };
    for (key, value) in section {
        let whole = format!("{name}.{key}");
        match keys.iter().find(|(known, _)| known == key) {
            Some((_, flag)) => set(values, &whole, flag, value)?,
            None if PROTECTING_KEYS.contains(&key.as_str()) && !value.is_null() => {
                return Err(format!(
                    "{whole} is not available: whoever gives it relies on who it keeps out"
                ));
            }
            None => values.warnings.push(format!(
                "the configuration file has the key {whole:?}, which means nothing"
            )),
        }
    }
    Ok(())
}

fn set(values: &mut Values, key: &str, flag: &str, value: &Value) -> Result<(), String> {
    let kind = table::find(flag).expect("the caller looked it up").kind;
    let text = text(kind, value).map_err(|expected| format!("{key}: {expected}, not {value}"))?;
    // An empty list of URLs or choice counts as not given, and so does no years of validity.
    let is_unset = match kind {
        Kind::Urls | Kind::OneOf(_) | Kind::Gates => text.is_empty(),
        Kind::Unsigned if flag == "self-signed-cert-validity" => text == "0",
        _ => false,
    };
    if is_unset || value.is_null() {
        return Ok(());
    }
    values
        .set(flag, text)
        .map_err(|error| format!("{key}: {}", error.reason()))
}

/// The value as a flag would have it, or what it should be.
fn text(kind: Kind, value: &Value) -> Result<String, &'static str> {
    match (kind, value) {
        (_, Value::Null) => Ok(String::new()),
        (Kind::Bool, Value::Bool(is_on)) => Ok(is_on.to_string()),
        // YAML as Go reads it has more words for it.
        (Kind::Bool, Value::String(word)) => match word.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" => Ok("true".to_owned()),
            "no" | "off" | "n" => Ok("false".to_owned()),
            _ => Err("it has to be true or false"),
        },
        (Kind::Bool, _) => Err("it has to be true or false"),
        (Kind::Duration, Value::Number(nanoseconds)) if nanoseconds.is_u64() => {
            Ok(format!("{nanoseconds}ns"))
        }
        (Kind::Duration, _) => Err("it has to be a number of nanoseconds"),
        (Kind::Unsigned, Value::Number(number)) if number.is_u64() => Ok(number.to_string()),
        (Kind::Signed, Value::Number(number)) if number.is_i64() => Ok(number.to_string()),
        (Kind::Unsigned | Kind::Signed, _) => Err("it has to be a whole number"),
        (_, Value::String(text)) => Ok(text.clone()),
        (_, Value::Number(number)) => Ok(number.to_string()),
        (_, Value::Bool(is_on)) => Ok(is_on.to_string()),
        (Kind::Text, Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str());
            let texts: Option<Vec<&str>> = texts.collect();
            Ok(texts.ok_or("it has to be a list of texts")?.join(","))
        }
        _ => Err("it has to be a text"),
    }
}

#[cfg(test)]
mod tests;
