//! Schedules and the times they name.

use super::*;

fn schedule(text: &str) -> Schedule {
    Schedule::parse(text, &TimeZone::UTC).unwrap()
}

fn next(text: &str, after: &str) -> Option<String> {
    schedule(text)
        .next(after.parse().unwrap())
        .map(|at| at.to_string())
}

/// Schedules, each with a moment and the next time after it.
fn check(cases: &[(&str, &str, &str)]) {
    for (text, after, due) in cases {
        assert_eq!(
            next(text, after).as_deref(),
            Some(*due),
            "{text} after {after}"
        );
    }
}

#[test]
fn the_next_time_is_the_first_after_the_given_one_that_fits_every_field() {
    let cases = [
        ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
        (
            "* * * * *",
            "2026-01-01T00:00:59.9Z",
            "2026-01-01T00:01:00Z",
        ),
        (
            "*/15 * * * *",
            "2026-07-09T14:45:00Z",
            "2026-07-09T15:00:00Z",
        ),
        (
            "*/15 * * * *",
            "2026-07-09T14:59:59Z",
            "2026-07-09T15:00:00Z",
        ),
        (
            "20-35/15 * * * *",
            "2026-07-09T14:45:00Z",
            "2026-07-09T15:20:00Z",
        ),
        (
            "50/5 * * * *",
            "2026-07-09T14:50:00Z",
            "2026-07-09T14:55:00Z",
        ),
        (
            "0 9-17/4 * * *",
            "2026-07-09T14:00:00Z",
            "2026-07-09T17:00:00Z",
        ),
        ("0 0 1 1 *", "2026-02-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        (
            "0 0 * feb MON",
            "2026-01-01T00:00:00Z",
            "2026-02-02T00:00:00Z",
        ),
        (
            "30 3 * * 1-5",
            "2026-07-10T04:00:00Z",
            "2026-07-13T03:30:00Z",
        ),
        (
            "0 0 ? * sun",
            "2026-07-09T00:00:00Z",
            "2026-07-12T00:00:00Z",
        ),
    ];
    check(&cases);
}

#[test]
fn a_word_stands_for_its_fields() {
    let cases = [
        ("@hourly", "2026-07-09T14:45:00Z", "2026-07-09T15:00:00Z"),
        ("@daily", "2026-07-09T14:45:00Z", "2026-07-10T00:00:00Z"),
        ("@midnight", "2026-07-09T14:45:00Z", "2026-07-10T00:00:00Z"),
        ("@weekly", "2026-07-09T14:45:00Z", "2026-07-12T00:00:00Z"),
        ("@monthly", "2026-07-09T14:45:00Z", "2026-08-01T00:00:00Z"),
        ("@yearly", "2026-07-09T14:45:00Z", "2027-01-01T00:00:00Z"),
        ("@annually", "2026-07-09T14:45:00Z", "2027-01-01T00:00:00Z"),
        (
            "@every 1h30m",
            "2026-07-09T14:45:10.5Z",
            "2026-07-09T16:15:10Z",
        ),
        (
            "@every 10ms",
            "2026-07-09T14:45:10Z",
            "2026-07-09T14:45:11Z",
        ),
    ];
    check(&cases);
}

#[test]
fn a_day_fits_by_either_field_unless_one_of_them_is_open() {
    // The 15th of July 2026 is a Wednesday.
    let cases = [
        ("0 0 15 * 0", "2026-07-09T00:00:00Z", "2026-07-12T00:00:00Z"),
        ("0 0 10 * 0", "2026-07-09T00:00:00Z", "2026-07-10T00:00:00Z"),
        ("0 0 * * 0", "2026-07-09T00:00:00Z", "2026-07-12T00:00:00Z"),
        (
            "0 0 */2 * 0",
            "2026-07-09T00:00:00Z",
            "2026-07-11T00:00:00Z",
        ),
    ];
    for (text, after, due) in cases {
        assert_eq!(next(text, after).as_deref(), Some(due), "{text}");
    }
}

#[test]
fn a_day_that_never_comes_is_never_due() {
    assert_eq!(next("0 0 30 2 *", "2026-01-01T00:00:00Z"), None);
    assert_eq!(next("0 0 31 4 ?", "2026-01-01T00:00:00Z"), None);
}

#[test]
fn a_time_is_of_the_zone_and_its_own_zone_goes_first() {
    let zone = TimeZone::get("America/New_York").unwrap();
    let due = |text: &str, after: &str| {
        let schedule = Schedule::parse(text, &zone).unwrap();
        schedule.next(after.parse().unwrap()).unwrap().to_string()
    };
    assert_eq!(
        due("0 12 * * *", "2026-07-09T00:00:00Z"),
        "2026-07-09T16:00:00Z"
    );
    assert_eq!(
        due("TZ=Asia/Tokyo 0 12 * * *", "2026-07-09T00:00:00Z"),
        "2026-07-09T03:00:00Z"
    );
    assert_eq!(
        due("CRON_TZ=UTC @daily", "2026-07-09T00:00:00Z"),
        "2026-07-10T00:00:00Z"
    );
}

#[test]
fn an_hour_that_the_clock_leaves_out_is_not_due_and_one_it_repeats_is_due_twice() {
    let zone = TimeZone::get("America/New_York").unwrap();
    let all = |text: &str, after: &str, count: usize| -> Vec<String> {
        let schedule = Schedule::parse(text, &zone).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        let times = std::iter::from_fn(|| {
            at = schedule.next(at)?;
            Some(at.to_string())
        });
        times.take(count).collect()
    };
    // At 2:00 on the 8th of March 2026 the clocks show 3:00.
    assert_eq!(
        all("30 2 * * *", "2026-03-08T05:00:00Z", 1),
        ["2026-03-09T06:30:00Z"]
    );
    assert_eq!(
        all("0 * * * *", "2026-03-08T06:00:00Z", 2),
        ["2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"]
    );
    // At 2:00 on the 1st of November 2026 they show 1:00 again.
    assert_eq!(
        all("*/30 1 * * *", "2026-11-01T04:00:00Z", 5),
        [
            "2026-11-01T05:00:00Z",
            "2026-11-01T05:30:00Z",
            "2026-11-01T06:00:00Z",
            "2026-11-01T06:30:00Z",
            "2026-11-02T06:00:00Z"
        ]
    );
}

#[test]
fn what_is_no_schedule_is_told_why() {
    for (text, fault) in [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("TZ=Nowhere * * * * *", "provided bad location Nowhere: "),
    ] {
        let told = Schedule::parse(text, &TimeZone::UTC).unwrap_err();
        assert!(told.starts_with(fault), "{told}");
    }
}
