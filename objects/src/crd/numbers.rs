//! Bounds of numbers in a CRD's schema: whole numbers are compared as such, all others as floats.

use serde_json::Number;

use super::read::{flag, word};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    path::Path,
};

/// A number as it is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bound(f64);

impl Bound {
    pub(super) fn of(number: &Number) -> Bound {
        Bound(number.as_f64().unwrap_or_default())
    }
}

/// Whether a number has no fraction.
pub(super) fn is_integer(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

/// A number as Go writes it: without a fraction where it has none.
fn text(number: &Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The faults of a number.
pub(super) fn check(schema: &Value, path: &Path, number: &Number) -> Faults {
    let mut faults = Faults::new();
    if word(schema, "type") == "integer" && !is_integer(number) {
        let detail = format!("Checked value must be of type integer (default format) in {path}");
        faults.push(Invalid::value(&Path::root(), "", detail));
    }
    let mut tell = |detail: String| {
        let detail = format!("{path} in body {detail}");
        faults.push(Invalid::value(path, number.clone(), detail));
    };
    let limit = |name: &str| schema.get(name).and_then(Value::as_number);
    let value = Bound::of(number).0;
    if word(schema, "format") == "int32" && word(schema, "type") == "integer" {
        let fits = |whole: i64| i32::try_from(whole).is_ok();
        if !number.as_i64().is_none_or(fits) {
            tell("must be of type int32".to_owned());
        }
    }
    if let Some(factor) = limit("multipleOf") {
        let quotient = value / Bound::of(factor).0;
        if quotient.fract() != 0.0 {
            tell(format!("should be a multiple of {}", text(factor)));
        }
    }
    if let Some(least) = limit("minimum") {
        let exclusive = flag(schema, "exclusiveMinimum");
        let bound = Bound::of(least).0;
        if value < bound || exclusive && value <= bound {
            let or_equal = if exclusive { "" } else { " or equal to" };
            tell(format!("should be greater than{or_equal} {}", text(least)));
        }
    }
    if let Some(most) = limit("maximum") {
        let exclusive = flag(schema, "exclusiveMaximum");
        let bound = Bound::of(most).0;
        if value > bound || exclusive && value >= bound {
            let or_equal = if exclusive { "" } else { " or equal to" };
            tell(format!("should be less than{or_equal} {}", text(most)));
        }
    }
    faults
}
