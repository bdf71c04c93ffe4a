//! What is to be looked at when: each thing once, at its earliest time.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Things with their times. It holds no more than there are things.
#[derive(Debug, Default)]
pub(crate) struct Agenda<T> {
    planned: Mutex<Planned<T>>,
    added: Notify,
}

#[derive(Debug)]
struct Planned<T> {
    times: HashMap<T, Instant>,
    order: BTreeSet<(Instant, T)>,
}

impl<T> Default for Planned<T> {
    fn default() -> Planned<T> {
        Planned {
            times: HashMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<T: Clone + Ord + std::hash::Hash> Agenda<T> {
    pub(crate) fn new() -> Agenda<T> {
        Agenda {
            planned: Mutex::default(),
            added: Notify::new(),
        }
    }

    /// Plans a look at a time, unless an earlier one is planned.
    pub(crate) fn add(&self, thing: T, at: Instant) {
        let mut planned = self.planned.lock();
        match planned.times.get(&thing).copied() {
            Some(earlier) if earlier <= at => return,
            Some(later) => {
                planned.order.remove(&(later, thing.clone()));
            }
            None => {}
        }
        planned.times.insert(thing.clone(), at);
        planned.order.insert((at, thing));
        drop(planned);
        self.added.notify_one();
    }

    /// Waits until something is due, and takes what is, at most so many.
    pub(crate) async fn due(&self, count_max: usize) -> Vec<T> {
        loop {
            let first = {
                let mut planned = self.planned.lock();
                let due = planned.take(Instant::now(), count_max);
                if !due.is_empty() {
                    return due;
                }
                planned.order.first().map(|(at, _)| *at)
            };
            match first {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = self.added.notified() => {}
                },
                None => self.added.notified().await,
            }
        }
    }
}

impl<T: Clone + Ord + std::hash::Hash> Planned<T> {
    fn take(&mut self, now: Instant, count_max: usize) -> Vec<T> {
        let mut due = Vec::new();
        while due.len() < count_max
            && let Some((at, _)) = self.order.first()
            && *at <= now
            && let Some((_, thing)) = self.order.pop_first()
        {
            self.times.remove(&thing);
            due.push(thing);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_thing_is_due_once_at_its_earliest_time() {
        let agenda = Agenda::new();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        agenda.add("late", after(9));
        agenda.add("soon", after(5));
        agenda.add("soon", after(2));
        agenda.add("soon", after(7));
        assert_eq!(agenda.due(9).await, ["soon"]);
        assert_eq!(start.elapsed().as_secs(), 2);
        assert_eq!(agenda.due(9).await, ["late"]);
        assert_eq!(start.elapsed().as_secs(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_taken_than_asked_for() {
        let agenda = Agenda::new();
        for number in 0..5 {
            agenda.add(number, Instant::now());
        }
        assert_eq!(agenda.due(3).await, [0, 1, 2]);
        assert_eq!(agenda.due(3).await, [3, 4]);
    }
}
