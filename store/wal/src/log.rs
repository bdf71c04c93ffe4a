//! The log in memory: term and place of every entry, and the payloads of the newest ones.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::Entry;
use crate::disk::DiskFile;
use crate::format::{RECORD_HEADER_BYTES, RecordHeader, record_seed};

/// Where an entry's record starts. Segment 0 means: not on disk yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u32,
}

impl Place {
    pub(crate) const NOWHERE: Place = Place {
        segment: 0,
        offset: 0,
    };
}

#[derive(Clone, Copy, Debug)]
struct Meta {
    term: u64,
    segment: u64,
    offset: u32,
    payload_bytes: u32,
}

#[derive(Debug)]
struct Cached {
    /// Operation that appended the entry; tells it from one of the same index that was truncated.
    ticket: u64,
    payload: Bytes,
}

#[derive(Debug)]
pub(crate) struct Log {
    log_id: u64,
    /// Index of the first meta.
    first: u64,
    metas: VecDeque<Meta>,
    /// Payloads of the last `window.len()` entries.
    window: VecDeque<Cached>,
    window_bytes: usize,
    window_bytes_max: usize,
    purged: Option<u64>,
    files: BTreeMap<u64, Arc<DiskFile>>,
}

/// An entry to be read from its segment.
#[derive(Debug)]
pub(crate) struct OnDisk {
    index: u64,
    term: u64,
    segment: u64,
    offset: u32,
    payload_bytes: u32,
    file: Arc<DiskFile>,
}

impl OnDisk {
    fn end(&self) -> u64 {
        u64::from(self.offset) + RECORD_HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }
}

impl Log {
    pub(crate) fn new(log_id: u64, window_bytes_max: usize) -> Log {
        Log {
            log_id,
            first: 0,
            metas: VecDeque::new(),
            window: VecDeque::new(),
            window_bytes: 0,
            window_bytes_max,
            purged: None,
            files: BTreeMap::new(),
        }
    }

    pub(crate) fn first_index(&self) -> Option<u64> {
        (!self.metas.is_empty()).then_some(self.first)
    }

    pub(crate) fn last_index(&self) -> Option<u64> {
        (!self.metas.is_empty()).then(|| self.end() - 1)
    }

    /// Index after the last entry, also when every entry is purged.
    pub(crate) fn next_index(&self) -> u64 {
        if self.metas.is_empty() {
            self.purged.map_or(0, |purged| purged + 1)
        } else {
            self.end()
        }
    }

