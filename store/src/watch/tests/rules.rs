//! The rules of a watch, one by one.

use std::sync::atomic::Ordering;

use super::fake::{Setup, delete, put, shown, spec};
use crate::watch::{CreateError, WatchSpec};

#[tokio::test]
async fn a_watch_without_start_revision_sees_what_comes_after_it() {
    let setup = Setup::new();
    setup.put("a");
    let mut stream = setup.hub.open_stream();
    assert_eq!(stream.create(spec("a", "")), Ok(0));
    assert_eq!(stream.created_revision(), 2);
    assert_eq!(shown(&mut stream).await, "nothing");
    setup.put("a");
    setup.put("b");
    assert_eq!(shown(&mut stream).await, "0 3: a@3.0...");
    assert_eq!(shown(&mut stream).await, "nothing");
}

#[tokio::test]
async fn what_was_applied_before_the_watch_but_published_after_it_is_not_seen() {
    let setup = Setup::new();
    let events = setup.fake.apply(&[put("a")]).unwrap();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    assert_eq!(stream.created_revision(), 2);
    setup.hub.publish(vec![events]);
    assert_eq!(shown(&mut stream).await, "nothing");
    setup.put("a");
    assert_eq!(shown(&mut stream).await, "0 3: a@3.0...");
}

#[tokio::test]
async fn ranges_prefixes_and_open_ends() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    for (start, end) in [("b", ""), ("b", "c"), ("b", "\0"), ("\0", "\0"), ("a", "b")] {
        stream.create(spec(start, end)).unwrap();
    }
    for (key, ids) in [
        ("a", vec![3, 4]),
        ("b", vec![0, 1, 2, 3]),
        ("bb", vec![1, 2, 3]),
        ("c", vec![2, 3]),
    ] {
        let revision = setup.put(key);
        let mut seen = Vec::new();
        loop {
            let text = shown(&mut stream).await;
            if text == "nothing" {
                break;
            }
            let (id, rest) = text.split_once(' ').unwrap();
            assert!(
                rest.starts_with(&format!("{revision}: {key}@{revision}.0")),
                "{rest}"
            );
            seen.push(id.parse::<i64>().unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, ids, "key {key}");
    }
}

#[tokio::test]
async fn filters_hide_puts_or_deletes() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            no_put: true,
            ..spec("a", "")
        })
        .unwrap();
    stream
        .create(WatchSpec {
            no_delete: true,
            ..spec("a", "")
        })
        .unwrap();
    stream
        .create(WatchSpec {
            no_put: true,
            no_delete: true,
            ..spec("a", "")
        })
        .unwrap();
    setup.put("a");
    assert_eq!(shown(&mut stream).await, "1 2: a@2.0...");
    setup.write(&[delete("a")]);
    assert_eq!(shown(&mut stream).await, "0 3: -a@3");
    assert_eq!(shown(&mut stream).await, "nothing");
}

#[tokio::test]
async fn all_events_of_a_revision_come_together_and_in_order() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "c")).unwrap();
    setup.write(&[put("b"), put("x"), put("a")]);
    assert_eq!(shown(&mut stream).await, "0 2: b@2.0... a@2.2...");
}

#[tokio::test]
async fn previous_values_are_read_once_for_all_watchers() {
    let setup = Setup::new();
    setup.put("a");
    let mut stream = setup.hub.open_stream();
    for end in ["", "", "b", "c"] {
        stream
            .create(WatchSpec {
                prev_kv: true,
                ..spec("a", end)
            })
            .unwrap();
    }
    setup.put("a");
    for _ in 0..4 {
        assert!(shown(&mut stream).await.ends_with("3: a@3.0...<a@2.0..."));
    }
    assert_eq!(setup.fake.value_reads.load(Ordering::Relaxed), 1);
    setup.write(&[delete("a")]);
    assert!(shown(&mut stream).await.ends_with("4: -a@4<a@3.0..."));
}

#[tokio::test]
async fn a_compacted_previous_value_is_left_out() {
    let setup = Setup::new();
    setup.put("a");
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            prev_kv: true,
            ..spec("a", "")
        })
        .unwrap();
    setup.put("a");
    setup.fake.compact(3);
    assert_eq!(shown(&mut stream).await, "0 3: a@3.0...");
}

#[tokio::test]
async fn ids_are_counted_from_zero_and_may_be_chosen() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    assert_eq!(stream.create(spec("a", "")), Ok(0));
    assert_eq!(
        stream.create(WatchSpec {
            id: 1,
            ..spec("a", "")
        }),
        Ok(1)
    );
    assert_eq!(stream.create(spec("a", "")), Ok(2));
    assert_eq!(
        stream.create(WatchSpec {
            id: 2,
            ..spec("a", "")
        }),
        Err(CreateError::DuplicateId)
    );
    assert!(stream.cancel(0));
    assert!(!stream.cancel(0));
    assert_eq!(stream.create(spec("a", "")), Ok(3));
}

