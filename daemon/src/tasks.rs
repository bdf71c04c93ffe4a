//! Tasks with names and one owner: nothing runs detached, and everything stops in reverse order of its start.

use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

type BoxError = Box<dyn Error + Send + Sync>;

/// What the failure of a task means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The whole process has to stop.
    Stop,
    /// The failure is logged and the rest goes on.
    Log,
}

/// A task that ended with an error or a panic.
#[derive(Debug, Clone, thiserror::Error)]
#[error("task {name} failed: {reason}")]
pub struct TaskFailure {
    pub name: String,
    pub reason: String,
}

/// How a stop went.
#[derive(Debug)]
pub struct Report {
    /// The first failure that asked the process to stop.
    pub failure: Option<TaskFailure>,
    /// Tasks that did not end within the grace period. Async ones were aborted; threads are left to the process's end.
    pub overdue: Vec<String>,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.failure.is_none() && self.overdue.is_empty()
    }
}

/// The owner of a process's tasks. Cheap to clone; clones share the list.
#[derive(Debug, Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    runtime: Handle,
    stop_asked: CancellationToken,
    failure: Mutex<Option<TaskFailure>>,
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    stop: CancellationToken,
    /// Ends after the task itself and after its result was handled.
    watcher: JoinHandle<()>,
    /// None for a thread, which nothing can abort.
    abort: Option<AbortHandle>,
}

impl Tasks {
    /// Tasks on the runtime this is called in.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new() -> Tasks {
        Tasks {
            shared: Arc::new(Shared {
                runtime: Handle::current(),
                stop_asked: CancellationToken::new(),
                failure: Mutex::new(None),
                entries: Mutex::new(Vec::new()),
            }),
        }
    }

    /// Starts a task. `start` gets the token that tells this one task to end.
    pub fn spawn<Fut, E>(
        &self,
        name: impl Into<String>,
        on_failure: OnFailure,
        start: impl FnOnce(CancellationToken) -> Fut,
    ) where
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let name = name.into();
        let stop = CancellationToken::new();
        let task = self.shared.runtime.spawn(start(stop.clone()));
        let abort = task.abort_handle();
        let finished = async move {
            match task.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(describe(error.into())),
                Err(error) if error.is_cancelled() => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        };
        self.watch(
            Started {
                name,
                on_failure,
                stop,
                abort: Some(abort),
            },
            finished,
        );
    }

    /// Starts a task that cannot fail but by a panic: it runs until its work is done or it is told to end, and is dropped then where it stands.
    pub fn spawn_until_stopped(
        &self,
        name: impl Into<String>,
        on_failure: OnFailure,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(name, on_failure, |stop| async move {
            stop.run_until_cancelled_owned(work).await;
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// Starts an own thread for work that blocks. `run` has to look at its token, or be woken by its owner, to end.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn_thread<E>(
        &self,
        name: impl Into<String>,
        on_failure: OnFailure,
        run: impl FnOnce(CancellationToken) -> Result<(), E> + Send + 'static,
    ) -> std::io::Result<()>
    where
        E: Into<BoxError> + Send + 'static,
    {
        let name = name.into();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let (done, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let result = run(token).map_err(|error| describe(error.into()));
                // Nobody listens once the grace period is over.
                let _ = done.send(result);
            })?;
        let finished = async move {
            ended
                .await
                .unwrap_or_else(|_| Err("the thread panicked".to_owned()))
        };
        self.watch(
            Started {
                name,
                on_failure,
                stop,
                abort: None,
            },
            finished,
        );
        Ok(())
    }

    fn watch(
        &self,
        started: Started,
        finished: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let Started {
            name,
            on_failure,
            stop,
            abort,
        } = started;
        let shared = self.shared.clone();
        let task_name = name.clone();
        let watcher = self.shared.runtime.spawn(async move {
            if let Err(reason) = finished.await {
                tracing::error!(task = %task_name, error = %reason, "task failed");
                if on_failure == OnFailure::Stop {
                    let failure = TaskFailure {
                        name: task_name,
                        reason,
                    };
                    lock(&shared.failure).get_or_insert(failure);
                    shared.stop_asked.cancel();
                }
            }
        });
        let mut entries = lock(&self.shared.entries);
        entries.retain(|entry| !entry.watcher.is_finished());
        entries.push(Entry {
            name,
            stop,
            watcher,
            abort,
        });
    }

    /// Asks the process to stop; `stop_asked` returns from now on. Tasks run on until `stop`.
    pub fn ask_stop(&self) {
        self.shared.stop_asked.cancel();
    }

    /// Returns once somebody asked to stop or a task with [`OnFailure::Stop`] failed.
    pub async fn stop_asked(&self) {
        self.shared.stop_asked.cancelled().await;
    }

    /// The token behind `stop_asked`.
    pub fn stop_token(&self) -> CancellationToken {
        self.shared.stop_asked.clone()
    }

    /// Ends the tasks one by one, the youngest first, and waits for each. `grace` is the time for all of them together.
    pub async fn stop(&self, grace: Duration) -> Report {
        self.shared.stop_asked.cancel();
        let deadline = Instant::now() + grace;
        let mut overdue = Vec::new();
        loop {
            let Some(entry) = lock(&self.shared.entries).pop() else {
                break;
            };
            entry.stop.cancel();
            if tokio::time::timeout_at(deadline, entry.watcher)
                .await
                .is_err()
            {
                tracing::error!(task = %entry.name, "task did not stop in time");
                if let Some(abort) = entry.abort {
                    abort.abort();
                }
                overdue.push(entry.name);
            }
        }
        Report {
            failure: lock(&self.shared.failure).clone(),
            overdue,
        }
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Tasks::new()
    }
}

