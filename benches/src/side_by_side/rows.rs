//! The rows of the comparison: what is run, what is read off, what must be reached.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::load::engine::Engine;
use crate::load::messages;
use crate::load::processes;
use crate::load::report::Report;
use crate::load::run;
use crate::load::workload::Keys;
use crate::side_by_side::figures::Figure;
use crate::side_by_side::options::Scale;
use crate::side_by_side::servers::Cluster;

/// Requests in flight while many keys are written.
const LOAD_CLIENTS: &str = "1000";
const PREFIX: &str = "million/";
const CATCH_UP_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);
/// Small enough that a follower that is away while keys are written needs a snapshot.
const FEW_LOG_ENTRIES: &[&str] = &["--snapshot-count", "10000"];

/// A row of the table.
pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    /// What must be reached, as a ratio to the peer.
    pub target: &'static str,
    pub work: Work,
}

/// What a row does.
pub enum Work {
    /// One run of the load generator.
    Line(&'static [&'static str]),
    /// Many keys: load, memory, disk, restart, snapshot.
    ManyKeys,
    /// Compaction of many revisions under a constant rate.
    Compaction,
    /// A follower that missed more than the log holds.
    FollowerSnapshot,
}

const fn line(
    name: &'static str,
    title: &'static str,
    target: &'static str,
    words: &'static [&'static str],
) -> Row {
    Row {
        name,
        title,
        target,
        work: Work::Line(words),
    }
}

/// All rows, in the order they run.
pub const ROWS: &[Row] = &[
    line(
        "put-1",
        "put, 1 client",
        "throughput 2.5×",
        &["put", "--clients", "1"],
    ),
    line("put-16", "put, 16 clients", "", &["put", "--clients", "16"]),
    line(
        "put-100",
        "put, 100 clients",
        "throughput 3×, CPU 1/4",
        &["put", "--clients", "100"],
    ),
    line(
        "put-1000",
        "put, 1000 clients",
        "throughput 3.5×, CPU 1/4",
        &["put", "--clients", "1000"],
    ),
    line(
        "put-rate",
        "put at 3,000/s",
        "p99 1/5",
        &["put", "--clients", "1000", "--rate", "3000"],
    ),
    line(
        "range-linearizable",
        "range one key, linearizable, 100 clients",
        "throughput 3×",
        &["range"],
    ),
    line(
        "range-serializable",
        "range one key, serializable, 100 clients",
        "throughput 2.7×",
        &["range", "--serializable"],
    ),
    line(
        "range-1000",
        "range 1000 keys, 16 clients",
        "throughput 5×",
        &["range", "--width", "1000", "--clients", "16"],
    ),
    line(
        "txn",
        "Kubernetes txn, 100 clients",
        "throughput 4×",
        &["txn", "--clients", "100"],
    ),
    line(
        "watch-streams",
        "watch, 100 connections with one stream and watch each",
        "throughput 3×",
        &[
            "watch",
            "--watchers",
            "100",
            "--watch-connections",
            "100",
            "--clients",
            "16",
        ],
    ),
    line(
        "watch-shared",
        "watch, 1000 watches on 10 streams",
        "throughput 1.5×",
        &[
            "watch",
            "--watchers",
            "1000",
            "--watch-connections",
            "10",
            "--clients",
            "16",
        ],
    ),
    line(
        "watch-prev-kv",
        "watch, 100 connections, prev_kv",
        "throughput 5×",
        &[
            "watch",
            "--watchers",
            "100",
            "--watch-connections",
            "100",
            "--clients",
            "16",
            "--prev-kv",
        ],
    ),
    line(
        "watch-delay",
        "watch, 10,000 watchers, 10 puts/s",
        "p99 1/5",
        &[
            "watch",
            "--watchers",
            "10000",
            "--streams",
            "100",
            "--rate",
            "10",
        ],
    ),
    line(
        "keep-alive",
        "lease keep-alive, 100 clients",
        "CPU 1/2",
        &["keep-alive", "--clients", "100"],
    ),
    Row {
        name: "many-keys",
        title: "keys of 256 B, all in, restart",
        target: "memory 1/2, restart 3×, snapshot save 3×",
        work: Work::ManyKeys,
    },
    Row {
        name: "compaction",
        title: "compaction under 1,000 puts/s",
        target: "worst stall under 20 ms",
        work: Work::Compaction,
    },
    Row {
        name: "follower-snapshot",
        title: "follower catches up by snapshot",
        target: "5×",
        work: Work::FollowerSnapshot,
    },
];

