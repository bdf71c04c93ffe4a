//! `cargo xtask ci`: all that must pass before a change lands. The tests come first: they find the most.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::Run;
use crate::{bench, chaos, selftest, test, up, workspace};

type Step = (&'static str, fn() -> Result<()>);

/// Warnings are errors here and only here, so that work in progress still runs.
const LINTS: [&str; 7] = [
    "clippy",
    "--release",
    "--workspace",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];

/// One second each of a write and a read against our own cluster.
const SMOKE: [&str; 7] = [
    "--quick",
    "--only",
    "ours",
    "--rows",
    "put-100,range-linearizable",
    "--seconds",
    "1",
];

pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    let steps: [Step; 6] = [
        ("tests and tidy", || test::run(&[])),
        ("format", || {
            Run::cargo().args(["fmt", "--all", "--", "--check"]).run()
        }),
        ("lints", || Run::cargo().args(LINTS).run()),
        ("chaos", || chaos::run(&[])),
        ("bench", bench_smoke),
        ("selftest of chaos' judge", selftest::of_the_judge),
    ];
    let count = steps.len();
    let mut times = Vec::new();
    for (number, (name, step)) in steps.into_iter().enumerate() {
        println!("[ci {}/{count}] {name}", number + 1);
        let began = Instant::now();
        let passed = step().with_context(|| format!("{name} did not pass"));
        times.push(format!("{name} {} s", began.elapsed().as_secs()));
        passed.with_context(|| times.join(", "))?;
    }
    println!("[ci] {}", times.join(", "));
    println!("[ci] all passed in {} s", started.elapsed().as_secs());
    Ok(())
}

/// A few seconds of load, to see that the generator and the server still work together. Its figures mean nothing.
fn bench_smoke() -> Result<()> {
    if !workspace::has_member("benches")? {
        println!("[ci] there are no benches");
        return Ok(());
    }
    up::build(&bench::PROGRAMS)?;
    let side_by_side = || bench::comparison("side-by-side")?.args(SMOKE).run();
    side_by_side().or_else(|error| {
        println!(
            "[ci] once more, for a busy machine may lose its leader, and a write with it: {error:#}"
        );
        side_by_side()
    })?;
    bench::comparison("apiservers")?.args(["--smoke"]).run()?;
    bench::comparison("control-plane")?.args(["--smoke"]).run()
}
