//! Looks at the members from outside, as any client could, and tells how the cluster is.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::transport::Channel;

use super::plan::Member;
use crate::client::{self, MemberStatus, Security};

/// Longest wait for one member.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(400);

pub(super) struct Watcher {
    members: Vec<Watched>,
    /// When the revision was last seen, and which it was.
    before: Option<(Instant, i64)>,
}

struct Watched {
    endpoint: String,
    /// Kept while it works.
    channel: Option<Channel>,
}

/// One look at all members.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClusterState {
    /// By place in the plan; None who did not answer.
    pub(super) members: Vec<Option<MemberStatus>>,
    /// Place of the leader, as a majority sees it.
    pub(super) leader: Option<usize>,
    pub(super) revision: i64,
    pub(super) revisions_per_second: f64,
}

impl Watcher {
    pub(super) fn new(members: &[Member]) -> Watcher {
        let members = members.iter().map(|member| Watched {
            endpoint: format!("127.0.0.1:{}", member.client_port),
            channel: None,
        });
        Watcher {
            members: members.collect(),
            before: None,
        }
    }

    pub(super) async fn poll(&mut self) -> ClusterState {
        let mut members = Vec::new();
        for member in &mut self.members {
            members.push(timeout(ANSWER_TIMEOUT, member.ask()).await.ok().flatten());
        }
        let now = Instant::now();
        let revision = members
            .iter()
            .flatten()
            .map(|status| status.revision)
            .max()
            .unwrap_or(0);
        let mut revisions_per_second = 0.0;
        if let Some((then, before)) = self.before
            && revision > before
        {
            let written = u32::try_from(revision - before).unwrap_or(u32::MAX);
            revisions_per_second = f64::from(written) / (now - then).as_secs_f64();
        }
        self.before = (revision > 0).then_some((now, revision)).or(self.before);
        let leader = leader(&members);
        ClusterState {
            members,
            leader,
            revision,
            revisions_per_second,
        }
    }
}

impl Watched {
    async fn ask(&mut self) -> Option<MemberStatus> {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => client::connect(&self.endpoint, &Security::default(), ANSWER_TIMEOUT)
                .await
                .ok()?,
        };
        let status = client::status(&channel).await.ok()?;
        self.channel = Some(channel);
        Some(status)
    }
}

/// Whom more than half of the members name, when that member answers.
fn leader(members: &[Option<MemberStatus>]) -> Option<usize> {
    let place = members.iter().position(|candidate| {
        let votes = members.iter().flatten();
        let Some(candidate) = candidate else {
            return false;
        };
        votes
            .filter(|status| status.leader == candidate.member_id)
            .count()
            * 2
            > members.len()
    });
    place.filter(|place| members[*place].is_some_and(|status| status.leader != 0))
}

impl ClusterState {
    pub(super) fn serves(&self) -> bool {
        self.leader.is_some()
    }

    /// `replica1 leads · 3 of 3 up · revision 12 · 1,024 puts/s`
    pub(super) fn line(&self, members: &[Member]) -> String {
        let leader = match self.leader {
            Some(place) => format!("{} leads", members[place].name),
            None => "no leader".to_owned(),
        };
        let up = self.members.iter().flatten().count();
        format!(
            "{leader} · {up} of {} up · revision {} · {:.0} puts/s",
            self.members.len(),
            self.revision,
            self.revisions_per_second
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(member_id: u64, leader: u64) -> Option<MemberStatus> {
        Some(MemberStatus {
            member_id,
            leader,
            revision: 1,
        })
    }

    #[test]
    fn a_leader_is_whom_a_majority_names() {
        assert_eq!(leader(&[status(1, 2), status(2, 2), None]), Some(1));
        assert_eq!(leader(&[status(1, 2), None, None]), None);
        assert_eq!(leader(&[status(1, 1), status(2, 2), status(3, 3)]), None);
        assert_eq!(leader(&[status(1, 0), status(2, 0), status(3, 0)]), None);
        assert_eq!(
            leader(&[status(1, 2), None, status(3, 2)]),
            None,
            "the leader is away"
        );
    }
}