    fn end(&self) -> u64 {
        self.first + self.metas.len() as u64
    }

    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        let at = index.checked_sub(self.first)?;
        self.metas
            .get(usize::try_from(at).ok()?)
            .map(|meta| meta.term)
    }

    /// Whether an entry of this index may be appended now: the next one, or any that is not purged when
    /// the log has no entries.
    pub(crate) fn accepts(&self, index: u64) -> bool {
        if self.metas.is_empty() {
            index >= self.next_index()
        } else {
            index == self.end()
        }
    }

    pub(crate) fn push(&mut self, entry: Entry, ticket: u64, place: Place) {
        assert!(
            self.accepts(entry.index),
            "entry {} follows {}",
            entry.index,
            self.next_index()
        );
        if self.metas.is_empty() {
            self.first = entry.index;
        }
        let payload_bytes = u32::try_from(entry.payload.len()).expect("smaller than a segment");
        let Place { segment, offset } = place;
        self.metas.push_back(Meta {
            term: entry.term,
            segment,
            offset,
            payload_bytes,
        });
        self.window_bytes += entry.payload.len();
        self.window.push_back(Cached {
            ticket,
            payload: entry.payload,
        });
    }

    /// Notes where an entry was written, unless it was truncated or purged since.
    pub(crate) fn set_place(&mut self, index: u64, ticket: u64, place: Place) {
        let window_first = self.end() - self.window.len() as u64;
        let Some(at) = index.checked_sub(window_first) else {
            return;
        };
        let Some(cached) = self.window.get(at as usize) else {
            return;
        };
        if cached.ticket == ticket {
            let meta = &mut self.metas[(index - self.first) as usize];
            meta.segment = place.segment;
            meta.offset = place.offset;
        }
    }

    /// Forgets the oldest payloads while there are more than the bound and they are on disk.
    pub(crate) fn evict(&mut self) {
        while self.window_bytes > self.window_bytes_max {
            let oldest = self.metas.len() - self.window.len();
            if self.metas[oldest].segment == Place::NOWHERE.segment {
                return;
            }
            self.forget_front();
        }
    }

    fn forget_front(&mut self) {
        let cached = self
            .window
            .pop_front()
            .expect("callers know the window is not empty");
        self.window_bytes -= cached.payload.len();
    }

    /// Removes entries from `from` on.
    pub(crate) fn truncate(&mut self, from: u64) {
        while self.metas.back().is_some() && self.end() > from {
            self.metas.pop_back();
            if let Some(cached) = self.window.pop_back() {
                self.window_bytes -= cached.payload.len();
            }
        }
    }

    /// Removes entries up to and including `upto`.
    pub(crate) fn purge(&mut self, upto: u64) {
        while !self.metas.is_empty() && self.first <= upto {
            if self.window.len() == self.metas.len() {
                self.forget_front();
            }
            self.metas.pop_front();
            self.first += 1;
        }
        self.purged = self.purged.max(Some(upto));
    }

    pub(crate) fn purged(&self) -> Option<u64> {
        self.purged
    }

    pub(crate) fn add_file(&mut self, segment: u64, file: Arc<DiskFile>) {
        self.files.insert(segment, file);
    }

    pub(crate) fn remove_file(&mut self, segment: u64) {
        self.files.remove(&segment);
    }

    /// The part of `range` the log has, at most `bytes_max` of payload but at least one entry: first those
    /// that must be read from disk, then those in memory.
    pub(crate) fn plan(&self, range: Range<u64>, bytes_max: usize) -> (Vec<OnDisk>, Vec<Entry>) {
        let (mut on_disk, mut in_memory) = (Vec::new(), Vec::new());
        let window_first = self.end() - self.window.len() as u64;
        let mut bytes = 0;
        for index in range.start.max(self.first)..range.end.min(self.end()) {
            let meta = &self.metas[(index - self.first) as usize];
            bytes += meta.payload_bytes as usize;
            if bytes > bytes_max && !(on_disk.is_empty() && in_memory.is_empty()) {
                break;
            }
            if let Some(at) = index.checked_sub(window_first) {
                let payload = self.window[at as usize].payload.clone();
                in_memory.push(Entry {
                    index,
                    term: meta.term,
                    payload,
                });
            } else {
                let file = self
                    .files
                    .get(&meta.segment)
                    .expect("a segment with entries is open");
                on_disk.push(OnDisk {
                    index,
                    term: meta.term,
                    segment: meta.segment,
                    offset: meta.offset,
                    payload_bytes: meta.payload_bytes,
                    file: Arc::clone(file),
                });
            }
        }
        (on_disk, in_memory)
    }

    pub(crate) fn id(&self) -> u64 {
        self.log_id
    }
}

/// Reads planned entries, with one read for each run of neighbours. A segment recycled meanwhile shows as
/// `InvalidData`.
pub(crate) fn fetch(log_id: u64, planned: &[OnDisk]) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::with_capacity(planned.len());
    let runs = planned.chunk_by(|before, after| {
        before.segment == after.segment && before.end() == u64::from(after.offset)
    });
    for run in runs {
        let (first, last) = (&run[0], &run[run.len() - 1]);
        let start = u64::from(first.offset);
        let mut content = vec![0; (last.end() - start) as usize];
        first.file.read_at(&mut content, start)?;
        let content = Bytes::from(content);
        let seed = record_seed(log_id, first.segment);
        for wanted in run {
            let at = (u64::from(wanted.offset) - start) as usize;
            let Some((header, payload)) = RecordHeader::decode(seed, &content[at..]) else {
                return Err(unreadable(wanted));
            };
            if header.index != wanted.index || header.term != wanted.term {
                return Err(unreadable(wanted));
            }
            let payload = content.slice_ref(payload);
            entries.push(Entry {
                index: wanted.index,
                term: wanted.term,
                payload,
            });
        }
    }
    Ok(entries)
}

fn unreadable(wanted: &OnDisk) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "log entry {} in segment {} at offset {} is unreadable",
            wanted.index, wanted.segment, wanted.offset
        ),
    )
}
