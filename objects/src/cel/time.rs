//! Points in time and durations: reading, writing, taking apart.

use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};

use super::eval::Error;

const SECOND: i64 = 1_000_000_000;

/// The first and the last second that a timestamp of the language may have.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

/// A timestamp, if it lies in the years 1 to 9999.
pub(super) fn at(seconds: i64, nanoseconds: i32) -> Result<Timestamp, Error> {
    let overflow = || Error::new("timestamp overflow");
    let time = Timestamp::new(seconds, nanoseconds)
        .ok()
        .ok_or_else(overflow)?;
    (SECONDS_MIN..=SECONDS_MAX)
        .contains(&time.as_second())
        .then_some(time)
        .ok_or_else(overflow)
}

/// A timestamp so many nanoseconds later.
pub(super) fn later(time: Timestamp, nanoseconds: i64) -> Result<Timestamp, Error> {
    let total = time.as_nanosecond() + i128::from(nanoseconds);
    let moved = Timestamp::from_nanosecond(total)
        .ok()
        .ok_or_else(|| Error::new("timestamp overflow"))?;
    at(moved.as_second(), moved.subsec_nanosecond())
}

/// RFC 3339, as upstream reads it.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shape = bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
        && bytes.get(10) == Some(&b'T')
        && bytes.get(13) == Some(&b':')
        && bytes.get(16) == Some(&b':')
        && (text.ends_with('Z')
            || bytes.len() > 6 && matches!(bytes[bytes.len() - 6], b'+' | b'-'))
        && bytes.get(17..19) != Some(b"60".as_slice());
    if !shape {
        return None;
    }
    text.parse().ok()
}

/// What OpenAPI takes for a date with a time: a blank or a small letter between them too.
pub(super) fn parse_openapi(text: &str) -> Option<Timestamp> {
    let text = text.to_ascii_uppercase();
    let text = text.replacen(' ', "T", 1);
    parse(&text).or_else(|| parse(&format!("{text}Z")))
}

/// A day, as its first moment.
pub(super) fn parse_date(text: &str) -> Option<Timestamp> {
    if text.len() != 10 {
        return None;
    }
    let date: Date = text.parse().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A timestamp as text, with no more digits than it has.
pub(super) fn show(time: Timestamp) -> String {
    time.to_string()
}

/// Go's `time.ParseDuration`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|next: char| !next.is_ascii_digit() && next != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after
            .find(|next: char| next.is_ascii_digit() || next == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        total = total.checked_add(amount(number, unit_nanoseconds(unit)?)?)?;
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn unit_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn amount(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(unit)?;
    let mut place = unit;
    // What lies below a nanosecond is cut off digit by digit.
    let mut below: i128 = 0;
    for digit in fraction.bytes().take(18) {
        below = below * 10 + i128::from(digit - b'0');
        place *= 10;
    }
    total += below * unit / (place / unit).max(1);
    Some(total)
}

/// Seconds with no more digits than there are: `90s`, `0.5s`.
pub(super) fn show_duration(nanoseconds: i64) -> String {
    let whole = nanoseconds.unsigned_abs() / SECOND.unsigned_abs();
    let rest = nanoseconds.unsigned_abs() % SECOND.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    if rest == 0 {
        return format!("{sign}{whole}s");
    }
    let digits = format!("{rest:09}");
    format!("{sign}{whole}.{}s", digits.trim_end_matches('0'))
}

/// A part of a duration, as a total.
pub(super) fn duration_part(nanoseconds: i64, method: &str) -> Option<i64> {
    Some(match method {
        "getHours" => nanoseconds / (3_600 * SECOND),
        "getMinutes" => nanoseconds / (60 * SECOND),
        "getSeconds" => nanoseconds / SECOND,
        "getMilliseconds" => nanoseconds / 1_000_000,
        _ => return None,
    })
}

/// A part of a timestamp, in UTC or in a zone that is named or an offset like `-02:00`.
pub(super) fn part(time: Timestamp, zone: Option<&str>, method: &str) -> Result<i64, Error> {
    let zoned = Zoned::new(time, zone_of(zone.unwrap_or("UTC"))?);
    Ok(match method {
        "getFullYear" => i64::from(zoned.year()),
        "getMonth" => i64::from(zoned.month()) - 1,
        "getDayOfYear" => i64::from(zoned.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(zoned.day()) - 1,
        "getDate" => i64::from(zoned.day()),
        "getDayOfWeek" => i64::from(zoned.weekday().to_sunday_zero_offset()),
        "getHours" => i64::from(zoned.hour()),
        "getMinutes" => i64::from(zoned.minute()),
        "getSeconds" => i64::from(zoned.second()),
        "getMilliseconds" => i64::from(zoned.subsec_nanosecond()) / 1_000_000,
        _ => return Err(Error::overload()),
    })
}

fn zone_of(name: &str) -> Result<TimeZone, Error> {
    let unknown = || Error::new(format!("unknown time zone {name}"));
    let Some((hours, minutes)) = name.split_once(':') else {
        return match name {
            "" | "UTC" => Ok(TimeZone::UTC),
            _ => TimeZone::get(name).ok().ok_or_else(unknown),
        };
    };
    let hour: i32 = hours
        .parse()
        .ok()
        .filter(|hour: &i32| hour.abs() < 25)
        .ok_or_else(unknown)?;
    let minute: i32 = minutes
        .parse()
        .ok()
        .filter(|minute| (0..60).contains(minute))
        .ok_or_else(unknown)?;
    let minute = if hours.starts_with('-') {
        -minute
    } else {
        minute
    };
    let offset = jiff::tz::Offset::from_seconds(hour * 3_600 + minute * 60);
    Ok(TimeZone::fixed(offset.ok().ok_or_else(unknown)?))
}
