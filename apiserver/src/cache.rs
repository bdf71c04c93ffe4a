//! What the store has of each resource, in memory: objects with their encoded form, and the changes of late for those who watch.

mod bells;
mod events;
mod feed;
mod object;
mod silence;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use objects::status::Status;
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::{Notify, watch};

use self::bells::Tower;
pub use self::bells::{Interest, Listener, NODE};
use self::events::Ring;
pub use self::events::{Event, EventKind, Gone, frame};
use self::feed::Seen;
pub use self::feed::{Feed, Runner};
pub use self::object::{Decode, Object};
use crate::storage::Damaged;

/// How often the store is asked how far it has come while somebody waits.
const ASK_INTERVAL: Duration = Duration::from_millis(250);

/// The objects of one folder of the store.
#[derive(Debug)]
pub struct Cache {
    /// The folder below the prefix: `/pods/`.
    pub folder: String,
    state: RwLock<State>,
    /// Grows with every event.
    changed: watch::Sender<u64>,
    /// Those whom not every event wakes.
    bells: Tower,
    position: Arc<Position>,
}

#[derive(Debug, Default)]
struct State {
    contents: Contents,
    ring: Ring,
    /// The newest revision that was applied here.
    revision: i64,
    /// The revision at which the folder was last read whole; 0 for never.
    loaded_at: i64,
}

/// What a folder holds.
#[derive(Debug, Default)]
struct Contents {
    /// The objects; of what cannot be opened any more, the last that could be, for those who judge by it.
    objects: BTreeMap<Arc<str>, Arc<Object>>,
    /// What cannot be opened. It is in no object's way, and whoever lists or gets it is told of it.
    damaged: BTreeMap<String, Damaged>,
}

/// How far all caches have come in the store's history.
#[derive(Debug)]
pub struct Position {
    revision: AtomicI64,
    /// The newest revision that somebody waits for, or waited for.
    wanted: AtomicI64,
    moved: watch::Sender<i64>,
    /// Somebody waits for a revision that no event may bring.
    asked: Notify,
}

/// Some objects at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub objects: Vec<Arc<Object>>,
    /// Everything up to this revision is in it, and nothing behind it.
    pub revision: i64,
    /// Where a watch of what comes after has to begin.
    pub cursor: u64,
    /// How many there are behind the last one, where the snapshot was limited.
    pub remaining: usize,
}

/// Which objects a snapshot has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// Empty for all.
    pub namespace: &'a str,
    /// 0 for all.
    pub limit: usize,
}

impl Cache {
    fn new(folder: &str, position: Arc<Position>) -> Cache {
        Cache {
            folder: folder.to_owned(),
            state: RwLock::default(),
            changed: watch::Sender::new(0),
            bells: Tower::default(),
            position,
        }
    }

