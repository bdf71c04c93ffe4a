//! Samples of what is bounded: disk, large ranges and rates.

use std::sync::atomic::Ordering;

use super::super::Metrics;
use super::page::Page;
use super::{Gauges, escaped};

pub(super) fn limits(page: &mut Page, metrics: &Metrics, gauges: &Gauges) {
    space(page, gauges);
    bulk(page, metrics);
    rates(page, gauges);
}

fn space(page: &mut Page, gauges: &Gauges) {
    page.gauge(
        "mainstay_disk_free_bytes",
        "Free bytes of the disk of log and state that has the least.",
        gauges.disk_bytes.0,
    );
    page.gauge(
        "mainstay_disk_reserve_bytes",
        "Free bytes below which this member takes no puts.",
        gauges.disk_bytes.1,
    );
    page.head(
        "mainstay_space_looks_total",
        "Looks at quota and disk, after which alarms are lifted.",
        "counter",
    );
    page.sample("mainstay_space_looks_total", "", gauges.space_looks);
}

/// The lane of large ranges.
fn bulk(page: &mut Page, metrics: &Metrics) {
    page.gauge(
        "mainstay_bulk_ranges_running",
        "Large ranges that run.",
        metrics.bulk_running.load(Ordering::Relaxed),
    );
    page.gauge(
        "mainstay_bulk_ranges_waiting",
        "Large ranges that wait for a place or for memory.",
        metrics.bulk_waiting.load(Ordering::Relaxed),
    );
    page.counter(
        "mainstay_bulk_ranges_refused_total",
        "Ranges refused because too many ran or waited, or for want of memory.",
        &metrics.bulk_refused,
    );
    page.gauge(
        "mainstay_range_answers_bytes",
        "Bytes of answers above 64 KiB that are not sent yet.",
        metrics.answers_bytes.load(Ordering::Relaxed),
    );
}

/// Requests that a rule on rates refused.
fn rates(page: &mut Page, gauges: &Gauges) {
    if gauges.rate_limited.is_empty() {
        return;
    }
    let name = "mainstay_rate_limited_total";
    page.head(name, "Requests refused by a rule on rates.", "counter");
    for (rule, refused) in &gauges.rate_limited {
        page.sample(name, &format!("rule=\"{}\"", escaped(rule)), refused);
    }
}
