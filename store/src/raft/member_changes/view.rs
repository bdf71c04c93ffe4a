//! What a change of the members is judged by.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;

use super::{MemberChange, MemberRefusal, MemberRules};
use crate::raft::leader::CAUGHT_UP_LAG_ENTRIES;
use crate::raft::types::{Member, StoredMembership};

fn quorum_of(voters: usize) -> usize {
    voters / 2 + 1
}

/// The cluster at one moment, as its leader sees it.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) leader: u64,
    pub(super) membership: StoredMembership,
    /// Whether the membership is committed; else a change is under way.
    pub(super) is_committed: bool,
    /// Members that answered within an election timeout, the leader among them.
    pub(super) answering: BTreeSet<u64>,
    /// How far the log of each of the others is known to match.
    pub(super) matched: BTreeMap<u64, u64>,
    pub(super) last_index: u64,
    /// Members that have come up at least once.
    pub(super) started: BTreeSet<u64>,
}

impl View {
    pub(super) fn is_joint(&self) -> bool {
        self.membership.get_joint_config().len() > 1
    }

    fn voters(&self) -> BTreeSet<u64> {
        self.membership.voter_ids().collect()
    }

    fn node(&self, id: u64) -> Result<&Member, MemberRefusal> {
        self.membership.get_node(&id).ok_or(MemberRefusal::NotFound)
    }

    fn is_raft_learner(&self, id: u64) -> bool {
        self.membership.get_node(&id).is_some() && !self.voters().contains(&id)
    }

    /// Members that were added as learners.
    fn learners(&self) -> impl Iterator<Item = u64> {
        let nodes = self.membership.nodes();
        let learners =
            nodes.filter(|(id, node)| self.is_raft_learner(**id) && !node.joins_as_voter);
        learners.map(|(id, _)| *id)
    }

    /// A new voter that has caught up and answers.
    pub(super) fn joining_voter(&self) -> Option<u64> {
        let mut joining = self
            .membership
            .nodes()
            .filter(|(id, node)| node.joins_as_voter && self.is_raft_learner(**id))
            .map(|(id, _)| *id);
        joining.find(|id| self.works(*id))
    }

    /// Whether a member answers and has the log: what a majority can count on. One that has lost its disk answers long
    /// before it has the log again.
    fn works(&self, id: u64) -> bool {
        let matched = self.matched.get(&id).copied().unwrap_or(0);
        let has_log = matched > 0 && matched + CAUGHT_UP_LAG_ENTRIES >= self.last_index;
        id == self.leader || (has_log && self.answering.contains(&id))
    }

    /// etcd's checks, in etcd's order.
    pub(super) fn check(
        &self,
        change: &MemberChange,
        rules: MemberRules,
    ) -> Result<(), MemberRefusal> {
        match change {
            MemberChange::Add {
                id,
                peer_urls,
                is_learner,
            } => {
                if rules.strict {
                    self.check_addition(*is_learner)?;
                }
                if self.node(*id).is_ok() {
                    return Err(MemberRefusal::Exists);
                }
                self.check_urls(*id, peer_urls)?;
                if *is_learner && self.learners().count() as u64 >= rules.learners_max {
                    return Err(MemberRefusal::TooManyLearners);
                }
                Ok(())
            }
            MemberChange::Promote { id } => self.check_promotion(*id, rules),
            MemberChange::Remove { id } => {
                self.node(*id)?;
                match self.voters().contains(id) {
                    true => self.check_removal(*id, rules),
                    false => Ok(()),
                }
            }
            MemberChange::Update { id, peer_urls } => {
                self.node(*id)?;
                self.check_urls(*id, peer_urls)
            }
        }
    }

    fn check_urls(&self, id: u64, peer_urls: &[String]) -> Result<(), MemberRefusal> {
        let mut others = self.membership.nodes().filter(|(other, _)| **other != id);
        let is_taken =
            others.any(|(_, node)| node.peer_urls.iter().any(|taken| peer_urls.contains(taken)));
        match is_taken {
            true => Err(MemberRefusal::PeerUrlsExist),
            false => Ok(()),
        }
    }

    /// The voters that have come up must be a quorum once the new one counts, and those that are on their way; one that is
    /// alone may get a second.
    fn check_addition(&self, is_learner: bool) -> Result<(), MemberRefusal> {
        let voters = self.voters();
        let nodes = self.membership.nodes();
        let joining = nodes.filter(|(id, node)| node.joins_as_voter && !voters.contains(id));
        let to_be = voters.len() + joining.count();
        let started = voters.intersection(&self.started).count();
        let quorum = quorum_of(to_be + 1);
        let is_second = started == 1 && to_be == 1;
        if !is_learner && !is_second && started < quorum {
            return Err(MemberRefusal::NotEnoughStarted);
        }
        match voters.is_subset(&self.answering) {
            true => Ok(()),
            false => Err(MemberRefusal::Unhealthy),
        }
    }

