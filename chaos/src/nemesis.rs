//! Carries out a schedule, and writes down what each fault really hit and whether it took hold at all.

mod damage;
mod disk;
mod membership;
mod network;
mod overlap;
mod parts;
mod power;
mod processes;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use check::history::{self, Record};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::{Cluster, Ended, POLL_INTERVAL, Role, Roles};
use crate::record::Recorder;
use crate::schedule::{Aim, Fault, Schedule, Step};
use crate::shim::Dropped;

/// Time a leader gets to be agreed on before a fault that is aimed by role.
const LEADER_TIMEOUT: Duration = Duration::from_secs(20);

/// What came of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// Its place in the schedule, from 0.
    pub number: usize,
    /// The fault in words.
    pub fault: String,
    /// Whom it was for, if it was for one by role.
    pub aim: Option<Aim>,
    /// Whom it hit, by index.
    pub members: Vec<usize>,
    /// What the one it hit really was.
    pub role: Option<Role>,
    /// The terms right before and after.
    pub terms: (u64, u64),
    /// When it took hold, in milliseconds of the run's clock.
    pub start_ms: u64,
    /// When it was over, in milliseconds of the run's clock.
    pub end_ms: u64,
    /// What proves that it took hold; or why it did not.
    pub evidence: String,
    /// It took hold, and hit whom it was for.
    pub fired: bool,
}

/// Everything that came of a schedule.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Step by step.
    pub injected: Vec<Injected>,
    /// What a member did that it must not do, in words.
    pub violations: Vec<String>,
    /// Why the schedule as a whole may have shown nothing, in words.
    pub doubts: Vec<String>,
}

/// The one who breaks things.
pub(crate) struct Nemesis {
    cluster: Cluster,
    recorder: Recorder,
    stop: watch::Receiver<bool>,
    seed: u64,
    violations: Vec<String>,
    /// What all power cuts together took, if there were any.
    dropped: Option<Dropped>,
}

/// What a fault did, for its record.
struct Effect {
    members: Vec<usize>,
    role: Option<Role>,
    terms: (u64, u64),
    start_ms: u64,
    evidence: String,
}

impl Nemesis {
    pub(crate) fn new(
        cluster: Cluster,
        recorder: Recorder,
        stop: watch::Receiver<bool>,
        seed: u64,
    ) -> Nemesis {
        Nemesis {
            cluster,
            recorder,
            stop,
            seed,
            violations: Vec::new(),
            dropped: None,
        }
    }

    /// Carries out the schedule from `start_ms` on; the cluster comes back healed, with every member started.
    pub(crate) async fn run(mut self, schedule: &Schedule, start_ms: u64) -> (Cluster, Outcome) {
        let mut injected = Vec::new();
        for (number, step) in schedule.steps.iter().enumerate() {
            let due = self.recorder.clock().at_millis(start_ms + step.at_ms);
            let end_ms = start_ms + schedule.duration_ms;
            let late = number > 0 && self.recorder.clock().millis() >= end_ms;
            // Steps that take as long as the cluster does may leave no time for the last ones.
            if late || !self.pause_until(due).await {
                break;
            }
            injected.push(self.step(number, step).await);
            let settled = Instant::now() + Duration::from_millis(step.settle_ms);
            if !self.pause_until(settled).await {
                break;
            }
        }
        let end = self
            .recorder
            .clock()
            .at_millis(start_ms + schedule.duration_ms);
        self.pause_until(end).await;
        self.look_for_ended();
        let outcome = Outcome {
            injected,
            doubts: self.doubts_of_cuts(),
            violations: self.violations,
        };
        (self.cluster, outcome)
    }

    /// Waits; false when the run is told to stop.
    async fn pause_until(&mut self, due: Instant) -> bool {
        tokio::select! {
            () = tokio::time::sleep_until(due) => true,
            _ = self.stop.wait_for(|stop| *stop) => false,
        }
    }

    /// Waits as long as a fault holds. One that is interrupted ends early.
    async fn hold(&mut self, millis: u64) {
        self.pause_until(Instant::now() + Duration::from_millis(millis))
            .await;
    }

