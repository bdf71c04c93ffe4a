//! Draws the requests of one episode: mostly sensible, often at an edge, sometimes wrong.

mod keys;
mod txn;

use std::collections::VecDeque;

use proto::etcdserverpb as pb;

use super::step::{Answer, Step};
use crate::random::Random;
use keys::{draw_key, draw_range, draw_value};

/// Longest lease that is granted, in seconds; none runs out during a test.
const LEASE_TTL_SECONDS: i64 = 36_000;
/// Over this a watch is cancelled before another one is made.
const WATCHES_MAX: usize = 10;
/// Requests between two looks at the watches.
const SYNC_EVERY: usize = 400;
/// A value over etcd's request limit of 1.5 MiB, and under the transport's limit.
const TOO_LARGE_VALUE_BYTES: usize = 1_600_000;

/// A step that needs the watches agreed on first; its numbers are drawn afterwards.
#[derive(Debug, Clone, Copy)]
enum AfterSync {
    Compact,
    Hash,
    Cancel,
}

/// Draws steps, and follows what one server answers, so that revisions, leases and watches fit.
#[derive(Debug)]
pub(super) struct Generator {
    random: Random,
    /// Store revision and compact revision, as far as answers tell.
    revision: i64,
    compact_revision: i64,
    leases: Vec<i64>,
    watches: Vec<i64>,
    /// Ids of watches the client has cancelled; they may be used again.
    cancelled: Vec<i64>,
    /// The next id no watch has had.
    fresh_watch_id: i64,
    /// Largest start revision of a watch that may not have been reached.
    future_start: i64,
    /// Revisions of the sentinel; at each of them some key is alive.
    sentinels: Vec<i64>,
    planned: VecDeque<AfterSync>,
    since_sync: usize,
}

impl Generator {
    pub(super) fn new(seed: u64) -> Generator {
        Generator {
            random: Random::new(seed),
            revision: 1,
            compact_revision: 0,
            leases: Vec::new(),
            watches: Vec::new(),
            cancelled: Vec::new(),
            fresh_watch_id: 1_000,
            future_start: 0,
            sentinels: Vec::new(),
            planned: VecDeque::new(),
            since_sync: 0,
        }
    }

    /// The next thing to ask.
    pub(super) fn next(&mut self) -> Step {
        if let Some(planned) = self.planned.pop_front() {
            return self.planned_step(planned);
        }
        self.since_sync += 1;
        if self.since_sync >= SYNC_EVERY {
            return self.sync();
        }
        if self.watches.len() > WATCHES_MAX {
            return self.sync_and(AfterSync::Cancel);
        }
        match self
            .random
            .weighted(&[300, 260, 60, 230, 40, 6, 25, 30, 20, 6, 10, 5, 4, 4])
        {
            0 => Step::Range(self.range()),
            1 => Step::Put(self.put()),
            2 => Step::DeleteRange(self.delete_range()),
            3 => Step::Txn(self.txn()),
            4 => Step::Grant(self.grant()),
            5 => Step::GrantBriefly(self.brief_grant()),
            6 => Step::Revoke(self.lease_id()),
            7 => Step::TimeToLive(pb::LeaseTimeToLiveRequest {
                id: self.lease_id(),
                keys: self.random.percent(60),
            }),
            8 => Step::KeepAlive(self.lease_id()),
            9 => Step::Leases,
            10 => Step::WatchCreate(self.watch()),
            11 => self.sync_and(AfterSync::Compact),
            12 => self.sync_and(AfterSync::Hash),
            _ => self.sync_and(AfterSync::Cancel),
        }
    }

    /// Learns from an answer.
    pub(super) fn observe(&mut self, step: &Step, answer: &Answer) {
        if let Some(revision) = answer.revision() {
            self.revision = self.revision.max(revision);
        }
        match (step, answer) {
            (Step::Compact(request), Answer::Compact(_)) => {
                self.compact_revision = self.compact_revision.max(request.revision);
            }
            (Step::Grant(request), Answer::Grant(_)) => self.leases.push(request.id),
            (Step::Revoke(id), Answer::Revoke(_)) => self.leases.retain(|lease| lease != id),
            (Step::WatchCreate(request), Answer::Watch(created)) if !created.canceled => {
                self.future_start = self.future_start.max(request.start_revision);
                self.cancelled.retain(|id| *id != created.watch_id);
                // One that begins in what is compacted ends by itself. etcd keeps its id taken.
                let start = request.start_revision;
                if start == 0 || start >= self.compact_revision {
                    self.watches.push(created.watch_id);
                }
            }
            (Step::WatchCancel(id), Answer::Watch(answer)) if answer.canceled => {
                self.watches.retain(|watch| watch != id);
                self.cancelled.push(*id);
            }
            (Step::Sync { .. }, _) => self.sentinels.push(self.revision),
            _ => {}
        }
    }

