//! The handle: opening a log, queueing operations, reading.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::disk::{Disk, Names};
use crate::error::OpenError;
use crate::format::RECORD_HEADER_BYTES;
use crate::log;
use crate::mark::MarkFile;
use crate::options::Options;
use crate::position::Position;
use crate::recovery::{self, Replayed};
use crate::shared::{Body, Operation, Shared, State};
use crate::supply::{Shelf, Stock, Supply};
use crate::writer::{Parts, Writer};
use crate::{Done, Entry};

/// An open log. Clones are handles of the same log; dropping the last one writes what waits, then ends the
/// log's threads and waits for them.
#[derive(Clone)]
pub struct Wal {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    shelf: Arc<Shelf>,
    entry_bytes_max: usize,
    blob_bytes_max: usize,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub first_index: Option<u64>,
    pub last_index: Option<u64>,
    /// Term of the last entry.
    pub last_term: Option<u64>,
    pub vote: Option<Bytes>,
    pub committed: Option<Bytes>,
    /// Index and mark of the last purge.
    pub purged: Option<(u64, Bytes)>,
    /// Bytes of a torn, never acknowledged tail that were overwritten with zeros; 0 when there were none.
    pub cut_bytes: u64,
}

impl Wal {
    /// Opens the log in `directory`, or begins one there.
    pub fn open(directory: &Path, options: Options) -> Result<(Wal, Recovered), OpenError> {
        Wal::open_on(Disk::default(), directory, options)
    }

    pub(crate) fn open_on(
        disk: Disk,
        directory: &Path,
        options: Options,
    ) -> Result<(Wal, Recovered), OpenError> {
        let (names, replayed, recovered) = read_back(&disk, directory, &options)?;
        start(disk, names, options, replayed)
            .map(|wal| (wal, recovered))
            .map_err(OpenError::io(directory))
    }

    /// The same without threads: whoever has the writer carries out what is queued. A queue without a thread behind it
    /// must never be full.
    #[cfg(feature = "simulation")]
    pub(crate) fn open_inline(
        disk: Disk,
        directory: &Path,
        options: Options,
        on_work: Box<dyn Fn() + Send + Sync>,
    ) -> Result<(Wal, Writer, Recovered), OpenError> {
        let options = Options {
            queue_bytes_max: usize::MAX,
            ..options
        };
        let (names, replayed, recovered) = read_back(&disk, directory, &options)?;
        let supply = |stock| Ok(Supply::inline(stock));
        let (wal, writer) =
            assemble(disk, names, options, (replayed, supply)).map_err(OpenError::io(directory))?;
        if writer.shared().on_work.set(on_work).is_err() {
            unreachable!("the log is new");
        }
        Ok((wal, writer, recovered))
    }

