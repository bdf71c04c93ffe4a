//! JSON as Go's encoder writes etcd's messages: fields in order, zeros left out, bytes in base64.

use std::fmt;

/// A value to print. Numbers are whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(i128),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub(super) fn bytes(bytes: &[u8]) -> Json {
        Json::Text(base64(bytes))
    }

    pub(super) fn number(number: impl Into<i128>) -> Json {
        Json::Number(number.into())
    }

    pub(super) fn list<T>(items: &[T], each: impl Fn(&T) -> Json) -> Json {
        Json::List(items.iter().map(each).collect())
    }

    /// An object without the fields that are zero, false or empty: Go's `omitempty`.
    pub(super) fn sparse(fields: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
        Json::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    fn is_empty(&self) -> bool {
        match self {
            Json::Null | Json::Bool(false) | Json::Number(0) => true,
            Json::Text(text) => text.is_empty(),
            Json::List(items) => items.is_empty(),
            Json::Bool(true) | Json::Number(_) | Json::Object(_) => false,
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => formatter.write_str("null"),
            Json::Bool(value) => write!(formatter, "{value}"),
            Json::Number(number) => write!(formatter, "{number}"),
            Json::Text(text) => write_text(formatter, text),
            Json::List(items) => {
                formatter.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(formatter, "{}{item}", if index == 0 { "" } else { "," })?;
                }
                formatter.write_str("]")
            }
            Json::Object(fields) => {
                formatter.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    write!(
                        formatter,
                        "{}\"{name}\":{value}",
                        if index == 0 { "" } else { "," }
                    )?;
                }
                formatter.write_str("}")
            }
        }
    }
}

fn write_text(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    formatter.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => formatter.write_str("\\\"")?,
            '\\' => formatter.write_str("\\\\")?,
            '\n' => formatter.write_str("\\n")?,
            '\r' => formatter.write_str("\\r")?,
            '\t' => formatter.write_str("\\t")?,
            control if u32::from(control) < 0x20 => {
                write!(formatter, "\\u{:04x}", u32::from(control))?;
            }
            // Go keeps JSON safe inside HTML.
            '<' | '>' | '&' => write!(formatter, "\\u{:04x}", u32::from(character))?,
            plain => write!(formatter, "{plain}")?,
        }
    }
    formatter.write_str("\"")
}

/// The standard alphabet, padded.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            if place <= chunk.len() {
                let digit = bits >> (18 - 6 * place) & 63;
                text.push(char::from(ALPHABET[digit as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"a", "YQ=="),
            (b"ab", "YWI="),
            (b"abc", "YWJj"),
            (b"\xff\xfe\xfd\xfc", "//79/A=="),
        ] {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn sparse_objects_leave_out_zeros() {
        let object = Json::sparse([
            ("a", Json::number(0)),
            ("b", Json::Text("x\"\n<".to_owned())),
            ("c", Json::List(Vec::new())),
            ("d", Json::Bool(true)),
        ]);
        assert_eq!(object.to_string(), "{\"b\":\"x\\\"\\n\\u003c\",\"d\":true}");
    }
}
