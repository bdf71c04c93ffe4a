//! What is counted at the gate, by upstream's names.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::gate::Inflight;
use super::level::{Counts, Level};

const PREFIX: &str = "apiserver_flowcontrol";

/// How many requests run, and how many were refused.
pub(super) fn inflight(out: &mut String, inflight: &Inflight, refused: u64) {
    let name = "apiserver_current_inflight_requests";
    let _ = writeln!(out, "# TYPE {name} gauge");
    for (kind, count) in [
        ("readOnly", &inflight.reading),
        ("mutating", &inflight.writing),
    ] {
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(out, "{name}{{request_kind=\"{kind}\"}} {count}");
    }
    let name = "apiserver_dropped_requests_total";
    let _ = writeln!(out, "# TYPE {name} counter\n{name} {refused}");
}

type OfLevel = fn(&Level) -> f64;
/// What is told of every level.
const LEVEL_GAUGES: [(&str, OfLevel); 8] = [
    ("nominal_limit_seats", |level| level.bounds.nominal),
    ("lower_limit_seats", |level| level.bounds.lower),
    ("upper_limit_seats", |level| level.bounds.upper),
    ("current_limit_seats", |level| level.current),
    ("demand_seats_high_watermark", |level| {
        level.demand.seen.most
    }),
    ("demand_seats_average", |level| level.demand.seen.average),
    ("demand_seats_stdev", |level| level.demand.seen.deviation),
    ("demand_seats_smoothed", |level| level.demand.seen.smoothed),
];

type OfFlow = fn(&Counts) -> String;
/// What is told of every schema at every level.
const FLOW_METRICS: [(&str, &str, OfFlow); 4] = [
    ("dispatched_requests_total", "counter", |counts| {
        counts.dispatched.to_string()
    }),
    ("current_inqueue_requests", "gauge", |counts| {
        counts.waiting.to_string()
    }),
    ("current_executing_requests", "gauge", |counts| {
        counts.executing.to_string()
    }),
    ("current_executing_seats", "gauge", |counts| {
        counts.seats.to_string()
    }),
];

/// The levels and their requests.
pub(super) fn levels(out: &mut String, levels: &BTreeMap<Arc<str>, Level>) {
    for (name, value) in LEVEL_GAUGES {
        let _ = writeln!(out, "# TYPE {PREFIX}_{name} gauge");
        for (level, state) in levels {
            let value = value(state);
            let _ = writeln!(out, "{PREFIX}_{name}{{priority_level=\"{level}\"}} {value}");
        }
    }
    let flows = || {
        levels.iter().flat_map(|(level, state)| {
            let flow = move |(schema, counts): (&Arc<str>, _)| {
                (
                    format!("flow_schema=\"{schema}\",priority_level=\"{level}\""),
                    counts,
                )
            };
            state.counts.iter().map(flow)
        })
    };
    for (name, kind, value) in FLOW_METRICS {
        let _ = writeln!(out, "# TYPE {PREFIX}_{name} {kind}");
        for (labels, counts) in flows() {
            let _ = writeln!(out, "{PREFIX}_{name}{{{labels}}} {}", value(counts));
        }
    }
    let name = "rejected_requests_total";
    let _ = writeln!(out, "# TYPE {PREFIX}_{name} counter");
    for (labels, counts) in flows() {
        for (refusal, count) in &counts.rejected {
            let reason = refusal.name();
            let _ = writeln!(
                out,
                "{PREFIX}_{name}{{{labels},reason=\"{reason}\"}} {count}"
            );
        }
    }
    let name = format!("{PREFIX}_request_wait_duration_seconds");
    let _ = writeln!(out, "# TYPE {name} histogram");
    for (labels, counts) in flows() {
        for (executed, histogram) in [("true", &counts.waited), ("false", &counts.waited_in_vain)] {
            if histogram.count > 0 {
                histogram.write(out, &name, &format!("execute=\"{executed}\",{labels}"));
            }
        }
    }
    let name = format!("{PREFIX}_request_execution_seconds");
    let _ = writeln!(out, "# TYPE {name} histogram");
    for (labels, counts) in flows() {
        counts.executed.write(out, &name, &labels);
    }
}
