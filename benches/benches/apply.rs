//! Applies runs of puts to the state machine: what a replica does with committed entries.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use state_machine::{Command, Options, Put, Run, StateMachine};

const VALUE_BYTES: usize = 256;
const KEYS: u64 = 100_000;
/// Odd, so that the keys come round in a scattered order.
const STRIDE: u64 = 7_919;

fn apply(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary folder");
    let machine = StateMachine::open(directory.path(), &Options::default()).expect("a new machine");
    let value = Bytes::from(vec![7_u8; VALUE_BYTES]);
    let mut index = 0_u64;
    let mut group = criterion.benchmark_group("apply puts");
    for run in [1_u64, 32, 512] {
        group.throughput(Throughput::Elements(run));
        group.bench_function(BenchmarkId::from_parameter(run), |bencher| {
            bencher.iter(|| {
                let numbers = index..index + run;
                index = numbers.end;
                let put = |number: u64| {
                    let key = format!("bench/{:010}", number.wrapping_mul(STRIDE) % KEYS);
                    let value = value.clone();
                    Command::Put(Put {
                        key: key.into(),
                        value,
                        ..Put::default()
                    })
                };
                let commands = numbers.map(put).collect();
                let mark = Bytes::copy_from_slice(&index.to_be_bytes());
                machine.apply(Run { commands, mark }).expect("puts apply")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
