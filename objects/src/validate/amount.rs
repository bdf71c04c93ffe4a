//! Amounts of resources as numbers that can be compared: what a quantity says, in billionths.

use crate::Value;

const NANO: i128 = 1_000_000_000;

/// More digits than any amount that can be counted has.
const DIGITS_MAX: usize = 30;

const SUFFIXES: [(&str, u32, u32); 15] = [
    ("", 10, 0),
    ("k", 10, 3),
    ("M", 10, 6),
    ("G", 10, 9),
    ("T", 10, 12),
    ("P", 10, 15),
    ("E", 10, 18),
    ("Ki", 2, 10),
    ("Mi", 2, 20),
    ("Gi", 2, 30),
    ("Ti", 2, 40),
    ("Pi", 2, 50),
    ("Ei", 2, 60),
    ("m", 0, 1_000_000),
    ("u", 0, 1_000),
];

/// The amount of a quantity in billionths, rounded up; none for what is no quantity.
#[must_use]
pub(crate) fn nanos(quantity: &Value) -> Option<i128> {
    match quantity {
        Value::String(text) => parse(text),
        Value::Number(number) => parse(&number.to_string()),
        _ => None,
    }
}

fn parse(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() > DIGITS_MAX || number.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (factor, divisor) = scale(suffix, divisor)?;
    let product = digits.saturating_mul(factor);
    let rounded = product / divisor + i128::from(product % divisor != 0);
    Some(if negative { -rounded } else { rounded })
}

/// By what the digits are multiplied and divided to give billionths.
fn scale(suffix: &str, divisor: i128) -> Option<(i128, i128)> {
    if suffix == "n" {
        return Some((1, divisor));
    }
    if let Some((_, base, power)) = SUFFIXES.iter().find(|(name, _, _)| *name == suffix) {
        let factor = match base {
            0 => i128::from(*power),
            base => i128::from(*base).checked_pow(*power)?.checked_mul(NANO)?,
        };
        return Some((factor, divisor));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 {
        Some((NANO, divisor.checked_mul(power)?))
    } else {
        Some((NANO.checked_mul(power)?, divisor))
    }
}

/// Whether an amount is whole.
#[must_use]
pub(crate) fn is_whole(nanos: i128) -> bool {
    nanos % NANO == 0
}

#[cfg(test)]
mod tests {
    use super::nanos;

    #[test]
    fn quantities_are_compared_by_what_they_mean() {
        for (one, other) in [
            ("1", "1000m"),
            ("1Ki", "1024"),
            ("0.5", "500m"),
            ("1e3", "1k"),
            ("1E-3", "1m"),
            (".5", "500m"),
        ] {
            assert_eq!(nanos(&one.into()), nanos(&other.into()), "{one} {other}");
            assert!(nanos(&one.into()).is_some());
        }
        for text in ["", "x", "1x", "1.2.3", "--1", "1e", "e3"] {
            assert_eq!(nanos(&text.into()), None, "{text}");
        }
    }
}
