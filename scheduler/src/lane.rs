//! A queue with a bound between the loop and a task that makes calls.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Things to be done by a task, in order.
pub(crate) struct Lane<T> {
    items: Mutex<VecDeque<T>>,
    max: usize,
    arrived: Notify,
}

impl<T> Lane<T> {
    /// An empty queue for at most so many.
    pub(crate) fn new(max: usize) -> Lane<T> {
        Lane {
            items: Mutex::default(),
            max,
            arrived: Notify::new(),
        }
    }

    /// Adds one. A full queue refuses it.
    pub(crate) fn push(&self, item: T) -> bool {
        let mut items = self.items.lock();
        let has_room = items.len() < self.max;
        if has_room {
            items.push_back(item);
            drop(items);
            self.arrived.notify_one();
        }
        has_room
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.items.lock().len()
    }

    /// The oldest, at least one and at most so many; waits for the first.
    pub(crate) async fn take(&self, max: usize) -> Vec<T> {
        loop {
            let arrived = self.arrived.notified();
            let taken: Vec<T> = {
                let mut items = self.items.lock();
                let count = items.len().min(max);
                items.drain(..count).collect()
            };
            if !taken.is_empty() {
                if self.len() > 0 {
                    self.arrived.notify_one();
                }
                return taken;
            }
            arrived.await;
        }
    }
}
