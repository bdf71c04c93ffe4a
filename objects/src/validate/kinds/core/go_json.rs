//! What Go's JSON parser says of bytes that are no object, for the messages that carry its words.

use crate::Value;

/// Whether bytes are a JSON object; if not, in Go's words why.
pub(super) fn object(bytes: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(_) | Value::Null) => Ok(()),
        Ok(other) => {
            let kind = match other {
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            Err(format!(
                "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            ))
        }
        Err(error) if error.is_eof() => Err("unexpected end of JSON input".to_owned()),
        Err(error) => Err(unexpected(bytes, &error)),
    }
}

/// The character at which reading stopped, and what was read there as far as the character before tells.
fn unexpected(bytes: &[u8], error: &serde_json::Error) -> String {
    let line_start = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>();
    let at = (line_start + error.column()).saturating_sub(1);
    let text = String::from_utf8_lossy(bytes.get(at..).unwrap_or_default());
    let character = text.chars().next().unwrap_or(' ');
    let before = bytes
        .get(..at)
        .unwrap_or_default()
        .iter()
        .rev()
        .find(|byte| !byte.is_ascii_whitespace());
    let place = match before {
        None => "looking for beginning of value",
        Some(b'{') => "looking for beginning of object key string",
        Some(b',' | b':' | b'[') => "looking for beginning of value",
        Some(b'"') => "after object key",
        Some(b'}') => "after top-level value",
        Some(_) => "after object key:value pair",
    };
    format!("invalid character '{character}' {place}")
}
