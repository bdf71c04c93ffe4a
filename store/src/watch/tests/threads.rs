//! Streams on several threads, woken by the hub alone.

use std::sync::Arc;
use std::time::Duration;

use super::fake::{Fake, Setup, decode, put, spec};
use crate::watch::{Delivery, History, Hub, HubOptions, WatchSpec};

const REVISIONS: i64 = 3000;
/// Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads until the last revision has come; returns how many did.
async fn follow(hub: Arc<Hub>, spec: WatchSpec) -> i64 {
    let mut stream = hub.open_stream();
    stream.create(spec).unwrap();
    let mut seen = 1;
    while seen < REVISIONS {
        let delivery = tokio::time::timeout(PATIENCE, stream.next()).await;
        let Ok(Delivery::Events { events, .. }) = delivery else {
            panic!("after {seen}: {delivery:?}")
        };
        for event in decode(&events) {
            assert_eq!(event.revision(), seen + 1);
            seen += 1;
        }
    }
    seen
}

/// `streams` decides whether the applier or the dispatcher tells them.
fn run(streams: usize, ring_bytes: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let setup = Setup::with(HubOptions {
            ring_bytes,
            ..HubOptions::default()
        });
        let followers: Vec<_> = (0..streams)
            .map(|number| {
                let end = ["", "b", "c"][number % 3];
                let spec = WatchSpec {
                    start_revision: 2,
                    prev_kv: number % 2 == 0,
                    ..spec("a", end)
                };
                tokio::spawn(follow(setup.hub.clone(), spec))
            })
            .collect();
        let (fake, hub) = (setup.fake.clone(), setup.hub.clone());
        let applier = std::thread::spawn(move || apply(&fake, &hub));
        for follower in followers {
            assert_eq!(follower.await.unwrap(), REVISIONS);
        }
        applier.join().unwrap();
    });
}

fn apply(fake: &Fake, hub: &Hub) {
    while fake.revision() < REVISIONS {
        hub.publish(vec![fake.apply(&[put("a")]).unwrap()]);
        if fake.revision() % 64 == 0 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn no_wake_up_of_a_few_streams_is_lost() {
    run(5, 32 << 20);
}

#[test]
fn no_wake_up_of_many_streams_is_lost() {
    run(100, 32 << 20);
}

#[test]
fn no_wake_up_is_lost_when_streams_fall_out_of_the_ring() {
    run(30, 1);
}
