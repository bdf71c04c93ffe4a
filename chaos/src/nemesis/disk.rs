//! Faults of disks and clocks: full, slow, failing, jumping.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use super::{Effect, Nemesis};
use crate::cluster::{Ended, POLL_INTERVAL, Roles};
use crate::random::Random;
use crate::schedule::{Aim, Fault, Step};
use crate::shim::{Counted, Setting};

/// Time a sync that is to fail gets to be asked for, and the member to stop afterwards.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// What a process that stops by its own decision ends with.
const STOPPED: Ended = Ended::Exit(1);
/// Furthest that members' clocks are set apart, beside the jump itself, in milliseconds.
const APART_MS_MAX: u64 = 60_000;

impl Nemesis {
    /// No room on a disk for a while. The member may stop or go on; it has to come back.
    pub(super) async fn disk_full(&mut self, aim: Aim, step: &Step) -> Result<Effect> {
        let (member, before) = self.choose(aim, step.pick).await?;
        let earlier = self.cluster.shim(member)?.count(Counted::Refused)?;
        self.note("disk full", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.cluster.shim(member)?.set(Setting::Full, 1)?;
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        self.hold(step.hold_ms).await;
        let refused = self.cluster.shim(member)?.count(Counted::Refused)? - earlier;
        self.cluster.shim(member)?.set(Setting::Full, 0)?;
        let went = self.after_disk_error(member, "a full disk").await?;
        ensure!(refused > 0, "nothing was written while the disk was full");
        effect.evidence = format!("{refused} writes refused; it {went}{}", effect.evidence);
        Ok(effect)
    }

    /// What became of a member whose disk failed. One that stopped, or is about to, is started again.
    async fn after_disk_error(&mut self, member: usize, what: &str) -> Result<String> {
        let Some(ended) = self.wait_ready_or_ended(member).await? else {
            return Ok("went on".to_owned());
        };
        self.look_how_it_stopped(member, ended, what)?;
        self.start_member(member).await?;
        self.wait_ready(member).await?;
        Ok(format!("{ended} and was started again"))
    }

    /// A disk error may stop a member, in order and with a word about it.
    fn look_how_it_stopped(&mut self, member: usize, ended: Ended, what: &str) -> Result<()> {
        let log = self.cluster.log_since_start(member)?;
        let panic = log.lines().find(|line| line.contains("panicked at"));
        if ended != STOPPED || panic.is_some() {
            let last = panic.or(log.lines().last()).unwrap_or_default();
            let name = self.cluster.name(member);
            self.violations
                .push(format!("{name} {ended} for {what}; its last words: {last}"));
        }
        Ok(())
    }

    /// Every sync takes longer for a while.
    pub(super) async fn slow_disk(
        &mut self,
        aim: Aim,
        delay_ms: u64,
        step: &Step,
    ) -> Result<Effect> {
        let (member, before) = self.choose(aim, step.pick).await?;
        let earlier = self.cluster.shim(member)?.count(Counted::Delayed)?;
        self.note("slow disk", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        let delay = i64::try_from(delay_ms)?;
        self.cluster
            .shim(member)?
            .set(Setting::SyncDelayMs, delay)?;
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        self.hold(step.hold_ms).await;
        let shim = self.cluster.shim(member)?;
        let delayed = shim.count(Counted::Delayed)? - earlier;
        shim.set(Setting::SyncDelayMs, 0)?;
        ensure!(delayed > 0, "nothing was synced while the disk was slow");
        let words = format!("{delayed} syncs took {delay_ms} ms longer");
        effect.evidence = format!("{words}{}", effect.evidence);
        Ok(effect)
    }

    /// One sync fails. The member has to stop, without another sync of that file.
    pub(super) async fn sync_error(&mut self, aim: Aim, step: &Step) -> Result<Effect> {
        let (member, before) = self.choose(aim, step.pick).await?;
        let earlier = self.cluster.shim(member)?.count(Counted::Failed)?;
        self.note("sync error", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.cluster.shim(member)?.set(Setting::SyncErrors, 1)?;
        let ended = self.wait_stop(member).await;
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        let shim = self.cluster.shim(member)?;
        ensure!(shim.count(Counted::Failed)? > earlier, "nothing was synced");
        let file = shim.failed_files().pop().unwrap_or_default();
        let again = shim.synced_again();
        let name = self.cluster.name(member);
        if !again.is_empty() {
            self.violations.push(format!(
                "{name} has synced again after an error: {}",
                again.join(", ")
            ));
        }
        let Some(ended) = ended else {
            self.violations
                .push(format!("{name} goes on after the sync of {file} failed"));
            bail!("it did not stop");
        };
        self.look_how_it_stopped(member, ended, "a failed sync")?;
        self.hold(step.hold_ms).await;
        self.start_member(member).await?;
        effect.evidence = format!("the sync of {file} failed; it {ended}{}", effect.evidence);
        Ok(effect)
    }

    /// How the member ended, if it does.
    async fn wait_stop(&mut self, member: usize) -> Option<Ended> {
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(ended) = self.cluster.ended(member) {
                return Some(ended);
            }
            if !self.pause_until(Instant::now() + POLL_INTERVAL).await {
                return None;
            }
        }
        None
    }

    /// The wall clock of one member, or of all, is set ahead or behind, once or again and again.
    pub(super) async fn clock_jump(&mut self, ahead_ms: &[i64], step: &Step) -> Result<Effect> {
        let Fault::ClockJump { aim, .. } = step.fault else {
            bail!("only a jump of clocks is one");
        };
        let (first, before) = self.choose(aim.unwrap_or(Aim::Random), step.pick).await?;
        let members: Vec<usize> = match aim {
            Some(_) => vec![first],
            None => (0..self.cluster.size()).collect(),
        };
        let earlier = self.looks_at_clocks(&members)?;
        self.note(
            "clock jump",
            aim.map(|_| first),
            aim.map(|_| before.role(first)),
        )
        .await;
        let start_ms = self.recorder.clock().millis();
        let mut random = Random::for_purpose(self.seed, "clock", step.pick);
        let mut effect = None;
        for ahead in ahead_ms {
            for member in &members {
                let apart = random.below(APART_MS_MAX).cast_signed();
                let nanos = (ahead + apart) * 1_000_000;
                self.cluster
                    .shim(*member)?
                    .set(Setting::ClockAheadNs, nanos)?;
            }
            if effect.is_none() {
                effect = Some(self.effect(first, &before, start_ms, String::new()).await);
            }
            self.hold(step.hold_ms / ahead_ms.len() as u64).await;
        }
        let later = self.looks_at_clocks(&members)?;
        for member in &members {
            self.cluster.shim(*member)?.set(Setting::ClockAheadNs, 0)?;
        }
        let looks: Vec<u64> = later.iter().zip(&earlier).map(|(l, e)| l - e).collect();
        ensure!(
            looks.iter().all(|looks| *looks > 0),
            "a wrong clock was not looked at: {looks:?}"
        );
        let mut effect = effect.context("there is at least one jump")?;
        effect.evidence = format!(
            "{} jumps, the farthest of {} s; wrong clocks were looked at {looks:?} times{}",
            ahead_ms.len(),
            ahead_ms.iter().map(|ahead| ahead.abs()).max().unwrap_or(0) / 1_000,
            effect.evidence
        );
        if aim.is_none() {
            effect.role = None;
            effect.members = members;
            effect.terms.1 = Roles::read(self.cluster.urls()).await.term;
        }
        Ok(effect)
    }

    fn looks_at_clocks(&self, members: &[usize]) -> Result<Vec<u64>> {
        let count = |member: &usize| self.cluster.shim(*member)?.count(Counted::Shifted);
        members.iter().map(count).collect()
    }
}
