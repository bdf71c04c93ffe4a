//! Points in time and durations: reading, writing, taking apart.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use super::eval::Error;

const SECOND: i64 = 1_000_000_000;

/// The first and the last second that a timestamp of the language may have.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

/// A point in time between the years 1 and 9999, whose last day jiff's own timestamps do not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    seconds: i64,
    nanoseconds: i32,
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl Time {
    pub(super) fn as_second(self) -> i64 {
        self.seconds
    }

    pub(super) fn as_nanosecond(self) -> i128 {
        i128::from(self.seconds) * i128::from(SECOND) + i128::from(self.nanoseconds)
    }

    /// What a clock shows that is so many seconds before UTC.
    fn clock(self, offset_seconds: i32) -> Option<DateTime> {
        let since = SignedDuration::new(self.seconds + i64::from(offset_seconds), self.nanoseconds);
        EPOCH.checked_add(since).ok()
    }
}

fn overflow() -> Error {
    Error::new("timestamp overflow")
}

/// So many seconds after the epoch, if that is a time of the language.
pub(super) fn at(seconds: i64) -> Result<Time, Error> {
    from_nanoseconds(i128::from(seconds) * i128::from(SECOND))
}

fn from_nanoseconds(total: i128) -> Result<Time, Error> {
    let seconds = total.div_euclid(i128::from(SECOND));
    let nanoseconds = total.rem_euclid(i128::from(SECOND));
    let seconds = i64::try_from(seconds).map_err(|_far| overflow())?;
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&seconds) {
        return Err(overflow());
    }
    Ok(Time {
        seconds,
        nanoseconds: i32::try_from(nanoseconds).map_err(|_far| overflow())?,
    })
}

/// A time so many nanoseconds later.
pub(super) fn later(time: Time, nanoseconds: i64) -> Result<Time, Error> {
    from_nanoseconds(time.as_nanosecond() + i128::from(nanoseconds))
}

fn from_clock(clock: DateTime, offset_seconds: i64) -> Option<Time> {
    let since = clock.duration_since(EPOCH).as_nanos();
    from_nanoseconds(since - i128::from(offset_seconds) * i128::from(SECOND)).ok()
}

/// RFC 3339, as upstream reads it.
pub(super) fn parse(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    let shape = text.is_ascii()
        && bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
        && bytes.get(10) == Some(&b'T')
        && bytes.get(13) == Some(&b':')
        && bytes.get(16) == Some(&b':')
        && bytes.get(17..19) != Some(b"60".as_slice());
    if !shape {
        return None;
    }
    let (clock, offset) = match text.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let (clock, zone) = text.split_at(text.len().checked_sub(6)?);
            (clock, offset_seconds(zone)?)
        }
    };
    if !clock[19.min(clock.len())..]
        .bytes()
        .all(|next| next == b'.' || next.is_ascii_digit())
    {
        return None;
    }
    from_clock(clock.parse().ok()?, offset)
}

/// `+02:00` in seconds.
fn offset_seconds(zone: &str) -> Option<i64> {
    let sign = match zone.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let digits = |text: &str, end: i64| {
        let plain = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
        text.parse::<i64>()
            .ok()
            .filter(|number| plain && *number < end)
    };
    Some(sign * (digits(hours, 24)? * 3_600 + digits(minutes, 60)? * 60))
}

/// What OpenAPI takes for a date with a time: a blank or a small letter between them too.
pub(super) fn parse_openapi(text: &str) -> Option<Time> {
    let text = text.to_ascii_uppercase();
    let text = text.replacen(' ', "T", 1);
    parse(&text).or_else(|| parse(&format!("{text}Z")))
}

/// A day, as its first moment.
pub(super) fn parse_date(text: &str) -> Option<Time> {
    if text.len() != 10 {
        return None;
    }
    let date: Date = text.parse().ok()?;
    from_clock(date.to_datetime(jiff::civil::Time::midnight()), 0)
}

/// A timestamp as text, with no more digits than it has.
pub(super) fn show(time: Time) -> String {
    time.clock(0)
        .map_or_else(String::new, |clock| format!("{clock}Z"))
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
pub(super) fn part(time: Time, zone: Option<&str>, method: &str) -> Result<i64, Error> {
    let zone = zone_of(zone.unwrap_or("UTC"))?;
    let near = Timestamp::from_second(time.seconds).unwrap_or(Timestamp::MAX);
    let zoned = time
        .clock(zone.to_offset(near).seconds())
        .ok_or_else(overflow)?;
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
