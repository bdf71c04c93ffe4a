//! Objects into bytes and back: JSON, YAML, and Kubernetes' protobuf.

use crate::Value;

pub mod duration;
pub mod json;
pub mod outline;
pub mod protobuf;
pub mod time;
pub mod yaml;

mod typed;

/// How deep objects may be nested, whatever they are read from.
pub const DEPTH_MAX: usize = 100;

/// Values that one object may consist of; reading stops beyond, because a few bytes may become many fields in memory.
pub const VALUES_MAX: usize = 1_000_000;

/// Floating-point numbers up to this are exact if they are whole.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A floating-point number as Go's JSON shows it: whole ones without a point. None if it is infinite or not a number.
fn number(value: f64) -> Option<Value> {
    if value.fract() == 0.0 && value.abs() < WHOLE_MAX {
        return Some((value as i64).into());
    }
    serde_json::Number::from_f64(value).map(Value::Number)
}
