//! Watchers that the ring has left behind, and snapshots.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fake::{Change, Fake, Setup, decode, next, put, shown, spec};
use crate::watch::{Delivery, HubOptions, WatchSpec, WatchStream};

/// Revisions of every event until nothing comes; no response may hold more than 1000 revisions.
async fn revisions(stream: &mut WatchStream) -> Vec<i64> {
    let mut all = Vec::new();
    while let Some(delivery) = next(stream).await {
        let Delivery::Events { events, .. } = delivery else {
            panic!("{delivery:?}")
        };
        let part: Vec<_> = decode(&events)
            .iter()
            .map(|event| event.revision())
            .collect();
        assert!(part.len() <= 1000);
        all.extend(part);
    }
    all
}

#[tokio::test]
async fn a_slow_watcher_reads_history_and_misses_nothing() {
    let setup = Setup::with_tiny_ring();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    for _ in 0..3000 {
        setup.put("a");
    }
    assert_eq!(revisions(&mut stream).await, (2..=3001).collect::<Vec<_>>());
    assert!(setup.fake.history_reads.load(Ordering::Relaxed) >= 3);
    assert_eq!(setup.hub.counters().slow_watchers(), 0);
    setup.put("a");
    assert_eq!(shown(&mut stream).await, "0 3002: a@3002.0");
}

/// No store has an event of revision 1, so a watch from there begins between two revisions.
#[tokio::test]
async fn a_watch_from_before_the_first_write_sees_all_of_it() {
    for setup in [Setup::new(), Setup::with_tiny_ring()] {
        for _ in 0..5 {
            setup.put("a");
        }
        let mut stream = setup.hub.open_stream();
        let from_the_start = WatchSpec {
            start_revision: 1,
            ..spec("a", "")
        };
        stream.create(from_the_start).unwrap();
        assert_eq!(revisions(&mut stream).await, [2, 3, 4, 5, 6]);
        stream.request_progress();
        assert_eq!(shown(&mut stream).await, "-1 6: progress");
    }
}

#[tokio::test]
async fn the_ring_serves_a_watch_from_the_recent_past_without_reading_history() {
    let setup = Setup::new();
    for _ in 0..2500 {
        setup.put("a");
    }
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            start_revision: 100,
            ..spec("a", "")
        })
        .unwrap();
    assert_eq!(
        revisions(&mut stream).await,
        (100..=2501).collect::<Vec<_>>()
    );
    assert_eq!(setup.fake.history_reads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn neighbours_share_reads_of_history() {
    let setup = Setup::with_tiny_ring();
    for _ in 0..2000 {
        setup.put("a");
    }
    let mut streams: Vec<_> = (0..20).map(|_| setup.hub.open_stream()).collect();
    for stream in &mut streams {
        for _ in 0..3 {
            stream
                .create(WatchSpec {
                    start_revision: 2,
                    ..spec("a", "")
                })
                .unwrap();
        }
        let mut seen = revisions(stream).await;
        seen.sort_unstable();
        let expected: Vec<_> = (2..=2001).flat_map(|revision| [revision; 3]).collect();
        assert_eq!(seen, expected);
    }
    assert!(setup.fake.history_reads.load(Ordering::Relaxed) <= 3);
}

#[tokio::test]
async fn a_watcher_that_lags_behind_a_compaction_is_ended() {
    let setup = Setup::with_tiny_ring();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    for _ in 0..10 {
        setup.put("a");
    }
    setup.fake.compact(5);
    assert_eq!(shown(&mut stream).await, "0: compacted 5");
    assert_eq!(shown(&mut stream).await, "nothing");
    assert_eq!(setup.hub.counters().watchers(), 0);
    assert_eq!(setup.hub.counters().slow_watchers(), 0);
}

#[tokio::test]
async fn an_idle_watcher_is_not_ended_by_a_compaction_of_what_it_did_not_want() {
    let setup = Setup::with_tiny_ring();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    for _ in 0..20 {
        setup.put("b");
    }
    setup.fake.compact(15);
    setup.put("a");
    setup.put("b");
    assert_eq!(shown(&mut stream).await, "0 23: a@22.0..");
    assert_eq!(shown(&mut stream).await, "nothing");
}

/// The third watch reads history and is ended by the compaction, before the news reaches the second one.
#[tokio::test]
async fn a_watch_that_missed_nothing_outlives_the_end_of_one_that_did() {
    let setup = Setup::with_tiny_ring();
    let mut stream = setup.hub.open_stream();
    while setup.put("x") < 50 {}
    let cancelled = stream.create(spec("a", "")).unwrap();
    let idle = stream.create(spec("a", "")).unwrap();
    let from_the_past = WatchSpec {
        start_revision: 10,
        ..spec("a", "")
    };
    let lagging = stream.create(from_the_past).unwrap();
    assert!(stream.cancel(cancelled));
    setup.put("a");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let Some(Delivery::Events { watch_id, .. }) = next(&mut stream).await else {
            panic!("both watches see the event");
        };
        seen.push(watch_id);
    }
    seen.sort_unstable();
    assert_eq!(seen, [idle, lagging]);
    while setup.put("x") < 99 {}
    setup.put("a");
    while setup.put("x") < 150 {}
    setup.fake.compact(90);
    assert_eq!(shown(&mut stream).await, "2: compacted 90");
    let text = shown(&mut stream).await;
    assert!(text.starts_with("1 ") && text.contains("a@100.0"), "{text}");
}

