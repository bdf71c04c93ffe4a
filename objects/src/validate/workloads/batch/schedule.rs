//! When a cron job runs: five fields of numbers, or a word, and a time zone.

use super::{Faults, Spot};

/// The least and greatest number of a field, and names for numbers.
struct Bounds {
    low: u64,
    high: u64,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Bounds; 5] = [
    Bounds {
        low: 0,
        high: 59,
        names: &[],
    },
    Bounds {
        low: 0,
        high: 23,
        names: &[],
    },
    Bounds {
        low: 1,
        high: 31,
        names: &[],
    },
    Bounds {
        low: 1,
        high: 12,
        names: &MONTHS,
    },
    Bounds {
        low: 0,
        high: 6,
        names: &DAYS,
    },
];
const DESCRIPTORS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];
const ZONE_PART_LENGTH_MAX: usize = 14;

pub(super) fn check(spec: &Spot<'_>, old: Option<&Spot<'_>>, faults: &mut Faults) {
    let schedule = spec.get("schedule");
    if !schedule.filled(faults) {
        return;
    }
    let text = schedule.text();
    if let Err(words) = parse(text) {
        schedule.invalid(faults, words);
    }
    let allowed = old.is_some_and(|old| old.get("schedule").text().contains("TZ"));
    let zoned = text.contains("TZ");
    if zoned && !allowed {
        schedule.invalid(
            faults,
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
        );
    } else if zoned && spec.find("timeZone").is_some() {
        schedule.invalid(
            faults,
            "cannot use both timeZone field and TZ or CRON_TZ in schedule",
        );
    }
}

/// Reads a schedule; the fault is in the words of the parser that upstream uses.
fn parse(text: &str) -> Result<(), String> {
    let mut text = text;
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        let Some((_, rest)) = text.split_once(' ') else {
            return Err(
                "invalid schedule format: runtime error: slice bounds out of range [:-1]"
                    .to_owned(),
            );
        };
        text = rest.trim();
    }
    if text.starts_with('@') {
        let known =
            DESCRIPTORS.contains(&text) || text.strip_prefix("@every ").is_some_and(is_duration);
        return match text.strip_prefix("@every ") {
            _ if known => Ok(()),
            Some(duration) => Err(format!(
                "failed to parse duration {text}: time: invalid duration \"{duration}\""
            )),
            None => Err(format!("unrecognized descriptor: {text}")),
        };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "expected exactly {} fields, found {}: [{}]",
            FIELDS.len(),
            fields.len(),
            fields.join(" ")
        ));
    }
    for (field, bounds) in fields.iter().zip(&FIELDS) {
        for range in field.split(',').filter(|range| !range.is_empty()) {
            check_range(range, bounds)?;
        }
    }
    Ok(())
}

fn check_range(range: &str, bounds: &Bounds) -> Result<(), String> {
    let parts: Vec<&str> = range.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let (start, mut end) = match ends.as_slice() {
        ["*" | "?", ..] => (bounds.low, bounds.high),
        [one] => {
            let one = number_or_name(one, bounds)?;
            (one, one)
        }
        [low, high] => (number_or_name(low, bounds)?, number_or_name(high, bounds)?),
        [low, ..] => {
            number_or_name(low, bounds)?;
            return Err(format!("too many hyphens: {range}"));
        }
        [] => (bounds.low, bounds.high),
    };
    let step = match parts.as_slice() {
        [_] => 1,
        [_, step] => {
            if ends.len() == 1 {
                end = bounds.high;
            }
            number(step)?
        }
        _ => return Err(format!("too many slashes: {range}")),
    };
    let (low, high) = (bounds.low, bounds.high);
    if start < low {
        Err(format!(
            "beginning of range ({start}) below minimum ({low}): {range}"
        ))
    } else if end > high {
        Err(format!(
            "end of range ({end}) above maximum ({high}): {range}"
        ))
    } else if start > end {
        Err(format!(
            "beginning of range ({start}) beyond end of range ({end}): {range}"
        ))
    } else if step == 0 {
        Err(format!(
            "step of range should be a positive number: {range}"
        ))
    } else {
        Ok(())
    }
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let lower = text.to_lowercase();
    let named = bounds.names.iter().position(|name| *name == lower);
    match named {
        Some(index) => {
            Ok(bounds.low + u64::try_from(index).expect("there are at most twelve names"))
        }
        None => number(text),
    }
}

fn number(text: &str) -> Result<u64, String> {
    match text.parse::<i64>() {
        Ok(number @ 0..) => Ok(number.unsigned_abs()),
        Ok(number) => Err(format!("negative number ({number}) not allowed: {text}")),
        Err(error) => {
            let out_of_range = matches!(
                error.kind(),
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow
            );
            let why = if out_of_range {
                "value out of range"
            } else {
                "invalid syntax"
            };
            Err(format!(
                "failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": {why}"
            ))
        }
    }
}

/// Whether a text is a duration as `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(rest.len());
        if digits == 0 || rest[..digits].trim_matches('.').is_empty() {
            return false;
        }
        rest = &rest[digits..];
        let unit = rest
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .unwrap_or(rest.len());
        if !["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&&rest[..unit]) {
            return false;
        }
        rest = &rest[unit..];
    }
    true
}

/// A time zone by its name in the IANA database.
pub(super) fn time_zone(zone: &Spot<'_>, faults: &mut Faults) {
    if !zone.is_present() {
        return;
    }
    let text = zone.text();
    if text.is_empty() {
        zone.invalid(faults, "timeZone must be nil or non-empty string");
        return;
    }
    let part_is_well = |part: &str| {
        (1..=ZONE_PART_LENGTH_MAX).contains(&part.len())
            && part != "."
            && part != ".."
            && !part.starts_with('-')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    if !text.split('/').all(part_is_well) {
        zone.invalid(faults, format!("unknown time zone {text}"));
    } else if text.eq_ignore_ascii_case("Local") {
        let words =
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        zone.invalid(faults, words);
    } else if jiff::tz::TimeZone::get(text).is_err() {
        zone.invalid(faults, format!("unknown time zone {text}"));
    }
}