    fn check_promotion(&self, id: u64, rules: MemberRules) -> Result<(), MemberRefusal> {
        self.node(id)?;
        if !self.learners().any(|learner| learner == id) {
            return Err(MemberRefusal::NotALearner);
        }
        let matched = self.matched.get(&id).copied().unwrap_or(0);
        // etcd's measure: nine tenths of the leader's log.
        let has_log = matched.saturating_mul(10) >= self.last_index.saturating_mul(9);
        if !has_log || !self.answering.contains(&id) {
            return Err(MemberRefusal::LearnerNotReady);
        }
        let voters = self.voters();
        let started =
            voters.intersection(&self.started).count() + usize::from(self.started.contains(&id));
        if rules.strict && started < quorum_of(voters.len() + 1) {
            return Err(MemberRefusal::NotEnoughStarted);
        }
        Ok(())
    }

    fn check_removal(&self, id: u64, rules: MemberRules) -> Result<(), MemberRefusal> {
        let voters = self.voters();
        let left: BTreeSet<u64> = voters
            .iter()
            .copied()
            .filter(|voter| *voter != id)
            .collect();
        if left.is_empty() {
            return Err(MemberRefusal::NotEnoughStarted);
        }
        if !rules.strict {
            return Ok(());
        }
        if left.intersection(&self.started).count() < quorum_of(left.len()) {
            return Err(MemberRefusal::NotEnoughStarted);
        }
        let working = left.iter().filter(|id| self.works(**id)).count();
        match working >= quorum_of(left.len()) {
            true => Ok(()),
            false => Err(MemberRefusal::Unhealthy),
        }
    }

