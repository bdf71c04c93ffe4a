//! Members that leave and come back with nothing: a dead one that is replaced, a living one that is removed.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;
use tonic::Status;

use super::{Effect, Nemesis};
use crate::client::Client;
use crate::cluster::{POLL_INTERVAL, Roles};
use crate::schedule::{Aim, Step};

/// Time in which a change of the members is accepted: etcd wants all connections to be some seconds old.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(40);
/// Time one request for a change gets.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Debug, Clone)]
enum Change {
    Remove(u64),
    Add { peer_url: String, is_learner: bool },
    Promote(u64),
}

impl Nemesis {
    /// A member dies, is removed, and another one takes its place with an empty disk.
    pub(super) async fn replace(&mut self, aim: Aim, step: &Step) -> Result<Effect> {
        let (member, before) = self.choose(aim, step.pick).await?;
        let id = id_of(&before, member)?;
        self.note("kill", Some(member), Some(before.role(member)))
            .await;
        let start_ms = self.recorder.clock().millis();
        self.kill_now(&[member]).await?;
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        self.change(member, Change::Remove(id)).await?;
        self.note("remove", Some(member), None).await;
        let joined = self.come_back(member, step).await?;
        effect.evidence =
            format!("{id:x} was killed and removed, {joined} came with an empty disk");
        Ok(effect)
    }

    /// A member is removed while it runs, has to end by itself, and comes back as a new one.
    pub(super) async fn churn(&mut self, aim: Aim, step: &Step) -> Result<Effect> {
        let (member, before) = self.choose(aim, step.pick).await?;
        let id = id_of(&before, member)?;
        let start_ms = self.recorder.clock().millis();
        self.note("remove", Some(member), Some(before.role(member)))
            .await;
        self.change(member, Change::Remove(id)).await?;
        let mut effect = self.effect(member, &before, start_ms, String::new()).await;
        let ended = self.cluster.wait_end(member).await?;
        let joined = self.come_back(member, step).await?;
        effect.evidence = format!("{id:x} was removed and {ended}, {joined} came in its place");
        Ok(effect)
    }

    /// Adds a member in the place of one that is gone: as a voter, or as a learner that is promoted.
    async fn come_back(&mut self, member: usize, step: &Step) -> Result<String> {
        self.hold(step.hold_ms).await;
        let is_learner = step.pick & 1 == 1;
        let peer_url = self.cluster.peer_url(member)?;
        let add = Change::Add {
            peer_url,
            is_learner,
        };
        let id = self.change(member, add).await?;
        self.note("add", Some(member), None).await;
        self.cluster.start_emptied(member)?;
        self.note("start emptied", Some(member), None).await;
        if is_learner {
            self.change(member, Change::Promote(id)).await?;
            self.note("promote", Some(member), None).await;
        }
        self.wait_ready(member).await?;
        let how = if is_learner { "learner" } else { "voter" };
        Ok(format!("{id:x} ({how})"))
    }

    /// Asks the others in turn until the change is accepted, or has been by an answer that was lost. The id of a member
    /// that was added; else the one that was given.
    async fn change(&mut self, member: usize, change: Change) -> Result<u64> {
        let deadline = Instant::now() + CHANGE_TIMEOUT;
        let mut through = member;
        let mut last = String::new();
        while Instant::now() < deadline {
            through = (through + 1) % self.cluster.size();
            if through == member {
                continue;
            }
            let mut client = Client::new(&self.cluster.urls()[through])?;
            let asked = ask(&mut client, &change);
            match tokio::time::timeout(REQUEST_TIMEOUT, asked).await {
                Ok(Ok(id)) => return Ok(id),
                Ok(Err(status)) => last = format!("{:?}: {}", status.code(), status.message()),
                Err(_elapsed) => "no answer".clone_into(&mut last),
            }
            if let Some(id) = already(&mut client, &change).await {
                return Ok(id);
            }
            if !self.pause_until(Instant::now() + POLL_INTERVAL).await {
                bail!("interrupted");
            }
        }
        bail!("{change:?} was not accepted within {CHANGE_TIMEOUT:?}: {last}")
    }
}

fn id_of(roles: &Roles, member: usize) -> Result<u64> {
    let status = roles.members[member].context("the member does not say its id")?;
    ensure!(status.id != 0, "the member has no id");
    Ok(status.id)
}

async fn ask(client: &mut Client, change: &Change) -> Result<u64, Status> {
    match change {
        Change::Remove(id) => client.remove_member(*id).await.map(|()| *id),
        Change::Promote(id) => client.promote_member(*id).await.map(|()| *id),
        Change::Add {
            peer_url,
            is_learner,
        } => client.add_member(peer_url, *is_learner).await,
    }
}

/// Whether the members are as the change would have them.
async fn already(client: &mut Client, change: &Change) -> Option<u64> {
    let listed = tokio::time::timeout(REQUEST_TIMEOUT, client.members()).await;
    let members = listed.ok()?.ok()?;
    match change {
        Change::Remove(id) => members.iter().all(|m| m.id != *id).then_some(*id),
        Change::Promote(id) => {
            let promoted = members.iter().any(|m| m.id == *id && !m.is_learner);
            promoted.then_some(*id)
        }
        Change::Add { peer_url, .. } => {
            let added = members.iter().find(|m| m.peer_ur_ls.contains(peer_url));
            added.map(|member| member.id)
        }
    }
}
