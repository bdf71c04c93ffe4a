//! Random publishers, watchers and accidents against the guarantees: ordered, unique, atomic, reliable, resumable,
//! bookmarkable.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use state_machine::{Event, EventKind, KeyRange};

use super::fake::{Change, Fake, Received, Setup, decode};
use crate::watch::{Delivery, History, HubOptions, WatchSpec, WatchStream};

/// splitmix64
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

const REVISIONS: i64 = 600;
/// Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A watch as the client sees it.
struct Model {
    spec: WatchSpec,
    /// Everything before was sent or is not wanted.
    cursor: i64,
    /// The client does not know what lies below.
    start: i64,
}

/// A client that checks what it is sent.
struct Client {
    fake: Arc<Fake>,
    stream: WatchStream,
    watches: HashMap<i64, Model>,
    random: Random,
    requests: u64,
    answers: u64,
    events: u64,
    compacted: u64,
    progress: u64,
}

impl Client {
    fn create(&mut self) {
        let keys = match self.random.below(4) {
            0 => KeyRange {
                start: key(&mut self.random),
                end: Bytes::new(),
            },
            1 => KeyRange {
                start: Bytes::from_static(&[0]),
                end: Bytes::from_static(&[0]),
            },
            2 => KeyRange {
                start: key(&mut self.random),
                end: Bytes::from_static(&[0]),
            },
            _ => KeyRange {
                start: Bytes::from_static(b"k1"),
                end: Bytes::from_static(b"k3"),
            },
        };
        let revision = i64::try_from(
            self.random
                .below(u64::try_from(self.fake.revision() + 5).unwrap()),
        )
        .unwrap();
        let spec = WatchSpec {
            keys,
            start_revision: if self.random.one_in(2) { 0 } else { revision },
            id: 0,
            no_put: self.random.one_in(6),
            no_delete: self.random.one_in(6),
            prev_kv: self.random.one_in(2),
            fragment: self.random.one_in(2),
            progress_notify: self.random.one_in(2),
        };
        let id = self.stream.create(spec.clone()).unwrap();
        let start = if spec.start_revision == 0 {
            self.stream.created_revision() + 1
        } else {
            spec.start_revision
        };
        assert!(
            self.watches
                .insert(
                    id,
                    Model {
                        spec,
                        cursor: start,
                        start
                    }
                )
                .is_none(),
            "ids are unique"
        );
    }

