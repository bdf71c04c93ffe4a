//! Schedules in cron's notation, as text: five fields or a word, and a time zone before them or not.

use std::num::IntErrorKind;

use crate::codec::duration;

/// What a schedule's text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron<'a> {
    /// The name of a time zone (`TZ=` or `CRON_TZ=`), which need not exist.
    pub zone: Option<&'a str>,
    pub due: Due,
}

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    At(Calendar),
    /// So many nanoseconds from each other.
    Every(i64),
}

/// Minutes, hours and days, each a set of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub minutes: u64,
    pub hours: u64,
    pub days: Field,
    pub months: u64,
    /// From Sunday, which is 0.
    pub weekdays: Field,
}

/// Values, and whether the field left them open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    pub values: u64,
    pub is_open: bool,
}

/// The least and greatest number of a field, and names for numbers.
struct Bounds {
    low: u64,
    high: u64,
    names: &'static [&'static str],
}

const fn bounds(low: u64, high: u64, names: &'static [&'static str]) -> Bounds {
    Bounds { low, high, names }
}

const MINUTES: Bounds = bounds(0, 59, &[]);
const HOURS: Bounds = bounds(0, 23, &[]);
const DAYS: Bounds = bounds(1, 31, &[]);
const MONTHS: Bounds = bounds(
    1,
    12,
    &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
);
const WEEKDAYS: Bounds = bounds(0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]);

/// Reads a schedule. The fault is in the words of the parser that upstream uses.
///
/// # Errors
///
/// If the text is no schedule.
pub fn parse(text: &str) -> Result<Cron<'_>, String> {
    if text.is_empty() {
        return Err("empty spec string".to_owned());
    }
    let zoned = text.strip_prefix("CRON_").unwrap_or(text);
    let (zone, text) = match zoned.strip_prefix("TZ=").map(|rest| rest.split_once(' ')) {
        None => (None, text),
        Some(Some((zone, rest))) => (Some(zone), rest.trim()),
        Some(None) => {
            return Err(
                "invalid schedule format: runtime error: slice bounds out of range [:-1]"
                    .to_owned(),
            );
        }
    };
    due(text).map(|due| Cron { zone, due })
}

fn due(text: &str) -> Result<Due, String> {
    if let Some(distance) = text.strip_prefix("@every ") {
        let distance = duration::parse(distance)
            .map_err(|fault| format!("failed to parse duration {text}: {fault}"))?;
        return Ok(Due::Every(distance));
    }
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        word if word.starts_with('@') => return Err(format!("unrecognized descriptor: {word}")),
        fields => fields,
    };
    calendar(fields).map(Due::At)
}

fn calendar(text: &str) -> Result<Calendar, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = fields[..] else {
        let found = fields.len();
        return Err(format!(
            "expected exactly 5 fields, found {found}: [{}]",
            fields.join(" ")
        ));
    };
    Ok(Calendar {
        minutes: field(minutes, &MINUTES)?.values,
        hours: field(hours, &HOURS)?.values,
        days: field(days, &DAYS)?,
        months: field(months, &MONTHS)?.values,
        weekdays: field(weekdays, &WEEKDAYS)?,
    })
}

fn field(text: &str, bounds: &Bounds) -> Result<Field, String> {
    let mut field = Field::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let part = range(part, bounds)?;
        field.values |= part.values;
        field.is_open |= part.is_open;
    }
    Ok(field)
}

