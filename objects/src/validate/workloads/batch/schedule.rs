//! When a cron job runs: five fields of numbers, or a word, and a time zone.

use super::{Faults, Spot};
use crate::cron;

const ZONE_PART_LENGTH_MAX: usize = 14;

pub(super) fn check(spec: &Spot<'_>, old: Option<&Spot<'_>>, faults: &mut Faults) {
    let schedule = spec.get("schedule");
    if !schedule.filled(faults) {
        return;
    }
    let text = schedule.text();
    if let Err(words) = cron::parse(text) {
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
