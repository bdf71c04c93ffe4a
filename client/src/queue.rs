//! Keys of what is to be done: each is there once, is done by one worker at a time, and comes again later where that failed.

mod figures;
mod limits;
mod work;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::figures::QueueFigures;
use self::limits::Limits;
pub use self::work::{Next, work};

/// The longest time that can be waited for; nothing that is further away comes true.
const AFTER_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What can be in a queue.
pub trait Item: Ord + Hash + Clone + Debug + Send + 'static {}
impl<T: Ord + Hash + Clone + Debug + Send + 'static> Item for T {}

/// A queue that has no more entries than there are different items. One that is added while it is held is handed out again afterwards.
#[derive(Debug)]
pub struct WorkQueue<T> {
    state: Mutex<State<T>>,
    /// Wakes one who waits for an item.
    added: Notify,
}

#[derive(Debug)]
struct State<T> {
    ready: VecDeque<T>,
    /// What is ready, and what is to be ready once it is no longer held, with when it was added.
    wanted: HashMap<T, Instant>,
    /// What workers have, and since when.
    held: HashMap<T, Instant>,
    later: BTreeSet<(Instant, T)>,
    /// The same by item.
    times: HashMap<T, Instant>,
    limits: Limits<T>,
    figures: QueueFigures,
    closed: bool,
}

impl<T: Item> Default for WorkQueue<T> {
    fn default() -> WorkQueue<T> {
        WorkQueue::new()
    }
}

impl<T: Item> WorkQueue<T> {
    #[must_use]
    pub fn new() -> WorkQueue<T> {
        WorkQueue::with_waits(limits::FIRST, limits::MAX)
    }

    /// A queue whose items wait so long after their first failure, twice as long after each other, and never longer than `max`.
    #[must_use]
    pub fn with_waits(first: Duration, max: Duration) -> WorkQueue<T> {
        WorkQueue {
            state: Mutex::new(State {
                ready: VecDeque::new(),
                wanted: HashMap::new(),
                held: HashMap::new(),
                later: BTreeSet::new(),
                times: HashMap::new(),
                limits: Limits::new(first, max, Instant::now()),
                figures: QueueFigures::new(),
                closed: false,
            }),
            added: Notify::new(),
        }
    }

    /// Adds an item, unless it waits already.
    pub fn add(&self, item: T) {
        self.state.lock().add(item);
        self.added.notify_one();
    }

    /// Adds an item after a time. Of several times the earliest counts.
    pub fn add_after(&self, item: T, after: Duration) {
        let mut state = self.state.lock();
        state.figures.retries += 1;
        if after.is_zero() {
            state.add(item);
        } else {
            state.add_at(item, Instant::now() + after.min(AFTER_MAX));
        }
        drop(state);
        // Somebody must wait for the new time.
        self.added.notify_one();
    }

    /// Adds an item after a time that grows with each time since it was last forgotten, and with what others ask for.
    pub fn add_rate_limited(&self, item: T) {
        let after = self.state.lock().limits.when(&item, Instant::now());
        self.add_after(item, after);
    }

    /// What failed works now: the next failure counts as the first.
    pub fn forget(&self, item: &T) {
        self.state.lock().limits.forget(item);
    }

    /// How often an item was added by [`WorkQueue::add_rate_limited`] since it was forgotten.
    #[must_use]
    pub fn failures(&self, item: &T) -> u32 {
        self.state.lock().limits.failures(item)
    }

    /// What it has counted, and how it is now.
    #[must_use]
    pub fn figures(&self) -> QueueFigures {
        let state = self.state.lock();
        let held = state.held.values().copied();
        state.figures.at(state.ready.len(), held)
    }

    /// How many items are ready.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().ready.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the queue: nobody gets anything from it any more.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.added.notify_waiters();
        self.added.notify_one();
    }

    /// The next item, once there is one, or none when the queue is closed. No other worker gets the same item before it is dropped.
    pub async fn next(self: &Arc<Self>) -> Option<Held<T>> {
        loop {
            let added = self.added.notified();
            let next = {
                let mut state = self.state.lock();
                if state.closed {
                    self.added.notify_one();
                    return None;
                }
                state.mature(Instant::now());
                if let Some(item) = state.take() {
                    if !state.ready.is_empty() || !state.later.is_empty() {
                        self.added.notify_one();
                    }
                    return Some(Held {
                        queue: self.clone(),
                        item,
                    });
                }
                state.later.first().map(|(at, _)| *at)
            };
            match next {
                None => added.await,
                Some(at) => {
                    // Which of both comes first does not matter: the state is looked at anew.
                    let _ = tokio::time::timeout_at(at, added).await;
                }
            }
        }
    }
}

impl<T: Item> State<T> {
    fn add(&mut self, item: T) {
        if self.closed || self.wanted.contains_key(&item) {
            return;
        }
        self.wanted.insert(item.clone(), Instant::now());
        self.figures.adds += 1;
        if !self.held.contains_key(&item) {
            self.ready.push_back(item);
        }
    }

    fn add_at(&mut self, item: T, at: Instant) {
        if self.closed {
            return;
        }
        match self.times.get(&item) {
            Some(known) if *known <= at => return,
            Some(known) => {
                self.later.remove(&(*known, item.clone()));
            }
            None => {}
        }
        self.times.insert(item.clone(), at);
        self.later.insert((at, item));
    }