    fn sync(&mut self) -> Step {
        self.since_sync = 0;
        // A stream with a watch that has not begun need not answer.
        Step::Sync {
            progress: self.future_start < self.revision && self.random.percent(50),
        }
    }

    fn sync_and(&mut self, then: AfterSync) -> Step {
        self.planned.push_back(then);
        self.sync()
    }

    fn planned_step(&mut self, planned: AfterSync) -> Step {
        match planned {
            AfterSync::Compact => Step::Compact(self.compaction()),
            AfterSync::Hash => Step::HashKv(self.hash_revision()),
            AfterSync::Cancel => Step::WatchCancel(self.watch_id()),
        }
    }

    fn range(&mut self) -> pb::RangeRequest {
        let (key, range_end) = draw_range(&mut self.random);
        let mut request = pb::RangeRequest {
            key: key.into(),
            range_end: range_end.into(),
            serializable: self.random.percent(30),
            keys_only: self.random.percent(10),
            count_only: self.random.percent(10),
            ..Default::default()
        };
        if self.random.percent(40) {
            request.limit = *self.random.pick(&[1, 1, 2, 3, 5, 8, 1000, -1, i64::MAX]);
        }
        if self.random.percent(35) {
            request.revision = self.read_revision();
        }
        if self.random.percent(35) {
            request.sort_order = *self.random.pick(&[0, 1, 1, 2, 2]);
            request.sort_target = *self.random.pick(&[0, 1, 2, 3, 4]);
        }
        for bound in [
            &mut request.min_mod_revision,
            &mut request.max_mod_revision,
            &mut request.min_create_revision,
            &mut request.max_create_revision,
        ] {
            if self.random.percent(6) {
                let back = self.random.below(100) as i64;
                *bound = *self.random.pick(&[self.revision - back, -1, i64::MAX]);
            }
        }
        request
    }

    /// A revision to read at: mostly in the history that is left, sometimes outside it.
    fn read_revision(&mut self) -> i64 {
        match self.random.weighted(&[70, 8, 8, 8, 6]) {
            0 => self.history_revision(),
            1 => self.compact_revision,
            2 => self.compact_revision - 1 - self.random.below(5) as i64,
            3 => self.revision + 1 + self.random.below(5) as i64,
            _ => *self.random.pick(&[-1, i64::MAX, i64::MIN, self.revision]),
        }
    }

    /// A revision after the compact revision.
    fn history_revision(&mut self) -> i64 {
        let length = (self.revision - self.compact_revision).max(1) as usize;
        self.revision - self.random.below(length) as i64
    }

    fn put(&mut self) -> pb::PutRequest {
        let mut request = pb::PutRequest {
            key: draw_key(&mut self.random).into(),
            value: draw_value(&mut self.random).into(),
            prev_kv: self.random.percent(30),
            ignore_value: self.random.percent(5),
            ignore_lease: self.random.percent(5),
            ..Default::default()
        };
        if request.ignore_value && self.random.percent(80) {
            request.value.clear();
        }
        if self.random.percent(20) {
            request.lease = self.lease_id();
        }
        if request.ignore_lease && self.random.percent(80) {
            request.lease = 0;
        }
        if self.random.below(4000) == 0 {
            request.value = vec![b'x'; TOO_LARGE_VALUE_BYTES].into();
        }
        request
    }

    fn delete_range(&mut self) -> pb::DeleteRangeRequest {
        let (key, mut range_end) = draw_range(&mut self.random);
        // Or the store would be empty most of the time.
        if self.random.percent(70) {
            range_end.clear();
        }
        pb::DeleteRangeRequest {
            key: key.into(),
            range_end: range_end.into(),
            prev_kv: self.random.percent(40),
        }
    }

