//! What a log should hold, and random operations on a log and its model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use bytes::Bytes;

use crate::{Entry, Recovered, Wal};

/// A small generator with a printable seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// One record's worth of change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Entry(Entry),
    Vote(Bytes),
    TruncateFrom(u64),
    Purge(u64, Bytes),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) vote: Option<Bytes>,
    pub(crate) purged: Option<(u64, Bytes)>,
}

impl State {
    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Entry(entry) => drop(self.entries.insert(entry.index, entry.clone())),
            Step::Vote(vote) => self.vote = Some(vote.clone()),
            Step::TruncateFrom(from) => drop(self.entries.split_off(from)),
            Step::Purge(upto, mark) => {
                self.entries = self.entries.split_off(&(upto + 1));
                self.purged = Some((*upto, mark.clone()));
            }
        }
    }

    pub(crate) fn next_index(&self) -> u64 {
        let after_purge = self.purged.as_ref().map_or(0, |(upto, _mark)| upto + 1);
        self.entries
            .last_key_value()
            .map_or(after_purge, |(last, _entry)| last + 1)
    }

    /// What an open log holds.
    pub(crate) fn of(wal: &Wal, recovered: &Recovered) -> State {
        let entries = wal
            .read(0..u64::MAX, usize::MAX)
            .expect("the log is readable");
        assert_eq!(wal.first_index(), entries.first().map(|entry| entry.index));
        assert_eq!(wal.last_index(), entries.last().map(|entry| entry.index));
        for entry in &entries {
            assert_eq!(wal.term_of(entry.index), Some(entry.term));
        }
        State {
            entries: entries
                .into_iter()
                .map(|entry| (entry.index, entry))
                .collect(),
            vote: recovered.vote.clone(),
            purged: recovered.purged.clone(),
        }
    }
}

/// A log, every step it was asked for, and how many of them were acknowledged.
pub(crate) struct Driver {
    pub(crate) wal: Wal,
    pub(crate) start: State,
    pub(crate) current: State,
    pub(crate) steps: Vec<Step>,
    acknowledged: Arc<AtomicU64>,
    term: u64,
    /// Nothing is waited for: the log has no thread.
    pub(crate) stepped: bool,
}

impl Driver {
    pub(crate) fn new(wal: Wal, start: State) -> Driver {
        let term = start
            .entries
            .last_key_value()
            .map_or(1, |(_index, entry)| entry.term + 1);
        let (current, steps) = (start.clone(), Vec::new());
        Driver {
            wal,
            start,
            current,
            steps,
            acknowledged: Arc::default(),
            term,
            stepped: false,
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::SeqCst) as usize
    }

    fn step(&mut self, step: Step) {
        self.current.take(&step);
        self.steps.push(step);
    }

    /// A callback that notes that every step so far is acknowledged.
    fn done(&self) -> impl FnOnce(std::io::Result<()>) + Send + 'static {
        let (acknowledged, count) = (Arc::clone(&self.acknowledged), self.steps.len() as u64);
        move |result| {
            result.expect("the log works");
            let before = acknowledged.swap(count, Ordering::SeqCst);
            assert!(before <= count, "callbacks run in order");
        }
    }

    /// Queues one random operation.
    pub(crate) fn operate(&mut self, random: &mut Random) {
        let next = self.current.next_index();
        match random.below(20) {
            0..12 => {
                let count = 1 + random.below(6) as u64;
                let entries: Vec<Entry> = (next..next + count)
                    .map(|index| self.entry(index, random))
                    .collect();
                entries
                    .iter()
                    .for_each(|entry| self.step(Step::Entry(entry.clone())));
                self.wal.append(entries, self.done());
            }
            12..14 => {
                let vote = Bytes::from(format!("vote {}", random.next()));
                self.step(Step::Vote(vote.clone()));
                self.wal.save_vote(vote, self.done());
            }
            14..16 => self.truncate(random),
            16..18 => self.purge(random),
            18 => self
                .wal
                .note_committed(Bytes::from(format!("committed {next}"))),
            _ if self.stepped => {}
            _ => self.wait(),
        }
    }

    fn entry(&self, index: u64, random: &mut Random) -> Entry {
        let filler = (random.next() % 256) as u8;
        let payload = Bytes::from(vec![filler; random.below(700)]);
        Entry {
            index,
            term: self.term,
            payload,
        }
    }

    fn truncate(&mut self, random: &mut Random) {
        let next = self.current.next_index();
        let from = next.saturating_sub(random.below(8) as u64);
        self.term += 1;
        if from < next {
            self.step(Step::TruncateFrom(from));
        }
        self.wal.truncate_after(from.checked_sub(1), self.done());
    }

    fn purge(&mut self, random: &mut Random) {
        let next = self.current.next_index();
        // Mostly inside the log, at times behind its end.
        let upto = (next + 2).saturating_sub(random.below(20) as u64);
        let mark = Bytes::from(format!("purged {upto}"));
        if self
            .current
            .purged
            .as_ref()
            .is_none_or(|(purged, _mark)| *purged <= upto)
        {
            self.step(Step::Purge(upto, mark.clone()));
        }
        self.wal.purge(upto, mark, self.done());
    }

    /// Waits until everything queued is acknowledged.
    pub(crate) fn wait(&self) {
        let (sender, receiver) = channel();
        self.wal
            .flush(move |result| sender.send(result).expect("the test waits"));
        receiver
            .recv()
            .expect("the callback runs")
            .expect("the log works");
    }

    /// How many steps make up `found`, which must hold at least the first `acknowledged` steps.
    pub(crate) fn matching_step(&self, acknowledged: usize, found: &State) -> Option<usize> {
        let mut state = self.start.clone();
        self.steps[..acknowledged]
            .iter()
            .for_each(|step| state.take(step));
        for (at, step) in self.steps[acknowledged..].iter().enumerate() {
            if state == *found {
                return Some(acknowledged + at);
            }
            state.take(step);
        }
        (state == *found).then_some(self.steps.len())
    }
}