    /// Makes ready what was to be added up to now.
    fn mature(&mut self, now: Instant) {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, item)) = self.later.pop_first() {
                self.times.remove(&item);
                self.add(item);
            }
        }
    }

    fn take(&mut self) -> Option<T> {
        let item = self.ready.pop_front()?;
        let now = Instant::now();
        if let Some(added) = self.wanted.remove(&item) {
            self.figures.waited.observe_time(now - added);
        }
        self.held.insert(item.clone(), now);
        Some(item)
    }

    /// The item is held no longer. Tells whether it is wanted again.
    fn done(&mut self, item: &T) -> bool {
        if let Some(since) = self.held.remove(item) {
            self.figures.worked.observe_time(since.elapsed());
        }
        let again = self.wanted.contains_key(item);
        if again {
            self.ready.push_back(item.clone());
        }
        again
    }
}

/// An item that a worker has. It is done when this is dropped.
#[derive(Debug)]
pub struct Held<T: Item> {
    queue: Arc<WorkQueue<T>>,
    item: T,
}

impl<T: Item> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: Item> Drop for Held<T> {
    fn drop(&mut self) {
        if self.queue.state.lock().done(&self.item) {
            self.queue.added.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn queue() -> Arc<WorkQueue<u32>> {
        Arc::new(WorkQueue::new())
    }

    async fn next(queue: &Arc<WorkQueue<u32>>) -> u32 {
        *queue.next().await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_item_waits_once_and_comes_again_if_it_was_added_while_held() {
        let queue = queue();
        for item in [1, 2, 1] {
            queue.add(item);
        }
        assert_eq!(queue.len(), 2);
        let held = queue.next().await.unwrap();
        queue.add(1);
        queue.add(1);
        assert_eq!((*held, queue.len()), (1, 1));
        assert_eq!(next(&queue).await, 2);
        assert!(queue.next().now_or_never().is_none(), "it is held");
        drop(held);
        assert_eq!(next(&queue).await, 1);
        assert!(queue.next().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_counts_what_waits_what_is_held_and_what_failed() {
        let secs = Duration::from_secs;
        let queue = queue();
        for item in [1, 2, 1] {
            queue.add(item);
        }
        tokio::time::advance(secs(2)).await;
        let held = queue.next().await.unwrap();
        tokio::time::advance(secs(3)).await;
        let figures = queue.figures();
        assert_eq!((figures.depth, figures.adds, figures.retries), (1, 2, 0));
        assert_eq!((figures.waited.count(), figures.waited.sum()), (1, 2.0));
        assert_eq!((figures.unfinished, figures.longest), (secs(3), secs(3)));
        assert_eq!(figures.worked.count(), 0);
        queue.add_rate_limited(*held);
        drop(held);
        let figures = queue.figures();
        assert_eq!((figures.worked.count(), figures.worked.sum()), (1, 3.0));
        assert_eq!((figures.retries, figures.longest), (1, Duration::ZERO));
        let mut both = figures.clone();
        both.merge(&figures);
        assert_eq!((both.adds, both.depth, both.worked.sum()), (4, 2, 6.0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_of_several_times_counts() {
        let (queue, began) = (queue(), Instant::now());
        queue.add_after(1, Duration::from_secs(9));
        queue.add_after(1, Duration::from_secs(3));
        queue.add_after(1, Duration::from_secs(6));
        queue.add_after(2, Duration::from_secs(4));
        assert_eq!(next(&queue).await, 1);
        assert_eq!(began.elapsed().as_secs(), 3);
        assert_eq!(next(&queue).await, 2);
        assert_eq!(began.elapsed().as_secs(), 4);
        let rest = tokio::time::timeout(Duration::from_secs(60), queue.next());
        assert!(rest.await.is_err(), "the later times are gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_without_an_end_can_be_waited_for() {
        let queue = queue();
        queue.add_after(1, Duration::MAX);
        let rest = tokio::time::timeout(Duration::from_secs(60), queue.next());
        assert!(rest.await.is_err());
        queue.add_after(1, Duration::from_secs(1));
        assert_eq!(next(&queue).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_waits_hears_of_an_earlier_time() {
        let (queue, began) = (queue(), Instant::now());
        queue.add_after(1, Duration::from_secs(60));
        let adding = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            queue.add_after(2, Duration::from_secs(1));
        };
        let ((), item) = tokio::join!(adding, next(&queue));
        assert_eq!((item, began.elapsed().as_secs()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_make_an_item_wait_longer_until_it_is_forgotten() {
        let queue = queue();
        for millis in [5, 10, 20, 40] {
            let began = Instant::now();
            queue.add_rate_limited(1);
            assert_eq!(next(&queue).await, 1);
            assert_eq!(began.elapsed().as_millis(), millis);
        }
        assert_eq!(queue.failures(&1), 4);
        queue.forget(&1);
        let began = Instant::now();
        queue.add_rate_limited(1);
        next(&queue).await;
        assert_eq!(began.elapsed().as_millis(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn all_workers_are_woken_and_all_hear_of_the_end() {
        let queue = queue();
        let workers = (0..3).map(|_| {
            let queue = queue.clone();
            async move {
                let mut seen = Vec::new();
                while let Some(held) = queue.next().await {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    seen.push(*held);
                }
                seen
            }
        });
        let began = Instant::now();
        let adding = async {
            for item in 0..9 {
                queue.add_after(item, Duration::from_secs(10));
            }
            tokio::time::sleep(Duration::from_millis(13_500)).await;
            assert!(queue.is_empty(), "three at a time take three seconds");
            queue.close();
            queue.add(1);
        };
        let (seen, ()) = tokio::join!(futures::future::join_all(workers), adding);
        let mut seen = seen.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..9).collect::<Vec<_>>());
        assert_eq!(began.elapsed().as_millis(), 13_500);
        assert!(queue.next().await.is_none());
    }
}