    async fn step(&mut self, number: usize, step: &Step) -> Injected {
        let begun = self.recorder.clock().millis();
        let effect = self.inject(step).await;
        // Before anybody is started again: what the step itself ended was waited for.
        self.look_for_ended();
        // Whatever went wrong, the next step finds everything whole.
        let healed = self.heal().await;
        let end_ms = self.recorder.clock().millis();
        let mut injected = Injected {
            number,
            fault: step.fault.to_string(),
            aim: step.fault.aim(),
            members: Vec::new(),
            role: None,
            terms: (0, 0),
            start_ms: begun,
            end_ms,
            evidence: String::new(),
            fired: false,
        };
        match effect {
            Ok(effect) => {
                injected.fired = hit(step.fault.aim(), effect.role);
                injected.members = effect.members;
                injected.role = effect.role;
                injected.terms = effect.terms;
                injected.start_ms = effect.start_ms;
                injected.evidence = effect.evidence;
            }
            Err(error) => injected.evidence = format!("{error:#}"),
        }
        if let Err(error) = healed {
            injected.fired = false;
            injected
                .evidence
                .push_str(&format!("; not healed: {error:#}"));
        }
        self.say(&injected);
        injected
    }

    fn say(&self, injected: &Injected) {
        let names: Vec<String> = injected
            .members
            .iter()
            .map(|m| format!(" {}", self.cluster.name(*m)))
            .collect();
        let role = injected
            .role
            .map(|role| format!(" ({role})"))
            .unwrap_or_default();
        let mark = if injected.fired { "" } else { "DID NOT FIRE: " };
        println!(
            "[{:>7.1} s] {mark}{}{}{role}, {} ms: {}",
            injected.start_ms as f64 / 1e3,
            injected.fault,
            names.join(","),
            injected.end_ms - injected.start_ms,
            injected.evidence
        );
    }

    async fn inject(&mut self, step: &Step) -> Result<Effect> {
        match &step.fault {
            Fault::Kill { aim } => self.kill(*aim, step).await,
            Fault::KillAll => self.kill_all(step).await,
            Fault::CrashLoop { aim, gaps_ms } => self.crash_loop(*aim, gaps_ms, step).await,
            Fault::Pause { aim } => self.freeze(*aim, step).await,
            Fault::Part {
                blow,
                component,
                aim,
            } => self.strike(*blow, (*component, *aim), step).await,
            Fault::RollingRestart => self.rolling_restart().await,
            Fault::MoveLeader => self.move_leader(step).await,
            Fault::Isolate { .. } | Fault::OneWay { .. } | Fault::Partial => self.cut(step).await,
            Fault::Flaky { .. } => self.flaky(step).await,
            Fault::Damage => self.damage(step).await,
            Fault::PowerLoss { aim } => self.power_loss(*aim, step).await,
            Fault::PowerLossAll => self.power_loss_all(step).await,
            Fault::DiskFull { aim } => self.disk_full(*aim, step).await,
            Fault::SlowDisk { aim, delay_ms } => self.slow_disk(*aim, *delay_ms, step).await,
            Fault::SyncError { aim } => self.sync_error(*aim, step).await,
            Fault::ClockJump { ahead_ms, .. } => self.clock_jump(ahead_ms, step).await,
            Fault::Overlap { meanwhile } => self.overlap(*meanwhile, step).await,
            Fault::LongAway => self.long_away(step).await,
            Fault::Replace { aim } => self.replace(*aim, step).await,
            Fault::Churn { aim } => self.churn(*aim, step).await,
        }
    }

    /// A member of the wanted role, and the look at all of them that found it.
    async fn choose(&mut self, aim: Aim, pick: u64) -> Result<(usize, Roles)> {
        let roles = self.wait_leader().await?;
        let leader = roles
            .leader
            .context("there is no leader to tell roles by")?;
        let size = self.cluster.size();
        let pick = usize::try_from(pick).context("a pick fits")?;
        let member = match aim {
            Aim::Leader => leader,
            Aim::Follower => (leader + 1 + pick % (size - 1)) % size,
            Aim::Random => pick % size,
        };
        Ok((member, roles))
    }

    async fn wait_leader(&mut self) -> Result<Roles> {
        let deadline = Instant::now() + LEADER_TIMEOUT;
        while Instant::now() < deadline {
            let roles = Roles::read(self.cluster.urls()).await;
            if roles.leader.is_some() {
                return Ok(roles);
            }
            if !self.pause_until(Instant::now() + POLL_INTERVAL).await {
                bail!("interrupted");
            }
        }
        bail!("no leader that a majority agrees on within {LEADER_TIMEOUT:?}")
    }

