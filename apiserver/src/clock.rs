//! The time, as objects tell it.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970.
#[must_use]
pub fn now_seconds() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// Microseconds since 1970.
#[must_use]
pub fn now_micros() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000)
        .expect("a year below 10000")
}

/// The time in whole seconds: `2026-01-31T12:00:00Z`.
#[must_use]
pub fn now() -> String {
    text(now_seconds())
}

/// A time of seconds since 1970 as objects have it.
///
/// # Panics
///
/// For times beyond the year 9999.
#[must_use]
pub fn text(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).expect("a year below 10000");
    time.format(&Rfc3339)
        .expect("a year below 10000 has a text")
}

/// Seconds since 1970 of a time in an object.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .map(OffsetDateTime::unix_timestamp)
}
