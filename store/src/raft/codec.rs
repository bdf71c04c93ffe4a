//! Raft's own records as bytes: log payloads, votes, log ids and the applied mark.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::EntryPayload;
use openraft::entry::RaftEntry;
use serde::{Deserialize, Serialize};
use state_machine::Command;

use super::types::{Batch, Entry, LogId, StoredMembership, TypeConfig, Vote};
use crate::batch::{self, Content};

const PAYLOAD_BLANK: u8 = 0;
const PAYLOAD_BATCH: u8 = 1;
const PAYLOAD_MEMBERSHIP: u8 = 2;

/// First byte of an applied mark.
const MARK_FORMAT: u8 = 1;

type Payload = EntryPayload<Batch, u64, super::Member>;

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A log entry's payload: one tag byte, then the batch as it is or the membership as JSON.
pub(super) fn encode_payload(payload: &Payload) -> io::Result<Bytes> {
    let mut out = BytesMut::new();
    match payload {
        EntryPayload::Blank => out.put_u8(PAYLOAD_BLANK),
        EntryPayload::Normal(batch) => {
            out.reserve(1 + batch.0.len());
            out.put_u8(PAYLOAD_BATCH);
            out.put_slice(&batch.0);
        }
        EntryPayload::Membership(membership) => {
            out.put_u8(PAYLOAD_MEMBERSHIP);
            out.put_slice(&serde_json::to_vec(membership)?);
        }
    }
    Ok(out.freeze())
}

/// The inverse of [`encode_payload`]; a batch stays a slice of `bytes`.
pub(super) fn decode_entry(term: u64, index: u64, mut bytes: Bytes) -> io::Result<Entry> {
    if bytes.is_empty() {
        return Err(invalid("log entry without a payload tag"));
    }
    let payload = match bytes.get_u8() {
        PAYLOAD_BLANK => EntryPayload::Blank,
        PAYLOAD_BATCH => EntryPayload::Normal(Batch(bytes)),
        PAYLOAD_MEMBERSHIP => EntryPayload::Membership(serde_json::from_slice(&bytes)?),
        tag => {
            return Err(invalid(&format!(
                "log entry with unknown payload tag {tag}"
            )));
        }
    };
    Ok(Entry::new(log_id(term, index), payload))
}

pub(super) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(
        openraft::vote::leader_id_std::CommittedLeaderId::new(term),
        index,
    )
}

pub(super) fn term_of(log_id: &LogId) -> u64 {
    *log_id.leader_id
}

pub(super) fn encode_vote(vote: &Vote) -> Bytes {
    let mut out = BytesMut::with_capacity(17);
    out.put_u64(vote.leader_id.term);
    out.put_u64(vote.leader_id.voted_for);
    out.put_u8(u8::from(vote.committed));
    out.freeze()
}

pub(super) fn decode_vote(mut bytes: &[u8]) -> io::Result<Vote> {
    if bytes.len() != 17 {
        return Err(invalid("vote record of a wrong length"));
    }
    let mut vote = Vote::new(bytes.get_u64(), bytes.get_u64());
    vote.committed = bytes.get_u8() != 0;
    Ok(vote)
}

pub(super) fn encode_log_id(log_id: &LogId) -> Bytes {
    let mut out = BytesMut::with_capacity(16);
    out.put_u64(term_of(log_id));
    out.put_u64(log_id.index);
    out.freeze()
}

pub(super) fn decode_log_id(mut bytes: &[u8]) -> io::Result<LogId> {
    if bytes.len() != 16 {
        return Err(invalid("log id record of a wrong length"));
    }
    Ok(log_id(bytes.get_u64(), bytes.get_u64()))
}

/// What a member said of itself when it came up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    pub(crate) name: String,
    pub(crate) client_urls: Vec<String>,
}

/// What raft needs to know of an applied state; the state machine stores it beside the state without reading it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mark {
    pub(crate) applied: Option<LogId>,
    pub(crate) settings: Settings,
}

/// The slowly changing part of a [`Mark`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Settings {
    pub(crate) membership: StoredMembership,
    pub(crate) attributes: BTreeMap<u64, Attributes>,
    /// Members that were removed. Their ids never come back.
    #[serde(default)]
    pub(crate) removed: BTreeSet<u64>,
}

impl Settings {
    /// Takes over the members of a log entry. Who is in no part of it any more was removed.
    pub(super) fn set_membership(&mut self, membership: StoredMembership) {
        let is_member = |id: &u64| membership.get_node(id).is_some();
        let gone = self.membership.nodes().map(|(id, _)| *id);
        self.removed.extend(gone.filter(|id| !is_member(id)));
        self.attributes.retain(|id, _| is_member(id));
        self.membership = membership;
    }

