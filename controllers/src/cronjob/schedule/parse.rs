//! Reading a schedule's text.

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::{Calendar, Field, Schedule};

/// What a field may hold.
struct Bounds {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds {
    least: 0,
    most: 59,
    names: &[],
};
const HOURS: Bounds = Bounds {
    least: 0,
    most: 23,
    names: &[],
};
const DAYS: Bounds = Bounds {
    least: 1,
    most: 31,
    names: &[],
};
const MONTHS: Bounds = Bounds {
    least: 1,
    most: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
const WEEKDAYS: Bounds = Bounds {
    least: 0,
    most: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

pub(super) fn schedule(text: &str, zone: &TimeZone) -> Result<Schedule, String> {
    if text.is_empty() {
        return Err("empty spec string".to_owned());
    }
    let Some(named) = text
        .strip_prefix("CRON_")
        .unwrap_or(text)
        .strip_prefix("TZ=")
    else {
        return zoned(text, zone.clone());
    };
    let (name, rest) = named
        .split_once(' ')
        .ok_or_else(|| format!("no schedule after the zone: {text}"))?;
    let zone =
        TimeZone::get(name).map_err(|error| format!("provided bad location {name}: {error}"))?;
    zoned(rest.trim(), zone)
}

fn zoned(text: &str, zone: TimeZone) -> Result<Schedule, String> {
    if let Some(distance) = text.strip_prefix("@every ") {
        let distance =
            duration(distance).ok_or_else(|| format!("failed to parse duration {text}"))?;
        // Whole seconds, and at least one.
        let seconds = distance.as_secs().max(1);
        return Ok(Schedule::Every(SignedDuration::from_secs(seconds)));
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
    calendar(fields).map(|calendar| Schedule::Calendar(calendar, zone))
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
    let mut field = Field {
        values: 0,
        is_open: false,
    };
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let part = range(part, bounds)?;
        field.values |= part.values;
        field.is_open |= part.is_open;
    }
    Ok(field)
}

/// Reads `*`, `3`, `3-7` or `mon-fri`, each with `/2` after it or not.
fn range(text: &str, bounds: &Bounds) -> Result<Field, String> {
    let (limits, step) = match text.split('/').collect::<Vec<_>>()[..] {
        [limits] => (limits, None),
        [limits, step] => (limits, Some(number(step)?)),
        _ => return Err(format!("too many slashes: {text}")),
    };
    let limits: Vec<&str> = limits.split('-').collect();
    let is_star = matches!(limits[0], "*" | "?");
    let (first, last) = match limits[..] {
        _ if is_star => (bounds.least, bounds.most),
        [first] => {
            let first = value(first, bounds)?;
            (first, if step.is_some() { bounds.most } else { first })
        }
        [first, last] => (value(first, bounds)?, value(last, bounds)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = step.unwrap_or(1);
    if first < bounds.least {
        return Err(format!(
            "beginning of range ({first}) below minimum ({}): {text}",
            bounds.least
        ));
    }
    if last > bounds.most {
        return Err(format!(
            "end of range ({last}) above maximum ({}): {text}",
            bounds.most
        ));
    }
    if first > last {
        return Err(format!(
            "beginning of range ({first}) beyond end of range ({last}): {text}"
        ));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let step_by = usize::try_from(step).unwrap_or(usize::MAX);
    let values = (first..=last)
        .step_by(step_by)
        .fold(0, |values, value| values | 1 << value);
    Ok(Field {
        values,
        is_open: is_star && step == 1,
    })
}

fn value(text: &str, bounds: &Bounds) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match bounds.names.iter().position(|name| *name == lower) {
        Some(at) => Ok(bounds.least + u32::try_from(at).unwrap_or(0)),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|error| format!("failed to parse int from {text}: {error}"))
}

/// Reads a duration such as `1h30m` or `1.5s`.
fn duration(text: &str) -> Option<SignedDuration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() || rest.starts_with('-') {
        return None;
    }
    let mut whole = SignedDuration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (amount, unit) = rest.split_at(digits);
        let letters = unit
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(unit.len());
        let (unit, left) = unit.split_at(letters);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let amount: f64 = amount.parse().ok()?;
        whole = whole.checked_add(SignedDuration::try_from_secs_f64(amount * seconds).ok()?)?;
        rest = left;
    }
    Some(whole)
}
