//! Bases: snapshot files of the state, made on a thread of their own while the log goes on.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context;
use daemon::{CancellationToken, OnFailure, Tasks};

use super::folder::{self, PART};
use super::time::Time;
use super::writer::sync_folder;
use crate::backup;
use crate::raft::{self, StateFolder};

/// Time between two looks at whether the thread has to end.
const STOP_INTERVAL: Duration = Duration::from_millis(200);

/// The time of the archive. It never goes back, whatever the system's clock does.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(super) fn now(&self) -> Time {
        self.at_least(Time::now())
    }

    /// The later one of a moment and the latest that there was.
    pub(super) fn at_least(&self, time: Time) -> Time {
        let before = self.0.fetch_max(time.0, Ordering::Relaxed);
        Time(before.max(time.0))
    }
}

/// A base that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) revision: i64,
    pub(super) index: u64,
    pub(super) time: Time,
    pub(super) bytes: u64,
}

/// The span that wanted a base, and what became of it.
type Result = (u64, anyhow::Result<Made>);

/// Where a base belongs, and the span that wants it.
struct Order {
    dir: PathBuf,
    span: u64,
}

/// The handle of the thread. One base is made at a time.
pub(super) struct BaseMaker {
    orders: SyncSender<Order>,
    results: Receiver<Result>,
    /// The span whose bases are wanted.
    wanted: Arc<AtomicU64>,
    is_busy: bool,
}

impl BaseMaker {
    pub(super) fn spawn(
        tasks: &Tasks,
        folder: Arc<StateFolder>,
        clock: Clock,
    ) -> anyhow::Result<BaseMaker> {
        let (orders, ordered) = sync_channel::<Order>(1);
        let (tell, results) = sync_channel(1);
        let wanted = Arc::new(AtomicU64::new(0));
        let still_wanted = Arc::clone(&wanted);
        let work = move |stop: CancellationToken| -> anyhow::Result<()> {
            while !stop.is_cancelled() {
                let order = match ordered.recv_timeout(STOP_INTERVAL) {
                    Ok(order) => order,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                let is_wanted =
                    || !stop.is_cancelled() && still_wanted.load(Ordering::Relaxed) == order.span;
                let made = make(&order.dir, &folder, &clock, is_wanted);
                if tell.send((order.span, made)).is_err() {
                    break;
                }
            }
            Ok(())
        };
        tasks.spawn_thread("archive base", OnFailure::Stop, work)?;
        Ok(BaseMaker {
            orders,
            results,
            wanted,
            is_busy: false,
        })
    }

    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Bases of this span are wanted, and no others; 0 for none.
    pub(super) fn set_wanted(&self, span: u64) {
        self.wanted.store(span, Ordering::Relaxed);
    }

    /// Begins one, unless one is being made.
    pub(super) fn begin(&mut self, dir: &Path, span: u64) {
        let dir = dir.to_owned();
        self.is_busy = self.is_busy || self.orders.try_send(Order { dir, span }).is_ok();
    }

    /// What became of the one that was begun, once it is known and if this span began it.
    pub(super) fn result(&mut self, span: u64) -> Option<anyhow::Result<Made>> {
        let (wanted_by, result) = self.results.try_recv().ok()?;
        self.is_busy = false;
        (wanted_by == span).then_some(result)
    }
}

/// Writes a base under a name of its own, which becomes its real one when it is whole and on disk.
fn make(
    dir: &Path,
    state: &StateFolder,
    clock: &Clock,
    is_wanted: impl Fn() -> bool,
) -> anyhow::Result<Made> {
    let part = dir.join(format!("base{PART}"));
    let made = write(&part, dir, state, (clock, is_wanted));
    if made.is_err() {
        // What is left of it is removed with the next start, if not now.
        let _ = fs::remove_file(&part);
    }
    made
}

fn write(
    part: &Path,
    dir: &Path,
    state: &StateFolder,
    (clock, is_wanted): (&Clock, impl Fn() -> bool),
) -> anyhow::Result<Made> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        // Passwords' hashes are in it.
        .mode(0o600)
        .open(part)
        .with_context(|| format!("cannot make {}", part.display()))?;
    let machine = state.machine();
    let image = machine.image()?;
    let time = clock.now();
    let revision = image.revision();
    let (_term, index) = raft::applied_of(image.mark())?;
    // The archive's disk is its own: nothing on it needs room that a base would take away.
    let length = backup::export(image, &file, 0, is_wanted)?;
    backup::seal(&file, length)?;
    file.sync_all()?;
    fs::rename(part, dir.join(folder::base_name(revision, index, time)))?;
    sync_folder(dir)?;
    Ok(Made {
        revision,
        index,
        time,
        bytes: file.metadata()?.len(),
    })
}
