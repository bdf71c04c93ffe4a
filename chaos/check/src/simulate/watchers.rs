//! Simulated watches: each gets whole revisions, as far as its member has applied the log, a while later.

use std::collections::{BTreeMap, VecDeque};

use crate::history::{Blob, Event, EventKind, Record, WatchClosed, WatchOpened, WatchResponse};

use super::random::Random;
use super::store::Store;

/// Most revisions in one response.
const BATCH_MAX: u64 = 8;

/// Most watches at a time besides the witnesses.
const WATCHES_MAX: usize = 8;

/// A member's view: numbers to draw, the store, and how far each member has applied it.
type View<'a> = (&'a mut Random, &'a Store, &'a [i64]);

#[derive(Debug)]
struct Watcher {
    opened: WatchOpened,
    /// The next revision to send.
    next: i64,
    /// It has been told how far it is since its last event.
    told: bool,
    /// It stays to the end, and no compaction overtakes it.
    stays: bool,
}

#[derive(Debug, Default)]
pub(super) struct Watchers {
    open: BTreeMap<u64, Watcher>,
    last_id: u64,
}

impl Watchers {
    pub(super) fn open_witness(&mut self, member: u32, out: &mut VecDeque<Record>) -> u64 {
        let opened = WatchOpened {
            member,
            witness: true,
            key: [0].as_slice().into(),
            range_end: [0].as_slice().into(),
            start_revision: 1,
            prev_kv: true,
            ..WatchOpened::default()
        };
        self.create(opened, 1, out)
    }

    /// A watch of some keys that stays to the end.
    pub(super) fn open_standing(&mut self, out: &mut VecDeque<Record>) -> u64 {
        let opened = WatchOpened {
            client: 1000,
            key: "k".into(),
            range_end: "l".into(),
            prev_kv: true,
            progress_notify: true,
            ..WatchOpened::default()
        };
        let id = self.create(opened, 1, out);
        if let Some(watcher) = self.open.get_mut(&id) {
            watcher.stays = true;
        }
        id
    }

    fn create(&mut self, mut opened: WatchOpened, applied: i64, out: &mut VecDeque<Record>) -> u64 {
        self.last_id += 1;
        opened.id = self.last_id;
        let next = if opened.start_revision > 0 {
            opened.start_revision
        } else {
            applied + 1
        };
        out.push_back(Record::WatchOpened(opened.clone()));
        out.push_back(Record::Watch(WatchResponse {
            watch: self.last_id,
            time_ns: opened.time_ns,
            revision: applied,
            created: true,
            ..WatchResponse::default()
        }));
        let watcher = Watcher {
            stays: opened.witness,
            opened,
            next,
            told: false,
        };
        self.open.insert(self.last_id, watcher);
        self.last_id
    }

    /// The oldest revision that a watch which stays has to send.
    pub(super) fn slowest(&self) -> i64 {
        let staying = self.open.values().filter(|watcher| watcher.stays);
        staying.map(|watcher| watcher.next).min().unwrap_or(0)
    }

    /// Opens a watch or closes one; gives the id of a new one.
    pub(super) fn come_and_go(
        &mut self,
        (random, store, applied): View<'_>,
        now_ns: u64,
        out: &mut VecDeque<Record>,
    ) -> Option<u64> {
        let others: Vec<u64> = self
            .open
            .values()
            .filter(|watcher| !watcher.stays)
            .map(|watcher| watcher.opened.id)
            .collect();
        if others.len() >= WATCHES_MAX || (!others.is_empty() && random.chance(300)) {
            let id = others[random.index(others.len())];
            self.open.remove(&id);
            out.push_back(Record::WatchClosed(WatchClosed {
                watch: id,
                time_ns: now_ns,
                reason: "enough seen".to_owned(),
            }));
            return None;
        }
        let member = random.index(applied.len());
        let first = (store.revision - 30).max(1);
        let single = random.chance(400);
        let opened = WatchOpened {
            client: 1000,
            member: u32::try_from(member).expect("a small number"),
            time_ns: now_ns,
            key: format!("k{}", random.below(9)).into(),
            range_end: if single {
                Blob::default()
            } else {
                [0].as_slice().into()
            },
            start_revision: if random.chance(500) {
                0
            } else {
                random.between(first, store.revision + 5)
            },
            no_put: random.chance(100),
            no_delete: random.chance(100),
            prev_kv: random.chance(500),
            fragment: random.chance(300),
            progress_notify: random.chance(500),
            ..WatchOpened::default()
        };
        Some(self.create(opened, applied[member], out))
    }

