//! Committed entries become state, answers and events, in log order and nowhere else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot};
use planted::Bug;
use state_machine::{Applied, Command, LeaseChange, Outcome, Run, StateMachine};
use tokio::sync::watch;
use tokio::time::Instant;

use super::codec::{self, Attributes, Mark, Settings};
use super::members::MemberTable;
use super::snapshot::{SnapshotFiles, StateFolder};
use super::types::{LogId, StoredMembership, TypeConfig};
use crate::authn::Tokens;
use crate::batch::{self, Content};
use crate::blocking;
use crate::consistency::Samples;
use crate::lessor::Lessor;
use crate::metrics::Metrics;
use crate::spans::Stage;
use crate::waiters::Waiters;
use crate::watch::Hub;

/// Most commands applied as one run: bounds how long readers wait for the index and how large a disk batch is.
const RUN_COMMANDS: usize = 1024;

/// How far this replica has applied the log; anyone may wait on it.
pub(crate) type ApplyProgress = watch::Receiver<u64>;

/// Whom the applier tells.
pub(crate) struct Listeners {
    pub(crate) member_id: u64,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) lessor: Arc<Lessor>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) members: MemberTable,
    /// Log entries applied since the state was last made durable.
    pub(crate) unflushed_entries: Arc<AtomicU64>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) samples: Samples,
}

impl Listeners {
    /// Whether there is any use for tokens.
    fn tell_tokens(&self, machine: &StateMachine) {
        self.tokens.set_wanted(machine.auth_stamp().enabled);
    }
}

/// openraft's state machine: decodes entries, applies runs, answers.
pub(crate) struct Applier {
    folder: Arc<StateFolder>,
    listeners: Listeners,
    progress: watch::Sender<u64>,
    applied: Option<LogId>,
    settings: Settings,
    encoded_settings: Bytes,
}

/// Entries gathered for one run.
#[derive(Default)]
struct Gathered {
    commands: Vec<Command>,
    /// Batch number and count of commands, for the batches of this member.
    own: Vec<(usize, usize, u64)>,
    /// Where the commands of each entry begin, and its log index.
    begins: Vec<(usize, u64)>,
    entries: u64,
    last: Option<LogId>,
}

/// Log index of a command of a run.
fn index_of(begins: &[(usize, u64)], command: usize) -> u64 {
    let entry = begins.partition_point(|(begin, _)| *begin <= command);
    entry.checked_sub(1).map_or(0, |entry| begins[entry].1)
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl Applier {
    pub(crate) fn new(
        folder: Arc<StateFolder>,
        listeners: Listeners,
    ) -> io::Result<(Self, ApplyProgress)> {
        let Mark { applied, settings } =
            codec::decode_mark(folder.machine().applied_mark().as_ref())?;
        let (progress, receiver) = watch::channel(applied.map_or(0, |id| id.index));
        let encoded_settings = settings.encode()?;
        let machine = folder.machine();
        listeners.tell_tokens(&machine);
        let index = applied.map_or(0, |id| id.index);
        listeners.samples.restart(index, machine.digest());
        listeners.members.set(&settings);
        Ok((
            Applier {
                folder,
                listeners,
                progress,
                applied,
                settings,
                encoded_settings,
            },
            receiver,
        ))
    }

    fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) -> io::Result<()> {
        change(&mut self.settings);
        self.encoded_settings = self.settings.encode()?;
        self.listeners.members.set(&self.settings);
        Ok(())
    }

    fn gather(&mut self, entry: super::types::Entry, run: &mut Gathered) -> io::Result<()> {
        let id = entry.log_id;
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Membership(membership) => {
                let membership = StoredMembership::new(Some(id), membership);
                self.change_settings(|settings| settings.set_membership(membership))?;
            }
            EntryPayload::Normal(bytes) => {
                let batch = batch::decode(bytes.0).map_err(other)?;
                match batch.content {
                    Content::Publish(json) => {
                        let attributes: Attributes = serde_json::from_slice(&json)?;
                        self.change_settings(|settings| {
                            settings.set_attributes(batch.origin, attributes);
                        })?;
                        if batch.origin == self.listeners.member_id {
                            run.own.push((run.commands.len(), 0, batch.number));
                        }
                    }
                    Content::Commands(commands) => {
                        if batch.origin == self.listeners.member_id {
                            let waiters = &self.listeners.waiters;
                            waiters.reached(batch.number, Stage::Committed);
                            run.own
                                .push((run.commands.len(), commands.len(), batch.number));
                        }
                        run.begins.push((run.commands.len(), id.index));
                        run.commands.extend(commands);
                    }
                }
            }
        }
        run.entries += 1;
        run.last = Some(id);
        Ok(())
    }

    fn apply_run(&mut self, run: &mut Gathered) -> io::Result<()> {
        let Some(last) = run.last.take() else {
            return Ok(());
        };
        let marked = if planted::is_on(Bug::MarkBehind) {
            self.applied
        } else {
            Some(last)
        };
        let mark = codec::encode_mark(marked.as_ref(), &self.encoded_settings);
        let machine = self.folder.machine();
        let commands = std::mem::take(&mut run.commands);
        let began = Instant::now();
        let applied = machine.apply(Run { commands, mark }).map_err(other)?;
        self.listeners
            .metrics
            .backend_commit
            .observe(began.elapsed());
        self.applied = Some(last);
        self.listeners.samples.note(last.index, machine.digest());
        self.listeners.tell_tokens(&machine);
        let outcomes = self.tell(applied, &run.begins);
        run.begins.clear();
        self.progress.send_replace(last.index);
        self.listeners
            .unflushed_entries
            .fetch_add(run.entries, Ordering::Relaxed);
        run.entries = 0;
        let mut outcomes = outcomes.into_iter();
        let mut taken = 0;
        for (start, count, number) in run.own.drain(..) {
            for _ in taken..start {
                outcomes.next();
            }
            taken = start + count;
            let answered: Vec<_> = outcomes.by_ref().take(count).collect();
            self.listeners.waiters.answer(number, answered.into_iter());
        }
        Ok(())
    }

    /// Before the proposers are answered, so that a watch made after an answer starts behind it, and a token is known
    /// before it is given. Returns the answers.
    fn tell(&self, applied: Applied, begins: &[(usize, u64)]) -> Vec<Outcome> {
        let Applied {
            outcomes,
            events,
            leases,
            tokens,
        } = applied;
        let Listeners {
            lessor,
            metrics,
            hub,
            ..
        } = &self.listeners;
        let changed = &self.listeners.tokens;
        changed.changed(tokens, |command| index_of(begins, command));
        lessor.changed(&leases, Instant::now());
        for change in &leases {
            match change {
                LeaseChange::Granted { .. } => metrics.count_lease_granted(),
                LeaseChange::Revoked { .. } => metrics.count_lease_revoked(),
                LeaseChange::Renewed { .. } => {}
            }
        }
        metrics.count_applied(&events);
        hub.publish(events);
        outcomes
    }

    fn meta(&self) -> SnapshotMetaOf<TypeConfig> {
        openraft::SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.settings.membership.clone(),
        }
    }
}