/// The rows with these names, in the table's order; all when none is named.
pub fn select(names: &[String]) -> Result<Vec<&'static Row>> {
    for name in names {
        if !ROWS.iter().any(|row| row.name == *name) {
            bail!("there is no row {name}; --list names them");
        }
    }
    let wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| name == row.name);
    Ok(ROWS.iter().filter(wanted).collect())
}

impl Work {
    /// Server flags the row needs.
    pub fn flags(&self) -> &'static [&'static str] {
        match self {
            Work::FollowerSnapshot => FEW_LOG_ENTRIES,
            _ => &[],
        }
    }

    /// Does the work on a cluster.
    pub fn measure(&self, cluster: &mut Cluster, scale: &Scale) -> Result<Vec<Figure>> {
        match self {
            Work::Line(words) => {
                let seconds = scale.seconds.to_string();
                let mut words = words.to_vec();
                words.extend(["--duration", &seconds]);
                Ok(figures(&generate(cluster, &words)?))
            }
            Work::ManyKeys => many_keys(cluster, scale.many),
            Work::Compaction => compaction(cluster, scale.many),
            Work::FollowerSnapshot => follower_snapshot(cluster, scale.many),
        }
    }
}

/// Runs the load generator; a failed request fails the row.
fn generate(cluster: &Cluster, words: &[&str]) -> Result<Report> {
    let pids: Vec<String> = cluster.pids().iter().map(ToString::to_string).collect();
    let mut line: Vec<String> = words.iter().map(ToString::to_string).collect();
    line.extend(["--endpoints".to_owned(), cluster.endpoints().join(",")]);
    line.extend(["--server-pid".to_owned(), pids.join(",")]);
    line.extend([
        "--data-folder".to_owned(),
        cluster.folder().display().to_string(),
    ]);
    let report = run::run_line(&line)?;
    if let Some((what, count)) = report.errors.first_key_value() {
        bail!("{count} failures: {what}");
    }
    Ok(report)
}

