//! The limits that stand where fair sharing is switched off: so many requests that read, and so many that write, at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::gate::is_reading;
use crate::attributes::Attributes;
use crate::user::MASTERS;

/// Two limits.
#[derive(Debug)]
pub(super) struct Limits {
    reading: Arc<Semaphore>,
    writing: Arc<Semaphore>,
}

impl Limits {
    /// Limits of requests that read and that write; 0 for none.
    pub(super) fn new(reading_max: usize, writing_max: usize) -> Limits {
        let places = |most: usize| {
            let most = if most == 0 {
                Semaphore::MAX_PERMITS
            } else {
                most
            };
            Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))
        };
        Limits {
            reading: places(reading_max),
            writing: places(writing_max),
        }
    }

    /// A place, if one is free. Watches need none, and the masters come in when all are taken too.
    pub(super) fn enter(
        &self,
        attributes: &Attributes,
    ) -> Result<Option<OwnedSemaphorePermit>, ()> {
        if attributes.verb == "watch" {
            return Ok(None);
        }
        let places = if is_reading(attributes) {
            &self.reading
        } else {
            &self.writing
        };
        match places.clone().try_acquire_owned() {
            Ok(place) => Ok(Some(place)),
            Err(_) if attributes.user.is_in(MASTERS) => Ok(None),
            Err(_) => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Limits;
    use crate::attributes::Attributes;
    use crate::user::User;

    #[test]
    fn a_full_server_lets_in_watches_and_masters_alone() {
        let asked = |verb: &str| Attributes {
            verb: verb.to_owned(),
            resource: "pods".to_owned(),
            ..Attributes::default()
        };
        let limits = Limits::new(1, 1);
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