/// A task that runs and is not in the list yet.
struct Started {
    name: String,
    on_failure: OnFailure,
    stop: CancellationToken,
    abort: Option<AbortHandle>,
}

/// The error and its sources in one line.
fn describe(error: BoxError) -> String {
    let mut text = error.to_string();
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = source {
        append(&mut text, &cause);
        source = cause.source();
    }
    text
}

fn append(text: &mut String, cause: &impl Display) {
    text.push_str(": ");
    text.push_str(&cause.to_string());
}

/// The lists hold no half-done change, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const GRACE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn tasks_stop_in_reverse_order_of_their_start() {
        let tasks = Tasks::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        for name in ["first", "second", "third"] {
            let order = order.clone();
            tasks.spawn(name, OnFailure::Stop, |stop| async move {
                stop.cancelled().await;
                order.lock().unwrap().push(name);
                Ok::<_, io::Error>(())
            });
        }
        let report = tasks.stop(GRACE).await;
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(*order.lock().unwrap(), ["third", "second", "first"]);
    }

    #[tokio::test]
    async fn a_failed_task_asks_the_process_to_stop() {
        let tasks = Tasks::new();
        tasks.spawn("disk", OnFailure::Stop, |_| async {
            Err(io::Error::other("disk is gone"))
        });
        tasks.stop_asked().await;
        let failure = tasks.stop(GRACE).await.failure.unwrap();
        assert_eq!(failure.to_string(), "task disk failed: disk is gone");
    }

    #[tokio::test]
    async fn a_panic_counts_as_a_failure() {
        let tasks = Tasks::new();
        tasks.spawn("broken", OnFailure::Stop, |_| async {
            assert!(
                tokio::time::timeout(GRACE, async {}).await.is_err(),
                "on purpose"
            );
            Ok::<_, io::Error>(())
        });
        tasks.stop_asked().await;
        let failure = tasks.stop(GRACE).await.failure.unwrap();
        assert!(failure.reason.contains("panicked"), "{failure}");
    }

    #[tokio::test]
    async fn a_logged_failure_stops_nobody() {
        let tasks = Tasks::new();
        tasks.spawn("extra", OnFailure::Log, |_| async { Err("no matter") });
        let report = tasks.stop(GRACE).await;
        assert!(report.is_clean(), "{report:?}");
    }

    #[tokio::test]
    async fn a_task_that_ignores_its_token_is_reported_and_aborted() {
        let tasks = Tasks::new();
        let (held, dropped) = oneshot::channel::<()>();
        tasks.spawn("deaf", OnFailure::Stop, |_| async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, io::Error>(())
        });
        let report = tasks.stop(Duration::from_millis(1)).await;
        assert_eq!(report.overdue, ["deaf"]);
        assert!(dropped.await.is_err(), "the task's future was dropped");
    }

    #[tokio::test]
    async fn a_thread_is_joined_and_its_error_kept() {
        let tasks = Tasks::new();
        let started = tasks.spawn_thread("worker", OnFailure::Stop, |stop| {
            while !stop.is_cancelled() {
                std::thread::yield_now();
            }
            Err(io::Error::other("late"))
        });
        started.unwrap();
        let report = tasks.stop(GRACE).await;
        assert_eq!(report.failure.unwrap().reason, "late");
    }
}
