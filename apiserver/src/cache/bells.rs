//! Who is woken by which change: a watcher of one object, node or namespace sleeps through those of the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{Cache, Event, EventKind, Gone};

/// The field of pods by which the watchers of nodes choose.
pub const NODE: &str = "spec.nodeName";
/// Nothing to be read.
const NONE: u64 = u64::MAX;

/// The objects whose changes may matter to a watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    All,
    Namespace(Box<str>),
    /// An object by its name, in whatever namespace.
    Name(Box<str>),
    /// An object by its namespace and name, with a slash between them.
    Place(Box<str>),
    /// What is on a node.
    Node(Box<str>),
}

/// What wakes one watcher.
#[derive(Debug)]
struct Bell {
    /// The cursor of the first event that it has to read; before its own cursor, everything from there on.
    first: AtomicU64,
    rung: Notify,
}

type ByValue = HashMap<Box<str>, Vec<Arc<Bell>>>;

/// All bells, by the value that an object must have to ring them.
#[derive(Debug, Default)]
struct Bells {
    namespaces: ByValue,
    names: ByValue,
    places: ByValue,
    nodes: ByValue,
}

/// The bells of a cache.
#[derive(Debug, Default)]
pub(super) struct Tower(Mutex<Bells>);

/// A reader of those events of a cache that may matter to it, and of some others.
#[derive(Debug)]
pub struct Listener {
    cache: Arc<Cache>,
    interest: Interest,
    by: By,
}

#[derive(Debug)]
enum By {
    /// Every change wakes it.
    Any(watch::Receiver<u64>),
    Bell(Arc<Bell>),
}

impl Bell {
    fn ring(&self, cursor: u64) {
        self.first.fetch_min(cursor, Ordering::AcqRel);
        self.rung.notify_one();
    }
}

impl Bells {
    /// The bells of an interest's kind, and the value that rings its own.
    fn of<'a>(&mut self, interest: &'a Interest) -> Option<(&mut ByValue, &'a str)> {
        match interest {
            Interest::All => None,
            Interest::Namespace(value) => Some((&mut self.namespaces, value)),
            Interest::Name(value) => Some((&mut self.names, value)),
            Interest::Place(value) => Some((&mut self.places, value)),
            Interest::Node(value) => Some((&mut self.nodes, value)),
        }
    }
}

fn ring(bells: &ByValue, value: &str, cursor: u64) {
    for bell in bells.get(value).into_iter().flatten() {
        bell.ring(cursor);
    }
}

impl Tower {
    /// Whether somebody watches a node, so that it matters which one an object is on.
    pub(super) fn asks_for_nodes(&self) -> bool {
        !self.0.lock().nodes.is_empty()
    }

    /// Wakes those to whom an event may matter. It is called while the cache's state is written.
    pub(super) fn ring(&self, event: &Event, cursor: u64) {
        let bells = self.0.lock();
        let object = &event.object;
        ring(&bells.namespaces, &object.namespace, cursor);
        ring(&bells.names, &object.name, cursor);
        if !bells.places.is_empty() {
            let place = format!("{}/{}", object.namespace, object.name);
            ring(&bells.places, &place, cursor);
        }
        if !bells.nodes.is_empty() {
            let now = (event.kind != EventKind::Deleted).then(|| object.field(NODE));
            let before = event.old.as_ref().map(|old| old.field(NODE));
            for node in [&before, &now].into_iter().flatten() {
                ring(&bells.nodes, node, cursor);
            }
        }
    }

    /// Wakes all: what they have not read is gone.
    pub(super) fn ring_all(&self) {
        let bells = self.0.lock();
        for by_value in [&bells.namespaces, &bells.names, &bells.places, &bells.nodes] {
            by_value.values().flatten().for_each(|bell| bell.ring(0));
        }
    }
}

impl Listener {
    /// A listener, which hears of everything that happens from now on. Its first reading is from its cursor on.
    #[must_use]
    pub fn new(cache: &Arc<Cache>, interest: Interest) -> Listener {
        let mut bells = cache.bells.0.lock();
        let by = match bells.of(&interest) {
            None => By::Any(cache.changes()),
            Some((by_value, value)) => {
                let bell = Arc::new(Bell {
                    first: AtomicU64::new(0),
                    rung: Notify::new(),
                });
                by_value.entry(value.into()).or_default().push(bell.clone());
                By::Bell(bell)
            }
        };
        drop(bells);
        Listener {
            cache: cache.clone(),
            interest,
            by,
        }
    }

    /// Events from a cursor on, at most so many, and the next cursor. None are left when there are none.
    ///
    /// # Errors
    ///
    /// If the reader was so slow that events are gone.
    pub fn events(
        &mut self,
        cursor: u64,
        count_max: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), Gone> {
        match &mut self.by {
            By::Any(changes) => {
                // Seen before the events are read, so that one that comes in between wakes us.
                changes.mark_unchanged();
                self.cache.events(cursor, count_max)
            }
            By::Bell(bell) => {
                // Nobody rings while the state is read.
                let state = self.cache.state.read();
                let first = bell.first.load(Ordering::Acquire);
                if first == NONE {
                    return Ok((Vec::new(), state.ring.end()));
                }
                let (events, next) = state.ring.read(cursor.max(first), count_max)?;
                let is_end = next == state.ring.end();
                bell.first
                    .store(if is_end { NONE } else { next }, Ordering::Release);
                Ok((events, next))
            }
        }
    }

    /// Whether events may have come that were not read.
    #[must_use]
    pub fn is_rung(&self) -> bool {
        match &self.by {
            By::Any(changes) => changes.has_changed().unwrap_or(true),
            By::Bell(bell) => bell.first.load(Ordering::Acquire) != NONE,
        }
    }

