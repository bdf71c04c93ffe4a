//! What callers and the log's thread share: the log in memory and the queue, under one lock.

use std::sync::{Condvar, Mutex, MutexGuard};

use bytes::Bytes;

use crate::error::Failure;
use crate::log::Log;
use crate::{Done, Entry};

/// What an operation writes.
#[derive(Debug)]
pub(crate) enum Body {
    Append {
        entries: Vec<Entry>,
        ticket: u64,
    },
    Vote(Bytes),
    Truncate {
        from: u64,
    },
    Purge {
        upto: u64,
        mark: Bytes,
    },
    /// Nothing to write; the callback still runs in its turn.
    Nothing,
}

pub(crate) struct Operation {
    pub(crate) body: Body,
    pub(crate) done: Done,
}

/// Operations in their order, and the newest committed mark.
pub(crate) type Taken = (Vec<Operation>, Option<Bytes>);

pub(crate) struct State {
    pub(crate) log: Log,
    pub(crate) queue: Vec<Operation>,
    pub(crate) queue_bytes: usize,
    /// Newest committed mark that no batch has taken.
    pub(crate) committed: Option<Bytes>,
    pub(crate) next_ticket: u64,
    /// Set once, by the failure that ended the log.
    pub(crate) failure: Option<Failure>,
    /// The last handle is gone.
    pub(crate) closing: bool,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    /// The queue has work, or the log is closing.
    pub(crate) work: Condvar,
    /// The queue has room, or the log has failed.
    pub(crate) room: Condvar,
    pub(crate) queue_bytes_max: usize,
    /// Told of new work, where nobody waits for it on a thread.
    #[cfg(feature = "simulation")]
    pub(crate) on_work: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Shared {
    pub(crate) fn new(log: Log, queue_bytes_max: usize) -> Shared {
        Shared {
            state: Mutex::new(State {
                log,
                queue: Vec::new(),
                queue_bytes: 0,
                committed: None,
                next_ticket: 1,
                failure: None,
                closing: false,
            }),
            work: Condvar::new(),
            room: Condvar::new(),
            queue_bytes_max,
            #[cfg(feature = "simulation")]
            on_work: std::sync::OnceLock::new(),
        }
    }

    /// Wakes whoever takes what waits.
    pub(crate) fn notify_work(&self) {
        self.work.notify_one();
        #[cfg(feature = "simulation")]
        if let Some(on_work) = self.on_work.get() {
            on_work();
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code under this lock panics unless an invariant is broken")
    }

    /// The lock, once the queue has room or the log has failed.
    pub(crate) fn lock_with_room(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while state.queue_bytes >= self.queue_bytes_max && state.failure.is_none() {
            state = self.room.wait(state).expect("see lock");
        }
        state
    }

    /// Ends the log and returns what waited.
    pub(crate) fn fail(&self, failure: Failure) -> Vec<Operation> {
        let mut state = self.lock();
        state.failure = Some(failure);
        state.queue_bytes = 0;
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        self.room.notify_all();
        waiting
    }

    /// Everything that waits, with the newest committed mark; `None` when the log is closing and nothing
    /// waits. Taking both under one lock keeps a committed mark behind the entries it was noted after.
    pub(crate) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        while state.queue.is_empty() && !state.closing {
            state = self.work.wait(state).expect("see lock");
        }
        self.take_from(state)
    }

    /// The same without waiting; `None` when there is no operation.
    #[cfg(feature = "simulation")]
    pub(crate) fn try_take(&self) -> Option<Taken> {
        let state = self.lock();
        if state.queue.is_empty() {
            return None;
        }
        self.take_from(state)
    }

    fn take_from(&self, mut state: MutexGuard<'_, State>) -> Option<Taken> {
        let operations = std::mem::take(&mut state.queue);
        let committed = state.committed.take();
        state.queue_bytes = 0;
        drop(state);
        self.room.notify_all();
        (!operations.is_empty() || committed.is_some()).then_some((operations, committed))
    }
}
