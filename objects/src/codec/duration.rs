//! Durations as Go writes them: `1h2m3.5s`.

/// Units by name, in nanoseconds, from the longest.
const UNITS: [(&str, f64); 8] = [
    ("h", 3_600_000_000_000.0),
    ("ms", 1_000_000.0),
    ("m", 60_000_000_000.0),
    ("s", 1_000_000_000.0),
    ("us", 1_000.0),
    ("µs", 1_000.0),
    ("μs", 1_000.0),
    ("ns", 1.0),
];

const SECOND: u64 = 1_000_000_000;

/// Reads a duration into nanoseconds. The fault is upstream's text.
///
/// # Errors
///
/// If the text is no duration.
pub fn parse(text: &str) -> Result<i64, String> {
    let quoted = serde_json::Value::from(text);
    let invalid = || format!("time: invalid duration {quoted}");
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let (mut rest, mut nanos) = (unsigned, 0.0);
    while !rest.is_empty() {
        let end = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_error| invalid())?;
        let unit_end = rest[end..]
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .map_or(rest.len(), |length| end + length);
        let unit = &rest[end..unit_end];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {quoted}"));
        }
        let (_, factor) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| {
                let unit = serde_json::Value::from(unit);
                format!("time: unknown unit {unit} in duration {quoted}")
            })?;
        nanos += number * factor;
        rest = &rest[unit_end..];
    }
    if nanos > i64::MAX as f64 {
        return Err(invalid());
    }
    let nanos = nanos.round() as i64;
    Ok(if text.starts_with('-') { -nanos } else { nanos })
}

/// Writes nanoseconds: `0s`, `1.5ms`, `1h0m0s`.
#[must_use]
pub fn format(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < SECOND {
        let (unit, divisor) = match nanos {
            ..=999 => ("ns", 1),
            1_000..=999_999 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{sign}{}{unit}", decimal(nanos, divisor));
    }
    let seconds = nanos / SECOND;
    let rest = decimal(nanos % (60 * SECOND), SECOND);
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, minutes) => format!("{sign}{minutes}m{rest}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{rest}s"),
    }
}

/// A quotient with as many digits as it needs.
fn decimal(number: u64, divisor: u64) -> String {
    let places = divisor.ilog10() as usize;
    let fraction = format!("{:0places$}", number % divisor);
    let fraction = fraction.trim_end_matches('0');
    let whole = number / divisor;
    if fraction.is_empty() {
        return whole.to_string();
    }
    format!("{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_read_and_written_as_go_does() {
        for (given, expected) in [
            ("1h", "1h0m0s"),
            ("90m", "1h30m0s"),
            ("1.5s", "1.5s"),
            ("-2m3s", "-2m3s"),
            ("1500us", "1.5ms"),
            ("0", "0s"),
            ("7ns", "7ns"),
        ] {
            assert_eq!(super::format(super::parse(given).unwrap()), expected);
        }
        for (given, expected) in [
            ("x", r#"time: invalid duration "x""#),
            ("5", r#"time: missing unit in duration "5""#),
            ("5q", r#"time: unknown unit "q" in duration "5q""#),
        ] {
            assert_eq!(super::parse(given).unwrap_err(), expected);
        }
    }
}
