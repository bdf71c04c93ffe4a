//! Faults of processes: killed, frozen, restarted, told to hand over.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use super::{Effect, Nemesis};
use crate::client::Client;
use crate::cluster::{Ended, POLL_INTERVAL, Roles};
use crate::random::Random;
use crate::schedule::{Aim, Step};

/// Time a restarted member gets to answer a linearizable read before the next one is restarted.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time another leader gets to be agreed on after a hand-over.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);

impl Nemesis {
    pub(super) async fn kill(&mut self, aim: Aim, step: &Step) -> Result<Effect> {
        let (member, before) = self.choose(aim, step.pick).await?;
        self.note("kill", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.kill_now(&[member]).await?;
        let proof = self.proof_of_silence(member, "ended by SIGKILL").await;
        let effect = self.effect(member, &before, start_ms, words(&proof)).await;
        self.hold(step.hold_ms).await;
        self.start_member(member).await?;
        proof.map(|_| effect)
    }

    /// Kills members; one that had ended by itself is taken note of first.
    pub(super) async fn kill_now(&mut self, members: &[usize]) -> Result<()> {
        self.look_for_ended();
        self.cluster.kill(members).await
    }

    pub(super) async fn start_member(&mut self, member: usize) -> Result<()> {
        self.cluster.start(member).await?;
        self.note("start", Some(member), None).await;
        Ok(())
    }

    pub(super) async fn kill_all(&mut self, step: &Step) -> Result<Effect> {
        let before = self.wait_leader().await?;
        let mut members: Vec<usize> = (0..self.cluster.size()).collect();
        self.note("kill all", None, None).await;
        let start_ms = self.recorder.clock().millis();
        self.kill_now(&members).await?;
        self.hold(step.hold_ms).await;
        self.start_in_some_order(&mut members, step.pick).await?;
        Ok(Effect {
            evidence: format!("{} members ended by SIGKILL", members.len()),
            members,
            role: None,
            terms: (before.term, before.term),
            start_ms,
        })
    }

    /// Starts members in an order that the pick decides.
    pub(super) async fn start_in_some_order(
        &mut self,
        members: &mut [usize],
        pick: u64,
    ) -> Result<()> {
        let turns = usize::try_from(pick).context("a pick fits")? % members.len();
        members.rotate_left(turns);
        if pick & 1 == 1 {
            members.reverse();
        }
        for member in members {
            self.start_member(*member).await?;
        }
        Ok(())
    }

    pub(super) async fn crash_loop(
        &mut self,
        aim: Aim,
        gaps_ms: &[u64],
        step: &Step,
    ) -> Result<Effect> {
        let (member, before) = self.choose(aim, step.pick).await?;
        let start_ms = self.recorder.clock().millis();
        let mut effect = None;
        for gap_ms in gaps_ms {
            self.note("kill", Some(member), None).await;
            self.kill_now(&[member]).await?;
            if effect.is_none() {
                let seen = format!("ended by SIGKILL {} times", gaps_ms.len());
                let proof = self.proof_of_silence(member, &seen).await;
                let found = self.effect(member, &before, start_ms, words(&proof)).await;
                effect = Some(proof.map(|_| found));
            }
            self.start_member(member).await?;
            self.hold(*gap_ms).await;
        }
        effect.context("a crash loop has at least one crash")?
    }

    pub(super) async fn freeze(&mut self, aim: Aim, step: &Step) -> Result<Effect> {
        let (member, before) = self.choose(aim, step.pick).await?;
        self.note("stop", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.cluster.pause(member).await?;
        let proof = self
            .proof_of_silence(member, "the system shows it stopped")
            .await;
        let effect = self.effect(member, &before, start_ms, words(&proof)).await;
        self.hold(step.hold_ms).await;
        self.cluster.resume(member).await?;
        self.note("continue", Some(member), None).await;
        proof.map(|_| effect)
    }

    pub(super) async fn rolling_restart(&mut self) -> Result<Effect> {
        let before = self.wait_leader().await?;
        let start_ms = self.recorder.clock().millis();
        let mut endings = Vec::new();
        for member in 0..self.cluster.size() {
            let role = Roles::read(self.cluster.urls()).await.role(member);
            self.note("terminate", Some(member), Some(role)).await;
            let ended = self.cluster.stop(member).await?;
            ensure!(
                !matches!(ended, Some(Ended::Killed | Ended::NeverRan)),
                "{} did not end by itself",
                self.cluster.name(member)
            );
            if let Some(ended) = ended {
                endings.push(format!("{role} {ended}"));
            }
            self.start_member(member).await?;
            self.wait_ready(member).await?;
        }
        let after = Roles::read(self.cluster.urls()).await;
        Ok(Effect {
            members: (0..self.cluster.size()).collect(),
            role: None,
            terms: (before.term, after.term),
            start_ms,
            evidence: endings.join(", "),
        })
    }

    /// Waits until a member answers a linearizable read.
    pub(super) async fn wait_ready(&mut self, member: usize) -> Result<()> {
        match self.wait_ready_or_ended(member).await? {
            None => Ok(()),
            Some(ended) => bail!(
                "{} {ended} while it was waited for",
                self.cluster.name(member)
            ),
        }
    }

    /// Waits until a member answers a linearizable read or ends, and says how it ended.
    pub(super) async fn wait_ready_or_ended(&mut self, member: usize) -> Result<Option<Ended>> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let mut client = Client::new(&self.cluster.urls()[member])?;
        while Instant::now() < deadline {
            if crate::liveness::reads(&mut client).await.is_ok() {
                return Ok(None);
            }
            if let Some(ended) = self.cluster.ended(member) {
                return Ok(Some(ended));
            }
            if !self.pause_until(Instant::now() + POLL_INTERVAL).await {
                bail!("interrupted");
            }
        }
        bail!(
            "{} answers no linearizable read {READY_TIMEOUT:?} after its start",
            self.cluster.name(member)
        )
    }

    pub(super) async fn move_leader(&mut self, step: &Step) -> Result<Effect> {
        let (leader, before) = self.choose(Aim::Leader, step.pick).await?;
        let others: Vec<u64> = before
            .members
            .iter()
            .flatten()
            .map(|status| status.id)
            .filter(|id| *id != before.leader_id)
            .collect();
        ensure!(!others.is_empty(), "nobody is there to hand over to");
        let target = *Random::new(step.pick).pick(&others);
        self.note("move leader", Some(leader), Some(before.role(leader)))
            .await;
        let start_ms = self.recorder.clock().millis();
        let mut client = Client::new(&self.cluster.urls()[leader])?;
        let asked = tokio::time::timeout(HAND_OVER_TIMEOUT, client.move_leader(target)).await;
        let asked = asked.context("no answer to the request to hand over")?;
        asked.map_err(|status| anyhow::anyhow!("{:?}: {}", status.code(), status.message()))?;
        let deadline = Instant::now() + HAND_OVER_TIMEOUT;
        while Instant::now() < deadline {
            let after = Roles::read(self.cluster.urls()).await;
            if after.leader_id != 0 && after.leader_id != before.leader_id {
                let took = self.recorder.clock().millis() - start_ms;
                return Ok(Effect {
                    members: vec![leader],
                    role: Some(before.role(leader)),
                    terms: (before.term, after.term),
                    start_ms,
                    evidence: format!("another member led {took} ms later"),
                });
            }
            self.hold(u64::try_from(POLL_INTERVAL.as_millis()).unwrap_or(1))
                .await;
        }
        bail!("the leader stayed the same")
    }
}

/// The proof's words. Without a proof the fault is undone all the same, and then reported as one that did not fire.
pub(super) fn words(proof: &Result<String>) -> String {
    proof.as_deref().unwrap_or_default().to_owned()
}
