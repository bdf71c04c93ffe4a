//! Results: latency percentiles, rates and what the processes used, as a text line or JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

const LATENCY_MAX_NANOSECONDS: u64 = 120_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// A histogram of nanoseconds; longer than two minutes counts as two minutes.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NANOSECONDS, SIGNIFICANT_DIGITS)
        .expect("the bounds are fixed and valid")
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    pub fn of(histogram: &Histogram<u64>) -> Latency {
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        Latency {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: milliseconds(histogram.max()),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency {
            p50_ms,
            p90_ms,
            p99_ms,
            p999_ms,
            max_ms,
        } = self;
        write!(
            f,
            "p50 {p50_ms:.2}  p90 {p90_ms:.2}  p99 {p99_ms:.2}  p99.9 {p999_ms:.2}  max {max_ms:.2} ms"
        )
    }
}

/// What one server used during the measured time.
#[derive(Clone, Debug, Serialize)]
pub struct ServerUse {
    pub pid: u32,
    pub cpu_seconds: f64,
    pub cpu_us_per_operation: f64,
    pub resident_bytes: u64,
    /// What the kernel charges the process for writing: whole folios of the page cache, not what reached the disk.
    pub written_bytes: u64,
}

/// Events of a watch run.
#[derive(Clone, Debug, Serialize)]
pub struct Events {
    pub delivered: u64,
    pub per_second: f64,
    pub missing: u64,
    pub server_cpu_us_per_event: f64,
    pub own_cpu_us_per_event: f64,
    pub delay: Latency,
}

/// The result of a run. Processor times are per operation: a request, or an event when there are watchers.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub workload: String,
    pub clients: usize,
    pub connections: usize,
    pub rate: Option<f64>,
    pub seed: u64,
    pub seconds: f64,
    pub operations: u64,
    pub operations_per_second: f64,
    pub latency: Latency,
    pub conflicts: u64,
    /// Failures by what was wrong.
    pub errors: BTreeMap<String, u64>,
    pub own_cpu_us_per_operation: f64,
    pub server_cpu_us_per_operation: f64,
    pub servers: Vec<ServerUse>,
    /// Bytes that reached the servers' device, by whomever.
    pub device_written_bytes: Option<u64>,
    pub events: Option<Events>,
    /// How long the call made in the middle of the run took.
    pub side_call_ms: Option<f64>,
}

/// `total` divided among `count`, in microseconds.
pub fn microseconds_each(total: Duration, count: u64) -> f64 {
    if count == 0 {
        0.0
    } else {
        total.as_secs_f64() * 1e6 / count as f64
    }
}

impl Report {
    /// Failures of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  {} clients on {} connections",
            self.workload, self.clients, self.connections
        )?;
        if let Some(rate) = self.rate {
            write!(f, " at {rate}/s")?;
        }
        writeln!(f, ", {:.1} s, seed {}", self.seconds, self.seed)?;
        writeln!(
            f,
            "  operations  {:.0}/s  ({} done)",
            self.operations_per_second, self.operations
        )?;
        writeln!(f, "  latency     {}", self.latency)?;
        if let Some(events) = &self.events {
            let Events {
                delivered,
                per_second,
                missing,
                ..
            } = events;
            writeln!(
                f,
                "  events      {per_second:.0}/s  ({delivered} delivered, {missing} missing)"
            )?;
            writeln!(f, "  put→event   {}", events.delay)?;
            let (servers, own) = (events.server_cpu_us_per_event, events.own_cpu_us_per_event);
            writeln!(
                f,
                "  CPU/event   servers {servers:.2} µs, generator {own:.2} µs"
            )?;
        }
        let (servers, own) = (
            self.server_cpu_us_per_operation,
            self.own_cpu_us_per_operation,
        );
        writeln!(
            f,
            "  CPU/op      servers {servers:.1} µs, generator {own:.1} µs"
        )?;
        for server in &self.servers {
            writeln!(
                f,
                "  server {:<8} {:.1} µs/op  {:.2} s CPU  {:.1} MB resident  {:.1} MB dirtied",
                server.pid,
                server.cpu_us_per_operation,
                server.cpu_seconds,
                server.resident_bytes as f64 / 1e6,
                server.written_bytes as f64 / 1e6,
            )?;
        }
        if let Some(bytes) = self.device_written_bytes {
            let each = bytes as f64 / self.operations.max(1) as f64;
            writeln!(f, "  to disk     {each:.0} bytes/op")?;
        }
        if let Some(milliseconds) = self.side_call_ms {
            writeln!(f, "  side call   {milliseconds:.2} ms")?;
        }
        if self.conflicts > 0 {
            writeln!(f, "  conflicts   {}", self.conflicts)?;
        }
        for (what, count) in &self.errors {
            writeln!(f, "  FAILED      {count} × {what}")?;
        }
        Ok(())
    }
}
