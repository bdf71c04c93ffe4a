//! `cargo xtask test`: every test, stock clients and the stock server among them.

use anyhow::{Result, ensure};

use crate::command::Run;
use crate::{languages, rustc, setup, tidy, up, workspace};

/// What kubectl sees of a whole cluster.
const CLUSTERS: [&str; 3] = [
    "control_plane::kubectl_sees_a_cluster_at_work",
    "control_plane::kubectl_sees_the_same_on_a_stock_etcd",
    "control_plane::a_cluster_goes_on_when_parts_of_it_fail",
];
/// What is told to kubectl on each store.
const STORIES: [(&str, &[&str]); 2] = [
    (
        "etcd",
        &[
            "kubectl::kubectl_is_answered_as_a_kube_apiserver_answers",
            "kubectl::published_manifests_are_taken_as_a_kube_apiserver_takes_them",
        ],
    ),
    (
        "mainstay",
        &[
            "kubectl::kubectl_is_answered_as_a_kube_apiserver_answers",
            "kubectl::what_kubectl_was_told_is_there_whichever_server_is_killed",
        ],
    ),
];

/// What proptest draws its cases from: the same ones each time, so that a failure is of what was changed. Who sets another
/// number sees others.
const RANDOM_CASES: &str = "PROPTEST_RNG_SEED";
/// The manifest of a script that a test builds by itself.
const CLIENT_OF_RUST: &str = "interop/etcd-client/Cargo.toml";
/// Tests of a program that run at once, for each processor: most wait for servers and for elections, not for a processor.
const TESTS_PER_PROCESSOR: usize = 2;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    prepare()?;
    cargo_test(&["--workspace"])?.args(arguments).run()?;
    if arguments.is_empty() {
        clients()?;
        stories()?;
    }
    tidy::run()
}

pub(crate) fn interop(arguments: &[String]) -> Result<()> {
    prepare()?;
    cargo_test(&["--package", "interop"])?
        .args(arguments)
        .run()?;
    match arguments {
        [] => clients(),
        _ => Ok(()),
    }
}

/// Clients in languages that this machine has. They are told apart by name, for other machines lack other ones.
fn clients() -> Result<()> {
    let tests = languages::tests()?;
    match &tests[..] {
        [] => Ok(()),
        tests => named(tests)?.run(),
    }
}

/// What kubectl sees of the apiserver, if this machine has what the kubectl that the answers were taken with is built from.
fn stories() -> Result<()> {
    let manifests = match languages::fetch_stories() {
        Ok(manifests) => manifests,
        Err(why) => {
            println!("[xtask] not tried: kubectl: {why:#}");
            return Ok(());
        }
    };
    let kubectl = languages::kubectl()?;
    for (store, tests) in STORIES {
        named(tests)?
            .env("KUBECTL", &kubectl)
            .env("MANIFESTS", &manifests)
            .env("KUBECTL_STORIES_STORE", store)
            .run()?;
    }
    // Times are taken there, so one is told after another.
    named(&CLUSTERS)?
        .args(["--nocapture", "--test-threads=1"])
        .env("KUBECTL", &kubectl)
        .run()
}

/// Tests that run only when they are named, for they need what not every machine has. A name that no test has is an error: it
/// would pass without a test.
fn named(tests: &[impl AsRef<str>]) -> Result<Run> {
    let all = || cargo_test(&["--workspace", "--test", "all"]);
    let there = all()?.args(["--", "--ignored", "--list"]).output()?;
    for test in tests {
        let line = format!("{}: test", test.as_ref());
        ensure!(there.lines().any(|there| there == line), "no {line}");
    }
    Ok(all()?.args(["--", "--ignored", "--exact"]).args(tests))
}

/// The tests start the binary as a process, so it is built first.
fn prepare() -> Result<()> {
    setup::toolset()?;
    setup::peers()?;
    if let Err(why) = languages::fetch_crates(&workspace::root().join(CLIENT_OF_RUST)) {
        println!("[xtask] its test will say so again: the script over etcd-client: {why:#}");
    }
    up::build(&["mainstay"])
}

fn cargo_test(which: &[&str]) -> Result<Run> {
    let processors = std::thread::available_parallelism()?.get();
    let threads = processors * TESTS_PER_PROCESSOR;
    let random_cases = std::env::var(RANDOM_CASES).unwrap_or_else(|_| "1".to_owned());
    Ok(Run::cargo()
        .args(["test", "--release", "--no-fail-fast"])
        .args(which)
        .env(rustc::WRAPPER, rustc::wrapper()?)
        .env("RUST_TEST_THREADS", threads.to_string())
        .env(RANDOM_CASES, random_cases)
        .env("MAINSTAY_BIN", workspace::program("mainstay")?)
        .env("MAINSTAY_PYTHON", setup::python()?))
}
