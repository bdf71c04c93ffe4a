//! How many pods a rolling update may take away or add: a number, or a percentage of all.

use super::Spot;
use crate::{Value, invalid::Faults, validate::names};

/// A number that is not negative, or a percentage.
pub(super) fn count(spot: &Spot<'_>, faults: &mut Faults) {
    match spot.value {
        Value::String(text) => spot_faults(spot, &names::percent(text), faults),
        Value::Number(_) => spot.not_negative(faults),
        _ => {}
    }
}

fn spot_faults(spot: &Spot<'_>, sentences: &[String], faults: &mut Faults) {
    for sentence in sentences {
        spot.invalid(faults, sentence.as_str());
    }
}

fn percentage(value: &Value) -> Option<i64> {
    let text = value.as_str()?;
    let well = names::percent(text).is_empty();
    well.then(|| text.trim_end_matches('%').parse().unwrap_or(i64::MAX))
}

/// The number itself, be it a percentage or not; 0 for what is neither.
pub(super) fn size(value: &Value) -> i64 {
    percentage(value)
        .or_else(|| value.as_i64())
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        .unwrap_or(0)
}

pub(super) fn at_most_all(spot: &Spot<'_>, faults: &mut Faults) {
    if percentage(spot.value).is_some_and(|percentage| percentage > 100) {
        spot.invalid(faults, "must not be greater than 100%");
    }
}
