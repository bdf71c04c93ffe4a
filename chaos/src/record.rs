//! The recorder: everything clients see goes through one bounded queue into the lines of a history.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use check::history::{Operation, Outcome, Record, Request, Writer};
use tokio::sync::mpsc;

use crate::clock::Clock;

/// Records that wait for the disk; a client that finds the queue full waits.
const QUEUE_RECORDS: usize = 8192;

/// What the timeline needs of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When it was answered or given up, in nanoseconds of the run's clock.
    pub end_ns: u64,
    /// How long that took, in nanoseconds.
    pub took_ns: u64,
    /// How it ended.
    pub class: Class,
    /// It could change the store.
    pub writes: bool,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It was answered.
    Ok,
    /// It certainly had no effect.
    Failed,
    /// It may have had its effect.
    Unknown,
}

/// Running totals, for progress lines and for waiting until there is load.
#[derive(Debug, Default)]
pub struct Totals {
    operations: AtomicU64,
    acknowledged_writes: AtomicU64,
    unknown: AtomicU64,
    events: AtomicU64,
}

impl Totals {
    /// Operations that ended.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// Writes that were answered.
    pub fn acknowledged_writes(&self) -> u64 {
        self.acknowledged_writes.load(Ordering::Relaxed)
    }

    /// Operations of which nobody knows what came of them.
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    /// Watch events that were received.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

/// Where clients leave their records. Copies write to one history.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: mpsc::Sender<Record>,
    ids: Arc<AtomicU64>,
    totals: Arc<Totals>,
    clock: Clock,
}

/// The thread that writes, to be joined when all recorders are gone.
#[derive(Debug)]
pub struct Writing {
    thread: JoinHandle<Result<Vec<Point>>>,
}

/// Starts a history at `path`.
///
/// # Errors
/// When the file cannot be made.
pub fn start(path: &Path, clock: Clock) -> Result<(Recorder, Writing)> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let (queue, waiting) = mpsc::channel(QUEUE_RECORDS);
    let thread = std::thread::Builder::new()
        .name("recorder".to_owned())
        .spawn(move || write(Writer::new(BufWriter::new(file)), waiting))?;
    let recorder = Recorder {
        queue,
        ids: Arc::new(AtomicU64::new(1)),
        totals: Arc::default(),
        clock,
    };
    Ok((recorder, Writing { thread }))
}

impl Writing {
    /// Waits until everything is written; what the timeline needs, in the order of the records. Every recorder has to
    /// be dropped before.
    ///
    /// # Errors
    /// When the disk failed: the history is then incomplete.
    pub async fn finish(self) -> Result<Vec<Point>> {
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await?;
        joined.unwrap_or_else(|_panic| Err(anyhow!("the recorder panicked")))
    }
}

impl Recorder {
    /// The clock of the run.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The running totals.
    pub fn totals(&self) -> Arc<Totals> {
        self.totals.clone()
    }

    /// A number that nothing else in the history has.
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a record, waiting for room.
    pub async fn add(&self, record: Record) {
        match &record {
            Record::Op(operation) => self.count(operation),
            Record::Watch(response) => {
                let events = response.events.len() as u64;
                self.totals.events.fetch_add(events, Ordering::Relaxed);
            }
            _ => {}
        }
        // The writer only ends early when the disk fails, which `finish` reports.
        let _ = self.queue.send(record).await;
    }

    fn count(&self, operation: &Operation) {
        self.totals.operations.fetch_add(1, Ordering::Relaxed);
        match &operation.outcome {
            Outcome::Ok(_) if writes(&operation.request) => {
                self.totals
                    .acknowledged_writes
                    .fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Unknown { .. } => {
                self.totals.unknown.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// Whether a request goes through the log when it is served.
pub fn writes(request: &Request) -> bool {
    match request {
        Request::Put(_) | Request::DeleteRange(_) => true,
        Request::Txn(txn) => txn.success.iter().chain(&txn.failure).any(writes),
        _ => false,
    }
}

fn write(
    mut writer: Writer<BufWriter<File>>,
    mut waiting: mpsc::Receiver<Record>,
) -> Result<Vec<Point>> {
    let mut points = Vec::new();
    while let Some(record) = waiting.blocking_recv() {
        writer.write(&record).context("writing the history")?;
        if let Record::Op(operation) = &record {
            points.push(point(operation));
        }
    }
    writer.finish().context("writing the history")?;
    Ok(points)
}

/// What the timeline needs of an operation. One without an answer ends when it was given up.
pub fn point(operation: &Operation) -> Point {
    let class = match operation.outcome {
        Outcome::Ok(_) => Class::Ok,
        Outcome::Failed(_) => Class::Failed,
        Outcome::Unknown { .. } => Class::Unknown,
    };
    let end_ns = operation.return_ns.unwrap_or(operation.call_ns);
    Point {
        end_ns,
        took_ns: end_ns - operation.call_ns,
        class,
        writes: writes(&operation.request),
    }
}
