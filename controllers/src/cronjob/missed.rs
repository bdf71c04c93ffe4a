//! Which time of a schedule was missed last, and how many were.

use jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;

/// More missed times than this are worth a warning.
const MISSED_MAX: i64 = 100;
/// The next look comes so long after the due time that the clock has surely passed it.
const AFTER_DUE: SignedDuration = SignedDuration::from_millis(100);

/// The times of a schedule up to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// The last time that has come.
    pub(super) last: Option<Timestamp>,
    pub(super) is_too_many: bool,
}

/// A schedule whose times are less than a second apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time difference between two schedules is less than 1 second")]
pub(super) struct TooDense;

/// Looks for the times after `since` that have come.
pub(super) fn missed(
    schedule: &Schedule,
    since: Timestamp,
    now: Timestamp,
) -> Result<Missed, TooDense> {
    let none = Missed {
        last: None,
        is_too_many: false,
    };
    let Some(first) = schedule.next(since).filter(|first| *first <= now) else {
        return Ok(none);
    };
    let only_one = Missed {
        last: Some(first),
        is_too_many: false,
    };
    let Some(second) = schedule.next(first).filter(|second| *second <= now) else {
        return Ok(only_one);
    };
    let distance = second.duration_since(first).as_secs();
    if distance < 1 {
        return Err(TooDense);
    }
    // Times are not equally far apart, so the span in which the last one is looked for grows until it holds one.
    // It begins a whole number of distances after the first time, as times that are equally far apart do.
    let passed = now.duration_since(first).as_secs() / distance;
    let mut span = 1;
    let last = loop {
        let skipped = SignedDuration::from_secs((passed - span).max(0) * distance);
        let from = first.checked_add(skipped).unwrap_or(first);
        if let Some(last) = last_between(schedule, from, now) {
            break last;
        }
        span *= 2;
    };
    let count = passed + 1;
    Ok(Missed {
        last: Some(last),
        is_too_many: count > MISSED_MAX,
    })
}

fn last_between(schedule: &Schedule, from: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let times = std::iter::successors(schedule.next(from), |due| schedule.next(*due));
    times.take_while(|due| *due <= now).last()
}

/// How long it is until the time after the last one that has come.
pub(super) fn wait(
    schedule: &Schedule,
    since: Timestamp,
    now: Timestamp,
) -> Option<SignedDuration> {
    let from = match missed(schedule, since, now) {
        Err(TooDense) => now,
        Ok(Missed {
            last: Some(last), ..
        }) => last,
        Ok(_) => since,
    };
    let due = schedule.next(from)?;
    Some(due.duration_since(now).saturating_add(AFTER_DUE))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-05-04T{text}Z").parse().unwrap()
    }

    #[test]
    fn the_last_time_that_has_come_is_found_among_many() {
        // The schedule, where to look from, now, the last time, whether too many were missed.
        let cases = [
            ("0 * * * *", "09:30:00", "09:59:59", None, false),
            ("0 * * * *", "09:30:00", "10:00:00", Some("10:00:00"), false),
            ("0 * * * *", "09:30:00", "10:00:10", Some("10:00:00"), false),
            ("0 * * * *", "09:30:00", "12:59:00", Some("12:00:00"), false),
            ("* * * * *", "09:30:00", "11:10:00", Some("11:10:00"), false),
            ("* * * * *", "09:30:00", "11:11:00", Some("11:11:00"), true),
            (
                "0,1,30 * * * *",
                "09:59:30",
                "10:45:00",
                Some("10:30:00"),
                false,
            ),
            (
                "@every 20m",
                "09:30:00",
                "10:29:00",
                Some("10:10:00"),
                false,
            ),
        ];
        for (text, since, now, last, is_too_many) in cases {
            let schedule = Schedule::parse(text, &TimeZone::UTC).unwrap();
            let found = missed(&schedule, at(since), at(now)).unwrap();
            assert_eq!(
                (found.last, found.is_too_many),
                (last.map(at), is_too_many),
                "{text} from {since} to {now}"
            );
        }
    }

    #[test]
    fn the_wait_is_until_the_next_time_and_a_moment() {
        let cases = [
            ("0 * * * *", "09:30:00", "09:50:00", 600_100),
            ("0 * * * *", "09:30:00", "10:20:00", 2_400_100),
        ];
        for (text, since, now, milliseconds) in cases {
            let schedule = Schedule::parse(text, &TimeZone::UTC).unwrap();
            let wait = wait(&schedule, at(since), at(now)).unwrap();
            assert_eq!(
                wait.as_millis(),
                milliseconds,
                "{text} from {since} at {now}"
            );
        }
        let never = Schedule::parse("0 0 30 2 *", &TimeZone::UTC).unwrap();
        assert_eq!(wait(&never, at("09:30:00"), at("09:30:00")), None);
    }
}