    /// The change in raft's terms, once it is checked.
    pub(super) fn raft_change(&self, change: MemberChange) -> ChangeMembers<u64, Member> {
        match change {
            MemberChange::Add {
                id,
                peer_urls,
                is_learner,
            } => {
                let node = Member {
                    peer_urls,
                    joins_as_voter: !is_learner,
                };
                ChangeMembers::AddNodes(BTreeMap::from([(id, node)]))
            }
            MemberChange::Promote { id } => ChangeMembers::AddVoterIds(BTreeSet::from([id])),
            MemberChange::Remove { id } if self.voters().contains(&id) => {
                ChangeMembers::RemoveVoters(BTreeSet::from([id]))
            }
            MemberChange::Remove { id } => ChangeMembers::RemoveNodes(BTreeSet::from([id])),
            MemberChange::Update { id, peer_urls } => {
                let joins_as_voter = self.node(id).is_ok_and(|node| node.joins_as_voter);
                let node = Member {
                    peer_urls,
                    joins_as_voter,
                };
                ChangeMembers::SetNodes(BTreeMap::from([(id, node)]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::Membership;

    use super::*;

    const STRICT: MemberRules = MemberRules {
        strict: true,
        learners_max: 1,
        timeout: std::time::Duration::from_secs(1),
    };

    fn node(id: u64, joins_as_voter: bool) -> (u64, Member) {
        let peer_urls = vec![format!("http://{id}:1")];
        (
            id,
            Member {
                peer_urls,
                joins_as_voter,
            },
        )
    }

    /// Voters that have all come up and answer, led by the first; and learners.
    fn view(voters: &[u64], learners: &[u64]) -> View {
        let voters: BTreeSet<u64> = voters.iter().copied().collect();
        let nodes = voters.iter().chain(learners).map(|id| node(*id, false));
        let membership =
            Membership::new(vec![voters.clone()], nodes.collect::<BTreeMap<_, _>>()).unwrap();
        View {
            leader: 1,
            membership: StoredMembership::new(None, membership),
            answering: voters.clone(),
            matched: voters.iter().map(|id| (*id, 5000)).collect(),
            started: voters,
            last_index: 5000,
            ..View::default()
        }
    }

    fn add(id: u64, is_learner: bool) -> MemberChange {
        MemberChange::Add {
            id,
            peer_urls: node(id, false).1.peer_urls,
            is_learner,
        }
    }

    #[test]
    fn a_voter_is_added_while_the_started_ones_are_a_quorum_of_the_new_cluster() {
        assert_eq!(view(&[1, 2, 3], &[]).check(&add(4, false), STRICT), Ok(()));
        let mut view = view(&[1, 2, 3], &[]);
        view.started.remove(&3);
        let refused = Err(MemberRefusal::NotEnoughStarted);
        assert_eq!(view.check(&add(4, false), STRICT), refused);
        assert_eq!(view.check(&add(4, true), STRICT), Ok(()));
    }

    #[test]
    fn one_that_is_alone_gets_a_second() {
        assert_eq!(view(&[1], &[]).check(&add(2, false), STRICT), Ok(()));
    }

    #[test]
    fn those_on_their_way_count_when_another_one_is_added() {
        let mut view = view(&[1], &[]);
        let nodes: BTreeMap<u64, Member> = [node(1, false), node(2, true)].into_iter().collect();
        let voters = vec![BTreeSet::from([1])];
        view.membership = StoredMembership::new(None, Membership::new(voters, nodes).unwrap());
        let refused = Err(MemberRefusal::NotEnoughStarted);
        assert_eq!(view.check(&add(3, false), STRICT), refused);
        assert_eq!(view.check(&add(3, true), STRICT), Ok(()));
    }

    #[test]
    fn nobody_is_added_while_a_voter_does_not_answer_unless_the_check_is_off() {
        let mut view = view(&[1, 2, 3], &[]);
        view.answering.remove(&2);
        let refused = Err(MemberRefusal::Unhealthy);
        assert_eq!(view.check(&add(4, false), STRICT), refused);
        assert_eq!(view.check(&add(4, true), STRICT), refused);
        let lax = MemberRules {
            strict: false,
            ..STRICT
        };
        assert_eq!(view.check(&add(4, false), lax), Ok(()));
    }

    #[test]
    fn ids_and_urls_are_taken_once_and_learners_are_few() {
        let view = view(&[1, 2, 3], &[4]);
        let exists = Err(MemberRefusal::Exists);
        assert_eq!(view.check(&add(3, false), STRICT), exists);
        let twin = MemberChange::Add {
            id: 9,
            peer_urls: vec!["http://9:1".to_owned(), "http://2:1".to_owned()],
            is_learner: false,
        };
        let taken = Err(MemberRefusal::PeerUrlsExist);
        assert_eq!(view.check(&twin, STRICT), taken);
        let many = Err(MemberRefusal::TooManyLearners);
        assert_eq!(view.check(&add(5, true), STRICT), many);
    }

    #[test]
    fn a_member_moves_to_urls_that_nobody_else_has() {
        let view = view(&[1, 2, 3], &[]);
        let moved = |id: u64, url: &str| MemberChange::Update {
            id,
            peer_urls: vec![url.to_owned()],
        };
        assert_eq!(view.check(&moved(2, "http://2:1"), STRICT), Ok(()));
        let taken = Err(MemberRefusal::PeerUrlsExist);
        assert_eq!(view.check(&moved(2, "http://3:1"), STRICT), taken);
        let missing = Err(MemberRefusal::NotFound);
        assert_eq!(view.check(&moved(7, "http://7:1"), STRICT), missing);
    }

    #[test]
    fn a_learner_is_promoted_once_it_has_nine_tenths_of_the_log() {
        let mut view = view(&[1, 2, 3], &[4]);
        let promote = MemberChange::Promote { id: 4 };
        view.answering.insert(4);
        view.matched.insert(4, 4499);
        let early = Err(MemberRefusal::LearnerNotReady);
        assert_eq!(view.check(&promote, STRICT), early);
        view.matched.insert(4, 4500);
        assert_eq!(view.check(&promote, STRICT), Ok(()));
        let voter = Err(MemberRefusal::NotALearner);
        assert_eq!(view.check(&MemberChange::Promote { id: 2 }, STRICT), voter);
    }

    #[test]
    fn a_member_is_removed_while_those_that_are_left_are_a_quorum() {
        let remove = |id| MemberChange::Remove { id };
        let mut view = view(&[1, 2, 3], &[4]);
        assert_eq!(view.check(&remove(2), STRICT), Ok(()));
        assert_eq!(view.check(&remove(4), STRICT), Ok(()));
        view.answering.remove(&3);
        let unhealthy = Err(MemberRefusal::Unhealthy);
        assert_eq!(view.check(&remove(2), STRICT), unhealthy);
        assert_eq!(view.check(&remove(3), STRICT), Ok(()), "it does not answer");
        view.answering.insert(3);
        assert_eq!(view.check(&remove(2), STRICT), Ok(()));
        view.matched.insert(3, 3999);
        assert_eq!(
            view.check(&remove(2), STRICT),
            unhealthy,
            "it has lost its log"
        );
        view.started.remove(&3);
        let few = Err(MemberRefusal::NotEnoughStarted);
        assert_eq!(view.check(&remove(2), STRICT), few);
    }

    #[test]
    fn the_last_voter_stays() {
        let few = Err(MemberRefusal::NotEnoughStarted);
        let lax = MemberRules {
            strict: false,
            ..STRICT
        };
        let remove = MemberChange::Remove { id: 1 };
        assert_eq!(view(&[1], &[]).check(&remove, lax), few);
    }

    #[test]
    fn a_new_voter_votes_once_it_has_caught_up_and_answers() {
        let mut view = view(&[1, 2, 3], &[]);
        let nodes = [1, 2, 3].map(|id| node(id, false)).into_iter();
        let nodes: BTreeMap<u64, Member> = nodes.chain([node(4, true)]).collect();
        let voters = vec![BTreeSet::from([1, 2, 3])];
        view.membership = StoredMembership::new(None, Membership::new(voters, nodes).unwrap());
        view.matched.insert(4, 3999);
        view.answering.insert(4);
        assert_eq!(view.joining_voter(), None);
        view.matched.insert(4, 4000);
        assert_eq!(view.joining_voter(), Some(4));
        view.answering.remove(&4);
        assert_eq!(view.joining_voter(), None);
        let promote = MemberChange::Promote { id: 4 };
        let voter = Err(MemberRefusal::NotALearner);
        assert_eq!(view.check(&promote, STRICT), voter);
    }
}
