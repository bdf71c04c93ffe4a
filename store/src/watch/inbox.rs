//! Where the dispatcher tells a stream which of its subscriptions have something new.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;
use parking_lot::Mutex;

/// Holds at most one mark for each subscription, whatever happens while the stream does not look.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    marked: AtomicBool,
    /// Whether the hub already has this inbox in its list of those who wait for a newer dispatched revision.
    pub(super) waits: AtomicBool,
    marks: Mutex<Marks>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Marks {
    /// By subscription: the lowest revision that was marked, or `UNMARKED`.
    lowest: Vec<i64>,
    marked: Vec<u32>,
}

const UNMARKED: i64 = i64::MAX;

impl Inbox {
    /// Says that `subscription` has events from `revision` on, and wakes the stream.
    pub(super) fn mark(&self, subscription: u32, revision: i64) {
        {
            let mut marks = self.marks.lock();
            let lowest = &mut marks.lowest[subscription as usize];
            let first = *lowest == UNMARKED;
            *lowest = revision.min(*lowest);
            if !first {
                return;
            }
            marks.marked.push(subscription);
        }
        self.marked.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Makes room for marks of `subscription`, and forgets those of whoever had its number before.
    pub(super) fn open(&self, subscription: u32) {
        let mut marks = self.marks.lock();
        let needed = subscription as usize + 1;
        if marks.lowest.len() < needed {
            marks.lowest.resize(needed, UNMARKED);
        }
        if std::mem::replace(&mut marks.lowest[subscription as usize], UNMARKED) != UNMARKED {
            marks.marked.retain(|other| *other != subscription);
        }
    }

    pub(super) fn has_marks(&self) -> bool {
        self.marked.load(Ordering::Acquire)
    }

    /// Moves the marks into `taken`: subscription and lowest revision.
    pub(super) fn take(&self, taken: &mut Vec<(u32, i64)>) {
        if !self.marked.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut marks = self.marks.lock();
        let Marks { lowest, marked } = &mut *marks;
        for subscription in marked.drain(..) {
            let revision = std::mem::replace(&mut lowest[subscription as usize], UNMARKED);
            taken.push((subscription, revision));
        }
    }
}
