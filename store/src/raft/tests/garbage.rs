//! Bytes that mean nothing, from the disk or from another member: every decoder refuses them or reads what is there, and
//! none panics or writes where it must not.

use bytes::{Bytes, BytesMut};
use openraft::EntryPayload;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use proto::peer;
use state_machine::{Command, Put};
use tokio::sync::mpsc;

use crate::batch;
use crate::raft::codec::{self, Attributes, Settings};
use crate::raft::types::Batch;
use crate::raft::{leader, transfer, wire};

/// Bytes at random, or `valid` with some of its bytes changed and its end cut off or grown.
fn garbage(valid: Vec<u8>) -> impl Strategy<Value = Bytes> {
    let random = vec(any::<u8>(), 0..200);
    let damaged = (
        vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        0..=valid.len(),
    )
        .prop_map(move |(changes, length)| {
            let mut bytes = valid.clone();
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes.truncate(length.max(1));
            bytes
        });
    prop_oneof![random, damaged].prop_map(Bytes::from)
}

fn a_batch() -> Bytes {
    let put = Command::Put(Put {
        key: "key".into(),
        value: "value".into(),
        ..Put::default()
    });
    let mut encoded = BytesMut::new();
    put.encode(&mut encoded);
    let commands = [&encoded[..], &encoded[..]];
    batch::encode_commands(7, 8, commands.into_iter())
}

fn a_publication() -> Bytes {
    let attributes = serde_json::to_vec(&Attributes::default()).unwrap();
    batch::encode_publish(7, 8, &attributes)
}

fn a_payload() -> Vec<u8> {
    codec::encode_payload(&EntryPayload::Normal(Batch(a_batch())))
        .unwrap()
        .to_vec()
}

fn a_mark() -> Vec<u8> {
    let settings = Settings::default().encode().unwrap();
    codec::encode_mark(Some(&codec::log_id(2, 3)), &settings).to_vec()
}

fn an_append() -> Vec<u8> {
    let entry = peer::Entry {
        term: 1,
        index: 2,
        payload: a_payload().into(),
    };
    let request = peer::AppendRequest {
        vote: Some(peer::Vote {
            term: 1,
            member: 2,
            committed: true,
        }),
        previous: Some(peer::LogId { term: 1, index: 1 }),
        entries: vec![entry],
        leader_commit: Some(peer::LogId { term: 1, index: 1 }),
    };
    request.encode_to_vec()
}

/// A manifest whose names may be anything, and pieces that may have nothing to do with it.
fn a_snapshot() -> impl Strategy<Value = (Vec<peer::SnapshotFile>, Vec<Bytes>)> {
    let name = prop_oneof![
        Just("../outside".to_owned()),
        Just("/tmp/outside".to_owned()),
        Just(String::new()),
        Just("a/b".to_owned()),
        "[a-c.]{1,3}",
    ];
    let file = (name, 0..300_u64, any::<u32>()).prop_map(|(name, size_bytes, crc32c)| {
        peer::SnapshotFile {
            name,
            size_bytes,
            crc32c,
        }
    });
    let piece = vec(any::<u8>(), 0..100).prop_map(Bytes::from);
    (vec(file, 0..4), vec(piece, 0..6))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_of_the_log(bytes in garbage(a_payload())) {
        _ = codec::decode_vote(&bytes);
        _ = codec::decode_log_id(&bytes);
        _ = codec::decode_entry(1, 2, bytes);
    }

    #[test]
    fn marks_of_the_state(bytes in garbage(a_mark())) {
        _ = codec::decode_mark(Some(&bytes));
    }

    #[test]
    fn batches(bytes in prop_oneof![garbage(a_batch().to_vec()), garbage(a_publication().to_vec())]) {
        let readable = leader::check_readable(&bytes);
        if let Ok(batch) = batch::decode(bytes) && let batch::Content::Publish(json) = batch.content {
            let attributes = serde_json::from_slice::<Attributes>(&json);
            prop_assert_eq!(readable.is_ok(), attributes.is_ok());
        }
    }

    #[test]
    fn messages_of_members(bytes in garbage(an_append())) {
        if let Ok(message) = peer::AppendRequest::decode(&bytes[..]) {
            _ = wire::append_request_from(message);
        }
        if let Ok(message) = peer::VoteRequest::decode(&bytes[..]) {
            _ = wire::vote_request_from(&message);
        }
        if let Ok(message) = peer::AppendReply::decode(&bytes[..]) {
            _ = wire::append_result(message);
        }
        if let Ok(message) = peer::ChangeMembersRequest::decode(&bytes[..]) {
            _ = wire::change_from(message);
        }
        if let Ok(message) = peer::ChangeMembersReply::decode(&bytes[..]) {
            _ = wire::changed_from(message);
        }
    }

    #[test]
    fn snapshots((manifest, pieces) in a_snapshot()) {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("place");
        let (sender, receiver) = mpsc::channel(8);
        for piece in &pieces {
            sender.try_send(piece.clone()).unwrap();
        }
        drop(sender);
        let written = transfer::write_files(&place, &manifest, receiver);
        let whole = manifest.iter().map(|file| file.size_bytes).sum::<u64>();
        let there = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        prop_assert!(written.is_err() || there >= whole);
        let names: Vec<_> = std::fs::read_dir(root.path()).unwrap().collect();
        prop_assert!(names.len() <= 1, "it wrote beside its folder");
    }
}