#[tokio::test]
async fn a_cancelled_lagging_watch_leaves_the_others_alone() {
    let setup = Setup::with_tiny_ring();
    for _ in 0..10 {
        setup.put("a");
    }
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            start_revision: 2,
            ..spec("a", "")
        })
        .unwrap();
    stream
        .create(WatchSpec {
            start_revision: 9,
            ..spec("a", "")
        })
        .unwrap();
    assert!(stream.cancel(0));
    assert_eq!(revisions(&mut stream).await, [9, 10, 11]);
    assert_eq!(setup.hub.counters().slow_watchers(), 0);
}

#[tokio::test]
async fn watches_far_apart_in_history_take_turns() {
    let setup = Setup::with_tiny_ring();
    for _ in 0..12_000 {
        setup.put("a");
    }
    let mut stream = setup.hub.open_stream();
    for start_revision in [2, 4_000, 8_000] {
        let from_the_past = WatchSpec {
            start_revision,
            ..spec("a", "")
        };
        stream.create(from_the_past).unwrap();
    }
    let mut ids = Vec::new();
    for _ in 0..9 {
        let Some(Delivery::Events { watch_id, .. }) = next(&mut stream).await else {
            panic!("every watch has more to come");
        };
        ids.push(watch_id);
    }
    assert_eq!(ids, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

/// The first watch waits for a revision that its history will never show, as a damaged disk would have it.
#[tokio::test]
async fn a_watch_whose_history_shows_nothing_does_not_hold_up_the_others() {
    let setup = Setup::with_tiny_ring();
    for _ in 0..3000 {
        setup.put("a");
    }
    setup.fake.blind_below.store(1000, Ordering::Relaxed);
    let mut stream = setup.hub.open_stream();
    for start_revision in [2, 2000] {
        let from_the_past = WatchSpec {
            start_revision,
            ..spec("a", "")
        };
        stream.create(from_the_past).unwrap();
    }
    let delivery = tokio::time::timeout(Duration::from_secs(60), stream.next()).await;
    assert!(
        matches!(delivery, Ok(Delivery::Events { watch_id: 1, .. })),
        "{delivery:?}"
    );
}

#[tokio::test]
async fn history_that_shows_nothing_is_asked_again() {
    let setup = Setup::with_tiny_ring();
    for _ in 0..10 {
        setup.put("a");
    }
    setup.fake.blind_below.store(i64::MAX, Ordering::Relaxed);
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            start_revision: 2,
            ..spec("a", "")
        })
        .unwrap();
    while setup.fake.history_reads.load(Ordering::Relaxed) < 2 {
        assert!(futures::poll!(std::pin::pin!(stream.next())).is_pending());
        tokio::task::yield_now().await;
    }
    setup.fake.blind_below.store(0, Ordering::Relaxed);
    assert_eq!(revisions(&mut stream).await, (2..=11).collect::<Vec<_>>());
}

#[tokio::test]
async fn after_a_snapshot_every_watcher_reads_what_it_has_not_seen() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    stream.create(spec("b", "")).unwrap();
    setup.put("a");
    assert_eq!(shown(&mut stream).await, "0 2: a@2.0...");
    setup.put("a");
    for key in ["a", "b", "x"] {
        setup.fake.apply(&[put(key)]).unwrap();
    }
    setup.hub.reset(setup.fake.clone());
    let mut texts = [shown(&mut stream).await, shown(&mut stream).await];
    texts.sort_unstable();
    assert_eq!(texts, ["0 6: a@3.0... a@4.0...", "1 6: b@5.0..."]);
    stream.request_progress();
    assert_eq!(shown(&mut stream).await, "-1 6: progress");
    setup.put("b");
    assert_eq!(shown(&mut stream).await, "1 7: b@7.0...");
}

#[tokio::test]
async fn a_snapshot_compacted_beyond_a_watcher_ends_it() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    let mut future = setup.hub.open_stream();
    future
        .create(WatchSpec {
            start_revision: 12,
            ..spec("a", "")
        })
        .unwrap();
    for _ in 0..10 {
        setup.fake.apply(&[put("a")]).unwrap();
    }
    setup.fake.compact(8);
    setup.hub.reset(setup.fake.clone());
    assert_eq!(shown(&mut stream).await, "0: compacted 8");
    setup.put("a");
    assert_eq!(shown(&mut future).await, "0 12: a@12.0..");
}

#[tokio::test]
async fn a_snapshot_does_not_end_watchers_that_have_seen_everything() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    for _ in 0..10 {
        setup.put("b");
    }
    setup.fake.compact(8);
    setup.hub.reset(setup.fake.clone());
    setup.put("a");
    assert_eq!(shown(&mut stream).await, "0 12: a@12.0..");
}

#[tokio::test]
async fn the_ring_stays_within_its_bytes_whatever_is_encoded() {
    let options = HubOptions {
        ring_bytes: 1 << 20,
        ..HubOptions::default()
    };
    let setup = Setup::with(options);
    let mut streams: Vec<_> = (0..10).map(|_| setup.hub.open_stream()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream
            .create(WatchSpec {
                prev_kv: true,
                ..spec("a", &format!("c{number}"))
            })
            .unwrap();
    }
    for round in 0..200 {
        setup.write(&[
            Change::Put("a".into(), 10_000),
            Change::Put("b".into(), 10_000),
        ]);
        if round % 3 == 0 {
            for stream in &mut streams {
                assert!(next(stream).await.is_some());
            }
        }
        let largest_response = 3 * 40_100;
        assert!(
            setup.hub.ring_bytes() <= (9 << 17) + largest_response,
            "{} bytes",
            setup.hub.ring_bytes()
        );
    }
    drop(streams);
    setup.put("z");
    setup.hub.reset(Arc::<Fake>::default());
    assert_eq!(setup.hub.ring_bytes(), 0);
}
