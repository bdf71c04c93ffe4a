//! Values of JSON into fields of a shape, as Go's decoder takes or refuses them.

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::lexer::{Token, text};
use crate::Value;
use crate::codec::{duration, number, time};
use crate::quantity::Quantity;
use crate::schema::Shape;

/// Go takes base64 whose last bits are not zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Why a value does not go into a field.
pub(super) enum Refusal {
    /// `json: cannot unmarshal number into …`: what it is, and the field's type if another is named than its own.
    Mismatch {
        found: String,
        wanted: Option<&'static str>,
    },
    /// A message of its own, after which reading goes on.
    Saved(String),
    /// A message of its own that is told before all others.
    Fatal(String),
}

/// A value's name in messages.
pub(super) fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

pub(super) fn token_name(token: Token<'_>) -> &'static str {
    match token {
        Token::Object => "object",
        Token::Array => "array",
        Token::String(_) => "string",
        Token::Number(_) => "number",
        Token::Bool(_) => "bool",
        Token::Null => "null",
    }
}

fn mismatch(token: Token<'_>, wanted: Option<&'static str>) -> Refusal {
    Refusal::Mismatch {
        found: token_name(token).to_owned(),
        wanted,
    }
}

fn mismatch_number(literal: &str, wanted: Option<&'static str>) -> Refusal {
    Refusal::Mismatch {
        found: format!("number {literal}"),
        wanted,
    }
}

/// A value of any type: whole numbers of 64 bits stay as they are.
pub(super) fn any(token: Token<'_>) -> Result<Value, Refusal> {
    match token {
        Token::String(raw) => Ok(text(raw).into()),
        Token::Bool(value) => Ok(value.into()),
        Token::Number(literal) => match literal.parse::<i64>() {
            Ok(whole) => Ok(whole.into()),
            Err(_) => float(literal),
        },
        Token::Null | Token::Object | Token::Array => Ok(Value::Null),
    }
}

fn float(literal: &str) -> Result<Value, Refusal> {
    literal
        .parse()
        .ok()
        .and_then(number)
        .ok_or_else(|| mismatch_number(literal, Some("float64")))
}

fn integer(literal: &str, bits: u8, wanted: Option<&'static str>) -> Result<Value, Refusal> {
    literal
        .parse::<i64>()
        .ok()
        .filter(|value| bits == 64 || i32::try_from(*value).is_ok())
        .map(Value::from)
        .ok_or_else(|| mismatch_number(literal, wanted))
}

/// A scalar, or the start of a list or object, into a shape that is neither.
pub(super) fn typed(shape: &Shape, token: Token<'_>, written: &[u8]) -> Result<Value, Refusal> {
    match (shape, token) {
        (Shape::Quantity, token) => quantity(token, written),
        (Shape::String, Token::String(raw)) => Ok(text(raw).into()),
        (Shape::Boolean, Token::Bool(value)) => Ok(value.into()),
        (Shape::Integer { bits }, Token::Number(literal)) => integer(literal, *bits, None),
        (Shape::Number, Token::Number(literal)) => float(literal),
        (Shape::Bytes, Token::String(raw)) => bytes(&text(raw)),
        (Shape::IntOrString, Token::String(raw)) => Ok(text(raw).into()),
        (Shape::IntOrString, Token::Number(literal)) => integer(literal, 32, Some("int32")),
        (Shape::IntOrString, token) => Err(mismatch(token, Some("int32"))),
        (Shape::Time, Token::String(raw)) => {
            let instant = time::parse(&text(raw)).map_err(Refusal::Fatal)?;
            Ok(unless_zero(instant, time::format(instant.seconds)))
        }
        (Shape::MicroTime, Token::String(raw)) => {
            let instant = time::parse_micros(&text(raw)).map_err(Refusal::Fatal)?;
            Ok(unless_zero(instant, time::format_micros(instant)))
        }
        (Shape::Duration, Token::String(raw)) => {
            let nanos = duration::parse(&text(raw)).map_err(Refusal::Fatal)?;
            Ok(duration::format(nanos).into())
        }
        (Shape::Time | Shape::MicroTime | Shape::Duration, token) => {
            Err(mismatch(token, Some("string")))
        }
        (_, token) => Err(mismatch(token, None)),
    }
}

fn unless_zero(instant: time::Instant, text: String) -> Value {
    if instant.seconds == time::ZERO_SECONDS {
        return Value::Null;
    }
    text.into()
}

fn quantity(token: Token<'_>, written: &[u8]) -> Result<Value, Refusal> {
    let content = match token {
        Token::String(raw) => String::from_utf8_lossy(raw),
        _ => String::from_utf8_lossy(written),
    };
    match Quantity::parse(content.trim()) {
        Ok(quantity) => Ok(quantity.to_string().into()),
        Err(error) => Err(Refusal::Fatal(error.to_string())),
    }
}

fn bytes(text: &str) -> Result<Value, Refusal> {
    let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match BASE64.decode(&compact) {
        Ok(bytes) => Ok(BASE64.encode(bytes).into()),
        Err(error) => {
            let offset = match error {
                base64::DecodeError::InvalidByte(offset, _)
                | base64::DecodeError::InvalidLastSymbol(offset, _) => offset,
                _ => compact.len(),
            };
            Err(Refusal::Saved(format!(
                "illegal base64 data at input byte {offset}"
            )))
        }
    }
}