fn figures(report: &Report) -> Vec<Figure> {
    let resident: u64 = report
        .servers
        .iter()
        .map(|server| server.resident_bytes)
        .sum();
    let mut figures = match &report.events {
        Some(events) => vec![
            Figure::new("throughput", "events/s", events.per_second),
            Figure::new("CPU", "µs/event", events.server_cpu_us_per_event),
            Figure::new("p50", "ms", events.delay.p50_ms),
            Figure::new("p99", "ms", events.delay.p99_ms),
            Figure::new("generator CPU", "µs/event", events.own_cpu_us_per_event),
        ],
        None => vec![
            Figure::new("throughput", "/s", report.operations_per_second),
            Figure::new("CPU", "µs/op", report.server_cpu_us_per_operation),
            Figure::new("p50", "ms", report.latency.p50_ms),
            Figure::new("p99", "ms", report.latency.p99_ms),
            Figure::new("generator CPU", "µs/op", report.own_cpu_us_per_operation),
        ],
    };
    figures.push(Figure::new(
        "resident",
        "MB, three servers",
        megabytes(resident),
    ));
    if let Some(bytes) = report.device_written_bytes {
        let each = bytes as f64 / report.operations.max(1) as f64;
        figures.push(Figure::new("written to disk", "bytes/op", each));
    }
    figures
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Writes `count` keys, or `count` revisions on fewer keys.
fn write_many(cluster: &Cluster, count: u64, key_count: u64) -> Result<Report> {
    let (count, key_count) = (count.to_string(), key_count.to_string());
    let words = [
        "put",
        "--clients",
        LOAD_CLIENTS,
        "--key-order",
        "sequential",
        "--key-prefix",
        PREFIX,
    ];
    let sizes = ["--total", &count, "--key-space-size", &key_count];
    generate(cluster, &[&words[..], &sizes[..]].concat())
}

fn many_keys(cluster: &mut Cluster, count: u64) -> Result<Vec<Figure>> {
    let report = write_many(cluster, count, count)?;
    let loaded = figures(&report);
    let disk = cluster.disk_bytes()?;
    let snapshot = save_snapshot(&cluster.endpoints()[0]);
    cluster.stop_all()?;
    let restart = cluster.start_all()?;
    expect_keys(cluster, count)?;
    let mut resident = 0;
    for pid in cluster.pids() {
        resident += processes::usage(pid)?.resident_bytes;
    }
    let mut all = vec![Figure::new("load", "s", report.seconds)];
    all.extend(loaded.into_iter().filter(|figure| figure.name != "p50"));
    all.push(Figure::new("disk", "MB, three servers", megabytes(disk)));
    all.push(Figure::new("restart", "s", restart.as_secs_f64()));
    all.push(Figure::new(
        "resident after restart",
        "MB, three servers",
        megabytes(resident),
    ));
    match snapshot {
        Ok((took, bytes)) => {
            all.push(Figure::new("snapshot save", "s", took.as_secs_f64()));
            all.push(Figure::new("snapshot size", "MB", megabytes(bytes)));
        }
        Err(error) => eprintln!("no snapshot: {error}"),
    }
    Ok(all)
}

fn save_snapshot(address: &str) -> Result<(Duration, u64)> {
    let mut engine = Engine::new()?;
    let connection = engine.connect(address)?;
    let start = Instant::now();
    let bytes = engine.download(connection, messages::SNAPSHOT)?;
    Ok((start.elapsed(), bytes))
}

/// Fails unless every member has exactly these keys.
fn expect_keys(cluster: &Cluster, count: u64) -> Result<()> {
    let keys = Keys::new(PREFIX);
    let (mut first, mut end, mut request) = (Vec::new(), Vec::new(), Vec::new());
    keys.name(0, &mut first);
    keys.name(count, &mut end);
    messages::count(&first, &end, &mut request);
    for address in cluster.endpoints() {
        let mut engine = Engine::new()?;
        let connection = engine.connect(&address)?;
        let (_, found) =
            messages::range_counts(&engine.ask(connection, messages::RANGE, &request)?);
        if found.cast_unsigned() != count {
            bail!("{address} has {found} of {count} keys after the restart");
        }
    }
    Ok(())
}

fn compaction(cluster: &Cluster, count: u64) -> Result<Vec<Figure>> {
    write_many(cluster, count, count / 100)?;
    let load = [
        "put",
        "--clients",
        LOAD_CLIENTS,
        "--rate",
        "1000",
        "--key-prefix",
        PREFIX,
    ];
    let before = generate(cluster, &[&load[..], &["--duration", "10"]].concat())?;
    let compacting = ["--duration", "20", "--compact-after", "1"];
    let during = generate(cluster, &[&load[..], &compacting].concat())?;
    let mut all = vec![
        Figure::new("worst", "ms", during.latency.max_ms),
        Figure::new("p99.9", "ms", during.latency.p999_ms),
        Figure::new("p99", "ms", during.latency.p99_ms),
        Figure::new("worst without compaction", "ms", before.latency.max_ms),
        Figure::new("p99 without compaction", "ms", before.latency.p99_ms),
    ];
    if let Some(milliseconds) = during.side_call_ms {
        all.push(Figure::new("compact call", "ms", milliseconds));
    }
    Ok(all)
}

fn follower_snapshot(cluster: &mut Cluster, count: u64) -> Result<Vec<Figure>> {
    let away = cluster.follower()?;
    let present = (away + 1) % cluster.endpoints().len();
    cluster.kill(away)?;
    let endpoints = cluster.endpoints();
    let others: Vec<String> = endpoints
        .iter()
        .filter(|endpoint| **endpoint != endpoints[away])
        .cloned()
        .collect();
    let (total, others) = (count.to_string(), others.join(","));
    let words = [
        "put",
        "--clients",
        LOAD_CLIENTS,
        "--key-order",
        "sequential",
        "--key-prefix",
        PREFIX,
    ];
    let sizes = [
        "--total",
        &total,
        "--key-space-size",
        &total,
        "--endpoints",
        &others,
    ];
    let line: Vec<String> = words
        .iter()
        .chain(&sizes)
        .map(ToString::to_string)
        .collect();
    let report = run::run_line(&line)?;
    if let Some((what, failures)) = report.errors.first_key_value() {
        bail!("{failures} failures: {what}");
    }
    let revision = cluster.status(present)?.revision;
    let start = Instant::now();
    cluster.start_all()?;
    while cluster.status(away)?.revision < revision {
        if start.elapsed() > CATCH_UP_MAX {
            bail!("the follower has not caught up after {CATCH_UP_MAX:?}");
        }
        std::thread::sleep(POLL);
    }
    let took = start.elapsed().as_secs_f64();
    expect_keys(cluster, count)?;
    Ok(vec![Figure::new("caught up after", "s", took)])
}
