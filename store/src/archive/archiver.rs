//! The loop that follows what a replica applies and writes it down.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use daemon::{CancellationToken, OnFailure, Tasks};
use rustix::fs::{FlockOperation, flock};
use state_machine::StateMachine;
use tokio::runtime::Handle;

use super::base::{BaseMaker, Clock};
use super::folder::{self, LOCK, Span};
use super::format::{Header, Milestone};
use super::time::Time;
use super::writer::SpanWriter;
use super::{BATCH_BYTES, IDLE_INTERVAL, PACE, RETRY_INTERVAL, SYNC_INTERVAL, Settings};
use super::{reader, retention};
use crate::metrics::Metrics;
use crate::raft::{self, ApplyProgress, StateFolder};
use crate::replica::Identity;

/// Time between two looks for what is too old.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// The replica that is archived.
pub(crate) struct Source {
    pub(crate) identity: Identity,
    pub(crate) wal: wal::Wal,
    pub(crate) folder: Arc<StateFolder>,
    pub(crate) applied: ApplyProgress,
    pub(crate) metrics: Arc<Metrics>,
}

/// Starts archiving. Whatever happens to the archive, the replica goes on.
pub(crate) fn spawn(settings: &Settings, source: Source, tasks: &Tasks) -> anyhow::Result<()> {
    let clock = Clock::default();
    source.metrics.archive.turn_on(Time::now());
    let (to_archiver, from_maker) = std::sync::mpsc::sync_channel(1);
    let (runtime, settings) = (Handle::current(), settings.clone());
    let (state, base_clock) = (Arc::clone(&source.folder), clock.clone());
    let work = move |stop: CancellationToken| -> anyhow::Result<()> {
        let Ok(bases) = from_maker.recv() else {
            return Ok(());
        };
        let member = settings.dir.join(folder::member_name(source.identity));
        let archiver = Archiver {
            settings,
            source,
            member,
            clock,
            bases,
            lock: None,
            span: None,
            may_resume: true,
            retry_at: None,
            base_due: Instant::now(),
            based_index: None,
            retention_due: Instant::now(),
            synced_at: Instant::now(),
            complaint: None,
        };
        archiver.run(&runtime, &stop);
        Ok(())
    };
    // The one that is started first ends last.
    tasks.spawn_thread("archive", OnFailure::Stop, work)?;
    let bases = BaseMaker::spawn(tasks, state, base_clock)?;
    // The thread waits for it.
    to_archiver
        .send(bases)
        .ok()
        .context("the archive's thread has ended")
}

struct Archiver {
    settings: Settings,
    source: Source,
    /// The folder of this member in the archive.
    member: PathBuf,
    clock: Clock,
    bases: BaseMaker,
    /// Held from when the folder was first there.
    lock: Option<File>,
    span: Option<Open>,
    /// Whether this process has written no span yet, so that the last one may go on.
    may_resume: bool,
    /// When the folder is tried again; at once when None.
    retry_at: Option<Instant>,
    base_due: Instant,
    /// Log index of the newest base.
    based_index: Option<u64>,
    retention_due: Instant,
    synced_at: Instant,
    /// What was logged last, so that it is logged once.
    complaint: Option<String>,
}

/// Why the entries that come next in the archive cannot be had.
#[derive(Debug, thiserror::Error)]
enum Gone {
    #[error("the replica was sent a snapshot in place of the entries that come next")]
    Replaced,
    #[error("the raft log has given up entry {next}, which comes next")]
    Purged { next: u64 },
}

/// The span that is written.
struct Open {
    writer: SpanWriter,
    /// The number of its folder.
    sequence: u64,
    /// What its entries were applied to. A state that takes its place came as a snapshot: what the log holds before it may
    /// never have been committed.
    state: Weak<StateMachine>,
    told_at: Instant,
}

