//! Where raft stood when a state was stored, and how a cluster begins on a state that another one left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::mpsc;

use anyhow::Context;
use bytes::Bytes;
use openraft::Membership;

use super::MemberTable;
use super::codec::{self, Settings};
use super::types::{Member, StoredMembership, Vote};

/// The term in which every member of such a cluster has voted for itself: the first leader comes in the next.
const FOUNDING_TERM: u64 = 1;

/// What a stored state says of raft.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) term: u64,
    pub(crate) index: u64,
    pub(crate) voters: Vec<u64>,
    pub(crate) learners: Vec<u64>,
    pub(crate) members: Vec<crate::replica::Member>,
    /// Ids of members that there were.
    pub(crate) removed: Vec<u64>,
}

/// Reads the mark of a stored state.
pub(crate) fn standing(mark: Option<&Bytes>) -> io::Result<Standing> {
    let mark = codec::decode_mark(mark)?;
    let membership = mark.settings.membership.membership();
    let members = MemberTable::default();
    members.set(&mark.settings);
    Ok(Standing {
        term: mark.applied.as_ref().map_or(0, codec::term_of),
        index: mark.applied.as_ref().map_or(0, |id| id.index),
        voters: membership.voter_ids().collect(),
        learners: membership.learner_ids().collect(),
        members: members.all(),
        removed: mark.settings.removed.into_iter().collect(),
    })
}

/// The members with which a cluster begins, voters all of them.
pub(super) fn first_members(peer_urls: BTreeMap<u64, Vec<String>>) -> BTreeMap<u64, Member> {
    let member = |peer_urls| Member {
        peer_urls,
        ..Member::default()
    };
    let members = peer_urls.into_iter();
    members.map(|(id, urls)| (id, member(urls))).collect()
}

/// The mark of a state with which a cluster of these members begins, as if it had applied a log up to `index`. Every member
/// has the same, so none of them has anything that another lacks; and one that comes without this state is sent it, for no
/// log reaches back to before it.
pub(crate) fn founding_mark(
    peer_urls: BTreeMap<u64, Vec<String>>,
    index: u64,
) -> anyhow::Result<Bytes> {
    let members = first_members(peer_urls);
    let voters: BTreeSet<u64> = members.keys().copied().collect();
    let membership = Membership::new(vec![voters], members)?;
    let applied = codec::log_id(FOUNDING_TERM, index);
    let settings = Settings {
        membership: StoredMembership::new(Some(applied), membership),
        ..Settings::default()
    };
    Ok(codec::encode_mark(Some(&applied), &settings.encode()?))
}

/// The mark of a state that is rebuilt from what was applied up to an entry, without members.
pub(crate) fn bare_mark(term: u64, index: u64) -> io::Result<Bytes> {
    let settings = Settings::default().encode()?;
    Ok(codec::encode_mark(
        Some(&codec::log_id(term, index)),
        &settings,
    ))
}

/// Writes the log that belongs to the [`founding_mark`]: everything up to `index` is purged.
pub(crate) fn found_log(dir: &Path, member_id: u64, index: u64) -> anyhow::Result<()> {
    let (log, _new) = wal::Wal::open(dir, wal::Options::default())?;
    let vote = codec::encode_vote(&Vote::new(FOUNDING_TERM, member_id));
    let mark = codec::encode_log_id(&codec::log_id(FOUNDING_TERM, index));
    let (tx, rx) = mpsc::channel();
    let done = || {
        let tx = tx.clone();
        move |result| drop(tx.send(result))
    };
    log.save_vote(vote, done());
    log.purge(index, mark, done());
    for _ in 0..2 {
        rx.recv()
            .context("the log has stopped")?
            .with_context(|| format!("cannot write the log in {}", dir.display()))?;
    }
    Ok(())
}
