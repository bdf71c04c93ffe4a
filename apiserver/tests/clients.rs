//! Client libraries of others, unchanged, do what programs do with them, while connections are cut and servers killed.
#![allow(
    clippy::unwrap_used,
    reason = "a test says what broke by breaking there"
)]

#[path = "clients/relay.rs"]
mod relay;
#[path = "clients/script.rs"]
mod script;
#[path = "clients/servers.rs"]
mod servers;

use std::path::PathBuf;

use script::Script;
use servers::Servers;

/// Names a kubeconfig; the scripts are then run there, and nothing is broken on purpose.
const KUBECONFIG: &str = "CLIENTS_KUBECONFIG";

/// Runs a script over two servers and one store.
fn runs(library: &str) {
    if let Ok(kubeconfig) = std::env::var(KUBECONFIG) {
        let kubeconfig = PathBuf::from(kubeconfig);
        Script::of(library).run(&kubeconfig);
        return;
    }
    let mut servers = Servers::start();
    let kubeconfig = servers.kubeconfig.clone();
    Script::of(library).run_with_faults(&kubeconfig, |fault| match fault {
        "cut" => servers.cut(),
        "kill" => servers.kill(),
        other => panic!("there is no fault {other}"),
    });
}

#[test]
#[ignore = "wants Python; cargo xtask test makes it ready"]
fn the_python_client_works() {
    runs("kubernetes-python");
}

#[test]
#[ignore = "wants Go; cargo xtask test makes it ready where that is there"]
fn client_go_and_controller_runtime_work() {
    runs("kubernetes-go");
}

#[test]
#[ignore = "is built by itself; cargo xtask test does that"]
fn kube_works() {
    runs("kubernetes-rust");
}

#[test]
#[ignore = "wants Go; cargo xtask test makes it ready where that is there"]
fn envtest_starts_this_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut script = Script::of("kubernetes-go");
    script
        .command
        .arg("envtest")
        .env("TEST_ASSET_KUBE_APISERVER", servers::program(folder.path()))
        .env("TEST_ASSET_ETCD", servers::etcd_program());
    script.run(&folder.path().join("none"));
}

#[test]
#[ignore = "wants Python; cargo xtask test makes it ready"]
fn the_example_of_grpc_in_python_works() {
    let servers = Servers::start();
    let mut script = Script::of("grpc-python");
    script.command.args(servers.introduction());
    script.run_to("EVENT_TYPE_DELETED at");
}
