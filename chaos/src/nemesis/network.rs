//! Faults of the network between members.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Effect, Nemesis};
use crate::cluster::Roles;
use crate::net::{LinkCounts, Mesh};
use crate::random::Random;
use crate::schedule::{Aim, Fault, Step, Way};

/// Links, each from one member to another.
type Links = Vec<(usize, usize)>;

impl Nemesis {
    /// Cuts the links a step names until it is over.
    pub(super) async fn cut(&mut self, step: &Step) -> Result<Effect> {
        let aim = step.fault.aim().unwrap_or(Aim::Random);
        let (member, before) = self.choose(aim, step.pick).await?;
        if !self.cluster.runs_here() {
            return self.cut_elsewhere(step, member, &before).await;
        }
        let mesh = self.cluster.mesh().context("the network is not ours")?;
        let links = links(mesh, step, member, self.cluster.size());
        self.note("cut", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        let earlier = held(mesh, &links);
        for (from, to) in &links {
            mesh.link(*from, *to).cut();
        }
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        self.hold(step.hold_ms).await;
        let mesh = self.cluster.mesh().context("the network is not ours")?;
        let stopped = held(mesh, &links) - earlier;
        mesh.heal();
        self.note("heal", Some(member), None).await;
        ensure!(stopped > 0, "nothing was sent over the links that were cut");
        let words = format!(
            "{stopped} pieces and connections held on {} links",
            links.len()
        );
        effect.evidence = format!("{words}{}", effect.evidence);
        Ok(effect)
    }

    async fn cut_elsewhere(
        &mut self,
        step: &Step,
        member: usize,
        before: &Roles,
    ) -> Result<Effect> {
        ensure!(
            matches!(step.fault, Fault::Isolate { .. }),
            "a cluster elsewhere can only be cut as its commands do it"
        );
        self.note("cut", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.cluster.cut_by_hook(member, true).await?;
        let evidence = "the command succeeded".to_owned();
        let effect = self.effect(member, before, start_ms, evidence).await;
        self.hold(step.hold_ms).await;
        self.cluster.cut_by_hook(member, false).await?;
        self.note("heal", Some(member), None).await;
        Ok(effect)
    }

    /// Makes every link slow, and breaks connections now and then.
    pub(super) async fn flaky(&mut self, step: &Step) -> Result<Effect> {
        let Fault::Flaky {
            delay_ms,
            jitter_ms,
            bursts,
        } = step.fault
        else {
            bail!("only a flaky net is one");
        };
        let before = self.wait_leader().await?;
        let members: Vec<usize> = (0..self.cluster.size()).collect();
        let mesh = self.cluster.mesh().context("the network is not ours")?;
        let links = mesh.pairs(&members, &members);
        let earlier = total(mesh, &links);
        self.note("slow", None, None).await;
        let start_ms = self.recorder.clock().millis();
        for (from, to) in &links {
            let (delay, jitter) = (
                Duration::from_millis(delay_ms),
                Duration::from_millis(jitter_ms),
            );
            mesh.link(*from, *to).delay(delay, jitter);
        }
        let mut random = Random::for_purpose(self.seed, "flaky", step.pick);
        for _ in 0..bursts {
            self.hold(step.hold_ms / bursts).await;
            let (from, to) = *random.pick(&links);
            let mesh = self.cluster.mesh().context("the network is not ours")?;
            if random.percent(50) {
                mesh.link(from, to).reset();
            } else {
                mesh.link(from, to).truncate();
            }
        }
        let mesh = self.cluster.mesh().context("the network is not ours")?;
        let later = total(mesh, &links);
        mesh.heal();
        self.note("heal", None, None).await;
        let (delayed, resets) = (
            later.delayed - earlier.delayed,
            later.resets - earlier.resets,
        );
        ensure!(
            delayed > 0 && resets > 0,
            "{delayed} pieces delayed, {resets} connections reset"
        );
        let after = Roles::read(self.cluster.urls()).await;
        Ok(Effect {
            members,
            role: None,
            terms: (before.term, after.term),
            start_ms,
            evidence: format!(
                "{delayed} pieces delayed by {delay_ms} ms and up to {jitter_ms} more, {resets} connections reset, {} of them in the middle",
                later.truncated - earlier.truncated
            ),
        })
    }
}

fn links(mesh: &Mesh, step: &Step, member: usize, size: usize) -> Links {
    let others: Vec<usize> = (0..size).filter(|other| *other != member).collect();
    match &step.fault {
        Fault::OneWay { way: Way::Out, .. } => others.iter().map(|o| (member, *o)).collect(),
        Fault::OneWay { way: Way::In, .. } => others.iter().map(|o| (*o, member)).collect(),
        Fault::Partial => {
            let other = *Random::new(step.pick).pick(&others);
            mesh.pairs(&[member], &[other])
        }
        _ => mesh.pairs(&[member], &others),
    }
}

fn held(mesh: &Mesh, links: &Links) -> u64 {
    total(mesh, links).held
}

fn total(mesh: &Mesh, links: &Links) -> LinkCounts {
    links.iter().fold(LinkCounts::default(), |sum, (from, to)| {
        let counts = mesh.link(*from, *to).counts();
        LinkCounts {
            bytes: sum.bytes + counts.bytes,
            held: sum.held + counts.held,
            delayed: sum.delayed + counts.delayed,
            resets: sum.resets + counts.resets,
            truncated: sum.truncated + counts.truncated,
        }
    })
}
