//! Quantities as expressions see them: exact numbers with a unit, down to a billionth.

use std::cmp::Ordering;

/// A quantity in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nanos: i128,
}

const NANOS: i128 = 1_000_000_000;

/// Digits in front of the dot beyond which no quantity goes.
const DIGITS_MAX: usize = 28;

impl Quantity {
    #[must_use]
    pub fn from_int(number: i64) -> Quantity {
        Quantity {
            nanos: i128::from(number) * NANOS,
        }
    }

    /// Reads what upstream's `resource.ParseQuantity` reads.
    #[must_use]
    pub fn parse(text: &str) -> Option<Quantity> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end = unsigned
            .find(|next: char| !next.is_ascii_digit() && next != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        if digits.len() > DIGITS_MAX {
            return None;
        }
        let mantissa: i128 = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
        let places = i32::try_from(fraction.len()).ok()?;
        let nanos = scale(mantissa, suffix, places)?;
        Some(Quantity {
            nanos: if negative { -nanos } else { nanos },
        })
    }

    pub(super) fn sign(self) -> i64 {
        match self.nanos.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// The whole number that it is, if it is one of 64 bits.
    pub(super) fn as_int(self) -> Option<i64> {
        (self.nanos % NANOS == 0)
            .then(|| i64::try_from(self.nanos / NANOS).ok())
            .flatten()
    }

    pub(super) fn as_double(self) -> f64 {
        let whole = (self.nanos / NANOS) as f64;
        whole + (self.nanos % NANOS) as f64 / NANOS as f64
    }

    pub(super) fn plus(self, other: Quantity) -> Quantity {
        Quantity {
            nanos: self.nanos.saturating_add(other.nanos),
        }
    }

    pub(super) fn minus(self, other: Quantity) -> Quantity {
        Quantity {
            nanos: self.nanos.saturating_sub(other.nanos),
        }
    }
}

/// A mantissa with so many places behind the dot, times its suffix, in billionths rounded up.
fn scale(mantissa: i128, suffix: &str, places: i32) -> Option<i128> {
    let mut factor: i128 = 1;
    let exponent = match suffix {
        "" => 0,
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => {
            let power = "KMGTPE".find(&suffix[..1])?;
            factor = 1 << (10 * (power + 1));
            0
        }
        _ => {
            let digits = suffix.strip_prefix(['e', 'E'])?;
            digits
                .parse::<i32>()
                .ok()
                .filter(|power| power.abs() <= 64)?
        }
    };
    let shift = exponent - places + 9;
    let value = mantissa.checked_mul(factor)?;
    if shift >= 0 {
        return value.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?);
    }
    let divisor = 10_i128.checked_pow(shift.unsigned_abs())?;
    Some(value.div_euclid(divisor) + i128::from(value % divisor != 0))
}
