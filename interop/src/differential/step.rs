//! One request of the differential test, and what a server made of it.

use proto::etcdserverpb as pb;
use tonic::{Code, Status};

/// One thing to ask of both servers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Range(pb::RangeRequest),
    Put(pb::PutRequest),
    DeleteRange(pb::DeleteRangeRequest),
    Txn(pb::TxnRequest),
    Compact(pb::CompactionRequest),
    Grant(pb::LeaseGrantRequest),
    /// A lease too short to be left alone: granted, asked about, revoked.
    GrantBriefly(pb::LeaseGrantRequest),
    Revoke(i64),
    TimeToLive(pb::LeaseTimeToLiveRequest),
    KeepAlive(i64),
    Leases,
    HashKv(i64),
    WatchCreate(pb::WatchCreateRequest),
    WatchCancel(i64),
    /// Puts the sentinel key and waits until all watches of both sides agree; then, when asked for,
    /// a progress request.
    Sync {
        progress: bool,
    },
}

impl Step {
    /// The kind of request, for counts and for telling mismatches apart.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Step::Range(_) => "range",
            Step::Put(_) => "put",
            Step::DeleteRange(_) => "delete",
            Step::Txn(_) => "txn",
            Step::Compact(_) => "compact",
            Step::Grant(_) => "grant",
            Step::GrantBriefly(_) => "brief grant",
            Step::Revoke(_) => "revoke",
            Step::TimeToLive(_) => "time to live",
            Step::KeepAlive(_) => "keep alive",
            Step::Leases => "leases",
            Step::HashKv(_) => "hash",
            Step::WatchCreate(_) => "watch create",
            Step::WatchCancel(_) => "watch cancel",
            Step::Sync { .. } => "sync",
        }
    }
}

/// What a server answered. Two servers agree when their normalised answers are equal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Range(pb::RangeResponse),
    Put(pb::PutResponse),
    DeleteRange(pb::DeleteRangeResponse),
    Txn(pb::TxnResponse),
    Compact(pb::CompactionResponse),
    Grant(pb::LeaseGrantResponse),
    GrantBriefly(
        pb::LeaseGrantResponse,
        pb::LeaseTimeToLiveResponse,
        pb::LeaseRevokeResponse,
    ),
    Revoke(pb::LeaseRevokeResponse),
    TimeToLive(pb::LeaseTimeToLiveResponse),
    KeepAlive(pb::LeaseKeepAliveResponse),
    Leases(pb::LeaseLeasesResponse),
    HashKv(pb::HashKvResponse),
    Watch(pb::WatchResponse),
    Refused {
        code: Code,
        message: String,
    },
    /// No answer within the time limit.
    Silent,
}

impl From<Status> for Answer {
    fn from(status: Status) -> Answer {
        Answer::Refused {
            code: status.code(),
            message: status.message().to_owned(),
        }
    }
}

impl Answer {
    /// Store revision in the header, when the answer carries one.
    pub(super) fn revision(&self) -> Option<i64> {
        let header = match self {
            Answer::Range(answer) => &answer.header,
            Answer::Put(answer) => &answer.header,
            Answer::DeleteRange(answer) => &answer.header,
            Answer::Txn(answer) => &answer.header,
            Answer::Compact(answer) => &answer.header,
            Answer::Revoke(answer) => &answer.header,
            Answer::GrantBriefly(_, _, answer) => &answer.header,
            _ => &None,
        };
        header.as_ref().map(|header| header.revision)
    }
}
