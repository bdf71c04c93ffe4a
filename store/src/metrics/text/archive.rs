//! How the archive for point-in-time recovery is doing, where there is one.

use super::super::Metrics;
use super::Gauges;
use super::page::Page;

pub(super) fn figures(page: &mut Page, metrics: &Metrics, gauges: &Gauges) {
    let archive = &metrics.archive;
    let Some(seen) = archive.see() else {
        return;
    };
    page.gauge(
        "mainstay_archive_active",
        "Whether what is applied is being archived. 0 while the folder cannot be written.",
        u8::from(seen.is_active),
    );
    page.gauge(
        "mainstay_archive_revision",
        "Newest revision that is on disk in the archive.",
        seen.revision,
    );
    page.gauge(
        "mainstay_archive_base_revision",
        "Revision of the newest base that this process made.",
        seen.base_revision,
    );
    page.gauge(
        "mainstay_archive_lag_entries",
        "Applied log entries that are not on disk in the archive.",
        gauges.applied_index.saturating_sub(seen.index),
    );
    page.gauge(
        "mainstay_archive_lag_seconds",
        "Time since the archive had everything that was applied; 0 when it has.",
        seen.lag_seconds(gauges.applied_index),
    );
    for (name, help, counter) in [
        (
            "mainstay_archive_bytes_total",
            "Bytes written to the archive.",
            &archive.bytes,
        ),
        (
            "mainstay_archive_bases_total",
            "Bases made.",
            &archive.bases,
        ),
        (
            "mainstay_archive_gaps_total",
            "Times the archive lost its connection to what it had before.",
            &archive.gaps,
        ),
        (
            "mainstay_archive_failures_total",
            "Tries to write to the archive that failed.",
            &archive.failures,
        ),
    ] {
        page.counter(name, help, counter);
    }
}
