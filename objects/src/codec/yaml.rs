//! Reads YAML into the tree that JSON is read into, and writes it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::json::{Fault, Read};
use super::{DEPTH_MAX, VALUES_MAX, number};
use crate::{Map, Value};

/// Reads the first document. Keys become text; of keys that are there twice the last counts, and the strict faults tell them.
///
/// # Errors
///
/// If the text is no YAML, nested too deep, or has keys that are no scalars.
pub fn read(bytes: &[u8]) -> Result<Read, Fault> {
    let mut context = Context::default();
    let Some(document) = serde_yaml_ng::Deserializer::from_slice(bytes).next() else {
        return Ok(Read {
            value: Value::Null,
            strict: Vec::new(),
        });
    };
    let place = Place {
        context: &mut context,
        depth: 0,
    };
    let value = place
        .deserialize(document)
        .map_err(|error| Fault::Syntax(format!("yaml: {error}")))?;
    let mut strict = Vec::new();
    if !context.twice.is_empty() {
        strict.push(format!(
            "yaml: unmarshal errors:\n  {}",
            context.twice.join("\n  ")
        ));
    }
    Ok(Read { value, strict })
}

/// Writes a value as YAML, keys in their order and lists not indented.
#[must_use]
pub fn write(value: &Value) -> String {
    serde_yaml_ng::to_string(value).unwrap_or_default()
}

/// Bytes of text that a document may come to with its aliases followed: a few of them can stand for very much.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Keys set twice that are told of one document.
const TWICE_MAX: usize = 100;

#[derive(Default)]
struct Context {
    values: usize,
    text_bytes: usize,
    /// `key "a" already set in map`
    twice: Vec<String>,
}

/// Where a value is read.
struct Place<'a> {
    context: &'a mut Context,
    depth: usize,
}

impl<'a> Place<'a> {
    fn within(&mut self) -> Place<'_> {
        Place {
            context: self.context,
            depth: self.depth + 1,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > DEPTH_MAX {
            return Err(D::Error::custom("exceeded max depth"));
        }
        self.context.values += 1;
        if self.context.values > VALUES_MAX {
            return Err(D::Error::custom(format!(
                "an object of more than {VALUES_MAX} values"
            )));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that JSON has")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        number(value).ok_or_else(|| E::custom("a number that JSON does not have"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.context.text_bytes += value.len();
        if self.context.text_bytes > TEXT_BYTES_MAX {
            return Err(E::custom(format!(
                "a document of more than {TEXT_BYTES_MAX} bytes of text"
            )));
        }
        Ok(value.into())
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(self.within())? {
            elements.push(element);
        }
        Ok(elements.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = access.next_key_seed(self.within())? {
            let key = match key {
                Value::String(text) => text,
                Value::Bool(_) | Value::Number(_) => key.to_string(),
                other => {
                    return Err(A::Error::custom(format!("unsupported map key: {other}")));
                }
            };
            let value = access.next_value_seed(self.within())?;
            if fields.contains_key(&key) && self.context.twice.len() < TWICE_MAX {
                let quoted = Value::from(key.as_str());
                self.context
                    .twice
                    .push(format!("key {quoted} already set in map"));
            }
            fields.insert(key, value);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{read, write};

    #[test]
    fn yaml_is_read_into_what_json_would_say() {
        let text = "a: 1\nb: [x, 'y', 1.0, 0.5]\nc: {1: p, true: q}\nd: ~\ne: |\n  two\n  lines\n---\nnot: read\n";
        let expected = json!({"a": 1, "b": ["x", "y", 1, 0.5], "c": {"1": "p", "true": "q"}, "d": null, "e": "two\nlines\n"});
        assert_eq!(read(text.as_bytes()).unwrap().value, expected);
        assert_eq!(read(br#"{"a": "b"}"#).unwrap().value, json!({"a": "b"}));
        assert_eq!(read(b"").unwrap().value, json!(null));
    }

    #[test]
    fn keys_that_are_there_twice_are_strict_faults() {
        let found = read(b"a: 1\nb: {c: 1, c: 2}\na: 3\n").unwrap();
        assert_eq!(found.value, json!({"a": 3, "b": {"c": 2}}));
        assert_eq!(
            found.strict,
            [
                "yaml: unmarshal errors:\n  key \"c\" already set in map\n  key \"a\" already set in map"
            ]
        );
    }

    #[test]
    fn what_is_no_yaml_or_has_other_keys_is_refused() {
        for text in ["a: {b", "{[1]: 2}", "a: b: c", "? {x: y}\n: z"] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read("[".repeat(500).as_bytes()).is_err());
    }

    #[test]
    fn lists_are_not_indented_and_text_that_looks_otherwise_is_quoted() {
        let value = json!({"list": [{"a": "1", "b": 2}], "empty": {}, "text": "true"});
        assert_eq!(
            write(&value),
            "empty: {}\nlist:\n- a: '1'\n  b: 2\ntext: 'true'\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"[a\-:{}\[\],&*!|>'0-9\n #~?]{0,60}") {
            let _ = read(text.as_bytes());
        }

        #[test]
        fn what_is_written_is_read_again(text in any::<String>(), number in any::<i64>()) {
            let value = json!({"text": text, "list": [number, text]});
            prop_assert_eq!(read(write(&value).as_bytes()).unwrap().value, value);
        }
    }

    #[test]
    fn aliases_do_not_stand_for_more_than_a_document_may_be() {
        let long = "x".repeat(1024 * 1024);
        let small = format!("a: &a {long}\nb: [{}]\n", ["*a"; 8].join(","));
        assert!(read(small.as_bytes()).is_ok());
        let large = format!("a: &a {long}\nb: [{}]\n", ["*a"; 80].join(","));
        assert!(read(large.as_bytes()).is_err());
    }
}
