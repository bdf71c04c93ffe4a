//! Reads JSON as upstream's decoder does: what is malformed, duplicate, unknown or of another type is told in its words.

use crate::schema::At;
use crate::{Value, meta};

mod lexer;
mod reader;
mod scalar;

/// Strict faults that are kept of one object.
const STRICT_MAX: usize = 100;

/// Bytes of a body that messages show.
const SHOWN_MAX: usize = 30;

/// What was read, and what a strict reader would not have taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    pub value: Value,
    /// In the order of the text: `unknown field "spec.foo"`, `duplicate field "spec.replicas"`.
    pub strict: Vec<String>,
}

/// Why text cannot be read, in the words of Go's decoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no JSON.
    #[error("{0}")]
    Syntax(String),
    /// A value is of another type than its field.
    #[error("{0}")]
    Type(String),
}

/// Reads any JSON; strict faults are duplicate fields.
///
/// # Errors
///
/// If the text is no JSON, or nested too deep.
pub fn read(bytes: &[u8]) -> Result<Read, Fault> {
    reader::read(bytes, None)
}

/// Reads an object of a type: unknown fields are left out, values get the form that Go's structs give them, and fields that Go
/// always writes are there.
///
/// # Errors
///
/// If the text is no JSON, nested too deep, or a value is of another type than its field.
pub fn read_as(bytes: &[u8], at: At<'_>) -> Result<Read, Fault> {
    reader::read(bytes, Some(at))
}

/// As `read_as`, of an object that is a tree already, as after a patch.
///
/// # Errors
///
/// As `read_as`.
pub fn check(value: &Value, at: At<'_>) -> Result<Read, Fault> {
    read_as(value.to_string().as_bytes(), at)
}

/// The message of a strict reader.
#[must_use]
pub fn strict_message(strict: &[String]) -> String {
    format!("strict decoding error: {}", strict.join(", "))
}

/// `apiVersion` and `kind` of an object, both empty where they are absent.
///
/// # Errors
///
/// If the text is no JSON, or these are no text: with upstream's message.
pub fn type_meta(bytes: &[u8]) -> Result<(String, String), Fault> {
    const PREFIX: &str = "couldn't get version/kind; json parse error: ";
    if let Some(told) = super::outline::type_meta(bytes) {
        return Ok(told);
    }
    let value = match read(bytes) {
        Ok(read) => read.value,
        Err(fault) => return Err(Fault::Syntax(format!("{PREFIX}{fault}"))),
    };
    let mismatch = |value: &Value, place: &str| {
        let what = scalar::name_of(value);
        Fault::Type(format!(
            "{PREFIX}json: cannot unmarshal {what} into {place}"
        ))
    };
    if !value.is_object() && !value.is_null() {
        return Err(mismatch(
            &value,
            "Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
        ));
    }
    for field in ["apiVersion", "kind"] {
        let wrong = value
            .get(field)
            .filter(|value| !value.is_string() && !value.is_null());
        if let Some(found) = wrong {
            return Err(mismatch(
                found,
                &format!("Go struct field .{field} of type string"),
            ));
        }
    }
    Ok((
        meta::text(&value, &["apiVersion"]).to_owned(),
        meta::text(&value, &["kind"]).to_owned(),
    ))
}

/// The beginning of a body, as messages about bodies that are no objects show it: as text if it begins as an object, else as hex.
#[must_use]
pub fn excerpt(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "<empty>".to_owned();
    }
    let shown = &bytes[..bytes.len().min(SHOWN_MAX)];
    let more = if bytes.len() > SHOWN_MAX { " ..." } else { "" };
    match std::str::from_utf8(shown) {
        Ok(text) if bytes.trim_ascii_start().starts_with(b"{") => format!("{text}{more}"),
        _ => {
            let digits: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits}{more}")
        }
    }
}

#[cfg(test)]
mod tests;
