//! Places for what runs at a time: so many for everybody, and fewer for each one who takes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places, of which nobody has more than their share.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    each_max: usize,
    /// Those who have places or wait for one.
    shares: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// A place that is taken, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    // In this order they are given back: a share without anybody in it is forgotten last.
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
    _share: Share,
}

/// The share of somebody, which is forgotten with the last who holds it.
#[derive(Debug)]
struct Share {
    who: String,
    own: Arc<Semaphore>,
    shares: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.shares.lock();
        // It is held by the map and here alone; others take hold of it under the lock.
        if Arc::strong_count(&self.own) <= 2 {
            shares.remove(&self.who);
        }
    }
}

impl Places {
    pub(crate) fn new(all_max: usize, each_max: usize) -> Places {
        Places {
            all: Arc::new(Semaphore::new(all_max)),
            each_max,
            shares: Arc::default(),
        }
    }

    /// A place, if there is one now.
    pub(crate) fn try_take(&self, who: &str) -> Option<Place> {
        let share = self.share(who);
        let own = share.own.clone().try_acquire_owned().ok()?;
        let all = self.all.clone().try_acquire_owned().ok()?;
        Some(Place {
            _own: own,
            _all: all,
            _share: share,
        })
    }

    /// A place, once there is one; none if that takes too long.
    pub(crate) async fn take(&self, who: &str, wait_max: Duration) -> Option<Place> {
        let taking = async {
            let share = self.share(who);
            // Who waits for a place of their own keeps none from others.
            let own = share.own.clone().acquire_owned().await.ok()?;
            let all = self.all.clone().acquire_owned().await.ok()?;
            Some(Place {
                _own: own,
                _all: all,
                _share: share,
            })
        };
        tokio::time::timeout(wait_max, taking).await.ok().flatten()
    }

    fn share(&self, who: &str) -> Share {
        let mut shares = self.shares.lock();
        let own = shares
            .entry(who.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(self.each_max)))
            .clone();
        Share {
            who: who.to_owned(),
            own,
            shares: self.shares.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn who_has_a_whole_share_waits_and_keeps_nobody_else_from_a_place() {
        let places = Places::new(3, 2);
        let first = places.take("a", SHORT).await.unwrap();
        let _second = places.try_take("a").unwrap();
        assert!(places.take("a", SHORT).await.is_none());
        assert!(places.try_take("a").is_none());
        let _other = places.take("b", SHORT).await.unwrap();
        assert!(places.try_take("c").is_none(), "all places are taken");
        drop(first);
        assert!(places.try_take("a").is_some());
    }

    #[tokio::test]
    async fn nobody_is_remembered_who_has_no_place() {
        let places = Places::new(2, 1);
        let place = places.take("a", SHORT).await.unwrap();
        assert!(places.take("a", SHORT).await.is_none());
        assert_eq!(places.shares.lock().len(), 1);
        drop(place);
        assert!(places.shares.lock().is_empty());
    }
}
