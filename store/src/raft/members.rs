//! Members as the applied log describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;

use super::codec::Settings;
use crate::replica::Member;

/// Who belongs to the cluster; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemberTable(Arc<RwLock<Table>>);

#[derive(Debug, Default)]
struct Table {
    members: BTreeMap<u64, Member>,
    /// Added as voters, and not yet voting.
    joining: BTreeSet<u64>,
    removed: BTreeSet<u64>,
}

impl MemberTable {
    pub(crate) fn all(&self) -> Vec<Member> {
        self.0.read().members.values().cloned().collect()
    }

    /// All but one, which asks for the others.
    pub(crate) fn others(&self, own: u64) -> impl Iterator<Item = Member> {
        self.all()
            .into_iter()
            .filter(move |member| member.id != own)
    }

    pub(crate) fn get(&self, member: u64) -> Option<Member> {
        self.0.read().members.get(&member).cloned()
    }

    /// Whether this member was added as a voter and has no vote yet: whoever counts on it would count too early.
    pub(crate) fn is_joining(&self, member: u64) -> bool {
        self.0.read().joining.contains(&member)
    }

    /// Ids of members that were removed.
    pub(crate) fn removed(&self) -> BTreeSet<u64> {
        self.0.read().removed.clone()
    }

    /// Whether this was a member and is none any more.
    pub(crate) fn was_removed(&self, member: u64) -> bool {
        self.0.read().removed.contains(&member)
    }

    /// Where the others reach a member, the first of its URLs.
    pub(crate) fn peer_url(&self, member: u64) -> Option<String> {
        self.0
            .read()
            .members
            .get(&member)?
            .peer_urls
            .first()
            .cloned()
    }

    pub(super) fn set(&self, settings: &Settings) {
        let learners: BTreeSet<u64> = settings.membership.membership().learner_ids().collect();
        let member = |(&id, node): (&u64, &super::Member)| {
            let attributes = settings.attributes.get(&id).cloned().unwrap_or_default();
            let member = Member {
                id,
                name: attributes.name,
                peer_urls: node.peer_urls.clone(),
                client_urls: attributes.client_urls,
                is_learner: learners.contains(&id) && !node.joins_as_voter,
            };
            (id, member)
        };
        let nodes = settings.membership.nodes();
        let joining = nodes.filter(|(id, node)| learners.contains(id) && node.joins_as_voter);
        *self.0.write() = Table {
            joining: joining.map(|(id, _)| *id).collect(),
            members: settings.membership.nodes().map(member).collect(),
            removed: settings.removed.clone(),
        };
    }
}