    /// Appends entries with consecutive indexes, readable at once. The first index follows the last one; an
    /// empty log takes any that is not purged. Blocks while the queue is full.
    ///
    /// `done` gets `InvalidInput`, and nothing is appended, when an index is out of order or a payload is
    /// larger than `Options::entry_bytes_max`. Any other error has ended the log.
    pub fn append(&self, entries: Vec<Entry>, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        let mut state = self.owner.shared.lock_with_room();
        if let Err(error) = self.check_entries(&state, &entries) {
            drop(state);
            return done(Err(error));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let mut bytes = 0;
        for entry in &entries {
            bytes += RECORD_HEADER_BYTES + entry.payload.len();
            state.log.push(entry.clone(), ticket, log::Place::NOWHERE);
        }
        let body = if entries.is_empty() {
            Body::Nothing
        } else {
            Body::Append { entries, ticket }
        };
        self.enqueue(state, body, bytes, Box::new(done));
    }

    fn check_entries(&self, state: &State, entries: &[Entry]) -> io::Result<()> {
        if let Some(failure) = &state.failure {
            return Err(failure.error());
        }
        for (at, entry) in entries.iter().enumerate() {
            let in_order = match at {
                0 => state.log.accepts(entry.index),
                _ => entries[at - 1].index.checked_add(1) == Some(entry.index),
            };
            if !in_order || entry.index == u64::MAX {
                return Err(refused(format!(
                    "entry {} is out of order, the next is {}",
                    entry.index,
                    state.log.next_index() + at as u64
                )));
            }
            check_size("an entry", entry.payload.len(), self.owner.entry_bytes_max)?;
        }
        Ok(())
    }

    /// Saves the vote, in the order of the queue.
    pub fn save_vote(&self, vote: Bytes, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        let checked = check_size("a vote", vote.len(), self.owner.blob_bytes_max);
        self.submit(checked, Box::new(done), |_state| Body::Vote(vote));
    }

    /// Notes the committed mark. It is written with the next other record, or when the log is closed, so a
    /// crash may lose it; it never gets ahead of entries appended before this call.
    ///
    /// # Panics
    /// When the mark is larger than `Options::blob_bytes_max`.
    pub fn note_committed(&self, mark: Bytes) {
        assert!(
            mark.len() <= self.owner.blob_bytes_max,
            "a committed mark of {} bytes",
            mark.len()
        );
        self.owner.shared.lock().committed = Some(mark);
    }

    /// Removes every entry after `after`; all of them for `None`. They are gone for readers at once.
    pub fn truncate_after(
        &self,
        after: Option<u64>,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) {
        self.submit(Ok(()), Box::new(done), |state| {
            let from = after.map_or(0, |after| after.saturating_add(1));
            if from >= state.log.next_index() {
                return Body::Nothing;
            }
            state.log.truncate(from);
            Body::Truncate { from }
        });
    }

    /// Removes every entry up to `upto`, which may lie behind the last one, and keeps `mark` beside it.
    /// They are gone for readers at once; whole segments are recycled. Does nothing when a later purge was
    /// made.
    pub fn purge(
        &self,
        upto: u64,
        mark: Bytes,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) {
        let checked = check_size("a purge mark", mark.len(), self.owner.blob_bytes_max);
        let checked = checked.and_then(|()| {
            if upto == u64::MAX {
                Err(refused(format!("no log has an entry {upto}")))
            } else {
                Ok(())
            }
        });
        self.submit(checked, Box::new(done), |state| {
            if state.log.purged().is_some_and(|purged| purged > upto) {
                return Body::Nothing;
            }
            state.log.purge(upto);
            Body::Purge { upto, mark }
        });
    }

    /// The callback runs once everything queued before is on disk.
    pub fn flush(&self, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        self.submit(Ok(()), Box::new(done), |_state| Body::Nothing);
    }

    /// The entries of `range` that the log has, in order, with at most `bytes_max` of payload but at least
    /// one entry. Newest entries come from memory, others from disk.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        loop {
            let state = self.owner.shared.lock();
            let (on_disk, in_memory) = state.log.plan(range.clone(), bytes_max);
            let (log_id, purged) = (state.log.id(), state.log.purged());
            drop(state);
            if on_disk.is_empty() {
                return Ok(in_memory);
            }
            match log::fetch(log_id, &on_disk) {
                Ok(mut entries) => {
                    entries.extend(in_memory);
                    return Ok(entries);
                }
                // A purge may have recycled the segment under the read.
                Err(_) if self.owner.shared.lock().log.purged() != purged => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Term of an entry; `None` when the log does not have it.
    pub fn term_of(&self, index: u64) -> Option<u64> {
        self.owner.shared.lock().log.term_of(index)
    }

    /// The random number of this log, which no other log has.
    pub fn id(&self) -> u64 {
        self.owner.shared.lock().log.id()
    }

    /// Index of the first entry; `None` when the log has none.
    pub fn first_index(&self) -> Option<u64> {
        self.owner.shared.lock().log.first_index()
    }

    /// Index of the last entry; `None` when the log has none.
    pub fn last_index(&self) -> Option<u64> {
        self.owner.shared.lock().log.last_index()
    }

    /// Whether the log can grow: fails with what ended it, or with what keeps the next segment from being
    /// made, for example `StorageFull`. In the second case appends go on until the segment in use is full,
    /// and the log recovers by itself once there is room.
    pub fn check_reserve(&self) -> io::Result<()> {
        if let Some(failure) = &self.owner.shared.lock().failure {
            return Err(failure.error());
        }
        self.owner.shelf.failure().map_or(Ok(()), Err)
    }

    /// Queues what `body` makes of the state, unless the check or the log has failed.
    fn submit(&self, checked: io::Result<()>, done: Done, body: impl FnOnce(&mut State) -> Body) {
        let mut state = self.owner.shared.lock_with_room();
        let failed = state
            .failure
            .as_ref()
            .map_or(checked, |failure| Err(failure.error()));
        if let Err(error) = failed {
            drop(state);
            return done(Err(error));
        }
        let body = body(&mut state);
        self.enqueue(state, body, RECORD_HEADER_BYTES, done);
    }

    fn enqueue(
        &self,
        mut state: std::sync::MutexGuard<'_, State>,
        body: Body,
        bytes: usize,
        done: Done,
    ) {
        state.queue.push(Operation { body, done });
        state.queue_bytes += bytes;
        drop(state);
        self.owner.shared.notify_work();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        let thread = self
            .thread
            .lock()
            .expect("the lock is only taken here")
            .take();
        // A callback may drop the last handle on the log's own thread, which then ends by itself.
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the raft log's thread panicked");
        }
    }
}

fn refused(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn check_size(what: &str, bytes: usize, bytes_max: usize) -> io::Result<()> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(refused(format!(
        "{what} has at most {bytes_max} bytes, not {bytes}"
    )))
}

/// A number no other log has, from the randomness the standard library keys its hash maps with.
fn new_log_id() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

fn read_back(
    disk: &Disk,
    directory: &Path,
    options: &Options,
) -> Result<(Names, Replayed, Recovered), OpenError> {
    options.check().map_err(OpenError::io(directory))?;
    disk.make_directory(directory)
        .map_err(OpenError::io(directory))?;
    let names = Names::new(directory);
    let replayed = recovery::recover(disk, &names, options, new_log_id)?;
    let recovered = describe(&replayed);
    Ok((names, replayed, recovered))
}

fn describe(replayed: &Replayed) -> Recovered {
    let Replayed {
        log,
        position,
        cut_bytes,
        ..
    } = replayed;
    let blobs = &position.blobs;
    Recovered {
        first_index: log.first_index(),
        last_index: log.last_index(),
        last_term: log.last_index().and_then(|index| log.term_of(index)),
        vote: blobs.vote.content.clone(),
        committed: blobs.committed.content.clone(),
        purged: blobs
            .purged
            .content
            .clone()
            .map(|mark| (blobs.purged.index, mark)),
        cut_bytes: *cut_bytes,
    }
}

fn start(disk: Disk, names: Names, options: Options, replayed: Replayed) -> io::Result<Wal> {
    let (wal, writer) = assemble(disk, names, options, (replayed, Supply::start))?;
    let thread = std::thread::Builder::new()
        .name("wal-writer".to_owned())
        .spawn(move || writer.run())?;
    *wal.owner.thread.lock().expect("the lock is new") = Some(thread);
    Ok(wal)
}

/// A handle, and the writer that works for it.
fn assemble(
    disk: Disk,
    names: Names,
    options: Options,
    (replayed, supply): (Replayed, impl FnOnce(Stock) -> io::Result<Supply>),
) -> io::Result<(Wal, Writer)> {
    let Replayed {
        log,
        position,
        mut mark,
        listing,
        leftover,
        ..
    } = replayed;
    note_recovered(&mut mark, &position)?;
    let mut supply = supply(Stock {
        disk: disk.clone(),
        names,
        segment_bytes: options.segment_bytes,
        spares: listing.spares,
        spares_max: options.spare_segments_max,
    })?;
    supply.retire(leftover)?;
    let next = position
        .active
        .as_ref()
        .map_or(1, |active| active.header.sequence + 1);
    supply.prepare(next)?;
    if position.active.is_none() {
        supply.shelf().wait_ready()?;
    }
    let shared = Arc::new(Shared::new(log, options.queue_bytes_max));
    let owner = Owner {
        shared: Arc::clone(&shared),
        shelf: supply.shelf(),
        entry_bytes_max: options.entry_bytes_max(),
        blob_bytes_max: options.blob_bytes_max(),
        thread: Mutex::new(None),
    };
    let writer = Writer::new(Parts {
        disk,
        sync_observer: options.sync_observer,
        thread_nice: options.thread_nice,
        shared,
        supply,
        mark,
        position,
    });
    let owner = Arc::new(owner);
    Ok((Wal { owner }, writer))
}

/// What was read back counts as acknowledged from now on: the caller acts on it.
fn note_recovered(mark: &mut MarkFile, position: &Position) -> io::Result<()> {
    if let Some(active) = &position.active {
        mark.advance(position.slot(active))?;
        mark.sync()?;
    }
    Ok(())
}
