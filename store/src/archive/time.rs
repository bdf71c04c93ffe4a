//! Moments in milliseconds since 1970, and RFC 3339.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

const DAY_MILLISECONDS: u64 = 24 * 60 * 60 * 1000;
/// The largest year that four digits can say.
const YEAR_MAX: u64 = 9999;

/// A moment, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// A text that is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expecting a time as in RFC 3339, such as 2026-03-01T12:30:00Z or 2026-03-01T13:30:00.250+01:00"
)]
pub struct BadTime;

impl Time {
    pub fn now() -> Time {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Time(since.map_or(0, |since| since.as_millis() as u64))
    }

    /// The moment so long before; the beginning of time when there was none.
    #[must_use]
    pub fn before(self, duration: Duration) -> Time {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Time(self.0.saturating_sub(milliseconds))
    }

    /// Time from an earlier moment to this one; none when it is not earlier.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn date_of(day: u64) -> (u64, u64, u64) {
    // Years begin in March, so that a leap day is the last of its year; 719,468 days lie between 0000-03-01 and 1970-01-01.
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The inverse; None when there is no such day, or it lies before 1970.
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted_year = year.checked_sub(u64::from(month <= 2))?;
    let shifted = (month + 9) % 12;
    let of_year = (153 * shifted + 2) / 5 + day.checked_sub(1)?;
    let (era, year_of_era) = (shifted_year / 400, shifted_year % 400);
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let number = (era * 146_097 + of_era).checked_sub(719_468)?;
    (date_of(number) == (year, month, day)).then_some(number)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / DAY_MILLISECONDS, self.0 % DAY_MILLISECONDS);
        let (year, month, day) = date_of(days.min(10_000_000));
        let (seconds, milliseconds) = (rest / 1000, rest % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z"
        )
    }
}

/// Takes digits off the front of a text.
fn digits(text: &mut &str, count: usize) -> Option<u64> {
    let (number, rest) = text.split_at_checked(count)?;
    *text = rest;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| number.parse().ok())
        .flatten()
}

fn sign(text: &mut &str, wanted: &[char]) -> Option<()> {
    *text = text.strip_prefix(wanted)?;
    Some(())
}

/// A number of at most `max`.
fn limited(number: u64, max: u64) -> Option<u64> {
    (number <= max).then_some(number)
}

fn parse(mut text: &str) -> Option<Time> {
    let rest = &mut text;
    let year = limited(digits(rest, 4)?, YEAR_MAX)?;
    sign(rest, &['-'])?;
    let month = limited(digits(rest, 2)?, 12)?;
    sign(rest, &['-'])?;
    let day = day_of(year, month, digits(rest, 2)?)?;
    sign(rest, &['T', 't', ' '])?;
    let hour = limited(digits(rest, 2)?, 23)?;
    sign(rest, &[':'])?;
    let minute = limited(digits(rest, 2)?, 59)?;
    sign(rest, &[':'])?;
    let second = limited(digits(rest, 2)?, 59)?;
    let milliseconds = fraction(rest)?;
    let moment =
        day * DAY_MILLISECONDS + (hour * 3600 + minute * 60 + second) * 1000 + milliseconds;
    if sign(rest, &['Z', 'z']).is_some() {
        return rest.is_empty().then_some(Time(moment));
    }
    let is_east = rest.starts_with('+');
    sign(rest, &['+', '-'])?;
    let hours = limited(digits(rest, 2)?, 23)?;
    sign(rest, &[':'])?;
    let offset = (hours * 60 + limited(digits(rest, 2)?, 59)?) * 60_000;
    let moment = if is_east {
        moment.checked_sub(offset)?
    } else {
        moment + offset
    };
    rest.is_empty().then_some(Time(moment))
}

/// Milliseconds behind a point, if there is one; what is finer is cut off.
fn fraction(rest: &mut &str) -> Option<u64> {
    let Some(behind) = rest.strip_prefix('.') else {
        return Some(0);
    };
    let count = behind.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, behind) = behind.split_at(count);
    *rest = behind;
    let mut milliseconds = 0;
    for place in 0..3 {
        let digit = fraction.as_bytes().get(place).map_or(0, |byte| byte - b'0');
        milliseconds = milliseconds * 10 + u64::from(digit);
    }
    (count > 0).then_some(milliseconds)
}

impl FromStr for Time {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Time, BadTime> {
        parse(text).ok_or(BadTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read_as_date_says_them() {
        // From `date -u -d TEXT +%s`.
        for (text, seconds) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.000Z", 951_868_799),
            ("2026-11-27T03:55:25.000Z", 1_795_751_725),
            ("2100-03-01T00:00:00.000Z", 4_107_542_400),
        ] {
            assert_eq!(Time(seconds * 1000).to_string(), text);
            assert_eq!(text.parse(), Ok(Time(seconds * 1000)), "{text}");
        }
        for day in (0..60_000).map(|day| day * 7) {
            let time = Time(day * DAY_MILLISECONDS + 12_345);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn offsets_and_fractions_are_read() {
        let time = Time(951_868_799_250);
        for text in [
            "2000-02-29T23:59:59.25Z",
            "2000-02-29 23:59:59.2509z",
            "2000-03-01T01:29:59.25+01:30",
            "2000-02-29T18:59:59.250-05:00",
        ] {
            assert_eq!(text.parse(), Ok(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "now",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00Zx",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "2026-01-01T00:00:00+1:00",
            "２026-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Time>(), Err(BadTime), "{text}");
        }
    }
}
