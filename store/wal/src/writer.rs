//! The log's thread: takes everything that waits, writes it, syncs once, then runs the callbacks.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::disk::Disk;
use crate::error::Failure;
use crate::format::{Kind, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::log::Place;
use crate::mark::MarkFile;
use crate::options::SyncObserver;
use crate::position::{Active, Blob, InUse, Position};
use crate::shared::{Body, Operation, Shared};
use crate::supply::Supply;

/// Records are gathered up to this size before they are handed to the kernel.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// Time for more entries to come before any is written, when that bug is planted.
const GATHER_TIME: Duration = Duration::from_millis(50);

pub(crate) struct Writer {
    disk: Disk,
    sync_observer: Option<SyncObserver>,
    thread_nice: i32,
    shared: Arc<Shared>,
    supply: Supply,
    mark: MarkFile,
    position: Position,
    buffer: Vec<u8>,
    /// Records up to this one are on disk.
    durable_record: u64,
    /// A committed mark that waits for the next record.
    committed: Option<Bytes>,
    /// The active segment is new: the one after it is ordered once this one is on disk.
    rolled: bool,
    placed: Vec<Placed>,
}

/// What the log's thread works with.
pub(crate) struct Parts {
    pub(crate) disk: Disk,
    pub(crate) sync_observer: Option<SyncObserver>,
    pub(crate) thread_nice: i32,
    pub(crate) shared: Arc<Shared>,
    pub(crate) supply: Supply,
    pub(crate) mark: MarkFile,
    pub(crate) position: Position,
}

/// An entry and where it was written.
#[derive(Debug)]
struct Placed {
    index: u64,
    ticket: u64,
    place: Place,
}

impl Writer {
    pub(crate) fn new(parts: Parts) -> Writer {
        let Parts {
            disk,
            sync_observer,
            thread_nice,
            shared,
            supply,
            mark,
            position,
        } = parts;
        Writer {
            disk,
            sync_observer,
            thread_nice,
            shared,
            supply,
            mark,
            durable_record: position.next_record - 1,
            position,
            buffer: Vec::with_capacity(BUFFER_BYTES_MAX),
            committed: None,
            rolled: false,
            placed: Vec::new(),
        }
    }

    /// Runs until the last handle is gone or the log fails.
    pub(crate) fn run(mut self) {
        let _guard = PanicGuard(Arc::clone(&self.shared));
        self.raise_priority();
        self.retire_at_start();
        loop {
            let Some((operations, committed)) = self.shared.take() else {
                break;
            };
            if committed.is_some() {
                self.committed = committed;
            }
            if planted::is_on(planted::Bug::AckBeforeWrite) {
                std::thread::sleep(GATHER_TIME);
            }
            match self.write(&operations) {
                Ok(()) => self.finish(operations),
                Err(error) => return self.fail(operations, &error),
            }
        }
        if let Err(error) = self.close() {
            self.fail(Vec::new(), &error);
        }
    }

    /// Segments that a purge before the last stop made free.
    pub(crate) fn retire_at_start(&mut self) {
        self.finish(Vec::new());
    }

    fn raise_priority(&self) {
        let thread = rustix::thread::gettid();
        let nice = self.thread_nice;
        if let Err(error) = rustix::process::setpriority_process(Some(thread), nice) {
            tracing::debug!(nice, %error, "the raft log's thread keeps its priority");
        }
    }

    fn write(&mut self, operations: &[Operation]) -> io::Result<()> {
        if self.gather(operations)? {
            self.sync()?;
        }
        Ok(())
    }

    /// Puts the operations' records together; false when there is none. They are on disk after `sync`.
    fn gather(&mut self, operations: &[Operation]) -> io::Result<bool> {
        if operations
            .iter()
            .all(|operation| matches!(operation.body, Body::Nothing))
        {
            return Ok(false);
        }
        self.carry_over()?;
        for operation in operations {
            self.write_operation(&operation.body)?;
        }
        self.write_committed()?;
        Ok(true)
    }

    fn write_operation(&mut self, body: &Body) -> io::Result<()> {
        match body {
            Body::Append { entries, ticket } => {
                for entry in entries {
                    let place = self.push(Kind::Entry, entry.index, entry.term, &entry.payload)?;
                    self.placed.push(Placed {
                        index: entry.index,
                        ticket: *ticket,
                        place,
                    });
                    self.position.next_index = entry.index + 1;
                }
            }
            Body::Vote(vote) => {
                let place = self.push(Kind::Vote, 0, 0, vote)?;
                self.position.blobs.vote = Blob {
                    index: 0,
                    content: Some(vote.clone()),
                    segment: place.segment,
                };
            }
            Body::Truncate { from } => {
                self.push(Kind::Truncate, *from, 0, &[])?;
                let purged = &self.position.blobs.purged;
                let floor = purged.content.as_ref().map_or(0, |_mark| purged.index + 1);
                self.position.next_index = self.position.next_index.min(*from).max(floor);
            }
            Body::Purge { upto, mark } => {
                let place = self.push(Kind::Purge, *upto, 0, mark)?;
                self.position.blobs.purged = Blob {
                    index: *upto,
                    content: Some(mark.clone()),
                    segment: place.segment,
                };
                self.position.next_index = self.position.next_index.max(upto + 1);
            }
            Body::Nothing => {}
        }
        Ok(())
    }

    fn write_committed(&mut self) -> io::Result<()> {
        if let Some(mark) = self.committed.take() {
            let place = self.push(Kind::Commit, 0, 0, &mark)?;
            self.position.blobs.committed = Blob {
                index: 0,
                content: Some(mark),
                segment: place.segment,
            };
        }
        Ok(())
    }

    /// Gathers one record, in a new segment when the active one has no room for it.
    fn push(&mut self, kind: Kind, index: u64, term: u64, payload: &[u8]) -> io::Result<Place> {
        let bytes = (RECORD_HEADER_BYTES + payload.len()) as u64;
        let has_room = self.position.active.as_ref().is_some_and(|active| {
            active.offset + self.buffer.len() as u64 + bytes <= active.capacity
        });
        if !has_room {
            self.roll()?;
        } else if self.buffer.len() >= BUFFER_BYTES_MAX {
            self.flush()?;
        }
        Ok(self.encode(kind, index, term, payload))
    }

    fn encode(&mut self, kind: Kind, index: u64, term: u64, payload: &[u8]) -> Place {
        let active = self
            .position
            .active
            .as_ref()
            .expect("there is a segment once one was rolled to");
        let offset = active.offset + self.buffer.len() as u64;
        let number = self.position.next_record;
        let unsynced = u32::try_from(number - self.durable_record).expect("a batch is bounded");
        let header = RecordHeader {
            kind,
            number,
            unsynced,
            index,
            term,
        };
        header.encode(active.header.seed(), payload, &mut self.buffer);
        self.position.next_record += 1;
        let offset = u32::try_from(offset).expect("segments are smaller than 4 GiB");
        Place {
            segment: active.header.sequence,
            offset,
        }
    }

    /// Writes the marks that only older segments hold into the active one.
    fn carry_over(&mut self) -> io::Result<()> {
        let Some(active) = &self.position.active else {
            return Ok(());
        };
        let sequence = active.header.sequence;
        for (kind, blob) in self.position.blobs.clone().each() {
            let Some(content) = blob.content else {
                continue;
            };
            if blob.segment < sequence {
                let place = self.push(kind, blob.index, 0, &content)?;
                if place.segment != sequence {
                    // The push rolled to a new segment, which begins with all of them.
                    return Ok(());
                }
                self.position.blobs.of(kind).segment = sequence;
            }
        }
        Ok(())
    }

    /// Ends the active segment and begins the prepared one with its header and the newest marks.
    fn roll(&mut self) -> io::Result<()> {
        self.sync()?;
        let (sequence, previous_end, log_id) = match &self.position.active {
            Some(active) => (
                active.header.sequence + 1,
                active.offset,
                active.header.log_id,
            ),
            None => (1, 0, self.mark.newest().log_id),
        };
        let file = Arc::new(self.supply.take(sequence)?);
        let header = SegmentHeader {
            log_id,
            sequence,
            first_index: self.position.next_index,
            first_record: self.position.next_record,
            previous_end: u32::try_from(previous_end).expect("segments are smaller than 4 GiB"),
        };
        self.shared.lock().log.add_file(sequence, Arc::clone(&file));
        self.buffer.extend_from_slice(&header.encode());
        let capacity = file.len()?;
        self.position.active = Some(Active {
            header,
            file,
            capacity,
            offset: 0,
        });
        self.position.in_use.push_back(InUse {
            sequence,
            first_index: header.first_index,
        });
        self.rolled = true;
        for (kind, blob) in self.position.blobs.clone().each() {
            if let Some(content) = &blob.content {
                self.encode(kind, blob.index, 0, content);
                self.position.blobs.of(kind).segment = sequence;
            }
        }
        debug_assert!(self.buffer.len() as u64 + SEGMENT_HEADER_BYTES as u64 <= capacity);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(active) = &mut self.position.active
            && !self.buffer.is_empty()
        {
            self.disk
                .write_at(&active.file, &self.buffer, active.offset)?;
            active.offset += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Brings every gathered record to disk and moves the high-water mark there.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        let last = self.position.next_record - 1;
        let Some(active) = &self.position.active else {
            return Ok(());
        };
        if last == self.durable_record {
            return Ok(());
        }
        let begun = Instant::now();
        self.disk.sync(&active.file)?;
        if let Some(observer) = &self.sync_observer {
            (observer.0)(begun.elapsed());
        }
        self.durable_record = last;
        self.mark.advance(self.position.slot(active))?;
        if std::mem::take(&mut self.rolled) {
            self.mark.sync()?;
            self.supply.prepare(active.header.sequence + 1)?;
        }
        Ok(())
    }

    /// Publishes what is on disk now and runs the callbacks.
    pub(crate) fn finish(&mut self, operations: Vec<Operation>) {
        let retired = self.purged_segments();
        let mut state = self.shared.lock();
        for placed in self.placed.drain(..) {
            state
                .log
                .set_place(placed.index, placed.ticket, placed.place);
        }
        state.log.evict();
        for sequence in &retired {
            state.log.remove_file(*sequence);
        }
        drop(state);
        for operation in operations {
            (operation.done)(Ok(()));
        }
        if !retired.is_empty()
            && let Err(error) = self.supply.retire(retired)
        {
            tracing::warn!(%error, "purged raft log segments cannot be put aside");
        }
    }

    /// Segments at the front whose entries are all purged; the active one stays.
    fn purged_segments(&mut self) -> Vec<u64> {
        let purged = &self.position.blobs.purged;
        let mut retired = Vec::new();
        if purged.content.is_some() {
            let in_use = &mut self.position.in_use;
            while in_use.len() > 1 && in_use[1].first_index <= purged.index + 1 {
                retired.extend(in_use.pop_front().map(|segment| segment.sequence));
            }
        }
        retired
    }

    /// A committed mark that still waits is written, and the high-water mark is synced.
    fn close(&mut self) -> io::Result<()> {
        if self.committed.is_some() {
            self.carry_over()?;
            self.write_committed()?;
            self.sync()?;
        }
        self.mark.sync()
    }

    /// Ends the log: nothing is written or synced again, and every operation gets the error.
    pub(crate) fn fail(&mut self, operations: Vec<Operation>, error: &io::Error) {
        tracing::error!(%error, "the raft log failed and accepts nothing more");
        let failure = Failure::new(error);
        let waiting = self.shared.fail(failure.clone());
        for operation in operations.into_iter().chain(waiting) {
            (operation.done)(Err(failure.error()));
        }
    }
}

#[cfg(feature = "simulation")]
impl Writer {
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Writes operations without syncing them.
    pub(crate) fn begin(
        &mut self,
        operations: &[Operation],
        committed: Option<Bytes>,
    ) -> io::Result<()> {
        if committed.is_some() {
            self.committed = committed;
        }
        if self.gather(operations)? {
            self.flush()?;
        }
        Ok(())
    }

    pub(crate) fn tend(&mut self) {
        self.supply.tend();
    }
}

/// Ends the log when a callback panics, so that nobody waits for a thread that is gone.
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failure = Failure::new(&io::Error::other("the raft log's thread panicked"));
            for operation in self.0.fail(failure.clone()) {
                (operation.done)(Err(failure.error()));
            }
        }
    }
}
