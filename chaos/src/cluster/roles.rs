//! Who leads, as the members say it themselves.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::client::{Client, MemberStatus};

/// Time a member gets to say who leads.
const STATUS_TIMEOUT: Duration = Duration::from_millis(300);

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows the leader.
    Follower,
    /// There is no leader that a majority agrees on.
    Unsettled,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Unsettled => "unsettled",
        })
    }
}

/// One look at all members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// What each member said; none if it did not answer.
    pub members: Vec<Option<MemberStatus>>,
    /// The leader a majority of all members agrees on.
    pub leader: Option<usize>,
    /// Its id; 0 without a leader.
    pub leader_id: u64,
    /// Its term; 0 without a leader.
    pub term: u64,
}

impl Roles {
    /// Asks every member at once.
    pub async fn read(urls: &[String]) -> Roles {
        let mut asking = JoinSet::new();
        for (member, url) in urls.iter().enumerate() {
            let client = Client::new(url);
            asking.spawn(async move {
                let mut client = client.ok()?;
                let status = tokio::time::timeout(STATUS_TIMEOUT, client.status()).await;
                status.ok()?.ok().map(|status| (member, status))
            });
        }
        let mut members = vec![None; urls.len()];
        while let Some(answer) = asking.join_next().await {
            if let Ok(Some((member, status))) = answer {
                members[member] = Some(status);
            }
        }
        Roles::of(members)
    }

    fn of(members: Vec<Option<MemberStatus>>) -> Roles {
        let majority = members.len() / 2 + 1;
        let said: Vec<MemberStatus> = members.iter().flatten().copied().collect();
        let agreed = said.iter().find(|one| {
            let same = |other: &&MemberStatus| (other.leader, other.term) == (one.leader, one.term);
            one.leader != 0 && said.iter().filter(same).count() >= majority
        });
        let leader = agreed.and_then(|agreed| {
            let is_leader =
                |status: &Option<MemberStatus>| status.is_some_and(|s| s.id == agreed.leader);
            members.iter().position(is_leader)
        });
        let (leader_id, term) = agreed.map_or((0, 0), |agreed| (agreed.leader, agreed.term));
        Roles {
            members,
            leader,
            leader_id,
            term,
        }
    }

    /// What a member is.
    pub fn role(&self, member: usize) -> Role {
        match self.leader {
            None => Role::Unsettled,
            Some(leader) if leader == member => Role::Leader,
            Some(_) => Role::Follower,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(id: u64, leader: u64, term: u64) -> Option<MemberStatus> {
        Some(MemberStatus { id, leader, term })
    }

    #[test]
    fn a_leader_is_who_a_majority_follows_in_one_term() {
        let roles = Roles::of(vec![status(1, 1, 4), status(2, 3, 5), status(3, 3, 5)]);
        assert_eq!(roles.role(0), Role::Follower);
        assert_eq!(roles.role(2), Role::Leader);
        assert_eq!(roles.term, 5);
    }

    #[test]
    fn a_minority_does_not_make_a_leader() {
        let roles = Roles::of(vec![status(1, 1, 4), None, status(3, 0, 5)]);
        assert_eq!(roles.role(0), Role::Unsettled);
    }
}
