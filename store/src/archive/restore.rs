//! From an archive to a data folder: a base, and the log behind it up to a revision or a time.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use state_machine::{AlarmAction, AlarmChange, Caller, Command, Options, Run, StateMachine};

use super::choice::{Choice, choose};
use super::folder::Base;
use super::format::{Milestone, Record};
use super::reader;
use super::status::members;
use super::time::Time;
use crate::backup::{self, Restore, Restored, Start};
use crate::raft;

/// Commands applied as one run.
const RUN_COMMANDS: usize = 1024;

/// Where a restore ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Everything that is there.
    End,
    /// Right after the change that made this revision.
    Revision(i64),
    /// What the member had applied at this time.
    Time(Time),
}

/// What a restore was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredFrom {
    pub base: PathBuf,
    pub base_revision: i64,
    /// The last moment of the archive that is in it; of a revision, a moment right after it.
    pub time: Time,
}

/// Makes a data folder as [`backup::restore`] does, of the state at `target`. The snapshot is chosen here.
///
/// # Errors
/// When the archive does not reach the target or is damaged on the way to it, and as [`backup::restore`].
pub fn restore(
    dir: &Path,
    target: Target,
    mut restore: Restore,
    progress: impl FnMut(backup::Progress),
) -> anyhow::Result<(Restored, RestoredFrom)> {
    let choice = choose(&members(dir)?, target)?;
    restore.snapshot.clone_from(&choice.base.path);
    let mut time = choice.base.time;
    let mut replay = |state: &Path, start: Start, progress: &mut dyn FnMut(backup::Progress)| {
        let (revision, reached) = replay(&choice, (state, start), target, progress)?;
        time = reached.max(time);
        Ok(revision)
    };
    let restored = backup::restore_and(&restore, Some(&mut replay), progress)?;
    let Base { path, revision, .. } = choice.base;
    let from = RestoredFrom {
        base: path,
        base_revision: revision,
        time,
    };
    Ok((restored, from))
}

/// Applies what comes after a base; the revision that it led to, and the time.
fn replay(
    choice: &Choice,
    (state, start): (&Path, Start),
    target: Target,
    progress: &mut dyn FnMut(backup::Progress),
) -> anyhow::Result<(i64, Time)> {
    let base = &choice.base;
    ensure!(
        (start.revision, start.index) == (base.revision, base.index),
        "{} holds revision {} at log index {}, its name says otherwise",
        base.path.display(),
        start.revision,
        start.index
    );
    let machine = StateMachine::open(state, &Options::default())?;
    let mut player = Player {
        machine,
        target,
        start,
        gathered: Vec::new(),
        time: base.time,
    };
    let segments = &choice.span.segments[choice.first_segment..];
    let total_bytes = segments.iter().map(|segment| segment.bytes).sum();
    let (mut done_bytes, mut last_end) = (0, 0);
    if !player.is_there() {
        reader::walk(&choice.span, choice.first_segment, |record, end| {
            // A smaller one is the next segment's.
            done_bytes += end.checked_sub(last_end).unwrap_or(end);
            last_end = end;
            progress(backup::Progress::Replaying {
                done_bytes,
                total_bytes,
            });
            player.play(record)
        })?;
    }
    player.finish()
}

/// Plays records to a state machine until the target is there.
struct Player {
    machine: StateMachine,
    target: Target,
    start: Start,
    /// Commands since the last milestone, by entry.
    gathered: Vec<Vec<Command>>,
    time: Time,
}

impl Player {
    /// Whether the target is a revision that the state has.
    fn is_there(&self) -> bool {
        matches!(self.target, Target::Revision(revision) if self.machine.revision() >= revision)
    }

    fn play(&mut self, record: Record) -> anyhow::Result<ControlFlow<()>> {
        match record {
            Record::Entry { index, payload } => {
                // The base has it already.
                if index > self.start.index {
                    let commands = raft::commands_of(payload)
                        .with_context(|| format!("log entry {index} cannot be read"))?;
                    self.gathered.push(commands);
                }
                Ok(ControlFlow::Continue(()))
            }
            Record::Milestone(milestone) => self.pass(milestone),
        }
    }

    /// Applies what stands before a milestone.
    fn pass(&mut self, milestone: Milestone) -> anyhow::Result<ControlFlow<()>> {
        if milestone.index < self.start.index {
            return Ok(ControlFlow::Continue(()));
        }
        if matches!(self.target, Target::Time(time) if milestone.time > time) {
            return Ok(ControlFlow::Break(()));
        }
        self.time = milestone.time;
        for commands in std::mem::take(&mut self.gathered) {
            self.apply_entry(commands)?;
            if self.is_there() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let revision = self.machine.revision();
        if let Some(expected) = milestone.revision {
            ensure!(
                revision == expected,
                "replaying led to revision {revision} at log index {}, where the member that archived it had {expected}",
                milestone.index
            );
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Applies the commands of an entry, up to the one that makes the target.
    fn apply_entry(&mut self, commands: Vec<Command>) -> anyhow::Result<()> {
        let may_pass = match self.target {
            Target::Revision(target) => {
                // No command makes more than one revision.
                self.machine
                    .revision()
                    .saturating_add(commands.len() as i64)
                    >= target
            }
            Target::End | Target::Time(_) => false,
        };
        let size = if may_pass { 1 } else { RUN_COMMANDS };
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() && !self.is_there() {
            let run = commands.by_ref().take(size).collect();
            self.apply(run)?;
        }
        Ok(())
    }

    fn apply(&self, commands: Vec<Command>) -> anyhow::Result<()> {
        let mark = raft::bare_mark(self.start.term, self.start.index)?;
        self.machine.apply(Run { commands, mark })?;
        Ok(())
    }

    /// The state as it is to be; its revision, and the time of the archive that it is from.
    fn finish(self) -> anyhow::Result<(i64, Time)> {
        let revision = self.machine.revision();
        match self.target {
            Target::Revision(target) if revision != target => {
                bail!("the log of the archive ends with revision {revision}, before {target}")
            }
            _ => {}
        }
        // Alarms are about members, and those of the new cluster are others.
        let alarms = self.machine.alarms().into_iter().map(|(member, alarm)| {
            let change = AlarmChange {
                action: AlarmAction::Deactivate,
                member,
                alarm,
            };
            Command::Alarm(change).by(Caller::System)
        });
        self.apply(alarms.collect())?;
        ensure!(self.machine.alarms().is_empty(), "an alarm was not lifted");
        self.machine.flush()?;
        Ok((revision, self.time))
    }
}