    /// Waits for more after all was read; perhaps in vain.
    pub async fn rung(&mut self) {
        match &mut self.by {
            // The cache, and so the sender, lives as long as we do.
            By::Any(changes) => drop(changes.changed().await),
            By::Bell(bell) => bell.rung.notified().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let By::Bell(own) = &self.by else { return };
        let mut bells = self.cache.bells.0.lock();
        let Some((by_value, value)) = bells.of(&self.interest) else {
            return;
        };
        let Some(listed) = by_value.get_mut(value) else {
            return;
        };
        if let Some(at) = listed.iter().position(|bell| Arc::ptr_eq(bell, own)) {
            listed.swap_remove(at);
        }
        if listed.is_empty() {
            by_value.remove(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use objects::Value;
    use serde_json::json;

    use super::super::{Contents, Damaged, Object, Position, Seen};
    use super::*;

    fn pod(name: &str, node: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "a"}, "spec": {"nodeName": node}})
    }

    fn put(cache: &Cache, name: &str, node: &str, revision: i64) {
        let seen = Seen::Object(Object::new(pod(name, node), revision));
        cache.apply(vec![(format!("a/{name}"), seen)], revision);
    }

    fn cache() -> Arc<Cache> {
        Arc::new(Cache::new("/pods/", Arc::new(Position::default())))
    }

    /// A listener that has read all that was there.
    fn listener(cache: &Arc<Cache>, interest: Interest) -> (Listener, u64) {
        let mut listener = Listener::new(cache, interest);
        let (_, cursor) = listener
            .events(cache.snapshot(Default::default()).cursor, 9)
            .unwrap();
        (listener, cursor)
    }

    fn revisions(read: &(Vec<Arc<Event>>, u64)) -> Vec<i64> {
        read.0.iter().map(|event| event.revision()).collect()
    }

    #[test]
    fn only_those_are_woken_to_whom_a_change_may_matter() {
        let interests = [
            (Interest::All, true),
            (Interest::Namespace("a".into()), true),
            (Interest::Namespace("b".into()), false),
            (Interest::Name("x".into()), true),
            (Interest::Name("y".into()), false),
            (Interest::Place("a/x".into()), true),
            (Interest::Place("b/x".into()), false),
            (Interest::Node("n".into()), true),
            (Interest::Node("m".into()), false),
        ];
        let cache = cache();
        let listeners = interests.map(|(interest, woken)| (listener(&cache, interest).0, woken));
        put(&cache, "x", "n", 1);
        for (listener, woken) in &listeners {
            assert_eq!(listener.is_rung(), *woken, "{:?}", listener.interest);
        }
    }

    #[test]
    fn a_node_is_told_of_what_leaves_it() {
        let cache = cache();
        put(&cache, "x", "n", 1);
        let (mut left, cursor) = listener(&cache, Interest::Node("n".into()));
        let (entered, _) = listener(&cache, Interest::Node("m".into()));
        put(&cache, "x", "m", 2);
        assert!(entered.is_rung());
        assert_eq!(revisions(&left.events(cursor, 9).unwrap()), [2]);
        assert!(!left.is_rung());
        cache.apply(vec![("a/x".to_owned(), Seen::Nothing)], 3);
        assert!(!left.is_rung() && entered.is_rung());
    }

    #[test]
    fn a_sleeper_misses_none_of_its_events_however_many_of_others_went_by() {
        let cache = cache();
        let (mut listener, cursor) = listener(&cache, Interest::Name("x".into()));
        // More than are remembered.
        for revision in 1..=20_000 {
            put(&cache, "y", "", revision);
        }
        put(&cache, "x", "", 20_001);
        put(&cache, "y", "", 20_002);
        put(&cache, "x", "", 20_003);
        let first = listener.events(cursor, 2).unwrap();
        assert_eq!(revisions(&first), [20_001, 20_002]);
        let second = listener.events(first.1, 2).unwrap();
        assert_eq!(revisions(&second), [20_003]);
        assert!(listener.events(second.1, 2).unwrap().0.is_empty());
    }

    #[test]
    fn a_sleeper_wakes_when_the_watches_end_of_all_that_happens() {
        let ends: [fn(&Cache); 4] = [
            |cache| cache.reset(Contents::default(), 7),
            |cache| cache.restart(),
            |cache| cache.close(),
            |cache| {
                let damaged = Damaged {
                    key: "/registry/pods/a/y".into(),
                    revision: 7,
                    why: "it is torn".into(),
                };
                cache.apply(vec![("a/y".to_owned(), Seen::Damaged(damaged))], 7);
            },
        ];
        for (which, end) in ends.into_iter().enumerate() {
            let cache = cache();
            let (mut listener, cursor) = listener(&cache, Interest::Name("x".into()));
            end(&cache);
            assert!(listener.is_rung(), "{which}");
            assert!(listener.events(cursor, 9).is_err(), "{which}");
        }
    }

    #[test]
    fn the_first_reading_is_from_the_own_cursor_on() {
        let cache = cache();
        put(&cache, "x", "", 1);
        put(&cache, "x", "", 2);
        let mut listener = Listener::new(&cache, Interest::Name("x".into()));
        let cursor = cache.cursor_after(1).unwrap();
        assert_eq!(revisions(&listener.events(cursor, 9).unwrap()), [2]);
    }

    #[test]
    fn whoever_went_is_not_rung_for() {
        let cache = cache();
        drop(listener(&cache, Interest::Node("n".into())));
        assert!(!cache.bells.asks_for_nodes());
    }
}
