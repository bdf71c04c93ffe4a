//! Watch requests and the bytes of their answers.

use prost::Message;
use state_machine::{EncodedKeyValue, Event, EventKind, Rejection, Revision, RevisionEvents};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::*;
use crate::watch::{History, HubOptions};

#[test]
fn a_head_is_what_the_whole_message_would_write() {
    let header = pb::ResponseHeader {
        cluster_id: u64::MAX,
        member_id: 3,
        revision: -1,
        raft_term: 9,
    };
    for (watch_id, fragment) in [(0, false), (7, true), (NO_WATCH, false), (i64::MAX, true)] {
        let plain = proto::etcdserverpb::WatchResponse {
            header: Some(header),
            watch_id,
            fragment,
            ..Default::default()
        };
        let head = response::events_head(&header, watch_id, fragment);
        assert_eq!(head, plain.encode_to_vec());
    }
}

#[test]
fn an_empty_key_watches_from_the_smallest_key() {
    let everything = pb::WatchCreateRequest {
        range_end: Bytes::from_static(b"\0"),
        ..Default::default()
    };
    let spec = spec(everything);
    assert_eq!(spec.keys.start, Bytes::from_static(b"\0"));
    assert_eq!(spec.keys.end, Bytes::from_static(b"\0"));
}

#[test]
fn filters_are_told_apart() {
    let filtered = |filters: Vec<i32>| {
        let spec = spec(pb::WatchCreateRequest {
            filters,
            ..Default::default()
        });
        (spec.no_put, spec.no_delete)
    };
    assert_eq!(filtered(vec![]), (false, false));
    assert_eq!(filtered(vec![0]), (true, false));
    assert_eq!(filtered(vec![1]), (false, true));
    assert_eq!(filtered(vec![1, 0, 5]), (true, true));
}

#[test]
fn progress_is_reported_within_a_tenth_of_the_interval() {
    let asked = Duration::from_secs(10);
    for _ in 0..100 {
        let interval = progress_interval(asked);
        assert!(
            interval >= asked && interval < asked + asked / 10,
            "{interval:?}"
        );
    }
    assert!(progress_interval(Duration::ZERO) >= PROGRESS_INTERVAL_MIN);
}

/// A history without any.
struct Nothing;

impl History for Nothing {
    fn history(
        &self,
        _from: i64,
        _max_revisions: usize,
        _max_bytes: usize,
    ) -> Result<Vec<RevisionEvents>, Rejection> {
        Ok(Vec::new())
    }

    fn key_value_at(&self, _at: Revision) -> Option<EncodedKeyValue> {
        None
    }

    fn revision(&self) -> i64 {
        1
    }

    fn compact_revision(&self) -> i64 {
        0
    }
}

/// Revision 2: puts of one key each. No two of them fit into one part of a hub that takes no requests at all.
fn large_revision(events: usize) -> RevisionEvents {
    let kv = proto::mvccpb::KeyValue {
        key: Bytes::from_static(b"a"),
        value: vec![0; 300 << 10].into(),
        ..Default::default()
    };
    let event = Event {
        kind: EventKind::Put,
        key: kv.key.clone(),
        kv: EncodedKeyValue(kv.encode_to_vec().into()),
        created: false,
        prev: None,
    };
    RevisionEvents {
        revision: 2,
        events: vec![event; events].into(),
    }
}

fn request(request: RequestUnion) -> Result<pb::WatchRequest, Status> {
    Ok(pb::WatchRequest {
        request_union: Some(request),
    })
}

fn create() -> Result<pb::WatchRequest, Status> {
    request(RequestUnion::CreateRequest(pb::WatchCreateRequest {
        key: Bytes::from_static(b"a"),
        fragment: true,
        ..Default::default()
    }))
}

fn plain(answer: Result<WatchResponse, Status>) -> PlainResponse {
    let answer = answer.expect("no request is bad");
    PlainResponse::decode([answer.head, answer.tail].concat().as_slice()).expect("it is whole")
}

#[tokio::test]
async fn no_answer_comes_between_the_parts_of_a_response() {
    const PARTS: usize = 20;
    let options = HubOptions {
        max_request_bytes: 0,
        ..HubOptions::default()
    };
    let hub = Hub::new(options, Arc::new(Nothing));
    let (client, requests) = tokio::sync::mpsc::unbounded_channel();
    let mut session = Session::new(
        hub.clone(),
        UnboundedReceiverStream::new(requests),
        Duration::from_secs(3600),
        |revision| pb::ResponseHeader {
            revision,
            ..Default::default()
        },
        |_| Box::pin(std::future::ready(Ok(()))),
    );
    client.send(create()).unwrap();
    assert!(plain(session.next().await).created);
    hub.publish(vec![large_revision(PARTS)]);
    assert!(plain(session.next().await).fragment);
    client.send(create()).unwrap();
    let cancel = pb::WatchCancelRequest { watch_id: 0 };
    client
        .send(request(RequestUnion::CancelRequest(cancel)))
        .unwrap();
    for part in 1..PARTS {
        let answer = plain(session.next().await);
        assert_eq!(answer.events.len(), 1, "part {part}: {answer:?}");
        assert_eq!(answer.fragment, part + 1 < PARTS);
    }
    assert!(plain(session.next().await).created);
    assert!(plain(session.next().await).canceled);
}
