//! Reading history for watchers that the ring has left behind: in bounded chunks, off the runtime, shared by neighbours.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use state_machine::Rejection;

use super::entry::{Entry, Gauge};
use super::group::{Group, RESPONSE_BYTES_MAX, RESPONSE_REVISIONS_MAX};
use super::hub::Hub;

/// Reads of history that run at the same time.
pub(super) const READS_MAX: usize = 4;
/// Memory for chunks of history that other watchers may want next.
const CACHE_BYTES_MAX: usize = 16 << 20;
/// Groups for which a chunk's previous values are read ahead; the others read theirs when they need them.
pub(super) const READ_AHEAD_GROUPS_MAX: usize = 64;
/// Pause before history is asked again for revisions that it should have but has not.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Consecutive revisions, one at least.
pub(super) struct Chunk {
    /// The revision it was read from. It need not exist itself: the first write of a store has revision 2.
    from: i64,
    entries: Vec<Arc<Entry>>,
}

impl Chunk {
    pub(super) fn first(&self) -> i64 {
        self.from
    }

    pub(super) fn last(&self) -> i64 {
        self.entries.last().map_or(0, |entry| entry.revision())
    }

    pub(super) fn holds(&self, revision: i64) -> bool {
        (self.first()..=self.last()).contains(&revision)
    }

    /// Entries from `revision` on.
    pub(super) fn entries_from(&self, revision: i64) -> &[Arc<Entry>] {
        let start = self
            .entries
            .partition_point(|entry| entry.revision() < revision);
        &self.entries[start..]
    }
}

/// The chunks read last, dropped in the order they were read.
#[derive(Default)]
pub(super) struct ChunkCache {
    chunks: Mutex<Chunks>,
    gauge: Arc<Gauge>,
}

#[derive(Default)]
struct Chunks {
    by_first: BTreeMap<i64, Arc<Chunk>>,
    order: VecDeque<i64>,
}

impl ChunkCache {
    /// A chunk that holds `revision`.
    pub(super) fn get(&self, revision: i64) -> Option<Arc<Chunk>> {
        let chunks = self.chunks.lock();
        let (_, chunk) = chunks.by_first.range(..=revision).next_back()?;
        chunk.holds(revision).then(|| chunk.clone())
    }

    pub(super) fn clear(&self) {
        let mut chunks = self.chunks.lock();
        chunks.by_first.clear();
        chunks.order.clear();
    }

    fn insert(&self, chunk: Arc<Chunk>) {
        let mut chunks = self.chunks.lock();
        let first = chunk.first();
        if chunks.by_first.insert(first, chunk).is_none() {
            chunks.order.push_back(first);
        }
        while self.gauge.bytes() > CACHE_BYTES_MAX && chunks.order.len() > 1 {
            if let Some(oldest) = chunks.order.pop_front() {
                chunks.by_first.remove(&oldest);
            }
        }
    }

    /// A chunk that starts at or before `from` and holds it; none when history has no such revision yet.
    fn load(
        &self,
        from: i64,
        hub: &Hub,
        groups: &[Arc<Group>],
    ) -> Result<Option<Arc<Chunk>>, Rejection> {
        if let Some(chunk) = self.get(from) {
            return Ok(Some(chunk));
        }
        let revisions = hub
            .history()
            .history(from, RESPONSE_REVISIONS_MAX, RESPONSE_BYTES_MAX)?;
        let entries: Vec<_> = revisions
            .into_iter()
            .map(|events| Entry::new(events, &self.gauge))
            .collect();
        if entries.is_empty() {
            return Ok(None);
        }
        for entry in &entries {
            for (index, event) in entry.events().iter().enumerate() {
                if groups.iter().any(|group| group.interest.matches(event)) {
                    entry.prev(index, hub);
                }
            }
        }
        let chunk = Arc::new(Chunk { from, entries });
        self.insert(chunk.clone());
        Ok(Some(chunk))
    }
}

/// What a read of history found.
pub(super) enum Fetched {
    Chunk(Arc<Chunk>),
    /// The chunk is in the cache.
    Cached,
    /// History does not show what it should have; it may later.
    Nothing,
    Compacted {
        from: i64,
        compact_revision: i64,
    },
}

/// A read of history that one stream waits for.
pub(super) struct Fetch {
    reading: Pin<Box<dyn Future<Output = Fetched> + Send>>,
    awaited: Arc<AtomicBool>,
}

impl Fetch {
    /// Reads from `from` on, with the previous values that `groups` want.
    pub(super) fn start(hub: Arc<Hub>, from: i64, groups: Vec<Arc<Group>>) -> Fetch {
        let awaited = Arc::new(AtomicBool::new(true));
        let reading = Box::pin(read(hub, from, groups, awaited.clone()));
        Fetch { reading, awaited }
    }

    /// Whether the stream waits for the chunk. A stream that is busy sending finds it in the cache later, or reads it
    /// again, so that no slow stream holds a chunk.
    pub(super) fn set_awaited(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::Relaxed);
    }

    pub(super) fn poll(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Fetched> {
        self.reading.as_mut().poll(context)
    }
}

async fn read(
    hub: Arc<Hub>,
    from: i64,
    groups: Vec<Arc<Group>>,
    awaited: Arc<AtomicBool>,
) -> Fetched {
    let permits = hub.catch_up_permits.clone();
    let permit = permits
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let load = move || {
        let _permit = permit;
        match hub.chunks.load(from, &hub, &groups) {
            Ok(Some(chunk)) if awaited.load(Ordering::Relaxed) => Some(Fetched::Chunk(chunk)),
            Ok(Some(_)) => Some(Fetched::Cached),
            Ok(None) => None,
            Err(Rejection::Compacted { compact_revision }) => Some(Fetched::Compacted {
                from,
                compact_revision,
            }),
            Err(rejection) => {
                tracing::error!(from, %rejection, "history for a watch cannot be read");
                None
            }
        }
    };
    match tokio::task::spawn_blocking(load).await {
        Ok(Some(fetched)) => return fetched,
        Ok(None) => {}
        Err(error) => tracing::error!(from, %error, "reading history for a watch failed"),
    }
    tokio::time::sleep(RETRY_AFTER).await;
    Fetched::Nothing
}
