//! Schedules in cron's notation: five fields or a word, and the times they name in a time zone.

mod parse;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

/// A schedule that names nothing within as many years names nothing at all.
const YEARS_MAX: i16 = 5;

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    Calendar(Calendar, TimeZone),
    /// At whole seconds, so far from each other.
    Every(SignedDuration),
}

/// Minutes, hours and days, each a set of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    minutes: u64,
    hours: u64,
    days: Field,
    months: u64,
    weekdays: Field,
}

/// Values, and whether the field left them open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    values: u64,
    is_open: bool,
}

impl Schedule {
    /// Reads a schedule. A zone in its text (`TZ=` or `CRON_TZ=`) goes before the one that is given.
    pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Schedule, String> {
        parse::schedule(text, zone)
    }

    /// The first time after `after`, if there is one.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let second = Timestamp::from_second(after.as_second()).ok()?;
        match self {
            Schedule::Every(distance) => second.checked_add(*distance).ok(),
            Schedule::Calendar(calendar, zone) => calendar.next(second, zone),
        }
    }
}

impl Calendar {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let first = zone.to_datetime(after).date();
        let last = first.year().saturating_add(YEARS_MAX);
        let mut date = first;
        while date.year() <= last {
            if self.holds_date(date) {
                let due = self.next_of(date, after, zone);
                if due.is_some() {
                    return due;
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn holds_date(&self, date: Date) -> bool {
        let weekday = date.weekday().since(Weekday::Sunday);
        let day = holds(self.days.values, date.day());
        let weekday = holds(self.weekdays.values, weekday);
        let both = self.days.is_open || self.weekdays.is_open;
        holds(self.months, date.month()) && if both { day && weekday } else { day || weekday }
    }

    /// The first time of a day after `after`. A time that the clock leaves out is none, and one it repeats is two.
    fn next_of(&self, date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut earliest: Option<Timestamp> = None;
        let hours = (0..24).filter(|hour| holds(self.hours, *hour));
        let times = hours.flat_map(|hour| {
            let minutes = (0..60).filter(|minute| holds(self.minutes, *minute));
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
