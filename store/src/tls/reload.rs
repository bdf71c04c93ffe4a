//! A value made from files, made anew once one of them has changed.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::blocking;

/// A file changed so recently may change again without its times showing it; it is read again until it is older.
const SETTLING: Duration = Duration::from_millis(500);

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

type Build<T> = dyn Fn() -> anyhow::Result<T> + Send + Sync;

/// What the files say now.
pub(super) struct Reloaded<T> {
    what: &'static str,
    paths: Vec<PathBuf>,
    build: Box<Build<T>>,
    state: Mutex<State<T>>,
    /// One looks at a time, so that a file system that hangs takes one thread and not all.
    turn: Arc<Semaphore>,
}

struct State<T> {
    value: Arc<T>,
    /// None for a file that is not there.
    stamps: Vec<Option<Stamp>>,
    is_settled: bool,
}

impl<T: Send + Sync + 'static> Reloaded<T> {
    /// Reads the files for the first time.
    pub(super) fn new(
        what: &'static str,
        paths: Vec<PathBuf>,
        build: impl Fn() -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> anyhow::Result<Arc<Self>> {
        let (stamps, is_settled) = look(&paths);
        let state = State {
            value: Arc::new(build()?),
            stamps,
            is_settled,
        };
        Ok(Arc::new(Reloaded {
            what,
            paths,
            build: Box::new(build),
            state: Mutex::new(state),
            turn: Arc::new(Semaphore::new(1)),
        }))
    }

    /// What the files say, or said before they were broken.
    pub(super) async fn current(self: &Arc<Self>) -> Arc<T> {
        let this = Arc::clone(self);
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let looked = blocking::run(move || {
            let looked = this.look_again();
            drop(turn);
            looked
        });
        looked.await.unwrap_or_else(|_ended| {
            // The runtime is going down.
            Arc::clone(&self.state.lock().value)
        })
    }

    fn look_again(&self) -> Arc<T> {
        let mut state = self.state.lock();
        let (stamps, is_settled) = look(&self.paths);
        let is_new = stamps != state.stamps;
        if !is_new && state.is_settled {
            return Arc::clone(&state.value);
        }
        match (self.build)() {
            Ok(value) => {
                if is_new {
                    tracing::info!(files = ?self.paths, "read {} again", self.what);
                }
                state.value = Arc::new(value);
            }
            Err(error) if is_new => tracing::error!(
                error = format_args!("{error:#}"),
                "cannot read {} again; what was read before stays in use",
                self.what
            ),
            Err(_said_before) => {}
        }
        state.stamps = stamps;
        state.is_settled = is_settled;
        Arc::clone(&state.value)
    }
}

/// The stamps, and whether the newest is old enough to be relied on.
fn look(paths: &[PathBuf]) -> (Vec<Option<Stamp>>, bool) {
    let now = SystemTime::now();
    let mut is_settled = true;
    let stamps = paths.iter().map(|path| {
        let found = std::fs::metadata(path).ok()?;
        let changed = found.modified().ok()?;
        // A time that has yet to come, after a clock was set back, says nothing about writing now.
        is_settled &= now
            .duration_since(changed)
            .map_or_else(|ahead| ahead.duration() > SETTLING, |age| age > SETTLING);
        Some(Stamp {
            place: (found.dev(), found.ino()),
            bytes: found.len(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    });
    let stamps = stamps.collect();
    (stamps, is_settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(path: &std::path::Path) -> anyhow::Result<u32> {
        Ok(std::fs::read_to_string(path)?.parse()?)
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_a_broken_one_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let from = path.clone();
        let reloaded =
            Reloaded::new("a number", vec![path.clone()], move || number(&from)).unwrap();
        assert_eq!(*reloaded.current().await, 1);
        // As long as before, and perhaps in the same tick of the file system's clock.
        std::fs::write(&path, "2").unwrap();
        assert_eq!(*reloaded.current().await, 2);
        std::fs::write(&path, "x").unwrap();
        assert_eq!(*reloaded.current().await, 2);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(*reloaded.current().await, 2);
        std::fs::write(&path, "3").unwrap();
        assert_eq!(*reloaded.current().await, 3);
    }
}