impl RaftStateMachine<TypeConfig> for Applier {
    type SnapshotData = SnapshotFiles;
    type SnapshotBuilder = Flush;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.settings.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut run = Gathered::default();
        let mut responders = Vec::new();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let is_noted = Samples::are_kept_at(entry.log_id.index);
            self.gather(entry, &mut run)?;
            responders.extend(responder);
            if is_noted || run.commands.len() >= RUN_COMMANDS {
                self.apply_run(&mut run)?;
            }
        }
        self.apply_run(&mut run)?;
        for responder in responders {
            responder.send(());
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Flush {
        Flush {
            folder: Arc::clone(&self.folder),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<TypeConfig>,
        snapshot: SnapshotFiles,
    ) -> io::Result<()> {
        let folder = Arc::clone(&self.folder);
        let machine = blocking::run(move || folder.adopt(snapshot))
            .await?
            .map_err(other)?;
        let mark = codec::decode_mark(machine.applied_mark().as_ref())?;
        if mark.applied != meta.last_log_id {
            return Err(other(format!(
                "the snapshot's files are at {:?}, its sender said {:?}",
                mark.applied, meta.last_log_id
            )));
        }
        self.applied = mark.applied;
        self.change_settings(|s| *s = mark.settings)?;
        self.listeners.lessor.reset(&machine);
        self.listeners.tokens.clear();
        self.listeners.tell_tokens(&machine);
        self.listeners.metrics.count_snapshot_received();
        let index = self.applied.map_or(0, |id| id.index);
        self.listeners.samples.restart(index, machine.digest());
        self.listeners.hub.reset(machine);
        self.progress.send_replace(index);
        tracing::info!(applied = ?self.applied, "applied snapshot");
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotFiles>>> {
        if self.applied.is_none() {
            return Ok(None);
        }
        let (machine, dir) = (self.folder.machine(), self.folder.new_place());
        let files = SnapshotFiles::at(dir.clone());
        blocking::run(move || machine.checkpoint(&dir))
            .await?
            .map_err(other)?;
        Ok(Some(Snapshot {
            meta: self.meta(),
            snapshot: files,
        }))
    }
}

/// openraft's snapshot builder: makes the applied state durable, so that the log before it may go.
pub(crate) struct Flush {
    folder: Arc<StateFolder>,
}

impl RaftSnapshotBuilder<TypeConfig> for Flush {
    type SnapshotData = SnapshotFiles;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, SnapshotFiles>> {
        let machine = self.folder.machine();
        let mark = blocking::run(move || machine.flush())
            .await?
            .map_err(other)?;
        let Mark { applied, settings } = codec::decode_mark(mark.as_ref())?;
        tracing::info!(applied = ?applied, "saved snapshot");
        Ok(Snapshot {
            meta: openraft::SnapshotMeta {
                last_log_id: applied,
                last_membership: settings.membership,
            },
            snapshot: SnapshotFiles::none(),
        })
    }
}
