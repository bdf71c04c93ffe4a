//! Reading and writing quantities as text.

use std::fmt;

use super::{DIGITS_MAX, EXPONENT_MIN, Format, Malformed, Quantity, SHORT_DIGITS_MAX, rescale};

/// Suffixes of powers of ten.
const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

/// Suffixes of powers of two.
const BINARY: [(&str, u32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];

/// Digits that 64 bits have for binary quantities, the power of two included.
const BINARY_DIGITS_MAX: i32 = 14;

/// The parts of a text.
struct Parts<'a> {
    negative: bool,
    /// Before the point, without zeros in front.
    whole: &'a str,
    /// Behind the point.
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, Malformed> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let rest = unsigned.trim_start_matches('0');
    let (whole, rest) = digits(rest);
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
    let unit = suffix.trim_start_matches(|letter| "eEinumkKMGTP".contains(letter));
    let exponent = unit.strip_prefix(['-', '+']).unwrap_or(unit);
    if !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed::Format);
    }
    Ok(Parts {
        negative: text.starts_with('-'),
        whole,
        fraction,
        suffix,
    })
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// What a suffix multiplies by.
enum Unit {
    Ten(i32, Format),
    Two(u32),
}

fn unit(suffix: &str) -> Result<Unit, Malformed> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Ok(Unit::Ten(*exponent, Format::Decimal));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(known, _)| *known == suffix) {
        return Ok(Unit::Two(*exponent));
    }
    suffix
        .strip_prefix(['e', 'E'])
        .and_then(|exponent| exponent.parse::<i32>().ok())
        .map(|exponent| Unit::Ten(exponent, Format::DecimalExponent))
        .ok_or(Malformed::Suffix)
}

pub(super) fn parse(text: &str) -> Result<Quantity, Malformed> {
    if text.is_empty() {
        return Err(Malformed::Format);
    }
    let parts = split(text)?;
    let unit = unit(parts.suffix)?;
    let mut shown = format!("{}{}", parts.whole, parts.fraction);
    if shown.len() > DIGITS_MAX {
        return Err(Malformed::Number);
    }
    if parts.whole.is_empty() {
        shown.insert(0, '0');
    }
    let unsigned: i128 = shown.parse().map_err(|_error| Malformed::Number)?;
    let digits = parts.whole.len().max(1) + parts.fraction.len();
    let places = i32::try_from(parts.fraction.len()).expect("a number has few digits");
    let mut quantity = match unit {
        Unit::Ten(exponent, format) => {
            let exponent = exponent.saturating_sub(places);
            let kept = digits <= SHORT_DIGITS_MAX
                && exponent >= EXPONENT_MIN
                && exponent % 3 == 0
                && !shown.ends_with("000")
                && !shown.starts_with('0');
            let (mantissa, exponent) = at_least_nano(unsigned, exponent)?;
            Quantity {
                mantissa,
                exponent,
                format,
                text: kept.then(|| text.into()),
            }
        }
        Unit::Two(power) => binary(text, &parts, unsigned, power)?,
    };
    if parts.negative {
        quantity.mantissa = -quantity.mantissa;
    }
    Ok(quantity)
}

fn binary(text: &str, parts: &Parts<'_>, digits: i128, power: u32) -> Result<Quantity, Malformed> {
    let places = i32::try_from(parts.fraction.len()).expect("a number has few digits");
    let product = digits.checked_mul(1 << power).ok_or(Malformed::Number)?;
    let (mantissa, exponent) = at_least_nano(product, -places)?;
    let length = i32::try_from(parts.whole.len().max(1)).expect("a number has few digits");
    let short = BINARY_DIGITS_MAX - length - i32::try_from(power * 3 / 10).expect("a small power");
    let mut quantity = Quantity::exact(mantissa, exponent, Format::Binary);
    if parts.fraction.is_empty() && short >= 0 {
        quantity.text = (digits & 7 != 0).then(|| text.into());
        return Ok(quantity);
    }
    let most = Quantity::new(i64::MAX, Format::Binary);
    if quantity > most {
        return Ok(most);
    }
    if !quantity.is_zero() && quantity < Quantity::new(1, Format::Binary) {
        quantity.format = Format::Decimal;
    }
    Ok(quantity)
}

fn at_least_nano(mantissa: i128, exponent: i32) -> Result<(i128, i32), Malformed> {
    if exponent >= EXPONENT_MIN {
        return Ok((mantissa, exponent));
    }
    let (rounded, _) = rescale(mantissa, exponent, EXPONENT_MIN).ok_or(Malformed::Number)?;
    Ok((rounded, EXPONENT_MIN))
}

/// Writes the canonical text: the largest unit with a whole number.
pub(super) fn write(quantity: &Quantity, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    if quantity.is_zero() {
        return formatter.write_str("0");
    }
    if quantity.format == Format::Binary
        && let Some(whole) = whole_of_binary(quantity)
    {
        let (mut number, mut times) = (whole, 0);
        while number != 0 && number % 1024 == 0 {
            number /= 1024;
            times += 1;
        }
        let suffix = match times {
            0 => "",
            times => BINARY.get(times - 1).map_or("", |(suffix, _)| suffix),
        };
        return write!(formatter, "{number}{suffix}");
    }
    let (mut number, mut exponent) = (quantity.mantissa, i64::from(quantity.exponent));
    while number % 10 == 0 {
        number /= 10;
        exponent += 1;
    }
    while exponent % 3 != 0 {
        number *= 10;
        exponent -= 1;
    }
    write!(formatter, "{number}")?;
    if quantity.format == Format::DecimalExponent {
        return match exponent {
            0 => Ok(()),
            exponent => write!(formatter, "e{exponent}"),
        };
    }
    let known = DECIMAL
        .iter()
        .find(|(_, power)| i64::from(*power) == exponent);
    formatter.write_str(known.map_or("", |(suffix, _)| suffix))
}

/// The amount in whole units if it is written with a binary suffix: not if it is small, nor if a part would be lost.
fn whole_of_binary(quantity: &Quantity) -> Option<i128> {
    let (whole, exact) = rescale(quantity.mantissa, quantity.exponent, 0)?;
    (exact && whole.unsigned_abs() >= 1024).then_some(whole)
}