    /// An object by its key below the folder: `namespace/name`, or `name`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.state.read().contents.objects.get(key).cloned()
    }

    /// What a client is told who lists a namespace, or all where that is empty, in which something cannot be opened.
    #[must_use]
    pub fn damaged(&self, namespace: &str) -> Option<Status> {
        let state = self.state.read();
        let within = |key: &str| {
            namespace.is_empty()
                || key
                    .strip_prefix(namespace)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let mut damaged = state.contents.damaged.iter();
        damaged
            .find(|(key, _)| within(key))
            .map(|(_, damaged)| damaged.status())
    }

    /// What a client is told who gets what cannot be opened.
    #[must_use]
    pub fn damaged_at(&self, key: &str) -> Option<Status> {
        let state = self.state.read();
        state.contents.damaged.get(key).map(Damaged::status)
    }

    /// How many objects there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state.read().contents.objects.len()
    }

    /// Whether the folder was read.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.state.read().loaded_at > 0
    }

    /// A number that changes with every object.
    #[must_use]
    pub fn generation(&self) -> u64 {
        *self.changed.borrow()
    }

    /// The objects of a scope, in the order of their keys.
    #[must_use]
    pub fn snapshot(&self, scope: Scope<'_>) -> Snapshot {
        let state = self.state.read();
        let revision = self.revision_of(&state);
        let cursor = state.ring.end();
        let limit = if scope.limit > 0 {
            scope.limit
        } else {
            usize::MAX
        };
        let held = &state.contents.objects;
        let (objects, count): (Vec<Arc<Object>>, usize) = if scope.namespace.is_empty() {
            let objects = held.values().take(limit).cloned().collect();
            (objects, held.len())
        } else {
            let start = format!("{}/", scope.namespace);
            // The character behind `/` ends the namespace.
            let end = format!("{}0", scope.namespace);
            let range = (
                Bound::Included(start.as_str()),
                Bound::Excluded(end.as_str()),
            );
            let mut inside = held.range::<str, _>(range).map(|(_, object)| object);
            let objects: Vec<_> = inside.by_ref().take(limit).cloned().collect();
            let count = objects.len() + inside.count();
            (objects, count)
        };
        drop(state);
        let remaining = count - objects.len();
        Snapshot {
            objects,
            revision,
            cursor,
            remaining,
        }
    }

    /// Where a watch of what came after a revision begins.
    ///
    /// # Errors
    ///
    /// If what came after is no longer remembered.
    pub fn cursor_after(&self, revision: i64) -> Result<u64, Gone> {
        self.state.read().ring.cursor_after(revision)
    }

    /// Events from a cursor on, at most so many, and the next cursor.
    ///
    /// # Errors
    ///
    /// If the reader was so slow that events are gone.
    pub fn events(&self, cursor: u64, count_max: usize) -> Result<(Vec<Arc<Event>>, u64), Gone> {
        self.state.read().ring.read(cursor, count_max)
    }

    /// A revision up to which everybody who read all events has seen everything.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision_of(&self.state.read())
    }

    // The position moves after an event was applied, and no event is applied while the state is read.
    fn revision_of(&self, state: &RwLockReadGuard<'_, State>) -> i64 {
        state.revision.max(self.position.get())
    }

    /// Wakes up with each event.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes what the store told of some keys at one revision: objects, or that they are gone. All of it is seen at once.
    fn apply(&self, changes: Vec<(String, Seen)>, revision: i64) {
        if self.bells.asks_for_nodes() {
            // What a bell asks an object for is looked up before anybody has to wait for it.
            for (_, seen) in &changes {
                if let Seen::Object(object) = seen {
                    let _kept = object.field(NODE);
                }
            }
        }
        let mut state = self.state.write();
        if revision <= state.loaded_at {
            return;
        }
        state.revision = state.revision.max(revision);
        let mut is_damaged = false;
        for (key, seen) in changes {
            state.contents.damaged.remove(&key);
            let event = match seen {
                Seen::Object(object) => {
                    let object = Arc::new(object);
                    let old = state
                        .contents
                        .objects
                        .insert(Arc::from(key), object.clone());
                    Event::put(object, old)
                }
                Seen::Damaged(damaged) => {
                    state.contents.damaged.insert(key, damaged);
                    is_damaged = true;
                    continue;
                }
                Seen::Nothing => match state.contents.objects.remove(key.as_str()) {
                    Some(old) => Event::deleted(&old, revision),
                    None => continue,
                },
            };
            self.bells.ring(&event, state.ring.end());
            state.ring.push(Arc::new(event));
        }
        if is_damaged {
            // A change that nobody can read can be told to nobody.
            let revision = state.revision;
            state.ring.restart(revision);
            self.bells.ring_all();
        }
        // Before the lock goes: who reads the new revision knows of the event as well.
        self.changed.send_modify(|count| *count += 1);
    }

    /// Ends all watches: the folder is nobody's any more.
    fn close(&self) {
        let mut state = self.state.write();
        state.contents = Contents::default();
        let revision = state.revision;
        state.ring.restart(revision);
        state.loaded_at = 0;
        self.bells.ring_all();
        self.changed.send_modify(|count| *count += 1);
    }

    /// Ends the watches of now: what they are told would be made by rules that no longer hold.
    pub fn restart(&self) {
        let mut state = self.state.write();
        let revision = self.position.get().max(state.revision);
        state.ring.restart(revision);
        self.bells.ring_all();
        self.changed.send_modify(|count| *count += 1);
    }

    /// Puts what was read of the whole folder in the place of what was known.
    fn reset(&self, mut contents: Contents, revision: i64) {
        let mut state = self.state.write();
        for key in contents.damaged.keys() {
            if let Some((key, last)) = state.contents.objects.remove_entry(key.as_str()) {
                contents.objects.insert(key, last);
            }
        }
        state.contents = contents;
        state.ring.restart(revision);
        state.revision = revision;
        state.loaded_at = revision;
        self.bells.ring_all();
        // Before the lock goes: who reads the new revision knows of the event as well.
        self.changed.send_modify(|count| *count += 1);
    }
}

impl Default for Position {
    fn default() -> Position {
        Position {
            revision: AtomicI64::new(0),
            wanted: AtomicI64::new(0),
            moved: watch::Sender::new(0),
            asked: Notify::new(),
        }
    }
}

impl Position {
    #[must_use]
    pub fn get(&self) -> i64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Whether somebody waits for more than there is.
    fn is_behind(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > self.get()
    }

    fn advance(&self, revision: i64) {
        if self.revision.fetch_max(revision, Ordering::AcqRel) < revision {
            self.moved.send_replace(revision);
        }
    }

    /// Waits until all caches have come to a revision.
    pub async fn reach(&self, revision: i64) {
        let mut moved = self.moved.subscribe();
        self.wanted.fetch_max(revision, Ordering::AcqRel);
        while self.get() < revision {
            // A store that is asked may not answer, as while it opens a watch.
            self.asked.notify_one();
            let reached = moved.wait_for(|now| *now >= revision);
            // The sender lives as long as we do, and the time is up only to ask again.
            let _ = tokio::time::timeout(ASK_INTERVAL, reached).await;
        }
    }
}
