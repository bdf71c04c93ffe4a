//! Appends to the raft log until they are on disk: one fdatasync for each batch.

use std::sync::mpsc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wal::{Entry, Options, Wal};

/// A put of 256 bytes with its key and framing.
const PAYLOAD_BYTES: usize = 300;
/// Entries between purges, so that segments are recycled as in a running replica.
const PURGE_EVERY: u64 = 100_000;

fn append(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let (log, _recovered) = Wal::open(directory.path(), Options::default()).expect("a new log");
    let payload = Bytes::from(vec![7_u8; PAYLOAD_BYTES]);
    let (sender, receiver) = mpsc::channel();
    let mut next_index = 1;
    let mut purged = 0;
    let mut group = criterion.benchmark_group("wal append");
    for batch in [1_u64, 16, 256] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            bencher.iter(|| {
                let indexes = next_index..next_index + batch;
                next_index = indexes.end;
                let entry = |index| Entry {
                    index,
                    term: 1,
                    payload: payload.clone(),
                };
                let sender = sender.clone();
                log.append(indexes.map(entry).collect(), move |result| {
                    sender.send(result).expect("the bench waits for it");
                });
                receiver
                    .recv()
                    .expect("the log answers")
                    .expect("the disk takes it");
            });
            if next_index - purged > PURGE_EVERY {
                purged = next_index - 1;
                log.purge(purged, Bytes::new(), |result| {
                    result.expect("the disk takes it")
                });
            }
        });
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
