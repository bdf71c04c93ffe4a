//! The limits that stand where fair sharing is switched off: so many requests that read, and so many that write, at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::gate::is_reading;
use crate::attributes::Attributes;
use crate::user::MASTERS;

/// Two limits.
#[derive(Debug)]
pub(super) struct Limits {
    reading: Arc<Semaphore>,
    writing: Arc<Semaphore>,
    /// How long a request keeps its place at most.
    hold_max: Duration,
    taken: Mutex<Taken>,
}

/// The places that are taken, and since when.
#[derive(Debug, Default)]
struct Taken {
    places: BTreeMap<u64, (Instant, OwnedSemaphorePermit)>,
    last: u64,
}

/// A place, which is free again when this is dropped, or before that when it was held too long.
#[derive(Debug)]
pub(super) struct Permit {
    owner: Arc<Limits>,
    number: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.owner.taken.lock().places.remove(&self.number);
    }
}

impl Limits {
    /// Limits of requests that read and that write; 0 for none.
    pub(super) fn new(reading_max: usize, writing_max: usize, hold_max: Duration) -> Arc<Limits> {
        let places = |most: usize| {
            let most = if most == 0 {
                Semaphore::MAX_PERMITS
            } else {
                most
            };
            Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))
        };
        Arc::new(Limits {
            reading: places(reading_max),
            writing: places(writing_max),
            hold_max,
            taken: Mutex::default(),
        })
    }

    /// A place, if one is free. Watches need none, and the masters come in when all are taken too.
    pub(super) fn enter(self: &Arc<Self>, attributes: &Attributes) -> Result<Option<Permit>, ()> {
        if attributes.verb == "watch" {
            return Ok(None);
        }
        let places = if is_reading(attributes) {
            &self.reading
        } else {
            &self.writing
        };
        match places.clone().try_acquire_owned() {
            Ok(place) => Ok(Some(self.take(place))),
            Err(_) if attributes.user.is_in(MASTERS) => Ok(None),
            Err(_) => Err(()),
        }
    }

    fn take(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Permit {
        let mut taken = self.taken.lock();
        taken.last += 1;
        let number = taken.last;
        taken.places.insert(number, (Instant::now(), place));
        Permit {
            owner: self.clone(),
            number,
        }
    }

    /// Frees the places that were held too long.
    pub(super) fn tick(&self) {
        let mut taken = self.taken.lock();
        taken
            .places
            .retain(|_, (since, _)| since.elapsed() <= self.hold_max);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Limits;
    use crate::attributes::Attributes;
    use crate::user::User;

    #[test]
    fn a_place_that_is_held_too_long_is_free_again_and_only_once() {
        let writing = Attributes {
            verb: "create".to_owned(),
            ..Attributes::default()
        };
        let limits = Limits::new(1, 1, Duration::ZERO);
        let slow = limits.enter(&writing).unwrap();
        assert!(limits.enter(&writing).is_err());
        limits.tick();
        let other = limits.enter(&writing).unwrap();
        drop(slow);
        assert!(limits.enter(&writing).is_err());
        drop(other);
        assert!(limits.enter(&writing).is_ok());
        let patient = Limits::new(1, 1, Duration::from_secs(600));
        let _place = patient.enter(&writing).unwrap();
        patient.tick();
        assert!(patient.enter(&writing).is_err());
    }

    #[test]
    fn a_full_server_lets_in_watches_and_masters_alone() {
        let asked = |verb: &str| Attributes {
            verb: verb.to_owned(),
            resource: "pods".to_owned(),
            ..Attributes::default()
        };
        let limits = Limits::new(1, 1, Duration::from_secs(600));
        let place = limits.enter(&asked("list")).unwrap();
        assert!(limits.enter(&asked("list")).is_err());
        assert!(limits.enter(&asked("create")).is_ok());
        assert!(limits.enter(&asked("watch")).is_ok());
        let mut master = asked("list");
        master.user = Arc::new(User::apiserver());
        assert!(limits.enter(&master).is_ok());
        drop(place);
        assert!(limits.enter(&asked("list")).is_ok());
    }
}
