//! Schedules in cron's notation: five fields or a word, and the times they name in a time zone.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};
use objects::cron::{self, Calendar, Due};

/// A schedule that names nothing within as many years names nothing at all.
const YEARS_MAX: i16 = 5;

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    Calendar(Calendar, TimeZone),
    /// At whole seconds, so far from each other.
    Every(SignedDuration),
}

impl Schedule {
    /// Reads a schedule. A zone in its text (`TZ=` or `CRON_TZ=`) goes before the one that is given.
    pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Schedule, String> {
        let cron = cron::parse(text)?;
        Ok(match cron.due {
            // Whole seconds, and at least one.
            Due::Every(nanos) => {
                let seconds = SignedDuration::from_nanos(nanos).as_secs();
                Schedule::Every(SignedDuration::from_secs(seconds.max(1)))
            }
            Due::At(calendar) => {
                let zone = match cron.zone {
                    None => zone.clone(),
                    Some(name) => TimeZone::get(name)
                        .map_err(|error| format!("provided bad location {name}: {error}"))?,
                };
                Schedule::Calendar(calendar, zone)
            }
        })
    }

    /// The first time after `after`, if there is one.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let second = Timestamp::from_second(after.as_second()).ok()?;
        match self {
            Schedule::Every(distance) => second.checked_add(*distance).ok(),
            Schedule::Calendar(calendar, zone) => next(calendar, second, zone),
        }
    }
}

fn next(calendar: &Calendar, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let first = zone.to_datetime(after).date();
    let last = first.year().saturating_add(YEARS_MAX);
    let mut date = first;
    while date.year() <= last {
        if holds_date(calendar, date) {
            let due = next_of(calendar, date, after, zone);
            if due.is_some() {
                return due;
            }
        }
        date = date.checked_add(1.day()).ok()?;
    }
    None
}

fn holds_date(calendar: &Calendar, date: Date) -> bool {
    let weekday = date.weekday().since(Weekday::Sunday);
    let day = holds(calendar.days.values, date.day());
    let weekday = holds(calendar.weekdays.values, weekday);
    let both = calendar.days.is_open || calendar.weekdays.is_open;
    holds(calendar.months, date.month()) && if both { day && weekday } else { day || weekday }
}

/// The first time of a day after `after`. A time that the clock leaves out is none, and one it repeats is two.
fn next_of(
    calendar: &Calendar,
    date: Date,
    after: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    let mut earliest: Option<Timestamp> = None;
    let hours = (0..24).filter(|hour| holds(calendar.hours, *hour));
    let times = hours.flat_map(|hour| {
        let minutes = (0..60).filter(|minute| holds(calendar.minutes, *minute));
        minutes.map(move |minute| date.at(hour, minute, 0, 0))
    });
    for time in times {
        let (instants, is_last) = instants(time, zone);
        let due = instants
            .into_iter()
            .flatten()
            .filter(|instant| *instant > after)
            .min();
        earliest = earliest.into_iter().chain(due).min();
        if due.is_some() && is_last {
            break;
        }
    }
    earliest
}

/// The instants at which clocks of the zone show a time, and whether every later time comes after them.
fn instants(time: DateTime, zone: &TimeZone) -> ([Option<Timestamp>; 2], bool) {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } => ([offset.to_timestamp(time).ok(), None], true),
        AmbiguousOffset::Gap { .. } => ([None, None], false),
        AmbiguousOffset::Fold { before, after } => (
            [
                before.to_timestamp(time).ok(),
                after.to_timestamp(time).ok(),
            ],
            false,
        ),
    }
}

fn holds(values: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| values & 1u64.checked_shl(value).unwrap_or(0) != 0)
}

#[cfg(test)]
mod tests;
