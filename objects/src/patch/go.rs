//! What upstream's messages show of values and of broken JSON, in the words of Go's `encoding/json` and `fmt`.

use crate::Value;

/// The type that a decoded JSON value has.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// The decoder's complaint about a value where it expected something else.
pub(super) fn mismatch(value: &Value, expected: &str) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {found} into Go {expected}")
}

/// A value as `%v` prints it. As deep as the value, whose depth its parser bounds.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(elements) => show_list(elements),
        Value::Object(fields) => {
            let shown: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{name}:{}", show(value)))
                .collect();
            format!("map[{}]", shown.join(" "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A list as `%v` prints it.
pub(super) fn show_list(elements: &[Value]) -> String {
    let shown: Vec<String> = elements.iter().map(show).collect();
    format!("[{}]", shown.join(" "))
}

/// A value as `%s` prints it, which has an answer for what is no text.
pub(super) fn show_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => type_name(value).to_owned(),
        Value::Array(_) | Value::Object(_) => show(value),
        Value::Bool(_) | Value::Number(_) => format!("%!s({}={value})", type_name(value)),
    }
}

/// What Go's decoder says of a text that is not JSON; none for one that it can read.
pub(super) fn syntax_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0 };
    let outcome = scanner.document();
    outcome.err().map(|fault| match fault {
        None => "unexpected end of JSON input".to_owned(),
        Some(place) => format!(
            "invalid character {} {place}",
            quote(scanner.peek_or_space())
        ),
    })
}

fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        // Go takes the byte for a character of its own.
        _ => format!("'{}'", char::from(byte)),
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// Where a character is not allowed; none is the end of the text.
type Fault = Option<String>;

/// What is open around the scanner's place.
#[derive(Clone, Copy)]
enum Open {
    Object,
    Array,
}

impl Scanner<'_> {
    fn peek(&self) -> Result<u8, Fault> {
        self.text.get(self.at).copied().ok_or(None)
    }

    /// The next character. Within a word, Go takes the end of the text for a space.
    fn peek_or_space(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(b' ')
    }

    fn space(&mut self) -> Result<u8, Fault> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.peek()
    }

    /// A value and nothing after it. What is open is a list and not the call stack, so that depth costs nothing.
    fn document(&mut self) -> Result<(), Fault> {
        let mut open = Vec::new();
        loop {
            let first = self.space()?;
            let opened = match first {
                b'{' => Some(Open::Object),
                b'[' => Some(Open::Array),
                _ => None,
            };
            let Some(opened) = opened else {
                self.scalar(first)?;
                if self.close(&mut open)? {
                    return Ok(());
                }
                continue;
            };
            self.at += 1;
            let next = self.space()?;
            match (opened, next) {
                (Open::Object, b'}') | (Open::Array, b']') => {
                    self.at += 1;
                    if self.close(&mut open)? {
                        return Ok(());
                    }
                }
                (Open::Object, _) => {
                    open.push(opened);
                    self.key()?;
                }
                (Open::Array, _) => open.push(opened),
            }
        }
    }

    /// What follows a value, until the next one begins; true at the end of the text.
    fn close(&mut self, open: &mut Vec<Open>) -> Result<bool, Fault> {
        loop {
            let Some(innermost) = open.last().copied() else {
                return match self.space() {
                    Ok(_) => Err(Some("after top-level value".to_owned())),
                    Err(_) => Ok(true),
                };
            };
            match (innermost, self.space()?) {
                (Open::Object, b',') => {
                    self.at += 1;
                    self.space()?;
                    self.key()?;
                    return Ok(false);
                }
                (Open::Array, b',') => {
                    self.at += 1;
                    return Ok(false);
                }
                (Open::Object, b'}') | (Open::Array, b']') => {
                    self.at += 1;
                    open.pop();
                }
                (Open::Object, _) => return Err(Some("after object key:value pair".to_owned())),
                (Open::Array, _) => return Err(Some("after array element".to_owned())),
            }
        }
    }

    fn key(&mut self) -> Result<(), Fault> {
        if self.peek()? != b'"' {
            return Err(Some(
                "looking for beginning of object key string".to_owned(),
            ));
        }
        self.string()?;
        if self.space()? != b':' {
            return Err(Some("after object key".to_owned()));
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self, first: u8) -> Result<(), Fault> {
        match first {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(first),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => Err(Some("looking for beginning of value".to_owned())),
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    self.escape()?;
                }
                0..0x20 => return Err(Some("in string literal".to_owned())),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.peek_or_space() {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek_or_space().is_ascii_hexdigit() {
                        return Err(Some("in \\u hexadecimal character escape".to_owned()));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(Some("in string escape code".to_owned())),
        }
        Ok(())
    }

    fn digits(&mut self, place: &str) -> Result<(), Fault> {
        if !self.peek_or_space().is_ascii_digit() {
            return Err(Some(place.to_owned()));
        }
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self, first: u8) -> Result<(), Fault> {
        if first == b'-' {
            self.at += 1;
        }
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek_or_space(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<(), Fault> {
        for expected in word.chars() {
            if char::from(self.peek_or_space()) != expected {
                return Err(Some(format!("in literal {word} (expecting '{expected}')")));
            }
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::syntax_error;

    #[test]
    fn broken_json_is_told_as_go_tells_it() {
        for (text, expected) in [
            ("", "unexpected end of JSON input"),
            ("{\"a\"", "unexpected end of JSON input"),
            (
                "{x",
                "invalid character 'x' looking for beginning of object key string",
            ),
            ("{} {}", "invalid character '{' after top-level value"),
            (
                "[1,]",
                "invalid character ']' looking for beginning of value",
            ),
            ("[1 2]", "invalid character '2' after array element"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            (
                "{\"a\":1 2}",
                "invalid character '2' after object key:value pair",
            ),
            (
                "[trve]",
                "invalid character 'v' in literal true (expecting 'u')",
            ),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("-x", "invalid character 'x' in numeric literal"),
        ] {
            assert_eq!(syntax_error(text.as_bytes()).as_deref(), Some(expected));
        }
    }

    proptest! {
        #[test]
        fn what_serde_reads_has_no_syntax_error(text in "[\\[\\]{}:,\"a1-9.e \\\\]{0,12}") {
            if serde_json::from_str::<crate::Value>(&text).is_ok() {
                prop_assert_eq!(syntax_error(text.as_bytes()), None);
            }
        }

        #[test]
        fn any_bytes_are_scanned(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = syntax_error(&bytes);
        }
    }
}
