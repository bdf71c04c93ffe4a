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
    pub(crate) fn take(&self) -> Option<(Vec<Operation>, Option<Bytes>)> {
        let mut state = self.lock();
        while state.queue.is_empty() && !state.closing {
            state = self.work.wait(state).expect("see lock");
        }
        let operations = std::mem::take(&mut state.queue);
        let committed = state.committed.take();
        state.queue_bytes = 0;
        drop(state);
        self.room.notify_all();
        (!operations.is_empty() || committed.is_some()).then_some((operations, committed))
    }
}