/// Reads `*`, `3`, `3-7` or `mon-fri`, each with `/2` after it or not.
fn range(text: &str, bounds: &Bounds) -> Result<Field, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let is_star = matches!(ends[0], "*" | "?");
    let (start, mut end) = match ends[..] {
        _ if is_star => (bounds.low, bounds.high),
        [one] => {
            let one = number_or_name(one, bounds)?;
            (one, one)
        }
        [low, high] => (number_or_name(low, bounds)?, number_or_name(high, bounds)?),
        _ => {
            number_or_name(ends[0], bounds)?;
            return Err(format!("too many hyphens: {text}"));
        }
    };
    let step = match parts[..] {
        [_] => 1,
        [_, step] => {
            if ends.len() == 1 {
                end = bounds.high;
            }
            number(step)?
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    let (low, high) = (bounds.low, bounds.high);
    if start < low {
        return Err(format!(
            "beginning of range ({start}) below minimum ({low}): {text}"
        ));
    }
    if end > high {
        return Err(format!(
            "end of range ({end}) above maximum ({high}): {text}"
        ));
    }
    if start > end {
        return Err(format!(
            "beginning of range ({start}) beyond end of range ({end}): {text}"
        ));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let step_by = usize::try_from(step).unwrap_or(usize::MAX);
    let values = (start..=end).step_by(step_by);
    Ok(Field {
        values: values.fold(0, |values, value| values | 1 << value),
        is_open: is_star && step == 1,
    })
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let lower = text.to_lowercase();
    let values = bounds.low..=bounds.high;
    let mut named = values.zip(bounds.names);
    match named.find(|(_, name)| **name == lower) {
        Some((value, _)) => Ok(value),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u64, String> {
    match text.parse::<i64>() {
        Ok(number @ 0..) => Ok(number.unsigned_abs()),
        Ok(number) => Err(format!("negative number ({number}) not allowed: {text}")),
        Err(error) => {
            let why = match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            Err(format!(
                "failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": {why}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(text: &str) -> Calendar {
        match parse(text).unwrap().due {
            Due::At(calendar) => calendar,
            Due::Every(_) => panic!("{text} has no fields"),
        }
    }

    #[test]
    fn fields_hold_numbers_ranges_steps_and_names() {
        let read = calendar("*/20,5 9-17/4 ? FEB-mar mon");
        assert_eq!(read.minutes, 1 << 0 | 1 << 5 | 1 << 20 | 1 << 40);
        assert_eq!(read.hours, 1 << 9 | 1 << 13 | 1 << 17);
        assert_eq!(read.months, 1 << 2 | 1 << 3);
        assert!(read.days.is_open);
        let monday = Field {
            values: 1 << 1,
            is_open: false,
        };
        assert_eq!(read.weekdays, monday);
        assert_eq!(calendar("@weekly"), calendar("0 0 * * sun"));
        assert_eq!(calendar("50/5 * * * *").minutes, 1 << 50 | 1 << 55);
    }

    #[test]
    fn a_zone_goes_before_and_a_distance_takes_the_place_of_fields() {
        let read = parse("CRON_TZ=Asia/Tokyo  @every 1h30m").unwrap();
        assert_eq!(read.zone, Some("Asia/Tokyo"));
        assert_eq!(read.due, Due::Every(5_400_000_000_000));
    }

    #[test]
    fn what_is_no_schedule_is_told_why() {
        let cases = [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("0 0 0 * *", "beginning of range (0) below minimum (1): 0"),
            (
                "5-3 * * * *",
                "beginning of range (5) beyond end of range (3): 5-3",
            ),
            (
                "*/0 * * * *",
                "step of range should be a positive number: */0",
            ),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("1/-2 * * * *", "negative number (-2) not allowed: -2"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            (
                "x * * * *",
                r#"failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax"#,
            ),
            (
                "99999999999999999999 * * * *",
                "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \
                 \"99999999999999999999\": value out of range",
            ),
            ("@sometimes", "unrecognized descriptor: @sometimes"),
            (
                "@every soon",
                r#"failed to parse duration @every soon: time: invalid duration "soon""#,
            ),
            (
                "TZ=UTC",
                "invalid schedule format: runtime error: slice bounds out of range [:-1]",
            ),
        ];
        for (text, fault) in cases {
            assert_eq!(parse(text), Err(fault.to_owned()), "{text:?}");
        }
    }
}
