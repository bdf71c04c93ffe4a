//! Points in time as objects write them, RFC 3339, with the faults that Go finds in them.

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant {
    /// Since 1970, in UTC.
    pub seconds: i64,
    pub nanos: u32,
}

/// 0001-01-01T00:00:00Z, which Go's JSON shows as `null`.
pub const ZERO_SECONDS: i64 = -62_135_596_800;

const DAY_SECONDS: i64 = 86_400;

/// The furthest that is written with four digits of year.
const SECONDS_MAX: i64 = 253_402_300_799;

const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
const LAYOUT_MICROS: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Reads RFC 3339. The fault is upstream's text.
///
/// # Errors
///
/// If the text is no point in time.
pub fn parse(text: &str) -> Result<Instant, String> {
    Reader::new(text, LAYOUT).instant()
}

/// Reads RFC 3339 with exactly six digits of fraction.
///
/// # Errors
///
/// If the text is no point in time.
pub fn parse_micros(text: &str) -> Result<Instant, String> {
    Reader::new(text, LAYOUT_MICROS).instant()
}

/// Writes `2026-01-02T15:04:05Z`. Beyond the years of four digits the last second of them is written.
#[must_use]
pub fn format(seconds: i64) -> String {
    let seconds = seconds.clamp(ZERO_SECONDS, SECONDS_MAX);
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let second = seconds.rem_euclid(DAY_SECONDS);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Writes `2026-01-02T15:04:05.000000Z`.
#[must_use]
pub fn format_micros(instant: Instant) -> String {
    let seconds = format(instant.seconds);
    format!(
        "{}.{:06}Z",
        seconds.trim_end_matches('Z'),
        instant.nanos / 1000 % 1_000_000
    )
}

/// Days since 1970 of a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day last.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

/// The date of a day since 1970.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let day = of_year - (153 * march + 2) / 5 + 1;
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn month_days(year: i64, month: i64) -> i64 {
    let next = if month == 12 {
        days(year + 1, 1, 1)
    } else {
        days(year, month + 1, 1)
    };
    next - days(year, month, 1)
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    layout: &'static str,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, layout: &'static str) -> Reader<'a> {
        Reader {
            text,
            rest: text,
            layout,
        }
    }

    fn fault(&self, part: &str) -> String {
        format!(
            "parsing time {} as {:?}: cannot parse {} as {part:?}",
            quoted(self.text),
            self.layout,
            quoted(self.rest)
        )
    }

    fn range(&self, what: &str) -> String {
        format!("parsing time {}: {what} out of range", quoted(self.text))
    }

    /// So many digits.
    fn number(&mut self, digits: usize, part: &str) -> Result<i64, String> {
        let found = self
            .rest
            .get(..digits)
            .filter(|found| found.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| self.fault(part))?;
        let number = found.parse().map_err(|_error| self.fault(part))?;
        self.rest = &self.rest[digits..];
        Ok(number)
    }

    fn literal(&mut self, part: &str) -> Result<(), String> {
        self.rest = self
            .rest
            .strip_prefix(part)
            .ok_or_else(|| self.fault(part))?;
        Ok(())
    }

    fn instant(&mut self) -> Result<Instant, String> {
        let year = self.number(4, "2006")?;
        self.literal("-")?;
        let month = self.number(2, "01")?;
        if !(1..=12).contains(&month) {
            return Err(self.range("month"));
        }
        self.literal("-")?;
        let day = self.number(2, "02")?;
        self.literal("T")?;
        let hour = self.number(2, "15")?;
        if hour > 23 {
            return Err(self.range("hour"));
        }
        self.literal(":")?;
        let minute = self.number(2, "04")?;
        if minute > 59 {
            return Err(self.range("minute"));
        }
        self.literal(":")?;
        let second = self.number(2, "05")?;
        if second > 59 {
            return Err(self.range("second"));
        }
        let nanos = self.fraction()?;
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            return Err(format!(
                "parsing time {}: extra text: {}",
                quoted(self.text),
                quoted(self.rest)
            ));
        }
        if !(1..=month_days(year, month)).contains(&day) {
            return Err(self.range("day"));
        }
        let seconds =
            days(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset;
        Ok(Instant { seconds, nanos })
    }

    fn fraction(&mut self) -> Result<u32, String> {
        let behind = self.rest.strip_prefix(['.', ',']);
        let digits = behind.map_or(0, |behind| {
            behind.bytes().take_while(u8::is_ascii_digit).count()
        });
        if self.layout == LAYOUT_MICROS && digits != 6 {
            return Err(self.fault(".000000"));
        }
        let Some(behind) = behind.filter(|_| digits > 0) else {
            return Ok(0);
        };
        let nine: String = behind[..digits]
            .chars()
            .chain(std::iter::repeat('0'))
            .take(9)
            .collect();
        self.rest = &behind[digits..];
        Ok(nine.parse().expect("nine digits are a number"))
    }

    /// Seconds east of UTC.
    fn offset(&mut self) -> Result<i64, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let whole = self.fault("Z07:00");
        let sign = match self.rest.bytes().next() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(whole),
        };
        self.rest = &self.rest[1..];
        let parts = |reader: &mut Reader<'_>| {
            let hours = reader.number(2, "")?;
            reader.literal(":")?;
            Ok::<_, String>((hours, reader.number(2, "")?))
        };
        let (hours, minutes) = parts(self).map_err(|_fault| whole)?;
        if hours > 24 {
            return Err(self.range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.range("time zone offset minute"));
        }
        Ok(sign * (hours * 3600 + minutes * 60))
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_any_zone_and_written_in_utc() {
        for (given, expected) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("2024-02-29T23:59:59+02:00", "2024-02-29T21:59:59Z"),
            ("2000-01-01T00:30:00-01:00", "2000-01-01T01:30:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(format(parse(given).unwrap().seconds), expected);
        }
        assert_eq!(parse("0001-01-01T00:00:00Z").unwrap().seconds, ZERO_SECONDS);
        let micro = parse_micros("2020-01-02T03:04:05.000678Z").unwrap();
        assert_eq!(format_micros(micro), "2020-01-02T03:04:05.000678Z");
    }

    #[test]
    fn faults_are_told_in_gos_words() {
        let layout = "2006-01-02T15:04:05Z07:00";
        for (given, expected) in [
            (
                "x",
                format!(r#"parsing time "x" as "{layout}": cannot parse "x" as "2006""#),
            ),
            (
                "2020-13-01T00:00:00Z",
                r#"parsing time "2020-13-01T00:00:00Z": month out of range"#.into(),
            ),
            (
                "2021-02-29T00:00:00Z",
                r#"parsing time "2021-02-29T00:00:00Z": day out of range"#.into(),
            ),
            (
                "2021-02-09",
                format!(r#"parsing time "2021-02-09" as "{layout}": cannot parse "" as "T""#),
            ),
            (
                "2021-02-09T00:00:00",
                format!(
                    r#"parsing time "2021-02-09T00:00:00" as "{layout}": cannot parse "" as "Z07:00""#
                ),
            ),
            (
                "2021-02-09T00:00:00Zx",
                r#"parsing time "2021-02-09T00:00:00Zx": extra text: "x""#.into(),
            ),
        ] {
            assert_eq!(parse(given).unwrap_err(), expected);
        }
    }
}