    async fn act(&mut self) {
        match self.random.below(40) {
            0 | 1 if self.watches.len() < 12 => self.create(),
            2 => {
                let id = self.watches.keys().min().copied().unwrap_or(77);
                assert_eq!(self.stream.cancel(id), self.watches.remove(&id).is_some());
            }
            3 => {
                self.stream.request_progress();
                self.requests += 1;
            }
            4 => self.stream.progress_tick(),
            5 => {
                for _ in 0..self.random.below(200) {
                    tokio::task::yield_now().await;
                }
            }
            _ => {
                for _ in 0..self.random.below(4) {
                    let polled = futures::poll!(std::pin::pin!(self.stream.next()));
                    if let Poll::Ready(delivery) = polled {
                        self.check(delivery);
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn check(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Events {
                watch_id,
                revision,
                events,
                fragment,
            } => {
                assert!(!fragment, "nothing is large enough");
                let model = self
                    .watches
                    .get_mut(&watch_id)
                    .expect("events are for watches that exist");
                self.events += model.receive(&self.fake, revision, &decode(&events));
            }
            Delivery::Progress {
                watch_id: -1,
                revision,
            } => {
                self.answers += 1;
                assert!(self.answers <= self.requests && !self.watches.is_empty());
                for (id, model) in &mut self.watches {
                    model.progress(&self.fake, *id, revision);
                }
            }
            Delivery::Progress { watch_id, revision } => {
                let model = self
                    .watches
                    .get_mut(&watch_id)
                    .expect("progress is for watches that exist");
                assert!(model.spec.progress_notify);
                model.progress(&self.fake, watch_id, revision);
                self.progress += 1;
            }
            Delivery::Compacted {
                watch_id,
                compact_revision,
            } => {
                let model = self
                    .watches
                    .remove(&watch_id)
                    .expect("only watches that exist are compacted");
                assert!(compact_revision <= self.fake.compact_revision());
                assert!(
                    model.cursor < compact_revision,
                    "{} was still there",
                    model.cursor
                );
                self.compacted += 1;
            }
        }
    }

    /// Waits for everything that is still due.
    async fn finish(&mut self) {
        let last = self.fake.revision();
        while self
            .watches
            .values()
            .any(|model| model.is_due(&self.fake, last))
        {
            self.wait().await;
        }
        while self
            .watches
            .values()
            .any(|model| model.spec.start_revision > last)
        {
            let id = self
                .watches
                .iter()
                .find(|(_, model)| model.spec.start_revision > last)
                .map(|(id, _)| *id);
            let id = id.expect("one starts later");
            self.watches.remove(&id);
            assert!(self.stream.cancel(id));
        }
        if self.watches.is_empty() {
            return;
        }
        // Answers to earlier requests may come first.
        self.requests = self.answers + 1000;
        self.stream.request_progress();
        let mut progress = self.wait().await;
        while progress
            != (Delivery::Progress {
                watch_id: -1,
                revision: last,
            })
            && !self.watches.is_empty()
        {
            progress = self.wait().await;
        }
    }

    /// Takes one delivery as a server does: woken by the hub alone.
    async fn wait(&mut self) -> Delivery {
        let delivery = tokio::time::timeout(PATIENCE, self.stream.next())
            .await
            .expect("no wake-up is lost");
        self.check(delivery.clone());
        delivery
    }
}

impl Model {
    fn wants(&self, event: &Event) -> bool {
        let kind = match event.kind {
            EventKind::Put => !self.spec.no_put,
            EventKind::Delete => !self.spec.no_delete,
        };
        let keys = &self.spec.keys;
        let key = match &keys.end[..] {
            [] => event.key == keys.start,
            [0] => event.key >= keys.start,
            end => event.key >= keys.start && &event.key[..] < end,
        };
        kind && key
    }

    fn wanted(&self, fake: &Fake, revision: i64) -> Vec<Event> {
        fake.events_of(revision)
            .iter()
            .filter(|event| self.wants(event))
            .cloned()
            .collect()
    }

    /// Whether something wanted up to `last` was not sent.
    fn is_due(&self, fake: &Fake, last: i64) -> bool {
        (self.cursor.max(2)..=last).any(|revision| !self.wanted(fake, revision).is_empty())
    }

    /// Nothing that is wanted lies between the cursor and `next`.
    fn skip_to(&mut self, fake: &Fake, next: i64, id: i64) {
        for revision in self.cursor.max(2)..next {
            assert!(
                self.wanted(fake, revision).is_empty(),
                "watch {id} misses revision {revision}"
            );
        }
        self.cursor = self.cursor.max(next);
    }

    fn receive(&mut self, fake: &Fake, header: i64, events: &[Received]) -> u64 {
        assert!(!events.is_empty());
        let mut rest = events;
        let mut last = 0;
        while let Some(first) = rest.first() {
            last = first.revision();
            assert!(
                last >= self.cursor && last >= self.start,
                "{last} came twice or too early"
            );
            self.skip_to(fake, last, -2);
            let wanted = self.wanted(fake, last);
            assert!(rest.len() >= wanted.len(), "revision {last} is not whole");
            let (revision, others) = rest.split_at(wanted.len());
            for (received, event) in revision.iter().zip(&wanted) {
                self.compare(fake, received, event);
            }
            self.cursor = last + 1;
            rest = others;
        }
        assert!(header >= last && header <= fake.revision());
        self.skip_to(fake, header + 1, -3);
        events.len() as u64
    }

    fn compare(&self, fake: &Fake, received: &Received, event: &Event) {
        assert_eq!(received.delete, event.kind == EventKind::Delete);
        assert_eq!(received.kv, event.kv.0);
        let prev = event.prev.filter(|_| self.spec.prev_kv);
        match (&received.prev_kv, prev) {
            (Some(value), Some(at)) => assert_eq!(value, &fake.value_of(at).0),
            (None, Some(at)) => assert!(
                at.main < fake.compact_revision(),
                "the value at {at:?} was there"
            ),
            (None, None) => {}
            (Some(_), None) => panic!("a previous value that nobody asked for"),
        }
    }

    fn progress(&mut self, fake: &Fake, id: i64, revision: i64) {
        assert!(
            self.spec.start_revision <= revision,
            "progress before the watch starts"
        );
        self.skip_to(fake, revision + 1, id);
    }
}

fn key(random: &mut Random) -> Bytes {
    format!("k{}", random.below(5)).into()
}

fn changes(random: &mut Random) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut used = Vec::new();
    for _ in 0..random.below(3) + 1 {
        let key = key(random);
        if used.contains(&key) {
            continue;
        }
        used.push(key.clone());
        let length = if random.one_in(20) { 2000 } else { 10 };
        changes.push(if random.one_in(3) {
            Change::Delete(key)
        } else {
            Change::Put(key, length)
        });
    }
    changes
}

/// Publishes runs, compacts, and sometimes installs a snapshot.
async fn publish(setup: &Setup, random: &mut Random) {
    while setup.fake.revision() < REVISIONS {
        let length = random.below(6) + 1;
        let run = (0..length)
            .filter_map(|_| setup.fake.apply(&changes(random)))
            .collect::<Vec<_>>();
        if random.one_in(40) {
            if random.one_in(2) {
                setup.fake.compact(setup.fake.revision() - 1);
            }
            setup.hub.reset(setup.fake.clone());
        } else {
            if random.one_in(3) {
                tokio::task::yield_now().await;
            }
            setup.hub.publish(run);
        }
        if random.one_in(30) {
            let keep = i64::try_from(random.below(60)).unwrap();
            let revision = (setup.fake.revision() - keep).max(setup.fake.compact_revision());
            setup.fake.compact(revision);
        }
        match random.below(10) {
            0..5 => tokio::task::yield_now().await,
            5 => {
                for _ in 0..random.below(50) {
                    tokio::task::yield_now().await;
                }
            }
            _ => {}
        }
    }
}

/// What was seen, so that the test can tell that it tested something.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    events: u64,
    compacted: u64,
    answers: u64,
    progress: u64,
    history_reads: usize,
}

async fn run(seed: u64) -> Seen {
    let mut random = Random::new(seed);
    let ring_bytes = [1, 2_000, 20_000, 1 << 25][random.below(4) as usize];
    let setup = Setup::with(HubOptions {
        ring_bytes,
        max_request_bytes: 1 << 20,
    });
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let mut client = Client {
                fake: setup.fake.clone(),
                stream: setup.hub.open_stream(),
                watches: HashMap::new(),
                random: Random::new(seed * 1000 + number),
                requests: 0,
                answers: 0,
                events: 0,
                compacted: 0,
                progress: 0,
            };
            let done = done.clone();
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    client.act().await;
                }
                client.finish().await;
                (
                    client.events,
                    client.compacted,
                    client.answers,
                    client.progress,
                )
            })
        })
        .collect();
    publish(&setup, &mut random).await;
    done.store(true, Ordering::Relaxed);
    let mut seen = Seen::default();
    for client in clients {
        let (events, compacted, answers, progress) = client.await.unwrap();
        seen.events += events;
        seen.compacted += compacted;
        seen.answers += answers;
        seen.progress += progress;
    }
    seen.history_reads = setup.fake.history_reads.load(Ordering::Relaxed);
    assert_eq!(setup.hub.counters().watchers(), 0);
    assert_eq!(setup.hub.counters().slow_watchers(), 0);
    assert_eq!(setup.hub.group_count(), 0);
    assert_eq!(setup.hub.counters().delivered_events(), seen.events);
    seen
}

#[test]
fn every_watch_gets_each_of_its_events_once_and_in_order() {
    let mut total = Seen::default();
    for seed in 0..150 {
        println!("seed {seed}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let seen = runtime.block_on(run(seed));
        total.events += seen.events;
        total.compacted += seen.compacted;
        total.answers += seen.answers;
        total.progress += seen.progress;
        total.history_reads += seen.history_reads;
    }
    println!("{total:?}");
    let Seen {
        events,
        compacted,
        answers,
        progress,
        history_reads,
    } = total;
    assert!(
        events > 1000 && compacted > 100 && answers > 100 && progress > 100 && history_reads > 100
    );
}
