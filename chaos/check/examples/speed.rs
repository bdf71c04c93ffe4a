//! Makes a history of N operations, judges it as a stream, and prints how fast that went.
//!
//! `cargo run --release -p check --example speed -- 1000000 [seed]`

use std::time::{Duration, Instant};

use check::simulate::{Plan, Simulation, TIMEOUT_NS};
use check::{Checker, Settings};

/// Records that are made before they are judged, so that only judging is timed.
const BATCH: usize = 100_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        arguments.next().map_or(default, |text| {
            text.parse().expect("a number of operations, then a seed")
        })
    };
    let operations = number(1_000_000);
    let seed = number(1);
    let mut simulation = Simulation::new(Plan {
        seed,
        operations,
        keys: 50,
        ..Plan::default()
    });
    let mut checker = Checker::new(Settings::streaming(TIMEOUT_NS));
    let mut judging = Duration::ZERO;
    loop {
        let batch: Vec<_> = simulation.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        let begun = Instant::now();
        for record in batch {
            checker.feed(record);
        }
        judging += begun.elapsed();
    }
    let begun = Instant::now();
    let report = checker.finish();
    judging += begun.elapsed();
    println!("{report}");
    let seconds = judging.as_secs_f64();
    let speed = f64::from(u32::try_from(operations).unwrap_or(u32::MAX)) / seconds;
    println!("{operations} operations judged in {seconds:.2} s: {speed:.0} a second");
}