    /// What the member really was: asked before, and asked again right after the fault took hold.
    async fn effect(
        &self,
        member: usize,
        before: &Roles,
        start_ms: u64,
        evidence: String,
    ) -> Effect {
        let after = Roles::read(self.cluster.urls()).await;
        let same = after.leader_id == 0 || after.leader_id == before.leader_id;
        let role = before.role(member);
        let (role, evidence) = if same {
            (role, evidence)
        } else {
            let took = self.recorder.clock().millis() - start_ms;
            let words = format!("{evidence}; another leader was there {took} ms later");
            // A follower's fault makes no leader: the old one had gone before. After a leader's fault a new one is
            // what has to come, and only its term says that it came later.
            let later = role == Role::Leader && after.term > before.term;
            (if later { role } else { Role::Unsettled }, words)
        };
        Effect {
            members: vec![member],
            role: Some(role),
            terms: (before.term, after.term),
            start_ms,
            evidence,
        }
    }

    /// What proves that a member does nothing any more. Of one elsewhere only its silence can be seen.
    async fn proof_of_silence(&self, member: usize, seen_here: &str) -> Result<String> {
        if self.cluster.runs_here() {
            return Ok(seen_here.to_owned());
        }
        let answers = Roles::read(self.cluster.urls()).await.members[member].is_some();
        ensure!(
            !answers,
            "the command succeeded, and the member still answers"
        );
        Ok("the command succeeded, and the member does not answer".to_owned())
    }

    async fn note(&self, kind: &str, member: Option<usize>, role: Option<Role>) {
        let fault = history::Fault {
            time_ns: self.recorder.clock().nanos(),
            kind: kind.to_owned(),
            member: member.map(|member| u32::try_from(member).expect("members are few")),
            role: role.map(|role| role.to_string()),
            detail: String::new(),
        };
        self.recorder.add(Record::Fault(fault)).await;
    }

    /// Makes the network whole and starts every member that does not run.
    async fn heal(&mut self) -> Result<()> {
        if let Some(mesh) = self.cluster.mesh() {
            mesh.heal();
        }
        for member in 0..self.cluster.size() {
            if !self.cluster.runs_here() {
                continue;
            }
            if let Ok(shim) = self.cluster.shim(member) {
                shim.heal()?;
            }
            if self.cluster.ended(member) == Some(Ended::NeverRan) {
                self.cluster.start(member).await?;
                self.note("start", Some(member), None).await;
            } else {
                // For a pause that failed half-way; one that goes on anyway does not notice.
                self.cluster.resume(member).await.ok();
            }
        }
        self.heal_parts()
    }

    /// A member that ended although nobody ended it has broken something of its own.
    fn look_for_ended(&mut self) {
        self.look_for_ended_parts();
        for member in 0..self.cluster.size() {
            match self.cluster.ended(member) {
                None | Some(Ended::NeverRan) => {}
                Some(ended) => {
                    let log = self.cluster.log_since_start(member).unwrap_or_default();
                    let tail: Vec<&str> = log.lines().rev().take(5).collect();
                    let tail: Vec<&str> = tail.into_iter().rev().collect();
                    self.violations.push(format!(
                        "{} {ended} although nobody ended it; its last words: {}",
                        self.cluster.name(member),
                        tail.join(" / ")
                    ));
                }
            }
        }
    }
}

/// Whether a fault that was for one role hit it.
fn hit(aim: Option<Aim>, role: Option<Role>) -> bool {
    match (aim, role) {
        (Some(Aim::Leader), role) => role == Some(Role::Leader),
        (Some(Aim::Follower), role) => role == Some(Role::Follower),
        (Some(Aim::Random) | None, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_the_leader_that_hit_another_did_not_fire() {
        assert!(hit(Some(Aim::Leader), Some(Role::Leader)));
        assert!(!hit(Some(Aim::Leader), Some(Role::Follower)));
        assert!(!hit(Some(Aim::Follower), Some(Role::Unsettled)));
        assert!(hit(Some(Aim::Random), Some(Role::Unsettled)));
    }
}