impl Archiver {
    fn run(mut self, runtime: &Handle, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            self.step();
            let mut applied = self.source.applied.clone();
            applied.mark_unchanged();
            runtime.block_on(async {
                let paced = async {
                    tokio::time::sleep(PACE).await;
                    // What comes meanwhile is written with the next step, at the latest when a sync is due.
                    _ = tokio::time::timeout(SYNC_INTERVAL / 2, applied.changed()).await;
                };
                tokio::select! {
                    () = paced => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        // What was applied last, and a sync of it.
        if let Some(mut open) = self.span.take() {
            let done = self.follow(&mut open).and_then(|()| self.sync(&mut open));
            if let Err(error) = done {
                tracing::warn!(
                    error = format_args!("{error:#}"),
                    "the archive lacks what was applied last"
                );
            }
        }
    }

    fn step(&mut self) {
        if self.span.is_none() && self.retry_at.is_none_or(|at| Instant::now() >= at) {
            match self.begin() {
                Ok(open) => self.begun(open),
                Err(error) => self.failed(&error),
            }
        }
        let Some(mut open) = self.span.take() else {
            return;
        };
        let is_due = self.synced_at.elapsed() >= SYNC_INTERVAL && !open.writer.is_synced();
        let done = self.follow(&mut open).and_then(|()| match is_due {
            true => self.sync(&mut open),
            false => Ok(()),
        });
        match done {
            Ok(()) => {
                self.look_after_bases(&open);
                self.span = Some(open);
                self.look_after_age();
            }
            Err(error) => self.ended(&error),
        }
    }

    fn begun(&mut self, open: Open) {
        self.complaint = None;
        self.retry_at = None;
        self.source.metrics.archive.set_active(true);
        self.bases.set_wanted(open.sequence);
        self.span = Some(open);
    }

    /// The span cannot go on. What was applied behind it is not in the archive; the next span begins with a base.
    fn ended(&mut self, error: &anyhow::Error) {
        self.source.metrics.archive.gaps.add(1);
        self.source.metrics.archive.set_active(false);
        self.bases.set_wanted(0);
        tracing::warn!(
            dir = %self.member.display(),
            "the archive has a gap from here on, until it can be written again"
        );
        self.failed(error);
        if error.is::<Gone>() {
            // Nothing is wrong with the folder.
            self.retry_at = None;
        }
    }

    fn failed(&mut self, error: &anyhow::Error) {
        self.source.metrics.archive.failures.add(1);
        self.retry_at = Some(Instant::now() + RETRY_INTERVAL);
        let text = format!("{error:#}");
        if self.complaint.as_ref() != Some(&text) {
            tracing::warn!(
                error = text,
                "the archive cannot be written; it is tried again every few seconds"
            );
            self.complaint = Some(text);
        }
    }

    /// Goes on with the span that an earlier process left, or begins a new one.
    fn begin(&mut self) -> anyhow::Result<Open> {
        let folder = self.member.display().to_string();
        let unwritable = || format!("cannot use the archive folder {folder}");
        if self.lock.is_none() {
            self.lock = Some(take_folder(&self.member).with_context(unwritable)?);
        }
        let machine = self.source.folder.machine();
        let (_revision, mark) = machine.applied();
        let (_term, applied) = raft::applied_of(mark.as_ref())?;
        let spans = folder::spans(&self.member).with_context(unwritable)?;
        if self.may_resume {
            folder::remove_parts(&self.member).with_context(unwritable)?;
            self.may_resume = false;
            match spans
                .last()
                .map(|span| self.resume(span, (&machine, applied)))
            {
                None => tracing::info!(dir = %self.member.display(), "an archive begins"),
                Some(Ok(open)) => return Ok(open),
                Some(Err(why)) => {
                    self.source.metrics.archive.gaps.add(1);
                    let why = format_args!("{why:#}");
                    tracing::warn!(why, "the archive cannot go on where it ended and has a gap");
                }
            }
        }
        let used = spans.iter().flat_map(|span| {
            let segments = span.segments.iter().map(|segment| segment.sequence);
            segments.chain([span.sequence])
        });
        let sequence = used.max().unwrap_or(0) + 1;
        let Identity {
            cluster_id,
            member_id,
        } = self.source.identity;
        let header = Header {
            log_id: self.source.wal.id(),
            sequence,
            first_record: 1,
            next_index: applied + 1,
            cluster_id,
            member_id,
            previous_end: 0,
        };
        let writer = SpanWriter::create(&self.member, header).with_context(unwritable)?;
        self.base_due = Instant::now();
        self.based_index = None;
        Ok(open(writer, sequence, &machine))
    }

    /// Goes on behind the end of the last span, if the raft log still has what comes there.
    fn resume(
        &mut self,
        span: &Span,
        (machine, applied): (&Arc<StateMachine>, u64),
    ) -> anyhow::Result<Open> {
        let end = reader::end(span)?;
        let (Some(header), Some(milestone)) = (end.header, end.milestone) else {
            bail!("the last span holds nothing");
        };
        let wal = &self.source.wal;
        ensure!(
            header.log_id == wal.id(),
            "the last span is of another raft log"
        );
        match wal.term_of(milestone.index) {
            Some(term) => ensure!(
                term == milestone.term,
                "the last span is of another raft log"
            ),
            None => ensure!(
                wal.first_index()
                    .map_or(applied == milestone.index, |first| first
                        == milestone.index + 1),
                "the raft log does not reach back to the end of the last span"
            ),
        }
        self.clock.at_least(milestone.time);
        let figures = &self.source.metrics.archive;
        figures.set_synced(milestone.index, end.revision, milestone.time);
        if let Some(base) = span.bases.last() {
            let age = Time::now().since(base.time);
            let left = self.settings.base_interval.saturating_sub(age);
            self.base_due = Instant::now() + left;
            self.based_index = Some(base.index);
        }
        let writer = SpanWriter::resume(span, (header, milestone), &end)?;
        Ok(open(writer, span.sequence, machine))
    }

    /// Writes what was applied since the last look.
    fn follow(&mut self, open: &mut Open) -> anyhow::Result<()> {
        let machine = self.source.folder.machine();
        if !Weak::ptr_eq(&open.state, &Arc::downgrade(&machine)) {
            return Err(Gone::Replaced.into());
        }
        let (revision, mark) = machine.applied();
        let (term, applied) = raft::applied_of(mark.as_ref())?;
        if applied + 1 == open.writer.next_index() && open.told_at.elapsed() >= IDLE_INTERVAL {
            self.write(open, &[], (applied, term, Some(revision)))?;
        }
        while open.writer.next_index() <= applied {
            let next = open.writer.next_index();
            let entries = self.source.wal.read(next..applied + 1, BATCH_BYTES);
            let entries = entries.context("cannot read the raft log")?;
            let (first, last) = match &entries[..] {
                [] => return Err(Gone::Purged { next }.into()),
                [first, .., last] => (first, last),
                [only] => (only, only),
            };
            if first.index != next {
                return Err(Gone::Purged { next }.into());
            }
            let known = (last.index == applied).then_some(revision);
            let milestone = (last.index, last.term, known);
            self.write(open, &entries, milestone)?;
        }
        Ok(())
    }

    fn write(
        &self,
        open: &mut Open,
        entries: &[wal::Entry],
        (index, term, revision): (u64, u64, Option<i64>),
    ) -> anyhow::Result<()> {
        let milestone = Milestone {
            index,
            term,
            time: self.clock.now(),
            revision,
        };
        let written = open.writer.write(entries, milestone);
        let written = written.with_context(|| self.unwritable(open))?;
        self.source.metrics.archive.bytes.add(written);
        open.told_at = Instant::now();
        Ok(())
    }

    fn unwritable(&self, open: &Open) -> String {
        format!("cannot write to {}", open.writer.path().display())
    }

    fn sync(&mut self, open: &mut Open) -> anyhow::Result<()> {
        let synced = open.writer.sync();
        synced.with_context(|| self.unwritable(open))?;
        self.synced_at = Instant::now();
        if let Some(Milestone {
            index,
            revision,
            time,
            ..
        }) = open.writer.milestone()
        {
            let figures = &self.source.metrics.archive;
            figures.set_synced(index, revision, time);
        }
        Ok(())
    }

    fn look_after_bases(&mut self, open: &Open) {
        match self.bases.result(open.sequence) {
            Some(Ok(made)) => {
                tracing::info!(
                    revision = made.revision,
                    log_index = made.index,
                    bytes = made.bytes,
                    "made a base of the archive"
                );
                let figures = &self.source.metrics.archive;
                figures.bytes.add(made.bytes);
                figures.count_base(made.revision);
                self.based_index = Some(made.index);
                self.base_due = Instant::now() + self.settings.base_interval;
                self.retention_due = Instant::now();
            }
            Some(Err(error)) => {
                self.source.metrics.archive.failures.add(1);
                tracing::warn!(
                    error = format_args!("{error:#}"),
                    "cannot make a base of the archive; it is tried again"
                );
                self.base_due = Instant::now() + RETRY_INTERVAL;
            }
            None => {}
        }
        // A base of what the newest one holds would say nothing new.
        let is_behind = self
            .based_index
            .is_none_or(|index| index + 1 < open.writer.next_index());
        if !self.bases.is_busy() && is_behind && Instant::now() >= self.base_due {
            self.bases.begin(open.writer.path(), open.sequence);
        }
    }

    fn look_after_age(&mut self) {
        let Some(open) = &self.span else {
            return;
        };
        if Instant::now() < self.retention_due {
            return;
        }
        self.retention_due = Instant::now() + RETENTION_INTERVAL;
        let now = Time::now();
        let oldest = self
            .settings
            .retention
            .map(|retention| now.before(retention));
        if let Err(error) = retention::prune(&self.member, open.writer.sequence(), oldest) {
            self.source.metrics.archive.failures.add(1);
            tracing::warn!(
                error = format_args!("{error:#}"),
                "cannot remove what is too old from the archive"
            );
        }
    }
}

fn open(writer: SpanWriter, sequence: u64, machine: &Arc<StateMachine>) -> Open {
    Open {
        writer,
        sequence,
        state: Arc::downgrade(machine),
        // The first milestone comes at once.
        told_at: Instant::now()
            .checked_sub(IDLE_INTERVAL)
            .unwrap_or_else(Instant::now),
    }
}

/// Makes the folder of a member and keeps others from writing into it.
fn take_folder(member: &PathBuf) -> anyhow::Result<File> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(member)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(member.join(LOCK))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => bail!("another process writes into it"),
        // Some network folders have no locks. Members have folders of their own all the same.
        Err(rustix::io::Errno::NOLCK | rustix::io::Errno::OPNOTSUPP) => Ok(file),
        Err(error) => Err(io::Error::from(error).into()),
    }
}
