//! Quantities: numbers with a unit, compared and added exactly.

use std::cmp::Ordering;
use std::fmt;

use crate::Value;

mod text;

/// Digits that a quantity's number may have; more are refused.
const DIGITS_MAX: usize = 36;

/// Sums have no more digits than what is read.
const SUM_LIMIT: u128 = 10_u128.pow(36);

/// The smallest unit is a billionth; what is smaller is rounded away from zero.
const EXPONENT_MIN: i32 = -9;

/// The exponent of thousandths.
const MILLI: i32 = -3;

/// Digits with which upstream computes in 64 bits, where a canonical text stays as it was written.
const SHORT_DIGITS_MAX: usize = 18;

/// How a quantity is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    Binary,
    /// `12M`
    Decimal,
}

/// Why a text is no quantity, in upstream's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    #[error("unable to parse numeric part of quantity")]
    Number,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An exact amount. Two are equal if their amounts are, however they are written.
#[derive(Debug, Clone)]
pub struct Quantity {
    mantissa: i128,
    /// The amount is the mantissa times ten to this.
    exponent: i32,
    format: Format,
    /// The text that was read, where upstream keeps it.
    text: Option<Box<str>>,
}

impl Quantity {
    #[must_use]
    pub fn new(value: i64, format: Format) -> Quantity {
        Quantity::exact(value.into(), 0, format)
    }

    /// So many billionths.
    #[must_use]
    pub fn from_nano(value: i64, format: Format) -> Quantity {
        Quantity::exact(value.into(), -9, format)
    }

    /// So many thousandths.
    #[must_use]
    pub fn from_milli(value: i64, format: Format) -> Quantity {
        Quantity::exact(value.into(), MILLI, format)
    }

    #[must_use]
    pub fn zero() -> Quantity {
        Quantity::new(0, Format::Decimal)
    }

    fn exact(mantissa: i128, exponent: i32, format: Format) -> Quantity {
        Quantity {
            mantissa,
            exponent,
            format,
            text: None,
        }
    }

    /// Reads what stands in an object: text, or a number.
    ///
    /// # Errors
    ///
    /// If it is no quantity.
    pub fn from_value(value: &Value) -> Result<Quantity, Malformed> {
        match value {
            Value::Null => Ok(Quantity::zero()),
            Value::String(text) => Quantity::parse(text.trim()),
            other => Quantity::parse(&other.to_string()),
        }
    }

    /// Reads a quantity.
    ///
    /// # Errors
    ///
    /// If the text is none.
    pub fn parse(text: &str) -> Result<Quantity, Malformed> {
        text::parse(text)
    }

    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    #[must_use]
    pub fn sign(&self) -> i32 {
        match self.mantissa.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// The amount in whole units, rounded away from zero and kept within 64 bits.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// The amount in thousandths, rounded away from zero and kept within 64 bits.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        self.scaled(MILLI)
    }

    /// The amount, if it is whole and has 64 bits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        let (mantissa, exact) = rescale(self.mantissa, self.exponent, 0)?;
        i64::try_from(mantissa).ok().filter(|_| exact)
    }

    /// The amount rounded away from zero to thousandths; none if it has nothing finer.
    #[must_use]
    pub fn rounded_to_milli(&self) -> Option<Quantity> {
        if self.exponent >= MILLI {
            return None;
        }
        let (mantissa, _) = rescale(self.mantissa, self.exponent, MILLI)?;
        Some(Quantity::exact(mantissa, MILLI, self.format))
    }

    fn scaled(&self, exponent: i32) -> i64 {
        let bound = if self.mantissa < 0 {
            i64::MIN
        } else {
            i64::MAX
        };
        rescale(self.mantissa, self.exponent, exponent)
            .and_then(|(mantissa, _)| i64::try_from(mantissa).ok())
            .unwrap_or(bound)
    }

    /// The sum, written as `self` is unless that is zero.
    #[must_use]
    pub fn add(&self, other: &Quantity) -> Quantity {
        let format = if self.is_zero() {
            other.format
        } else {
            self.format
        };
        if other.is_zero() {
            return Quantity::exact(self.mantissa, self.exponent, format);
        }
        if self.is_zero() {
            return Quantity::exact(other.mantissa, other.exponent, format);
        }
        let exponent = self.exponent.min(other.exponent);
        let sum = rescale(self.mantissa, self.exponent, exponent)
            .zip(rescale(other.mantissa, other.exponent, exponent))
            .and_then(|((left, _), (right, _))| left.checked_add(right))
            .filter(|sum| sum.unsigned_abs() < SUM_LIMIT);
        match sum {
            Some(mantissa) => Quantity::exact(mantissa, exponent, format),
            // So far apart that the smaller one is beyond the digits of the larger.
            None if self.magnitude() < other.magnitude() => {
                Quantity::exact(other.mantissa, other.exponent, format)
            }
            None => Quantity::exact(self.mantissa, self.exponent, format),
        }
    }

    /// The difference, written as `self` is unless that is zero.
    #[must_use]
    pub fn sub(&self, other: &Quantity) -> Quantity {
        self.add(&other.negated())
    }

    #[must_use]
    pub fn negated(&self) -> Quantity {
        Quantity::exact(-self.mantissa, self.exponent, self.format)
    }

    /// The power of ten of the first digit.
    fn magnitude(&self) -> i64 {
        let digits = self
            .mantissa
            .unsigned_abs()
            .checked_ilog10()
            .map_or(0, i64::from);
        digits + i64::from(self.exponent)
    }
}

/// The mantissa for another exponent, rounded away from zero, and whether nothing was lost; none if it has too many digits.
fn rescale(mantissa: i128, from: i32, to: i32) -> Option<(i128, bool)> {
    let places = i64::from(from) - i64::from(to);
    let power = u32::try_from(places.unsigned_abs())
        .ok()
        .and_then(|places| 10_i128.checked_pow(places));
    if mantissa == 0 {
        return Some((0, true));
    }
    match power {
        Some(power) if places >= 0 => Some((mantissa.checked_mul(power)?, true)),
        None if places >= 0 => None,
        Some(power) => {
            let exact = mantissa % power == 0;
            let rounded = mantissa / power + if exact { 0 } else { mantissa.signum() };
            Some((rounded, exact))
        }
        None => Some((mantissa.signum(), false)),
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        let signs = self.sign().cmp(&other.sign());
        if signs != Ordering::Equal || self.is_zero() {
            return signs;
        }
        let exponent = self.exponent.min(other.exponent);
        let left = rescale(self.mantissa, self.exponent, exponent);
        let right = rescale(other.mantissa, other.exponent, exponent);
        match (left, right) {
            (Some((left, _)), Some((right, _))) => left.cmp(&right),
            // Only the one with more digits than an i128 has none here.
            (None, _) if self.mantissa > 0 => Ordering::Greater,
            (None, _) => Ordering::Less,
            (Some(_), None) if other.mantissa > 0 => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl fmt::Display for Quantity {
    /// The canonical text.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => formatter.write_str(text),
            None => text::write(self, formatter),
        }
    }
}

#[cfg(test)]
mod tests;
