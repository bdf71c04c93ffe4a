//! Large responses.

use super::fake::{Change, Received, Setup, decode, next, spec};
use crate::watch::{Delivery, HubOptions, WatchSpec, WatchStream};

const LIMIT: usize = 512 << 10;

fn setup() -> Setup {
    Setup::with(HubOptions {
        max_request_bytes: 0,
        ..HubOptions::default()
    })
}

fn large_puts(count: usize, bytes: usize) -> Vec<Change> {
    (0..count)
        .map(|number| Change::Put(format!("key{number}").into(), bytes))
        .collect()
}

async fn parts(stream: &mut WatchStream) -> Vec<(usize, bool, Vec<Received>)> {
    let mut parts = Vec::new();
    while let Some(Delivery::Events {
        events,
        fragment,
        revision,
        ..
    }) = next(stream).await
    {
        assert_eq!(revision, 2);
        parts.push((events.len(), fragment, decode(&events)));
    }
    parts
}

#[tokio::test]
async fn a_large_revision_is_split_between_events_for_those_who_allow_it() {
    let setup = setup();
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            fragment: true,
            ..spec("k", "l")
        })
        .unwrap();
    setup.write(&large_puts(5, 200 << 10));
    let parts = parts(&mut stream).await;
    let shape: Vec<_> = parts
        .iter()
        .map(|(_, fragment, events)| (*fragment, events.len()))
        .collect();
    assert_eq!(shape, [(true, 2), (true, 2), (false, 1)]);
    assert!(parts.iter().all(|(bytes, _, _)| *bytes <= LIMIT));
}

#[tokio::test]
async fn an_event_over_the_limit_is_a_part_of_its_own() {
    let setup = setup();
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            fragment: true,
            ..spec("k", "l")
        })
        .unwrap();
    setup.write(&large_puts(2, 600 << 10));
    let shape: Vec<_> = parts(&mut stream)
        .await
        .iter()
        .map(|(_, fragment, events)| (*fragment, events.len()))
        .collect();
    assert_eq!(shape, [(true, 1), (false, 1)]);
}

#[tokio::test]
async fn a_revision_is_whole_for_those_who_do_not() {
    let setup = setup();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("k", "l")).unwrap();
    setup.write(&large_puts(5, 200 << 10));
    let shape: Vec<_> = parts(&mut stream)
        .await
        .iter()
        .map(|(_, fragment, events)| (*fragment, events.len()))
        .collect();
    assert_eq!(shape, [(false, 5)]);
}

#[tokio::test]
async fn the_parts_of_a_cancelled_watch_are_dropped() {
    let setup = setup();
    let mut stream = setup.hub.open_stream();
    let id = stream
        .create(WatchSpec {
            fragment: true,
            ..spec("k", "l")
        })
        .unwrap();
    setup.write(&large_puts(5, 200 << 10));
    assert!(next(&mut stream).await.is_some());
    assert!(stream.cancel(id));
    assert_eq!(next(&mut stream).await, None);
}

/// A response with more than one revision holds no more.
const JOINED_BYTES_MAX: usize = 128 << 10;

/// Checks every response until nothing comes; returns the revisions in each.
async fn revisions_per_response(stream: &mut WatchStream) -> Vec<usize> {
    let mut counts = Vec::new();
    while let Some(delivery) = next(stream).await {
        let Delivery::Events { events, .. } = delivery else {
            panic!("{delivery:?}")
        };
        let count = decode(&events).len();
        assert!(
            count == 1 || events.len() <= JOINED_BYTES_MAX,
            "{count} revisions in {} bytes",
            events.len()
        );
        counts.push(count);
    }
    counts
}

fn put_one(setup: &Setup, bytes: usize) {
    setup.write(&[Change::Put("k".into(), bytes)]);
}

/// Sizes of revisions, one of them larger than several together may be, and how they come.
const SIZES: [usize; 7] = [
    50 << 10,
    50 << 10,
    50 << 10,
    200 << 10,
    1,
    100 << 10,
    50 << 10,
];
const RESPONSES: [usize; 5] = [2, 1, 1, 2, 1];

#[tokio::test]
async fn revisions_of_the_ring_are_joined_up_to_a_bound() {
    let setup = setup();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("k", "l")).unwrap();
    SIZES.iter().for_each(|bytes| put_one(&setup, *bytes));
    let counts = revisions_per_response(&mut stream).await;
    assert_eq!(counts, RESPONSES);
}

#[tokio::test]
async fn revisions_of_history_are_joined_up_to_the_same_bound() {
    for ring_bytes in [1, 32 << 20] {
        let setup = Setup::with(HubOptions {
            ring_bytes,
            ..HubOptions::default()
        });
        SIZES.iter().for_each(|bytes| put_one(&setup, *bytes));
        let mut stream = setup.hub.open_stream();
        let from_the_past = WatchSpec {
            start_revision: 2,
            ..spec("k", "l")
        };
        stream.create(from_the_past).unwrap();
        let counts = revisions_per_response(&mut stream).await;
        assert_eq!(counts, RESPONSES, "ring of {ring_bytes} bytes");
    }
}

#[tokio::test]
async fn previous_values_count_for_the_bound() {
    let setup = setup();
    let key = |number| format!("key{number}").into();
    (0..20).for_each(|number| {
        setup.write(&[Change::Put(key(number), 50 << 10)]);
    });
    let mut stream = setup.hub.open_stream();
    for _ in 0..2 {
        let with_prev = WatchSpec {
            prev_kv: true,
            ..spec("k", "l")
        };
        stream.create(with_prev).unwrap();
    }
    (0..20).for_each(|number| {
        setup.write(&[Change::Delete(key(number))]);
    });
    assert_eq!(revisions_per_response(&mut stream).await, [2; 20]);
}