    /// What a member says of itself; one that was removed has no say.
    pub(super) fn set_attributes(&mut self, member: u64, attributes: Attributes) {
        if !self.removed.contains(&member) {
            self.attributes.insert(member, attributes);
        }
    }

    /// As JSON; made again only when the settings change.
    pub(super) fn encode(&self) -> io::Result<Bytes> {
        Ok(Bytes::from(serde_json::to_vec(self)?))
    }
}

/// A mark from an applied log id and encoded [`Settings`].
pub(super) fn encode_mark(applied: Option<&LogId>, settings: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(18 + settings.len());
    out.put_u8(MARK_FORMAT);
    out.put_u8(u8::from(applied.is_some()));
    out.put_u64(applied.map_or(0, term_of));
    out.put_u64(applied.map_or(0, |id| id.index));
    out.put_slice(settings);
    out.freeze()
}

/// Reads what [`encode_mark`] wrote; no bytes are the mark of an empty state.
pub(crate) fn decode_mark(bytes: Option<&Bytes>) -> io::Result<Mark> {
    let Some(bytes) = bytes else {
        return Ok(Mark::default());
    };
    let mut rest = &bytes[..];
    if rest.len() < 18 || rest.get_u8() != MARK_FORMAT {
        return Err(invalid("applied mark of an unknown format"));
    }
    let some = rest.get_u8() != 0;
    let id = log_id(rest.get_u64(), rest.get_u64());
    Ok(Mark {
        applied: some.then_some(id),
        settings: serde_json::from_slice(rest)?,
    })
}

/// Term and index of a mark's log id, without reading its settings; zeros when nothing was applied.
pub(crate) fn applied_of(bytes: Option<&Bytes>) -> io::Result<(u64, u64)> {
    let Some(bytes) = bytes else {
        return Ok((0, 0));
    };
    let mut rest = &bytes[..];
    if rest.len() < 18 || rest.get_u8() != MARK_FORMAT {
        return Err(invalid("applied mark of an unknown format"));
    }
    rest.advance(1);
    Ok((rest.get_u64(), rest.get_u64()))
}

/// The commands in the payload of a log entry; none when it is about members or nothing.
pub(crate) fn commands_of(payload: Bytes) -> io::Result<Vec<Command>> {
    let EntryPayload::Normal(bytes) = decode_entry(0, 0, payload)?.payload else {
        return Ok(Vec::new());
    };
    let batch = batch::decode(bytes.0).map_err(|error| invalid(&error.to_string()))?;
    Ok(match batch.content {
        Content::Commands(commands) => commands,
        Content::Publish(_) => Vec::new(),
    })
}

/// Keeps the alias of the configured entry in one place.
pub(super) fn payload_of(entry: &Entry) -> &<TypeConfig as openraft::RaftTypeConfig>::Payload {
    &entry.payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_come_back_as_they_went() {
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Batch(Bytes::from_static(b"abc"))),
        ] {
            let bytes = encode_payload(&payload).unwrap();
            let entry = decode_entry(3, 7, bytes).unwrap();
            assert_eq!(entry.log_id, log_id(3, 7));
            assert_eq!(entry.payload, payload);
        }
    }

    #[test]
    fn votes_and_log_ids_come_back_as_they_went() {
        let vote = Vote::new_committed(5, 0xfeed);
        assert_eq!(decode_vote(&encode_vote(&vote)).unwrap(), vote);
        assert_eq!(
            decode_log_id(&encode_log_id(&log_id(4, 9))).unwrap(),
            log_id(4, 9)
        );
    }

    #[test]
    fn a_mark_comes_back_as_it_went() {
        let mut settings = Settings::default();
        settings.attributes.insert(
            1,
            Attributes {
                name: "a".into(),
                client_urls: vec!["http://localhost:1".into()],
            },
        );
        let bytes = encode_mark(Some(&log_id(2, 3)), &settings.encode().unwrap());
        let mark = decode_mark(Some(&bytes)).unwrap();
        assert_eq!(
            mark,
            Mark {
                applied: Some(log_id(2, 3)),
                settings
            }
        );
        assert_eq!(decode_mark(None).unwrap(), Mark::default());
        assert!(decode_mark(Some(&Bytes::from_static(b"\x07"))).is_err());
    }
}
