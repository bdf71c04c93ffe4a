//! Watch requests and the bytes of their answers.

use prost::Message;

use super::*;

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
