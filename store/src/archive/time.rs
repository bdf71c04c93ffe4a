//! Moments in milliseconds since 1970, and RFC 3339.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The end of the year 9999, which is the last that four digits can say.
const MILLISECONDS_MAX: u64 = 253_402_300_799_999;

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

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = i128::from(self.0.min(MILLISECONDS_MAX));
        let at = OffsetDateTime::from_unix_timestamp_nanos(milliseconds * 1_000_000);
        let at = at.map_err(|_beyond_the_calendar| fmt::Error)?;
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second, millisecond) = at.to_hms_milli();
        let month = u8::from(month);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z"
        )
    }
}

impl FromStr for Time {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Time, BadTime> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_why| BadTime)?;
        let milliseconds = at.unix_timestamp_nanos().div_euclid(1_000_000);
        u64::try_from(milliseconds)
            .map(Time)
            .map_err(|_early| BadTime)
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
        let last = Time(u64::MAX).to_string();
        assert_eq!(last, "9999-12-31T23:59:59.999Z");
        assert_eq!(last.parse(), Ok(Time(MILLISECONDS_MAX)));
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
