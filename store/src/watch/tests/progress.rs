//! Progress on request and on ticks.

use super::fake::{Setup, put, shown, spec};
use crate::watch::WatchSpec;

#[tokio::test]
async fn a_request_is_answered_once_for_all_watches() {
    let setup = Setup::new();
    setup.put("x");
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    stream.create(spec("b", "")).unwrap();
    stream.request_progress();
    assert_eq!(shown(&mut stream).await, "-1 2: progress");
    assert_eq!(shown(&mut stream).await, "nothing");
    setup.put("x");
    stream.request_progress();
    assert_eq!(shown(&mut stream).await, "-1 3: progress");
}

#[tokio::test]
async fn a_stream_without_watches_gets_no_answer() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream.request_progress();
    assert_eq!(shown(&mut stream).await, "nothing");
    stream.create(spec("a", "")).unwrap();
    assert_eq!(shown(&mut stream).await, "nothing");
    stream.request_progress();
    stream.cancel(0);
    assert_eq!(shown(&mut stream).await, "nothing");
}

#[tokio::test]
async fn events_come_before_the_progress_that_covers_them() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    stream.create(spec("a", "b")).unwrap();
    stream.request_progress();
    setup.put("a");
    setup.put("b");
    stream.request_progress();
    let mut events = [shown(&mut stream).await, shown(&mut stream).await];
    events.sort_unstable();
    assert_eq!(events, ["0 2: a@2.0...", "1 2: a@2.0..."]);
    assert_eq!(shown(&mut stream).await, "-1 3: progress");
}

#[tokio::test]
async fn an_answer_waits_for_what_is_applied_but_not_published() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    let events = setup.fake.apply(&[put("b")]).unwrap();
    stream.request_progress();
    assert_eq!(shown(&mut stream).await, "nothing");
    setup.hub.publish(vec![events]);
    assert_eq!(shown(&mut stream).await, "-1 2: progress");
}

#[tokio::test]
async fn an_answer_waits_for_a_watch_that_catches_up() {
    let setup = Setup::with_tiny_ring();
    for _ in 0..2500 {
        setup.put("a");
    }
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            start_revision: 2,
            ..spec("a", "")
        })
        .unwrap();
    stream.request_progress();
    for _ in 0..3 {
        let text = shown(&mut stream).await;
        assert!(text.contains("a@"), "{text}");
    }
    assert_eq!(shown(&mut stream).await, "-1 2501: progress");
    assert_eq!(shown(&mut stream).await, "nothing");
}

#[tokio::test]
async fn a_tick_tells_idle_watches_that_want_it() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            progress_notify: true,
            ..spec("a", "")
        })
        .unwrap();
    stream.create(spec("b", "")).unwrap();
    stream
        .create(WatchSpec {
            progress_notify: true,
            ..spec("c", "")
        })
        .unwrap();
    setup.put("c");
    assert_eq!(shown(&mut stream).await, "2 2: c@2.0...");
    stream.progress_tick();
    assert_eq!(shown(&mut stream).await, "0 2: progress");
    assert_eq!(shown(&mut stream).await, "nothing");
    stream.progress_tick();
    assert_eq!(shown(&mut stream).await, "0 2: progress");
    assert_eq!(shown(&mut stream).await, "2 2: progress");
    assert_eq!(shown(&mut stream).await, "nothing");
}

#[tokio::test]
async fn a_tick_does_not_overtake_events() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            progress_notify: true,
            ..spec("a", "")
        })
        .unwrap();
    setup.put("a");
    stream.progress_tick();
    let first = shown(&mut stream).await;
    let expected = ["0 1: progress", "0 2: a@2.0..."];
    assert!(expected.contains(&&first[..]), "{first}");
}

/// A hub that took a snapshot up to revision 6 while nobody watched.
fn after_a_snapshot() -> Setup {
    let setup = Setup::new();
    for _ in 0..5 {
        setup.fake.apply(&[put("a")]).unwrap();
    }
    setup.hub.reset(setup.fake.clone());
    setup
}

#[tokio::test]
async fn a_request_is_answered_after_a_snapshot_that_no_watch_saw() {
    let setup = after_a_snapshot();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    stream.request_progress();
    assert_eq!(shown(&mut stream).await, "-1 6: progress");
}

#[tokio::test]
async fn a_tick_after_a_snapshot_is_no_older_than_the_watch() {
    let setup = after_a_snapshot();
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            progress_notify: true,
            ..spec("a", "")
        })
        .unwrap();
    assert_eq!(stream.created_revision(), 6);
    stream.progress_tick();
    assert_eq!(shown(&mut stream).await, "0 6: progress");
}

#[tokio::test]
async fn watches_that_end_before_they_start_leave_nothing_behind() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    for _ in 0..10_000 {
        let from_the_future = WatchSpec {
            start_revision: 2,
            ..spec("a", "")
        };
        let id = stream.create(from_the_future).unwrap();
        assert!(stream.cancel(id));
    }
    let left = stream.unstarted_count();
    assert!(left < 100, "{left} watches are remembered");
}