    /// Sends a watch some of what it has not got; says whether it is still open.
    pub(super) fn deliver(
        &mut self,
        id: u64,
        (random, store, applied): View<'_>,
        now_ns: u64,
        out: &mut VecDeque<Record>,
    ) -> bool {
        let Some(watcher) = self.open.get_mut(&id) else {
            return false;
        };
        let member = usize::try_from(watcher.opened.member).expect("a small number");
        let applied = applied[member];
        if watcher.next < store.compacted {
            out.push_back(Record::Watch(WatchResponse {
                watch: id,
                time_ns: now_ns,
                canceled: true,
                compact_revision: store.compacted,
                ..WatchResponse::default()
            }));
            self.open.remove(&id);
            return false;
        }
        let most = i64::try_from(random.below(BATCH_MAX)).expect("a small number");
        let last = applied.min(watcher.next + most);
        if last < watcher.next {
            if watcher.opened.progress_notify && watcher.next == applied + 1 && !watcher.told {
                watcher.told = true;
                out.push_back(Record::Watch(WatchResponse {
                    watch: id,
                    time_ns: now_ns,
                    revision: applied,
                    ..WatchResponse::default()
                }));
            }
            return true;
        }
        watcher.send(last, (random, store, applied), now_ns, out);
        true
    }

    /// Sends every watch everything.
    pub(super) fn flush(
        &mut self,
        (random, store, applied): View<'_>,
        now_ns: u64,
        out: &mut VecDeque<Record>,
    ) {
        for watcher in self.open.values_mut() {
            if watcher.next <= store.revision && watcher.next >= store.compacted {
                let member = usize::try_from(watcher.opened.member).expect("a small number");
                let view = (&mut *random, store, applied[member]);
                watcher.send(store.revision, view, now_ns, out);
            } else if watcher.next < store.compacted {
                out.push_back(Record::WatchClosed(WatchClosed {
                    watch: watcher.opened.id,
                    time_ns: now_ns,
                    reason: "the end".to_owned(),
                }));
            }
        }
    }
}

impl Watcher {
    fn wants(&self, event: &Event) -> bool {
        let kind = match event.kind {
            EventKind::Put => !self.opened.no_put,
            EventKind::Delete => !self.opened.no_delete,
        };
        let (key, end) = (&self.opened.key, &self.opened.range_end);
        let within = if end.is_empty() {
            event.kv.key == *key
        } else {
            event.kv.key >= *key && (end.as_slice() == [0] || event.kv.key < *end)
        };
        kind && within
    }

    fn send(
        &mut self,
        last: i64,
        (random, store, applied): (&mut Random, &Store, i64),
        now_ns: u64,
        out: &mut VecDeque<Record>,
    ) {
        let mut events = Vec::new();
        for revision in self.next..=last {
            for event in store
                .events(revision)
                .iter()
                .filter(|event| self.wants(event))
            {
                let mut event = event.clone();
                if !self.opened.prev_kv || revision - 1 < store.compacted {
                    event.prev_kv = None;
                }
                events.push(event);
            }
        }
        self.next = last + 1;
        if events.is_empty() {
            return;
        }
        self.told = false;
        let response = |events: Vec<Event>, fragment| {
            Record::Watch(WatchResponse {
                watch: self.opened.id,
                time_ns: now_ns,
                revision: applied,
                events,
                fragment,
                ..WatchResponse::default()
            })
        };
        while self.opened.fragment && events.len() > 1 && random.chance(500) {
            let rest = events.split_off(1);
            out.push_back(response(events, true));
            events = rest;
        }
        out.push_back(response(events, false));
    }
}
