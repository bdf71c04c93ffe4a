//! The changes of late of one resource: watchers are cursors into them, and what one watcher had encoded the others take as it is.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};

use super::Object;

/// Events that are remembered of one resource.
const EVENTS_MAX: usize = 16_384;
/// Bytes of objects that they hold.
const BYTES_MAX: usize = 64 << 20;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    pub kind: EventKind,
    /// What it became; of a deleted one, what it was, with the revision of its deletion.
    pub object: Arc<Object>,
    /// What it was; none for an added one.
    pub old: Option<Arc<Object>>,
    /// The frames of a JSON watch, made when they are first asked for.
    frames: [OnceLock<Bytes>; 3],
    /// The same in protobuf, of kinds that have it.
    protobuf: [OnceLock<Bytes>; 3],
    /// The old object with the new revision: for watchers whose selector it leaves.
    left: OnceLock<Arc<Object>>,
}

/// Changes that a watcher needs are no longer remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// What is remembered begins behind this revision.
    pub oldest: i64,
}

impl EventKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Added => "ADDED",
            EventKind::Modified => "MODIFIED",
            EventKind::Deleted => "DELETED",
        }
    }
}

impl Event {
    pub(super) fn put(object: Arc<Object>, old: Option<Arc<Object>>) -> Event {
        let kind = if old.is_some() {
            EventKind::Modified
        } else {
            EventKind::Added
        };
        Event {
            kind,
            object,
            old,
            frames: Default::default(),
            protobuf: Default::default(),
            left: OnceLock::new(),
        }
    }

    pub(super) fn deleted(old: &Arc<Object>, revision: i64) -> Event {
        Event {
            kind: EventKind::Deleted,
            object: Arc::new(old.at_revision(revision)),
            old: Some(old.clone()),
            frames: Default::default(),
            protobuf: Default::default(),
            left: OnceLock::new(),
        }
    }

    #[must_use]
    pub fn revision(&self) -> i64 {
        self.object.revision
    }

    /// The object that an event of this kind is told with. A watcher whose selector an object leaves is told a deletion.
    #[must_use]
    pub fn told(&self, kind: EventKind) -> &Arc<Object> {
        match (&self.old, kind) {
            (Some(old), EventKind::Deleted) if self.kind == EventKind::Modified => self
                .left
                .get_or_init(|| Arc::new(old.at_revision(self.revision()))),
            _ => &self.object,
        }
    }

    /// The event as a line of a JSON watch in the stored version; encoded once for all watchers.
    #[must_use]
    pub fn frame(&self, kind: EventKind) -> &Bytes {
        self.frames[kind as usize].get_or_init(|| frame(kind.name(), &self.told(kind).json))
    }

    /// The event as a frame of a protobuf watch in the stored version, which the first watcher makes for all.
    #[must_use]
    pub fn protobuf(&self, kind: EventKind, encode: impl FnOnce() -> Bytes) -> &Bytes {
        self.protobuf[kind as usize].get_or_init(encode)
    }

    fn size(&self) -> usize {
        self.object.json.len()
    }
}

/// A line of a JSON watch.
#[must_use]
pub fn frame(kind: &str, object: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(b"{\"type\":\"");
    line.put_slice(kind.as_bytes());
    line.put_slice(b"\",\"object\":");
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}

/// Events in their order, the oldest of which give way.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    /// The cursor of the first one.
    start: u64,
    /// All events behind this revision are here.
    oldest: i64,
    bytes: usize,
}

impl Ring {
    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.size();
        self.events.push_back(event);
        while self.events.len() > EVENTS_MAX || (self.bytes > BYTES_MAX && self.events.len() > 1) {
            let Some(first) = self.events.pop_front() else {
                break;
            };
            self.bytes -= first.size();
            self.oldest = self.oldest.max(first.revision());
            self.start += 1;
        }
    }

    /// Forgets everything: what comes next comes after this revision.
    pub(super) fn restart(&mut self, revision: i64) {
        // The step keeps cursors from before from meeting events of after.
        self.start = self.end() + 1;
        self.events.clear();
        self.bytes = 0;
        self.oldest = revision;
    }

    /// The cursor of the next event.
    pub(super) fn end(&self) -> u64 {
        self.start + self.events.len() as u64
    }

    pub(super) fn cursor_after(&self, revision: i64) -> Result<u64, Gone> {
        if revision < self.oldest {
            return Err(Gone {
                oldest: self.oldest,
            });
        }
        let before = self
            .events
            .partition_point(|event| event.revision() <= revision);
        Ok(self.start + before as u64)
    }

    pub(super) fn read(
        &self,
        cursor: u64,
        count_max: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), Gone> {
        let Some(skip) = cursor.checked_sub(self.start) else {
            return Err(Gone {
                oldest: self.oldest,
            });
        };
        let skip = usize::try_from(skip)
            .unwrap_or(usize::MAX)
            .min(self.events.len());
        let events: Vec<_> = self
            .events
            .iter()
            .skip(skip)
            .take(count_max)
            .cloned()
            .collect();
        let next = cursor + events.len() as u64;
        Ok((events, next))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{EVENTS_MAX, Event, EventKind, Object, Ring};

    fn event(revision: i64) -> Arc<Event> {
        let object = Object::new(json!({"metadata": {"name": "x"}}), revision);
        Arc::new(Event::put(Arc::new(object), None))
    }

    #[test]
    fn a_cursor_takes_up_behind_a_revision_and_is_refused_when_that_is_forgotten() {
        let mut ring = Ring::default();
        ring.restart(10);
        for revision in [11, 13, 14] {
            ring.push(event(revision));
        }
        let cursor = ring.cursor_after(12).unwrap();
        let (events, next) = ring.read(cursor, 9).unwrap();
        assert_eq!(
            events
                .iter()
                .map(|event| event.revision())
                .collect::<Vec<_>>(),
            [13, 14]
        );
        assert_eq!(next, ring.end());
        assert_eq!(ring.cursor_after(9).unwrap_err().oldest, 10);
    }

    #[test]
    fn a_reader_that_falls_behind_the_ring_is_told_so() {
        let mut ring = Ring::default();
        let cursor = ring.cursor_after(0).unwrap();
        for revision in 1..=EVENTS_MAX as i64 + 1 {
            ring.push(event(revision));
        }
        assert!(ring.read(cursor, 1).is_err());
        assert!(ring.cursor_after(0).is_err());
        assert!(ring.cursor_after(1).is_ok());
    }

    #[test]
    fn an_object_that_leaves_a_selector_is_told_as_it_was_at_the_revision_it_left() {
        let old = Arc::new(Object::new(
            json!({"metadata": {"name": "x", "labels": {"a": "1"}}}),
            3,
        ));
        let new = Arc::new(Object::new(json!({"metadata": {"name": "x"}}), 4));
        let event = Event::put(new, Some(old));
        let line = String::from_utf8(event.frame(EventKind::Deleted).to_vec()).unwrap();
        let expected = r#"{"type":"DELETED","object":{"metadata":{"labels":{"a":"1"},"name":"x","resourceVersion":"4"}}}"#;
        assert_eq!(line.trim_end(), expected);
    }
}
