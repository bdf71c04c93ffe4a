//! Who is a member, and how that is changed, wherever the leader is.

use tokio::time::Instant;

use super::{Member, Replica, Unavailable};
use crate::raft::{MemberChange, MemberError};

impl Replica {
    /// Members as applied here, by id.
    pub fn members(&self) -> Vec<Member> {
        self.0.members.all()
    }

    /// Has the leader change the members, and returns all of them as they are then. Asked again only while it is certain
    /// that nothing was done.
    pub(crate) async fn change_members(
        &self,
        change: MemberChange,
    ) -> Result<Vec<Member>, MemberError> {
        let deadline = Instant::now() + self.0.request_timeout;
        let mut leadership = self.0.leadership.clone();
        loop {
            let changed = match leadership.leader() {
                Some(leader) => self.change_members_on(leader, &change, deadline).await,
                None => Err(Unavailable::NoLeader.into()),
            };
            match changed {
                Err(MemberError::Unavailable(Unavailable::NotLeader | Unavailable::NoLeader)) => {
                    leadership.changed_or_retry(deadline).await?;
                }
                changed => return changed,
            }
        }
    }

    async fn change_members_on(
        &self,
        leader: u64,
        change: &MemberChange,
        deadline: Instant,
    ) -> Result<Vec<Member>, MemberError> {
        if leader == self.0.identity.member_id {
            let made = self.0.changes.make(change.clone());
            return made.await.map(|()| self.members());
        }
        let timeout = deadline.saturating_duration_since(Instant::now());
        self.0.peers.change_members(leader, change, timeout).await
    }
}
