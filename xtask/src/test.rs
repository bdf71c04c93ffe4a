//! `cargo xtask test`: every test, stock clients and the stock server among them.

use anyhow::Result;

use crate::command::Run;
use crate::{languages, setup, tidy, up, workspace};

/// What kubectl sees of a whole cluster.
const CLUSTERS: [&str; 3] = [
    "kubectl_sees_a_cluster_at_work",
    "kubectl_sees_the_same_on_a_stock_etcd",
    "a_cluster_goes_on_when_parts_of_it_fail",
];
/// What is told to kubectl on each store.
const STORIES: [(&str, &[&str]); 2] = [
    (
        "etcd",
        &[
            "kubectl_is_answered_as_a_kube_apiserver_answers",
            "published_manifests_are_taken_as_a_kube_apiserver_takes_them",
        ],
    ),
    (
        "mainstay",
        &[
            "kubectl_is_answered_as_a_kube_apiserver_answers",
            "what_kubectl_was_told_is_there_whichever_server_is_killed",
        ],
    ),
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    prepare()?;
    cargo_test(&["--workspace"], arguments)?;
    if arguments.is_empty() {
        clients()?;
        stories()?;
    }
    tidy::run()
}

pub(crate) fn interop(arguments: &[String]) -> Result<()> {
    prepare()?;
    cargo_test(&["--package", "interop"], arguments)?;
    match arguments {
        [] => clients(),
        _ => Ok(()),
    }
}

/// Clients in languages that this machine has. They are told apart by name, for other machines lack other ones.
fn clients() -> Result<()> {
    let tests = languages::tests()?;
    if tests.is_empty() {
        return Ok(());
    }
    let run = ["--test", "clients", "--", "--ignored", "--exact"].map(str::to_owned);
    cargo_test(&["--workspace"], &[&run[..], &tests].concat())
}

/// What kubectl sees of the apiserver, if this machine can build the kubectl that the answers were taken with.
fn stories() -> Result<()> {
    let ready = languages::kubectl().and_then(|kubectl| Ok((kubectl, languages::manifests()?)));
    let (kubectl, manifests) = match ready {
        Ok(ready) => ready,
        Err(why) => {
            println!("[xtask] not tried: kubectl: {why:#}");
            return Ok(());
        }
    };
    for (store, tests) in STORIES {
        Run::cargo()
            .args(["test", "--release", "--workspace", "--test", "kubectl"])
            .args(["--", "--ignored", "--exact"])
            .args(tests)
            .env("KUBECTL", &kubectl)
            .env("MANIFESTS", &manifests)
            .env("KUBECTL_STORIES_STORE", store)
            .env("MAINSTAY_BIN", workspace::program("mainstay")?)
            .run()?;
    }
    // Times are taken there, so one is told after another.
    Run::cargo()
        .args([
            "test",
            "--release",
            "--workspace",
            "--test",
            "control_plane",
        ])
        .args([
            "--",
            "--ignored",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .args(CLUSTERS)
        .env("KUBECTL", &kubectl)
        .env("MAINSTAY_BIN", workspace::program("mainstay")?)
        .run()
}

/// The tests start the binary as a process, so it is built first.
fn prepare() -> Result<()> {
    setup::toolset()?;
    setup::peers()?;
    up::build(&["mainstay"])
}

fn cargo_test(which: &[&str], arguments: &[String]) -> Result<()> {
    let run = Run::cargo()
        .args(["test", "--release", "--no-fail-fast"])
        .args(which)
        .args(arguments);
    run.env("MAINSTAY_BIN", workspace::program("mainstay")?)
        .env("MAINSTAY_PYTHON", setup::python()?)
        .run()
}