    /// A lease that there is, mostly.
    fn lease_id(&mut self) -> i64 {
        if !self.leases.is_empty() && self.random.percent(80) {
            return *self.random.pick(&self.leases);
        }
        *self.random.pick(&[0, 1, 2, 3, 77, -5, i64::MAX])
    }

    fn grant(&mut self) -> pb::LeaseGrantRequest {
        let id = 1 + self.random.below(16) as i64;
        let ttl = *self.random.pick(&[LEASE_TTL_SECONDS, 5_000, 9_000_000_000]);
        match self.random.weighted(&[90, 5, 5]) {
            0 => pb::LeaseGrantRequest { id, ttl },
            1 => pb::LeaseGrantRequest {
                id,
                ttl: 9_000_000_001,
            },
            _ => pb::LeaseGrantRequest {
                id: *self.random.pick(&[-5, i64::MAX, i64::MIN]),
                ttl,
            },
        }
    }

    fn brief_grant(&mut self) -> pb::LeaseGrantRequest {
        let id = *self.random.pick(&[0, 1000]);
        let ttl = *self.random.pick(&[0, -1, i64::MIN, 1, 7, 8, 9, 60]);
        pb::LeaseGrantRequest { id, ttl }
    }

    fn compaction(&mut self) -> pb::CompactionRequest {
        let revision = match self.random.weighted(&[60, 10, 15, 10, 5]) {
            0 => self.history_revision(),
            1 => self.revision,
            2 => self.compact_revision - self.random.below(4) as i64,
            3 => self.revision + 1 + self.random.below(3) as i64,
            _ => *self.random.pick(&[0, -1, i64::MAX, i64::MIN]),
        };
        pb::CompactionRequest {
            revision,
            physical: self.random.percent(20),
        }
    }

    /// A revision to hash up to. The compact revision itself is left out: see the table of
    /// differences. So are revisions at which no key may be alive.
    fn hash_revision(&mut self) -> i64 {
        let sentinels: Vec<i64> = self
            .sentinels
            .iter()
            .copied()
            .filter(|revision| *revision > self.compact_revision)
            .collect();
        match self.random.weighted(&[50, 30, 10, 10]) {
            1 if !sentinels.is_empty() => *self.random.pick(&sentinels),
            2 => self.revision + 1 + self.random.below(3) as i64,
            3 if self.compact_revision > 1 => self.compact_revision - 1,
            // The sentinel was put just before, so some key is alive now.
            _ => *self.random.pick(&[0, self.revision, -1]),
        }
    }

    fn watch(&mut self) -> pb::WatchCreateRequest {
        let (key, range_end) = draw_range(&mut self.random);
        let start_revision = match self.random.weighted(&[40, 35, 10, 10, 5]) {
            0 => 0,
            1 => self.history_revision(),
            // Compacted, if there is anything below.
            2 => (self.compact_revision - 1 - self.random.below(5) as i64).max(0),
            3 => self.revision + self.random.below(20) as i64,
            _ => self.revision + 1,
        };
        let filters = self
            .random
            .pick(&[&[][..], &[], &[], &[0], &[1], &[0, 1]])
            .to_vec();
        pb::WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            start_revision,
            progress_notify: self.random.percent(5),
            filters,
            prev_kv: self.random.percent(30),
            watch_id: self.chosen_watch_id(),
            fragment: self.random.percent(10),
        }
    }

    /// An id for a new watch: the server's choice, a new one, one that was used, one that is in use.
    fn chosen_watch_id(&mut self) -> i64 {
        match self.random.weighted(&[50, 30, 10, 10]) {
            1 => {
                self.fresh_watch_id += 1;
                self.fresh_watch_id
            }
            2 if !self.cancelled.is_empty() => *self.random.pick(&self.cancelled),
            3 if !self.watches.is_empty() => *self.random.pick(&self.watches),
            _ => 0,
        }
    }

    /// A watch that is open, mostly.
    fn watch_id(&mut self) -> i64 {
        if self.watches.is_empty() || self.random.percent(5) {
            return 4_000;
        }
        *self.random.pick(&self.watches)
    }
}
