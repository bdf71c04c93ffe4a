//! Publishes revisions to the watch hub until every watcher of a stream has them.

use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use state_machine::{
    EncodedKeyValue, Event, EventKind, KeyRange, KeyValue, Rejection, Revision, RevisionEvents,
    encode_key_value,
};
use store::watch::{Delivery, History, Hub, HubOptions, WatchSpec};

const VALUE_BYTES: usize = 256;
const KEY: &[u8] = b"bench/0000000001";
/// Revisions published before the watchers are waited for, as an applier does with a run.
const REVISIONS: i64 = 16;

/// A store that begins empty; the bench's watchers never fall behind the ring.
struct Nothing;

impl History for Nothing {
    fn history(
        &self,
        _from: i64,
        _max_revisions: usize,
        _max_bytes: usize,
    ) -> Result<Vec<RevisionEvents>, Rejection> {
        panic!("a watcher fell behind")
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

fn put(revision: i64) -> RevisionEvents {
    let kv = encode_key_value(&KeyValue {
        key: Bytes::from_static(KEY),
        create_revision: 2,
        mod_revision: revision,
        version: revision - 1,
        value: Bytes::from(vec![7_u8; VALUE_BYTES]),
        lease: 0,
    });
    let event = Event {
        kind: EventKind::Put,
        key: Bytes::from_static(KEY),
        kv,
        created: revision == 2,
        prev: None,
    };
    RevisionEvents {
        revision,
        events: Arc::new([event]),
    }
}

fn dispatch(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut group = criterion.benchmark_group("watch dispatch");
    for watchers in [1_i64, 100, 10_000] {
        let hub = Hub::new(HubOptions::default(), Arc::new(Nothing));
        let dispatcher = Arc::clone(&hub);
        runtime.spawn(async move { dispatcher.dispatch().await });
        let mut stream = hub.open_stream();
        for _ in 0..watchers {
            let keys = KeyRange {
                start: Bytes::from_static(KEY),
                end: Bytes::new(),
            };
            stream
                .create(WatchSpec {
                    keys,
                    ..WatchSpec::default()
                })
                .expect("a plain watch");
        }
        let mut revision = 1;
        group.throughput(Throughput::Elements((watchers * REVISIONS).cast_unsigned()));
        group.bench_function(BenchmarkId::from_parameter(watchers), |bencher| {
            bencher.iter(|| {
                let first = revision + 1;
                revision += REVISIONS;
                hub.publish((first..=revision).map(put).collect());
                runtime.block_on(async {
                    let mut behind = watchers;
                    while behind > 0 {
                        match stream.next().await {
                            Delivery::Events { revision: seen, .. } if seen == revision => {
                                behind -= 1
                            }
                            Delivery::Events { .. } | Delivery::Progress { .. } => {}
                            Delivery::Compacted { .. } => panic!("nothing is compacted"),
                        }
                    }
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