#[tokio::test]
async fn bad_watches_are_refused_and_the_stream_goes_on() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    assert_eq!(stream.create(spec("b", "b")), Err(CreateError::EmptyRange));
    assert_eq!(stream.create(spec("b", "a")), Err(CreateError::EmptyRange));
    let negative = WatchSpec {
        start_revision: -1,
        ..spec("a", "")
    };
    assert_eq!(stream.create(negative), Err(CreateError::Compacted));
    assert_eq!(stream.create(spec("a", "")), Ok(0));
    setup.put("a");
    assert_eq!(shown(&mut stream).await, "0 2: a@2.0...");
}

#[tokio::test]
async fn a_cancelled_watch_sends_nothing_more() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    stream.create(spec("a", "")).unwrap();
    setup.put("a");
    assert!(stream.cancel(0));
    assert_eq!(shown(&mut stream).await, "1 2: a@2.0...");
    assert_eq!(shown(&mut stream).await, "nothing");
}

#[tokio::test]
async fn cancelling_in_the_middle_of_a_pass_skips_no_watch() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    for _ in 0..4 {
        stream.create(spec("a", "")).unwrap();
    }
    setup.put("a");
    assert_eq!(shown(&mut stream).await, "0 2: a@2.0...");
    assert!(stream.cancel(0));
    let mut rest = [
        shown(&mut stream).await,
        shown(&mut stream).await,
        shown(&mut stream).await,
    ];
    rest.sort_unstable();
    assert_eq!(rest, ["1 2: a@2.0...", "2 2: a@2.0...", "3 2: a@2.0..."]);
    assert_eq!(shown(&mut stream).await, "nothing");
}

#[tokio::test]
async fn a_watch_from_the_past_catches_up_and_then_follows() {
    let setup = Setup::new();
    for key in ["a", "b", "a", "a"] {
        setup.put(key);
    }
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            start_revision: 3,
            ..spec("a", "")
        })
        .unwrap();
    assert_eq!(stream.created_revision(), 5);
    assert_eq!(shown(&mut stream).await, "0 5: a@4.0... a@5.0...");
    setup.put("a");
    assert_eq!(shown(&mut stream).await, "0 6: a@6.0...");
}

#[tokio::test]
async fn a_watch_from_the_future_sees_nothing_older() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            start_revision: 4,
            progress_notify: true,
            ..spec("a", "")
        })
        .unwrap();
    setup.put("a");
    setup.put("a");
    stream.progress_tick();
    stream.request_progress();
    assert_eq!(shown(&mut stream).await, "nothing");
    setup.put("a");
    assert_eq!(shown(&mut stream).await, "0 4: a@4.0...");
    assert_eq!(shown(&mut stream).await, "-1 4: progress");
}

#[tokio::test]
async fn a_compacted_start_ends_the_watch() {
    let setup = Setup::new();
    for _ in 0..5 {
        setup.put("a");
    }
    setup.fake.compact(4);
    let mut stream = setup.hub.open_stream();
    stream
        .create(WatchSpec {
            start_revision: 3,
            ..spec("a", "")
        })
        .unwrap();
    assert_eq!(shown(&mut stream).await, "0: compacted 4");
    assert!(!stream.cancel(0));
    stream
        .create(WatchSpec {
            start_revision: 4,
            ..spec("a", "")
        })
        .unwrap();
    assert_eq!(shown(&mut stream).await, "1 6: a@4.0... a@5.0... a@6.0...");
}

#[tokio::test]
async fn dropping_a_stream_forgets_its_watches() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    let mut other = setup.hub.open_stream();
    stream.create(spec("a", "")).unwrap();
    stream.create(spec("a", "z")).unwrap();
    other.create(spec("a", "")).unwrap();
    assert_eq!(
        (
            setup.hub.counters().streams(),
            setup.hub.counters().watchers()
        ),
        (2, 3)
    );
    drop(stream);
    assert_eq!(
        (
            setup.hub.counters().streams(),
            setup.hub.counters().watchers()
        ),
        (1, 1)
    );
    assert_eq!(setup.hub.group_count(), 1);
    setup.put("a");
    assert_eq!(shown(&mut other).await, "0 2: a@2.0...");
    drop(other);
    assert_eq!(setup.hub.group_count(), 0);
}

#[tokio::test]
async fn a_hot_watch_does_not_starve_another_on_its_stream() {
    let setup = Setup::new();
    let mut stream = setup.hub.open_stream();
    stream.create(spec("hot", "")).unwrap();
    stream.create(spec("cold", "")).unwrap();
    setup.put("hot");
    setup.put("cold");
    let mut before_cold = 0;
    while !shown(&mut stream).await.starts_with("1 ") {
        setup.put("hot");
        before_cold += 1;
    }
    assert!(
        before_cold <= 2,
        "{before_cold} deliveries of the hot watch came first"
    );
}

#[tokio::test]
async fn the_answer_is_the_same_bytes_for_every_watcher_of_a_group() {
    let setup = Setup::new();
    let mut streams = [setup.hub.open_stream(), setup.hub.open_stream()];
    let mut pointers = Vec::new();
    for stream in &mut streams {
        stream.create(spec("a", "b")).unwrap();
    }
    setup.put("a");
    setup.put("a");
    for stream in &mut streams {
        let Some(crate::watch::Delivery::Events { events, .. }) = super::fake::next(stream).await
        else {
            panic!("two revisions are due");
        };
        pointers.push(events.as_ptr());
    }
    assert_eq!(pointers[0], pointers[1]);
}
