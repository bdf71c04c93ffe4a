//! Quantities as rules need them: compared, and asked whether they are whole.

use super::view::View;
use crate::{
    Value,
    invalid::{Faults, Invalid},
};

/// How many nano-units one unit has: the smallest step that a quantity knows.
const NANO: i128 = 1_000_000_000;
/// No more digits than an `i128` of nano-units holds with the largest suffix.
const DIGITS_MAX: usize = 18;

const SUFFIXES: &[(&str, i128, i128)] = &[
    ("Ki", 1 << 10, 1),
    ("Mi", 1 << 20, 1),
    ("Gi", 1 << 30, 1),
    ("Ti", 1 << 40, 1),
    ("Pi", 1 << 50, 1),
    ("Ei", 1 << 60, 1),
    ("n", 1, 1_000_000_000),
    ("u", 1, 1_000_000),
    ("m", 1, 1000),
    ("k", 1000, 1),
    ("M", 1_000_000, 1),
    ("G", 1_000_000_000, 1),
    ("T", 1_000_000_000_000, 1),
    ("P", 1_000_000_000_000_000, 1),
    ("E", 1_000_000_000_000_000_000, 1),
];

/// A quantity in nano-units; saturated where it is larger than any that Kubernetes knows.
pub(crate) fn nano_units(value: &Value) -> i128 {
    match value {
        Value::String(text) => parse(text).unwrap_or_default(),
        Value::Number(number) => parse(&number.to_string()).unwrap_or_default(),
        _ => 0,
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
    let (digits, suffix) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (factor, divisor) = scale(suffix)?;
    let whole: i128 = clip(whole).parse().unwrap_or_default();
    let mut amount = whole.saturating_mul(NANO).saturating_mul(factor) / divisor;
    let fraction = clip(fraction);
    if !fraction.is_empty() {
        let part: i128 = fraction.parse().ok()?;
        let length = u32::try_from(fraction.len()).ok()?;
        let scaled = part.saturating_mul(NANO).saturating_mul(factor);
        amount = amount.saturating_add(scaled / 10_i128.pow(length) / divisor);
    }
    Some(if negative { -amount } else { amount })
}

fn clip(digits: &str) -> &str {
    digits.get(..DIGITS_MAX).unwrap_or(digits)
}

fn scale(suffix: &str) -> Option<(i128, i128)> {
    if suffix.is_empty() {
        return Some((1, 1));
    }
    if let Some((_, factor, divisor)) = SUFFIXES.iter().find(|row| row.0 == suffix) {
        return Some((*factor, *divisor));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

/// The quantity as text, as messages show it.
pub(crate) fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Asks that a quantity is not below zero.
pub(crate) fn non_negative(view: &View<'_>, faults: &mut Faults) {
    if nano_units(view.value) < 0 {
        let detail = "must be greater than or equal to 0";
        faults.push(Invalid::value(&view.path, shown(view.value), detail));
    }
}

/// Asks that a quantity is not below zero, in the words of volumes, which round up.
pub(crate) fn not_below_zero(view: &View<'_>, faults: &mut Faults) {
    if nano_units(view.value) <= -NANO {
        let detail = "must be a valid resource quantity";
        faults.push(Invalid::value(&view.path, whole(view.value), detail));
    }
}

/// A quantity rounded up to whole units.
fn whole(value: &Value) -> i64 {
    i64::try_from(nano_units(value).div_euclid(NANO)).unwrap_or(i64::MIN)
}

/// Asks that a quantity is above zero.
pub(crate) fn positive(view: &View<'_>, faults: &mut Faults) {
    if nano_units(view.value) <= 0 {
        let detail = "must be greater than zero";
        faults.push(Invalid::value(&view.path, shown(view.value), detail));
    }
}

/// Whether a quantity is a whole number, to a thousandth.
pub(crate) fn is_whole(value: &Value) -> bool {
    let milli = NANO / 1000;
    // What is finer than a thousandth counts as one.
    let amount = nano_units(value);
    let thousandths = if amount % milli == 0 {
        amount / milli
    } else {
        amount / milli + amount.signum()
    };
    thousandths % 1000 == 0
}

#[cfg(test)]
mod tests {
    use super::{is_whole, nano_units};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn quantities_with_any_suffix_compare() {
        for (smaller, larger) in [
            ("1", "2"),
            ("999m", "1"),
            ("1k", "1Ki"),
            ("1Gi", "1.5Gi"),
            ("-1", "0"),
            ("1e3", "1001"),
            ("100n", "1u"),
            ("1Ei", "2Ei"),
        ] {
            assert!(
                nano_units(&json!(smaller)) < nano_units(&json!(larger)),
                "{smaller} {larger}"
            );
        }
        assert_eq!(nano_units(&json!("1000m")), nano_units(&json!(1)));
        assert!(is_whole(&json!("2")) && !is_whole(&json!("1500m")) && !is_whole(&json!("1n")));
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "[-+0-9.eEKMGTPinum]{0,40}") {
            nano_units(&json!(text));
        }
    }
}
