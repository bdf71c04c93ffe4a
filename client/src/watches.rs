//! Watches, on as many connections as they need: a server bounds the streams of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proto::api::{WatchRequest, WatchResponse};
use tonic::{Request, Status, Streaming};

use crate::connection::Dialer;
use crate::error::Error;
use crate::link::{Effect, Link, Stub, Token, whole};

/// Watches of one connection. Servers take 250 streams or less.
const WATCHES_MAX: usize = 200;
/// Connections for watches. They are made when those before them are full.
const CONNECTIONS_MAX: usize = 8;

/// The connections for watches.
pub(crate) struct Watches {
    links: Vec<Counted>,
}

struct Counted {
    link: Link,
    watches: Arc<AtomicUsize>,
}

/// A watch that has its place on a connection.
pub(crate) struct Watching {
    stream: Streaming<WatchResponse>,
    _place: Place,
}

/// A place, which is free when this is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watching {
    pub(crate) async fn message(&mut self) -> Result<Option<WatchResponse>, Status> {
        self.stream.message().await
    }
}

impl Watches {
    pub(crate) fn new(dialer: &Arc<Dialer>, token: &Arc<Token>) -> Watches {
        let links = (0..CONNECTIONS_MAX).map(|_| Counted {
            link: Link::new(dialer.clone(), token.clone()),
            watches: Arc::default(),
        });
        Watches {
            links: links.collect(),
        }
    }

    /// Begins a watch, for which there is so much time.
    pub(crate) async fn begin(
        &self,
        message: WatchRequest,
        timeout: Duration,
    ) -> Result<Watching, Error> {
        let (link, place) = self.place()?;
        let send = |mut stub: Stub, mut request: Request<_>| async move {
            // The time is for the beginning of the watch, not for its end.
            request.metadata_mut().remove("grpc-timeout");
            whole(stub.watch(request)).await
        };
        let stream = link.call(Effect::None, timeout, message, send).await?;
        Ok(Watching {
            stream,
            _place: place,
        })
    }

    /// The first connection that is not full.
    fn place(&self) -> Result<(&Link, Place), Error> {
        for counted in &self.links {
            let place = Place(counted.watches.clone());
            if counted.watches.fetch_add(1, Ordering::Relaxed) < WATCHES_MAX {
                return Ok((&counted.link, place));
            }
        }
        let most = WATCHES_MAX * CONNECTIONS_MAX;
        Err(Error::Invalid(format!("there are {most} watches already")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Credentials, Trust};

    #[test]
    fn a_connection_is_filled_before_the_next_and_places_become_free() {
        let config = Config::new(vec!["https://localhost:1".to_owned()], Trust::Anybody);
        let dialer = Arc::new(Dialer::new(&config).unwrap());
        let watches = Watches::new(&dialer, &Arc::new(Token::new(Credentials::Anonymous)));
        let at = |link: &Link| {
            let mut links = watches.links.iter();
            links
                .position(|counted| std::ptr::eq(&counted.link, link))
                .unwrap()
        };
        let mut places = Vec::new();
        for count in 0..WATCHES_MAX * CONNECTIONS_MAX {
            let (link, place) = watches.place().unwrap();
            assert_eq!(at(link), count / WATCHES_MAX);
            places.push(place);
        }
        assert!(watches.place().is_err() && watches.place().is_err());
        places.remove(0);
        let (link, _place) = watches.place().unwrap();
        assert_eq!(at(link), 0);
    }
}
