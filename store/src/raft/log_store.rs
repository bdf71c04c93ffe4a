//! The raft log on the write-ahead log: openraft's storage trait in terms of records.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use planted::Bug;
use tokio::sync::oneshot;

use super::codec;
use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::batch;
use crate::spans::Stage;
use crate::waiters::Waiters;

/// Most payload bytes that one read for replication or apply brings.
const READ_BYTES: usize = 2 << 20;

/// Handle on the raft log; clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    wal: wal::Wal,
    state: Arc<Mutex<State>>,
    /// Told what is on disk of this member's own batches, where requests are traced.
    traced: Option<(u64, Arc<Waiters>)>,
}

#[derive(Debug, Default)]
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
}

impl LogStore {
    /// Takes over an opened log and what its recovery found.
    pub(crate) fn new(wal: wal::Wal, recovered: &wal::Recovered) -> io::Result<Self> {
        let purged = match &recovered.purged {
            Some((_, mark)) => Some(codec::decode_log_id(mark)?),
            None => None,
        };
        let last = match (recovered.last_index, recovered.last_term) {
            (Some(index), Some(term)) => Some(codec::log_id(term, index)),
            _ => purged,
        };
        let state = State {
            vote: recovered
                .vote
                .as_deref()
                .map(codec::decode_vote)
                .transpose()?,
            committed: recovered
                .committed
                .as_deref()
                .map(codec::decode_log_id)
                .transpose()?,
            purged,
            last,
        };
        Ok(LogStore {
            wal,
            state: Arc::new(Mutex::new(state)),
            traced: None,
        })
    }

    /// Index of the last entry, which may be purged.
    pub(crate) fn last_index(&self) -> u64 {
        self.state.lock().last.map_or(0, |last| last.index)
    }

    /// From now on, whoever waits for a batch of this member is told that it is on its disk.
    pub(crate) fn tell(&mut self, member_id: u64, waiters: Arc<Waiters>) {
        self.traced = Some((member_id, waiters));
    }

    /// Number of an entry that this member proposed, where requests are traced.
    fn traced_number(&self, entry: &Entry) -> Option<u64> {
        let (member_id, _) = self.traced.as_ref()?;
        let EntryPayload::Normal(bytes) = &entry.payload else {
            return None;
        };
        let (origin, number) = batch::origin_and_number(&bytes.0)?;
        (origin == *member_id).then_some(number)
    }

    async fn wait(&self, submit: impl FnOnce(wal::Done)) -> io::Result<()> {
        let (tx, rx) = oneshot::channel();
        submit(Box::new(move |result| drop(tx.send(result))));
        rx.await
            .map_err(|_closed| io::Error::other("the write-ahead log has stopped"))?
    }

    fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        if start >= end {
            return Ok(Vec::new());
        }
        // Looked at first: what is appended meanwhile is no hole.
        let last = self.wal.last_index();
        let entries = self.wal.read(start..end, max_bytes)?;
        if self.wal.first_index().is_some_and(|first| first <= start) {
            check_start(start, last, &entries)?;
        }
        entries
            .into_iter()
            .map(|entry| codec::decode_entry(entry.term, entry.index, entry.payload))
            .collect()
    }
}

/// What is read from behind the log's first entry begins where it was asked to, or lies behind the end. Anything else would
/// be applied, or sent on, with a hole in it.
fn check_start(start: u64, last: Option<u64>, entries: &[wal::Entry]) -> io::Result<()> {
    let first = entries.first().map(|entry| entry.index);
    let is_behind_end = first.is_none() && last.is_none_or(|last| last < start);
    if first == Some(start) || is_behind_end {
        return Ok(());
    }
    let found = first.map_or("nothing".to_owned(), |first| format!("index {first}"));
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("the raft log was asked for entries from index {start} and has {found}"),
    ))
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(&index) => index,
            Bound::Excluded(&index) => index + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&index) => index + 1,
            Bound::Excluded(&index) => index,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, READ_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.state.lock().vote)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.state.lock();
        Ok(LogState {
            last_purged_log_id: state.purged,
            last_log_id: state.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let bytes = codec::encode_vote(vote);
        if !planted::is_on(Bug::VoteInMemory) {
            self.wait(|done| self.wal.save_vote(bytes, done)).await?;
        }
        self.state.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.wal.note_committed(codec::encode_log_id(&committed));
            self.state.lock().committed = Some(committed);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.state.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut last = None;
        let mut records = Vec::new();
        let mut traced = Vec::new();
        for entry in entries {
            traced.extend(self.traced_number(&entry));
            let id = entry.log_id();
            let payload: Bytes = codec::encode_payload(codec::payload_of(&entry))?;
            records.push(wal::Entry {
                index: id.index,
                term: codec::term_of(&id),
                payload,
            });
            last = Some(id);
        }
        if last.is_some() {
            self.state.lock().last = last;
        }
        if planted::is_on(Bug::AckBeforeWrite) {
            callback.io_completed(Ok(()));
            self.wal.append(records, Box::new(|_result| {}));
            return Ok(());
        }
        let told = self.traced.clone().filter(|_| !traced.is_empty());
        self.wal.append(
            records,
            Box::new(move |result| {
                if let Some((_, waiters)) = &told {
                    for number in traced {
                        waiters.reached(number, Stage::Appended);
                    }
                }
                callback.io_completed(result);
            }),
        );
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        {
            let mut state = self.state.lock();
            state.last = state.last.min(last);
        }
        self.wait(|done| self.wal.truncate_after(last.map(|id| id.index), done))
            .await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            let mut state = self.state.lock();
            state.purged = Some(upto);
            if state.last.is_none_or(|last| last.index < upto.index) {
                state.last = Some(upto);
            }
        }
        let mark = codec::encode_log_id(&upto);
        self.wait(|done| self.wal.purge(upto.index, mark, done))
            .await?;
        tracing::info!("compact-index" = upto.index, "compacted Raft logs");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64) -> wal::Entry {
        wal::Entry {
            index,
            term: 1,
            payload: Bytes::new(),
        }
    }

    #[test]
    fn a_read_that_begins_late_is_an_error() {
        assert!(check_start(5, Some(9), &[entry(5), entry(6)]).is_ok());
        assert!(check_start(5, Some(9), &[entry(6)]).is_err());
        assert!(check_start(5, Some(9), &[]).is_err());
        assert!(check_start(5, Some(4), &[]).is_ok());
        assert!(check_start(5, None, &[]).is_ok());
    }
}
