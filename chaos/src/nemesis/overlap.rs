//! Two faults at once, and one that lasts longer than the log.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use super::{Effect, Nemesis};
use crate::cluster::{Cluster, POLL_INTERVAL};
use crate::schedule::{Aim, Meanwhile, Step};

/// Time the others get to give up the log that a member would need.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(20);
/// What a leader logs when it has made a snapshot, behind which it gives up its log; etcd's words and ours.
const SNAPSHOT_MADE: &str = "saved snapshot";
/// So many of them are behind a member's last entry for certain: the first may have been under way.
const SNAPSHOTS_MADE: usize = 2;
/// Time a member gets to have a snapshot after its start.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(15);
/// What a member logs once it has taken in a snapshot from another; etcd's words and ours.
const SNAPSHOT_TAKEN: [&str; 2] = ["applied snapshot", "applied incoming Raft snapshot"];

impl Nemesis {
    /// Kills the leader while a follower cannot help.
    pub(super) async fn overlap(&mut self, meanwhile: Meanwhile, step: &Step) -> Result<Effect> {
        ensure!(
            self.cluster.runs_here(),
            "two faults at once need members that run here"
        );
        let (follower, before) = self.choose(Aim::Follower, step.pick).await?;
        let leader = before.leader.context("roles were told by a leader")?;
        let pairs = self.disable(follower, meanwhile).await?;
        self.note("kill", Some(leader), Some(before.role(leader)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.kill_now(&[leader]).await?;
        let mut effect = self.effect(leader, &before, start_ms, String::new()).await;
        self.hold(step.hold_ms).await;
        self.start_member(leader).await?;
        // Some time with both others, so that there is a majority that the follower is missing from.
        self.hold(step.hold_ms).await;
        let name = self.cluster.name(follower);
        let words = match meanwhile {
            Meanwhile::Frozen => {
                self.cluster.resume(follower).await?;
                format!("{name} was frozen: the system showed it stopped")
            }
            Meanwhile::CutOff => {
                let mesh = self.cluster.mesh().context("the network is not ours")?;
                let held: u64 = pairs
                    .iter()
                    .map(|(from, to)| mesh.link(*from, *to).counts().held)
                    .sum();
                mesh.heal();
                ensure!(held > 0, "nothing was sent over the links that were cut");
                format!("{name} was cut off: {held} pieces and connections held")
            }
        };
        self.note("heal", Some(follower), None).await;
        effect.members.push(follower);
        effect.evidence = format!("ended by SIGKILL while {words}{}", effect.evidence);
        Ok(effect)
    }

    /// Takes a follower away; gives the links that were cut, if any.
    async fn disable(
        &mut self,
        follower: usize,
        meanwhile: Meanwhile,
    ) -> Result<Vec<(usize, usize)>> {
        match meanwhile {
            Meanwhile::Frozen => {
                self.note("stop", Some(follower), None).await;
                self.cluster.pause(follower).await?;
                Ok(Vec::new())
            }
            Meanwhile::CutOff => {
                self.note("cut", Some(follower), None).await;
                let others: Vec<usize> = (0..self.cluster.size())
                    .filter(|m| *m != follower)
                    .collect();
                let mesh = self.cluster.mesh().context("the network is not ours")?;
                let pairs = mesh.pairs(&[follower], &others);
                for (from, to) in &pairs {
                    mesh.link(*from, *to).cut();
                }
                Ok(pairs)
            }
        }
    }

    /// Keeps a follower down until the others' log does not reach back to it: it has to take a snapshot.
    pub(super) async fn long_away(&mut self, step: &Step) -> Result<Effect> {
        let (member, before) = self.choose(Aim::Follower, step.pick).await?;
        let leader = before.leader.context("roles were told by a leader")?;
        self.note("kill", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.kill_now(&[member]).await?;
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        self.wait_given_up(leader).await?;
        self.hold(step.hold_ms).await;
        let away_ms = self.recorder.clock().millis() - start_ms;
        self.start_member(member).await?;
        self.wait_ready(member).await?;
        let deadline = Instant::now() + SNAPSHOT_TIMEOUT;
        while Instant::now() < deadline {
            let log = self.cluster.log_since_start(member)?;
            if let Some(words) = SNAPSHOT_TAKEN.iter().find(|words| log.contains(**words)) {
                effect.evidence = format!(
                    "its log says \"{words}\" after {} ms{}",
                    away_ms, effect.evidence
                );
                return Ok(effect);
            }
            if !self.pause_until(Instant::now() + POLL_INTERVAL).await {
                bail!("interrupted");
            }
        }
        bail!("it came back without a snapshot after {away_ms} ms")
    }

    /// Waits until the leader has made snapshots of what came after.
    async fn wait_given_up(&mut self, leader: usize) -> Result<()> {
        let made = |cluster: &Cluster| -> Result<usize> {
            let log = cluster.log_since_start(leader)?;
            Ok(log.matches(SNAPSHOT_MADE).count())
        };
        let wanted = made(&self.cluster)? + SNAPSHOTS_MADE;
        let deadline = Instant::now() + GIVE_UP_TIMEOUT;
        while Instant::now() < deadline {
            if made(&self.cluster)? >= wanted {
                return Ok(());
            }
            if !self.pause_until(Instant::now() + POLL_INTERVAL).await {
                bail!("interrupted");
            }
        }
        bail!("the leader made too few snapshots within {GIVE_UP_TIMEOUT:?}")
    }
}
