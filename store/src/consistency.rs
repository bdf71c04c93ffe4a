//! Whether the members hold the same: digests of what was applied, always; hashes of what is stored, on demand of flags.
//!
//! The leader asks. A member that differs from a majority is named in the CORRUPT alarm, which ends the writes of the
//! whole cluster until somebody has replaced it; where no majority agrees, the alarm has the member 0, as in etcd.

mod finding;
mod hashes;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use state_machine::{AlarmAction, AlarmChange, AlarmKind, Caller, Command, Digest};
use tokio::time::MissedTickBehavior;

use crate::metrics::Metrics;
use crate::raft::{LeadershipWatch, MemberTable, Peers, StateFolder};
use crate::replica::Proposals;

use finding::{Finding, comparable, judge};
pub(crate) use hashes::check_before_start;
pub(crate) use samples::{SAMPLES_MAX, Sample, Samples};

/// How often the leader asks the others for their digests.
const DIGEST_INTERVAL: Duration = Duration::from_secs(5);
/// In the place of a member that cannot be told: etcd's for the whole cluster.
const NOBODY_IN_PARTICULAR: u64 = 0;

/// Asks the others while this member leads.
#[derive(Clone)]
pub(crate) struct Checker {
    pub(crate) member_id: u64,
    pub(crate) members: MemberTable,
    pub(crate) peers: Peers,
    pub(crate) folder: Arc<StateFolder>,
    pub(crate) samples: Samples,
    pub(crate) proposals: Proposals,
    pub(crate) leadership: LeadershipWatch,
    pub(crate) metrics: Arc<Metrics>,
}

impl Checker {
    /// Compares what the members have applied, from time to time.
    pub(crate) async fn compare_digests(self) {
        let mut tick = ticks(DIGEST_INTERVAL);
        loop {
            tick.tick().await;
            if self.leads() {
                self.compare_applied().await;
            }
        }
    }

    fn leads(&self) -> bool {
        self.leadership.leader() == Some(self.member_id)
    }

    async fn compare_applied(&self) {
        let others: Vec<u64> = self.members.others(self.member_id).map(|m| m.id).collect();
        let asked = others.iter().map(|&member| async move {
            let samples = self.peers.digests(member).await?;
            Some((member, samples))
        });
        let answered = futures::future::join_all(asked).await;
        let mut reports: Vec<(u64, Vec<Sample>)> = answered.into_iter().flatten().collect();
        // Last, so that this member has noted what the others have.
        reports.push((self.member_id, self.samples.all()));
        let Some((index, answers)) = comparable(&reports) else {
            return;
        };
        tracing::debug!(index, ?answers, "compared digests");
        self.metrics.consistency_checks.add(1);
        let what = format!("what was applied up to log index {index}");
        self.act_on(judge(&answers, others.len() + 1), &what).await;
    }

    /// Raises the alarm for what was found.
    async fn act_on(&self, finding: Finding, what: &str) {
        match finding {
            Finding::Agreed => {}
            Finding::Off(members) => {
                for member in members {
                    self.raise(member, what).await;
                }
            }
            Finding::Unclear => self.raise(NOBODY_IN_PARTICULAR, what).await,
        }
    }

    /// Raises the alarm for a member, unless it is raised. A member that is none any more needs none.
    async fn raise(&self, member: u64, what: &str) {
        let is_known = member == NOBODY_IN_PARTICULAR || self.members.get(member).is_some();
        let raised = self.folder.machine().alarms();
        if !is_known || raised.contains(&(member, AlarmKind::Corrupt)) {
            return;
        }
        self.metrics.inconsistencies.add(1);
        if member == NOBODY_IN_PARTICULAR {
            tracing::error!(
                what,
                "the members differ, and no majority of them agrees: raising the CORRUPT alarm, which ends writes. \
                 Find out which member is right, replace the others, then disarm the alarm"
            );
        } else {
            tracing::error!(
                member = format_args!("{member:x}"),
                what,
                "a member differs from the majority: raising the CORRUPT alarm, which ends writes. Remove this member, \
                 add another in its place with an empty data folder, then disarm the alarm"
            );
        }
        let alarm = AlarmChange {
            action: AlarmAction::Activate,
            member,
            alarm: AlarmKind::Corrupt,
        };
        let command = Command::Alarm(alarm).by(Caller::System);
        if let Err(error) = self.proposals.propose(&command).await {
            tracing::warn!(%error, "the CORRUPT alarm is not raised yet");
        }
    }
}

/// Ticks that do not pile up while there is work.
fn ticks(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
