//! Watching objects: first those that are there, if the request wants them, then every change in the order of the store.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use objects::status::{Reason, Status};
use tokio::time::{Instant, MissedTickBehavior, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::read::{Selection, parse_version};
use super::{ListOptions, Registry, Request};
use crate::cache::{Cache, Event, EventKind, Interest, Listener, NODE, Object, Scope};

/// Events taken from a cache at a time.
const EVENTS_MAX: usize = 256;
/// How often a watcher is told how far it has come.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// The longest watch, whatever its client asks for.
const WATCH_SECONDS_MAX: u64 = 86_400;

/// What a watcher is told.
#[derive(Debug)]
pub enum Told {
    /// An object that was there when the watch began.
    Initial(Arc<Object>),
    /// A change, and what it is to this watcher: an object may enter or leave its selector.
    Change(Arc<Event>, EventKind),
    /// Everything up to this revision was told. The first one after the initial objects says so.
    Bookmark { revision: i64, initial_end: bool },
    /// The watch ends with an error.
    Failed(Status),
}

/// A watch of one resource.
#[derive(Debug)]
pub struct Watcher {
    cache: Arc<Cache>,
    namespace: String,
    name: String,
    selection: Selection,
    initial: VecDeque<Arc<Object>>,
    /// The bookmark behind the initial objects.
    initial_end: Option<i64>,
    cursor: u64,
    waiting: VecDeque<Told>,
    listener: Listener,
    bookmarks: Option<tokio::time::Interval>,
    /// The newest revision that was told.
    told: i64,
    /// The end, and that of the server: waited for all the while, and not anew at each event.
    deadline: Pin<Box<Sleep>>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    failed: bool,
}

impl Registry {
    /// Opens a watch.
    pub async fn watch(&self, request: &Request, options: &ListOptions) -> Result<Watcher, Status> {
        let selection = Selection::of(&request.served, options)?;
        let cache = self.cache(&request.served)?;
        // Before anything is read, so that nothing comes in between.
        let listener = Listener::new(&cache, interest(request, &selection));
        let version = match options.resource_version.as_str() {
            "" => 0,
            text => parse_version(text)?,
        };
        let streams = options.send_initial_events == Some(true);
        let mut failed = None;
        if streams && options.resource_version.is_empty() {
            self.feed.barrier().await?;
        } else if version > 0 {
            self.wait_for(version).await?;
        }
        let scope = Scope {
            namespace: &request.namespace,
            limit: 0,
        };
        let initial = streams || (version == 0 && options.send_initial_events.is_none());
        let (objects, cursor, told) = if initial {
            if let Some(damaged) = cache.damaged(&request.namespace) {
                return Err(damaged);
            }
            let snapshot = cache.snapshot(scope);
            (snapshot.objects, snapshot.cursor, snapshot.revision)
        } else if version == 0 {
            let snapshot = cache.snapshot(Scope { limit: 1, ..scope });
            (Vec::new(), snapshot.cursor, snapshot.revision)
        } else {
            match cache.cursor_after(version) {
                Ok(cursor) => (Vec::new(), cursor, version),
                Err(gone) => {
                    failed = Some(too_old(version, gone.oldest));
                    (Vec::new(), 0, version)
                }
            }
        };
        // A definition that changed before the cursor was taken ended no watch that goes on from there.
        if !self.is_served_still(request) {
            failed = Some(too_old(told, cache.revision()));
        }
        let mut watcher = Watcher {
            cache,
            namespace: request.namespace.clone(),
            name: request.name.clone(),
            selection,
            initial: VecDeque::new(),
            initial_end: (streams && options.bookmarks).then_some(told),
            cursor,
            waiting: failed.map(Told::Failed).into_iter().collect(),
            listener,
            bookmarks: options.bookmarks.then(bookmarks),
            told,
            deadline: Box::pin(tokio::time::sleep(lifetime(
                options.timeout_seconds,
                self.watch_seconds_min,
            ))),
            draining: Box::pin(self.draining.clone().cancelled_owned()),
            failed: false,
        };
        watcher.initial = objects
            .into_iter()
            .filter(|object| watcher.wants(object))
            .collect();
        Ok(watcher)
    }

    /// Whether the definition of a custom resource is the one that a request was read by.
    fn is_served_still(&self, request: &Request) -> bool {
        let resource = &request.served.resource;
        let table = self.resources.table();
        let now = table.get(&resource.group, &resource.version, &resource.plural);
        !request.served.is_custom() || now.is_some_and(|now| Arc::ptr_eq(now, &request.served))
    }
}

/// The narrowest interest that a watch's objects are all of.
fn interest(request: &Request, selection: &Selection) -> Interest {
    let namespace = request.namespace.as_str();
    let name = match request.name.as_str() {
        "" => selection.exact("metadata.name"),
        name => Some(name),
    };
    match (name, selection.exact(NODE)) {
        (Some(name), _) if namespace.is_empty() => Interest::Name(name.into()),
        (Some(name), _) => Interest::Place(format!("{namespace}/{name}").into()),
        (None, Some(node)) => Interest::Node(node.into()),
        (None, None) if namespace.is_empty() => Interest::All,
        (None, None) => Interest::Namespace(namespace.into()),
    }
}

fn too_old(version: i64, oldest: i64) -> Status {
    Status::new(
        Reason::Expired,
        format!("too old resource version: {version} ({oldest})"),
    )
}

fn bookmarks() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + BOOKMARK_INTERVAL, BOOKMARK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Watches of one moment do not all end at another.
fn lifetime(seconds: Option<u64>, seconds_min: u64) -> Duration {
    let seconds = seconds.filter(|seconds| *seconds > 0).unwrap_or_else(|| {
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        seconds_min + u64::from(u16::from_le_bytes(bytes)) % seconds_min.max(1)
    });
    Duration::from_secs(seconds.min(WATCH_SECONDS_MAX))
}

impl Watcher {
    /// What can be told without waiting for anything; perhaps not all of it.
    pub fn at_hand(&mut self) -> Option<Told> {
        if self.failed {
            return None;
        }
        if let Some(object) = self.initial.pop_front() {
            return Some(Told::Initial(object));
        }
        if let Some(revision) = self.initial_end.take() {
            return Some(Told::Bookmark {
                revision,
                initial_end: true,
            });
        }
        let told = self.waiting.pop_front()?;
        self.failed = matches!(told, Told::Failed(_));
        Some(told)
    }

    /// What comes next; none at the end of the watch. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if self.failed {
                return None;
            }
            if let Some(told) = self.at_hand() {
                return Some(told);
            }
            match self.listener.events(self.cursor, EVENTS_MAX) {
                Ok((events, next)) => {
                    let none = events.is_empty();
                    self.cursor = next;
                    self.take(events);
                    if !none {
                        continue;
                    }
                }
                Err(gone) => {
                    self.waiting
                        .push_back(Told::Failed(too_old(self.told, gone.oldest)));
                    continue;
                }
            }
            tokio::select! {
                () = self.listener.rung() => {}
                () = &mut self.deadline => return None,
                () = &mut self.draining => return None,
                () = tick(&mut self.bookmarks) => {
                    let revision = self.cache.revision();
                    // Events that came meanwhile are told first.
                    if !self.listener.is_rung() {
                        return Some(Told::Bookmark { revision, initial_end: false });
                    }
                }
            }
        }
    }

    /// Whether all was told that was there when it began.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.initial.is_empty() && self.initial_end.is_none()
    }

    fn take(&mut self, events: Vec<Arc<Event>>) {
        for event in events {
            self.told = event.revision();
            if let Some(kind) = self.kind(&event) {
                self.waiting.push_back(Told::Change(event, kind));
            }
        }
    }

    /// What a change is to this watcher, by whether it saw the object before and sees it now.
    fn kind(&self, event: &Event) -> Option<EventKind> {
        let now = event.kind != EventKind::Deleted && self.wants(&event.object);
        let before = event.old.as_ref().is_some_and(|old| self.wants(old));
        match (before, now) {
            (false, true) => Some(EventKind::Added),
            (true, true) => Some(EventKind::Modified),
            (true, false) => Some(EventKind::Deleted),
            (false, false) => None,
        }
    }

    fn wants(&self, object: &Object) -> bool {
        (self.namespace.is_empty() || *object.namespace == *self.namespace)
            && (self.name.is_empty() || *object.name == *self.name)
            && self.selection.matches(object)
    }
}

async fn tick(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_has_an_end_whatever_its_client_asks_for() {
        assert_eq!(lifetime(Some(u64::MAX), 1_800).as_secs(), WATCH_SECONDS_MAX);
        assert_eq!(lifetime(Some(7), 1_800).as_secs(), 7);
        let own = lifetime(None, 1_800).as_secs();
        assert!((1_800..3_600).contains(&own), "{own}");
        assert_eq!(lifetime(None, 0).as_secs(), 0);
    }
}
