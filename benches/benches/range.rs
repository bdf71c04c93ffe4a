//! Reads ranges and encodes the answers as they go on the wire.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;
use proto::encoded::KeyValue;
use proto::server::etcdserverpb::{RangeResponse, ResponseHeader};
use state_machine::{Command, KeyRange, Options, Put, Range, Run, StateMachine};

const VALUE_BYTES: usize = 256;
const KEYS: u64 = 10_000;

fn key(number: u64) -> Bytes {
    format!("bench/{number:010}").into()
}

fn filled(directory: &std::path::Path) -> StateMachine {
    let machine = StateMachine::open(directory, &Options::default()).expect("a new machine");
    let value = Bytes::from(vec![7_u8; VALUE_BYTES]);
    let put = |number| {
        Command::Put(Put {
            key: key(number),
            value: value.clone(),
            ..Put::default()
        })
    };
    let run = Run {
        commands: (0..KEYS).map(put).collect(),
        mark: Bytes::from_static(b"mark"),
    };
    machine.apply(run).expect("puts apply");
    machine.flush().expect("the disk takes it");
    machine
}

/// The whole answer to a range request, but for the cluster's identity in the header.
fn answer(machine: &StateMachine, keys: KeyRange) -> Vec<u8> {
    let range = Range {
        keys,
        ..Range::default()
    };
    let (revision, found) = machine.range(&range).expect("a plain range is answered");
    let response = RangeResponse {
        header: Some(ResponseHeader {
            revision,
            ..ResponseHeader::default()
        }),
        kvs: found
            .kvs
            .into_iter()
            .map(|stored| KeyValue(stored.0))
            .collect(),
        more: found.more,
        count: found.count,
    };
    response.encode_to_vec()
}

fn range(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let machine = filled(directory.path());
    let mut group = criterion.benchmark_group("range and encode");
    for width in [1_u64, 1_000] {
        group.throughput(Throughput::Elements(width));
        let mut first = 0;
        group.bench_function(BenchmarkId::from_parameter(width), |bencher| {
            bencher.iter(|| {
                first = (first + 7_919) % (KEYS - width + 1);
                let end = if width == 1 {
                    Bytes::new()
                } else {
                    key(first + width)
                };
                let bytes = answer(
                    &machine,
                    KeyRange {
                        start: key(first),
                        end,
                    },
                );
                assert!(bytes.len() > VALUE_BYTES, "the keys are there");
                bytes
            });
        });
    }
    group.finish();
}

criterion_group!(benches, range);
criterion_main!(benches);
