//! Large responses.

use super::fake::{Change, Received, Setup, decode, next, spec};
use crate::watch::{Delivery, HubOptions, WatchSpec};

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

async fn parts(stream: &mut crate::watch::WatchStream) -> Vec<(usize, bool, Vec<Received>)> {
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
