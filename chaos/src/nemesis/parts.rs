//! Faults of the processes above the members: killed, frozen, cut off from what is below them.

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use super::{Effect, LEADER_TIMEOUT, Nemesis};
use crate::cluster::{Component, Ended, POLL_INTERVAL, Role, Roles};
use crate::kubernetes::client::{Ask, Client};
use crate::schedule::{Aim, Blow, Step};

/// What one says in its log when it begins to lead, on a line with the name under which it holds the lease.
const LEADS: &str = "leads now";

impl Nemesis {
    pub(super) async fn strike(
        &mut self,
        blow: Blow,
        (component, aim): (Component, Aim),
        step: &Step,
    ) -> Result<Effect> {
        let (part, role) = self.choose_part(component, aim, step.pick).await?;
        let name = self.cluster.part_name(part);
        self.note(&format!("{blow} {name}"), None, None).await;
        let start_ms = self.recorder.clock().millis();
        let evidence = match blow {
            Blow::Kill => {
                self.cluster.kill_part(part).await?;
                self.hold(step.hold_ms).await;
                self.cluster.start_part(part)?;
                format!("{name} ended by SIGKILL")
            }
            Blow::Pause => {
                self.cluster.pause_part(part).await?;
                self.hold(step.hold_ms).await;
                self.cluster.resume_part(part)?;
                format!("the system showed {name} stopped")
            }
            Blow::Cut | Blow::NoAnswers => {
                let held = self.cut_part(part, blow, step.hold_ms).await?;
                format!("{name}: {held} pieces and connections held")
            }
        };
        let term = Roles::read(self.cluster.urls()).await.term;
        // The members of the store go on as they were.
        Ok(Effect {
            members: Vec::new(),
            role,
            terms: (term, term),
            start_ms,
            evidence,
        })
    }

    async fn cut_part(&mut self, part: usize, blow: Blow, hold_ms: u64) -> Result<u64> {
        let held = |nemesis: &Nemesis| -> u64 {
            let lines = nemesis.cluster.lines_of(part);
            lines.iter().map(|line| line.held()).sum()
        };
        let before = held(self);
        for line in self.cluster.lines_of(part) {
            match blow {
                Blow::NoAnswers => line.cut_back(),
                _ => line.cut(),
            }
        }
        self.hold(hold_ms).await;
        let held = held(self) - before;
        self.cluster.heal_lines();
        ensure!(held > 0, "nothing was sent over the lines that were cut");
        Ok(held)
    }

    /// A part of the wanted role, and its role if there are roles among its kind.
    async fn choose_part(
        &mut self,
        component: Component,
        aim: Aim,
        pick: u64,
    ) -> Result<(usize, Option<Role>)> {
        let all = self.cluster.parts_of(component);
        ensure!(!all.is_empty(), "there is no {component}");
        let pick = usize::try_from(pick).context("a pick fits")?;
        let Some(lease) = component.lease() else {
            return Ok((all[pick % all.len()], None));
        };
        let leader = self.wait_leading(&all, lease).await?;
        let others: Vec<usize> = all.iter().copied().filter(|one| *one != leader).collect();
        let part = match aim {
            Aim::Leader => leader,
            Aim::Follower => *others
                .get(pick % others.len().max(1))
                .context("nobody follows")?,
            Aim::Random => all[pick % all.len()],
        };
        let role = if part == leader {
            Role::Leader
        } else {
            Role::Follower
        };
        Ok((part, Some(role)))
    }

    async fn wait_leading(&mut self, all: &[usize], lease: &str) -> Result<usize> {
        let deadline = Instant::now() + LEADER_TIMEOUT;
        while Instant::now() < deadline {
            // It may have ended and its lease not yet: that one does nothing that could be broken.
            self.look_for_ended_parts();
            self.cluster.start_given_up()?;
            if let Some(leader) = self.leading(all, lease).await
                && self.cluster.part_ended(leader).is_none()
            {
                return Ok(leader);
            }
            if !self.pause_until(Instant::now() + POLL_INTERVAL).await {
                bail!("interrupted");
            }
        }
        bail!("nobody holds the lease {lease} within {LEADER_TIMEOUT:?}")
    }

    /// Whoever holds a lease, by the name in the lease and in its log.
    async fn leading(&self, all: &[usize], lease: &str) -> Option<usize> {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{lease}");
        for port in self.cluster.apiserver_ports() {
            let Ok(answer) = Client::new(port).ask(Ask::get(&*path)).await else {
                continue;
            };
            let holder = answer.body["spec"]["holderIdentity"].as_str()?;
            let says_so = |part: &&usize| {
                let log = self.cluster.part_log(**part).unwrap_or_default();
                let mut lines = log.lines().filter(|line| line.contains(LEADS));
                !holder.is_empty() && lines.any(|line| line.contains(holder))
            };
            return all.iter().find(says_so).copied();
        }
        None
    }

    /// Starts every part that does not run, lets frozen ones go on, and makes their lines whole.
    pub(super) fn heal_parts(&mut self) -> Result<()> {
        self.cluster.heal_lines();
        for part in 0..self.cluster.parts() {
            if self.cluster.part_ended(part) == Some(Ended::NeverRan) {
                self.cluster.start_part(part)?;
            } else {
                // For a pause that failed half-way; one that goes on anyway does not notice.
                self.cluster.resume_part(part).ok();
            }
        }
        Ok(())
    }

    /// One that ended although nobody ended it has broken something of its own, unless its lease was lost.
    pub(super) fn look_for_ended_parts(&mut self) {
        for part in 0..self.cluster.parts() {
            match self.cluster.part_ended(part) {
                None | Some(Ended::NeverRan) => {}
                Some(Ended::Exit(_)) if self.cluster.part_gave_up(part) => {}
                Some(ended) => {
                    let log = self.cluster.part_log(part).unwrap_or_default();
                    let last = log.lines().last().unwrap_or_default();
                    self.violations.push(format!(
                        "{} {ended} although nobody ended it; its last words: {last}",
                        self.cluster.part_name(part)
                    ));
                }
            }
        }
    }
}
