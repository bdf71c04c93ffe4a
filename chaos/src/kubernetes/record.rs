//! Everything that clients and watchers see goes through one bounded queue into the lines of a history.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use tokio::sync::mpsc;

use super::history::{Operation, Outcome, Record};
use crate::clock::Clock;
use crate::record::{Class, Point};

/// Records that wait for the disk; who finds the queue full waits.
const QUEUE_RECORDS: usize = 8_192;

/// Where records are left. Copies write to one history.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    queue: mpsc::Sender<Record>,
    acknowledged_writes: Arc<AtomicU64>,
    pub(super) clock: Clock,
}

/// The thread that writes.
pub(super) struct Writing(JoinHandle<Result<Vec<Point>>>);

/// Starts a history at `path`.
pub(super) fn start(path: &Path, clock: Clock) -> Result<(Recorder, Writing)> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let (queue, mut waiting) = mpsc::channel(QUEUE_RECORDS);
    let writing = move || {
        let mut file = BufWriter::new(file);
        let mut points = Vec::new();
        while let Some(record) = waiting.blocking_recv() {
            serde_json::to_writer(&mut file, &record)?;
            file.write_all(b"\n")?;
            if let Record::Op(operation) = &record {
                points.push(point(operation));
            }
        }
        file.flush().context("writing the history")?;
        Ok(points)
    };
    let thread = std::thread::Builder::new()
        .name("recorder".to_owned())
        .spawn(writing)?;
    let recorder = Recorder {
        queue,
        acknowledged_writes: Arc::default(),
        clock,
    };
    Ok((recorder, Writing(thread)))
}

impl Recorder {
    /// Adds a record, waiting for room.
    pub(super) async fn add(&self, record: Record) {
        if let Record::Op(operation) = &record
            && class(&operation.outcome) == Class::Ok
            && operation.request.writes()
        {
            self.acknowledged_writes.fetch_add(1, Ordering::Relaxed);
        }
        // The writer only ends early when the disk fails, which `finish` reports.
        let _ = self.queue.send(record).await;
    }

    /// Writes that were answered.
    pub(super) fn acknowledged_writes(&self) -> u64 {
        self.acknowledged_writes.load(Ordering::Relaxed)
    }
}

impl Writing {
    /// Waits until everything is written. Every recorder has to be dropped before.
    pub(super) async fn finish(self) -> Result<Vec<Point>> {
        let joined = tokio::task::spawn_blocking(|| self.0.join()).await?;
        joined.unwrap_or_else(|_panic| Err(anyhow!("the recorder panicked")))
    }
}

fn class(outcome: &Outcome) -> Class {
    match outcome {
        Outcome::Object(_) | Outcome::Objects { .. } | Outcome::Deleted => Class::Ok,
        Outcome::Refused { .. } => Class::Failed,
        Outcome::Unknown { .. } => Class::Unknown,
    }
}

fn point(operation: &Operation) -> Point {
    Point {
        end_ns: operation.return_ns,
        took_ns: operation.return_ns - operation.call_ns,
        class: class(&operation.outcome),
        writes: operation.request.writes(),
    }
}
