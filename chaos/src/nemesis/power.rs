//! Power cuts: members end at once, and their disks hold what was synced and some of the rest.

use anyhow::{Context, Result};

use super::{Effect, Nemesis};
use crate::random::Random;
use crate::schedule::{Aim, Step};
use crate::shim::{Dropped, cut};

impl Nemesis {
    pub(super) async fn power_loss(&mut self, aim: Aim, step: &Step) -> Result<Effect> {
        let (member, before) = self.choose(aim, step.pick).await?;
        self.cluster.shim(member)?;
        self.note("power loss", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.kill_now(&[member]).await?;
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        let dropped = self.cut_power(member, step).await?;
        effect.evidence = format!("{dropped}{}", effect.evidence);
        self.hold(step.hold_ms).await;
        self.start_member(member).await?;
        Ok(effect)
    }

    pub(super) async fn power_loss_all(&mut self, step: &Step) -> Result<Effect> {
        let mut members: Vec<usize> = (0..self.cluster.size()).collect();
        for member in &members {
            self.cluster.shim(*member)?;
        }
        let before = self.wait_leader().await?;
        self.note("power loss of all", None, None).await;
        let start_ms = self.recorder.clock().millis();
        self.kill_now(&members).await?;
        let mut dropped = Dropped::default();
        for member in &members {
            dropped += &self.cut_power(*member, step).await?;
        }
        self.hold(step.hold_ms).await;
        self.start_in_some_order(&mut members, step.pick).await?;
        // Otherwise the next cut would often come before anything was written.
        self.wait_leader().await?;
        Ok(Effect {
            members,
            role: None,
            terms: (before.term, before.term),
            start_ms,
            evidence: dropped.to_string(),
        })
    }

    /// Makes a member's data folder what its disk holds. Its process has ended.
    async fn cut_power(&mut self, member: usize, step: &Step) -> Result<Dropped> {
        let (data, shadow) = self.cluster.shim(member)?.folders();
        let purpose = format!("power {}", step.pick);
        let mut random = Random::for_purpose(self.seed, &purpose, member as u64);
        // It reads and writes whole logs.
        let cutting = tokio::task::spawn_blocking(move || cut(&data, &shadow, &mut random));
        let dropped = cutting.await?;
        let dropped = dropped.with_context(|| format!("the disk of member {member}"))?;
        *self.dropped.get_or_insert_default() += &dropped;
        Ok(dropped)
    }

    /// Power cuts that took nothing that matters have shown no more than kills.
    pub(super) fn doubts_of_cuts(&self) -> Vec<String> {
        let Some(dropped) = &self.dropped else {
            return Vec::new();
        };
        println!("all power cuts together: {dropped}");
        if dropped.weight() > 0 {
            return Vec::new();
        }
        vec!["no power cut took anything that was not synced".to_owned()]
    }
}
