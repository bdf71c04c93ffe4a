//! openraft's messages as the peer protocol writes them.

use openraft::errors::{NetworkError, RPCError};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult, VoteRequest, VoteResponse};
use openraft::raft::{
    StreamAppendError, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
};
use proto::peer;
use state_machine::Digest;

use super::codec;
use super::failure_detector::Leadership;
use super::member_changes::{MemberChange, MemberError, MemberRefusal, Place};
use super::types::{LogId, TypeConfig, Vote};
use crate::consistency::{SAMPLES_MAX, Sample};
use crate::replica::{Member, Unavailable};

type Append = AppendEntriesRequest<TypeConfig>;
type AppendResult = StreamAppendResult<TypeConfig>;

fn log_id_to(id: &LogId) -> peer::LogId {
    peer::LogId {
        term: codec::term_of(id),
        index: id.index,
    }
}

fn log_id_from(id: &peer::LogId) -> LogId {
    codec::log_id(id.term, id.index)
}

pub(super) fn vote_to(vote: &Vote) -> peer::Vote {
    peer::Vote {
        term: vote.leader_id.term,
        member: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

/// A missing vote is the lowest one, which no replica ever follows.
pub(super) fn vote_from(vote: Option<peer::Vote>) -> Vote {
    let vote = vote.unwrap_or_default();
    let mut result = Vote::new(vote.term, vote.member);
    result.committed = vote.committed;
    result
}

pub(super) fn append_request(request: &Append) -> peer::AppendRequest {
    let entries = request.entries.iter().map(|entry| peer::Entry {
        term: codec::term_of(&entry.log_id),
        index: entry.log_id.index,
        payload: codec::encode_payload(&entry.payload).expect("what was proposed could be encoded"),
    });
    peer::AppendRequest {
        vote: Some(vote_to(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_to),
        entries: entries.collect(),
        leader_commit: request.leader_commit.as_ref().map(log_id_to),
    }
}

pub(super) fn append_request_from(request: peer::AppendRequest) -> std::io::Result<Append> {
    let entries = request
        .entries
        .into_iter()
        .map(|entry| codec::decode_entry(entry.term, entry.index, entry.payload))
        .collect::<std::io::Result<Vec<_>>>()?;
    Ok(Append {
        vote: vote_from(request.vote),
        prev_log_id: request.previous.as_ref().map(log_id_from),
        entries,
        leader_commit: request.leader_commit.as_ref().map(log_id_from),
    })
}

pub(super) fn append_reply(result: &AppendResult) -> peer::AppendReply {
    use peer::append_reply::Result as Reply;
    let reply = match result {
        Ok(last) => Reply::Matched(peer::Matched {
            last: last.as_ref().map(log_id_to),
        }),
        Err(StreamAppendError::Conflict(id)) => Reply::Conflict(log_id_to(id)),
        Err(StreamAppendError::HigherVote(vote)) => Reply::HigherVote(vote_to(vote)),
    };
    peer::AppendReply {
        result: Some(reply),
    }
}

pub(super) fn append_result(
    reply: peer::AppendReply,
) -> Result<AppendResult, RPCError<TypeConfig>> {
    use peer::append_reply::Result as Reply;
    match reply.result {
        Some(Reply::Matched(matched)) => Ok(Ok(matched.last.as_ref().map(log_id_from))),
        Some(Reply::Conflict(id)) => Ok(Err(StreamAppendError::Conflict(log_id_from(&id)))),
        Some(Reply::HigherVote(vote)) => {
            Ok(Err(StreamAppendError::HigherVote(vote_from(Some(vote)))))
        }
        None => {
            let error = std::io::Error::other("append reply without a result");
            Err(RPCError::Network(NetworkError::new(&error)))
        }
    }
}

/// `pre_vote` and `leader_gone` as the peer protocol has them.
pub(super) fn vote_request(
    request: &VoteRequest<TypeConfig>,
    pre_vote: bool,
    leader_gone: bool,
) -> peer::VoteRequest {
    peer::VoteRequest {
        vote: Some(vote_to(&request.vote)),
        last: request.last_log_id.as_ref().map(log_id_to),
        leadership_transfer: request.leadership_transfer,
        pre_vote,
        leader_gone,
    }
}

pub(super) fn leader_gone_request(
    gone: Leadership,
    last: Option<&LogId>,
) -> peer::LeaderGoneRequest {
    peer::LeaderGoneRequest {
        leader: gone.leader,
        term: gone.term,
        last: last.map(log_id_to),
    }
}

/// Who is said to be gone, and the end of the caller's log.
pub(super) fn leader_gone_from(request: &peer::LeaderGoneRequest) -> (Leadership, Option<LogId>) {
    let gone = Leadership {
        leader: request.leader,
        term: request.term,
    };
    (gone, request.last.as_ref().map(log_id_from))
}

pub(super) fn vote_request_from(request: &peer::VoteRequest) -> VoteRequest<TypeConfig> {
    let mut result = VoteRequest::new(
        vote_from(request.vote),
        request.last.as_ref().map(log_id_from),
    );
    result.leadership_transfer = request.leadership_transfer;
    result
}

pub(super) fn vote_reply(response: &VoteResponse<TypeConfig>) -> peer::VoteReply {
    peer::VoteReply {
        vote: Some(vote_to(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(log_id_to),
    }
}

pub(super) fn vote_response(reply: peer::VoteReply) -> VoteResponse<TypeConfig> {
    VoteResponse::new(
        vote_from(reply.vote),
        reply.last.as_ref().map(log_id_from),
        reply.granted,
    )
}

pub(super) fn transfer_request(
    request: &TransferLeaderRequest<TypeConfig>,
) -> peer::TransferLeaderRequest {
    peer::TransferLeaderRequest {
        from: Some(vote_to(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(log_id_to),
    }
}

pub(super) fn transfer_request_from(
    request: &peer::TransferLeaderRequest,
) -> TransferLeaderRequest<TypeConfig> {
    TransferLeaderRequest::new(
        vote_from(request.from),
        request.to,
        request.last.as_ref().map(log_id_from),
    )
}

/// openraft only logs why a transfer was refused, so the reason's text is enough on the wire.
pub(super) fn transfer_response(
    request: &TransferLeaderRequest<TypeConfig>,
    reply: &peer::TransferLeaderReply,
) -> TransferLeaderResponse<TypeConfig> {
    if reply.accepted {
        return Ok(());
    }
    tracing::info!(reason = %reply.reason, "leadership transfer refused");
    Err(TransferLeaderError::LogNotFlushed {
        expected: request.last_log_id().copied(),
        actual: None,
    })
}

pub(super) fn digest_to(sample: Sample) -> peer::Digest {
    peer::Digest {
        index: sample.index,
        since: sample.digest.since,
        value: sample.digest.value,
    }
}

fn digest_from(digest: peer::Digest) -> Sample {
    Sample {
        index: digest.index,
        digest: Digest {
            since: digest.since,
            value: digest.value,
        },
    }
}

/// No more of them than a member keeps.
pub(super) fn digests_from(reply: peer::DigestsReply) -> Vec<Sample> {
    let digests = reply.digests.into_iter().take(SAMPLES_MAX);
    digests.map(digest_from).collect()
}

pub(super) fn place_to(place: Place) -> peer::MembersReply {
    let member = |member: Member| peer::Member {
        id: member.id,
        name: member.name,
        peer_urls: member.peer_urls,
        client_urls: member.client_urls,
        is_learner: member.is_learner,
    };
    peer::MembersReply {
        cluster_id: place.cluster_id,
        members: place.members.into_iter().map(member).collect(),
        removed: place.removed.into_iter().collect(),
    }
}

pub(super) fn place_from(reply: peer::MembersReply) -> Place {
    let member = |member: peer::Member| Member {
        id: member.id,
        name: member.name,
        peer_urls: member.peer_urls,
        client_urls: member.client_urls,
        is_learner: member.is_learner,
    };
    Place {
        cluster_id: reply.cluster_id,
        members: reply.members.into_iter().map(member).collect(),
        removed: reply.removed.into_iter().collect(),
    }
}

pub(crate) fn change_request(change: &MemberChange) -> peer::ChangeMembersRequest {
    use peer::change_members_request::Change;
    let change = match change.clone() {
        MemberChange::Add {
            id,
            peer_urls,
            is_learner,
        } => Change::Add(peer::Member {
            id,
            peer_urls,
            is_learner,
            ..Default::default()
        }),
        MemberChange::Promote { id } => Change::Promote(id),
        MemberChange::Remove { id } => Change::Remove(id),
        MemberChange::Update { id, peer_urls } => Change::Update(peer::Member {
            id,
            peer_urls,
            ..Default::default()
        }),
    };
    peer::ChangeMembersRequest {
        change: Some(change),
    }
}

pub(super) fn change_from(request: peer::ChangeMembersRequest) -> Option<MemberChange> {
    use peer::change_members_request::Change;
    Some(match request.change? {
        Change::Add(member) => MemberChange::Add {
            id: member.id,
            peer_urls: member.peer_urls,
            is_learner: member.is_learner,
        },
        Change::Promote(id) => MemberChange::Promote { id },
        Change::Remove(id) => MemberChange::Remove { id },
        Change::Update(member) => MemberChange::Update {
            id: member.id,
            peer_urls: member.peer_urls,
        },
    })
}

const REFUSALS: [(MemberRefusal, peer::MemberRefusal); 8] = [
    (MemberRefusal::NotFound, peer::MemberRefusal::MemberNotFound),
    (MemberRefusal::Exists, peer::MemberRefusal::MemberExists),
    (
        MemberRefusal::PeerUrlsExist,
        peer::MemberRefusal::PeerUrlsExist,
    ),
    (
        MemberRefusal::NotEnoughStarted,
        peer::MemberRefusal::NotEnoughStarted,
    ),
    (MemberRefusal::Unhealthy, peer::MemberRefusal::Unhealthy),
    (MemberRefusal::NotALearner, peer::MemberRefusal::NotALearner),
    (
        MemberRefusal::LearnerNotReady,
        peer::MemberRefusal::LearnerNotReady,
    ),
    (
        MemberRefusal::TooManyLearners,
        peer::MemberRefusal::TooManyLearners,
    ),
];

pub(super) fn change_reply(changed: Result<Place, MemberError>) -> peer::ChangeMembersReply {
    use peer::change_members_reply::Result as Reply;
    let result = match changed {
        Ok(place) => Reply::Changed(place_to(place)),
        Err(MemberError::Refused(refusal)) => {
            let known = REFUSALS.iter().find(|(ours, _)| *ours == refusal);
            Reply::Refused(known.map_or(0, |(_, theirs)| i32::from(*theirs)))
        }
        Err(MemberError::Unavailable(error)) => Reply::Unavailable(peer::Refusal {
            not_leader: error == Unavailable::NotLeader,
            reason: error.to_string(),
        }),
    };
    peer::ChangeMembersReply {
        result: Some(result),
    }
}

/// A leader that says nothing we know may have changed the members or not.
pub(crate) fn changed_from(reply: peer::ChangeMembersReply) -> Result<Vec<Member>, MemberError> {
    use peer::change_members_reply::Result as Reply;
    match reply.result {
        Some(Reply::Changed(place)) => Ok(place_from(place).members),
        Some(Reply::Refused(refusal)) => {
            let known = REFUSALS
                .iter()
                .find(|(_, theirs)| i32::from(*theirs) == refusal);
            let refused = |(ours, _): &(MemberRefusal, _)| MemberError::Refused(*ours);
            Err(known.map_or(Unavailable::LeaderChanged.into(), refused))
        }
        Some(Reply::Unavailable(refusal)) if refusal.not_leader => {
            Err(Unavailable::NotLeader.into())
        }
        Some(Reply::Unavailable(_)) | None => Err(Unavailable::TimedOut.into()),
    }
}
