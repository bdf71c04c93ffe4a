//! Client libraries of others, unchanged, do what programs do with them, while connections are cut and servers killed.
mod relay;
mod script;
mod servers;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use client::{Client, Config, Key, Patch, Resource};
use k8s_openapi::api::core::v1::ConfigMap;
use script::Script;
use serde_json::json;
use servers::{Process, Servers};

/// Names a kubeconfig; the scripts are then run there, and nothing is broken on purpose.
const KUBECONFIG: &str = "CLIENTS_KUBECONFIG";

/// What tells envtest how long the servers that it starts have, and how long that is.
const START_MAX: (&str, &str) = ("KUBEBUILDER_CONTROLPLANE_START_TIMEOUT", "120s");

/// Time until something that is waited for is so.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at it.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

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
        .env("TEST_ASSET_ETCD", servers::etcd_program())
        .env(START_MAX.0, START_MAX.1);
    script.run(&folder.path().join("none"));
}

#[test]
#[ignore = "wants Python; cargo xtask test makes it ready"]
fn the_example_of_grpc_in_python_works() {
    let servers = Servers::start();
    let mut script = Script::of("grpc-python");
    script.command.arg("pods").args(servers.introduction());
    script.run_to("EVENT_TYPE_DELETED at");
}

/// What says a greeting to somebody.
async fn is_said(client: &Client, to: &str) {
    let key = Key::new("default", "world");
    let text = format!("Hello, {to}!");
    let looking = async {
        loop {
            let map = client.get::<ConfigMap>(&key).await;
            if map.is_ok_and(|map| map.data.is_some_and(|data| data["text"] == text)) {
                return;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, looking).await;
    waited.unwrap_or_else(|_elapsed| panic!("{text} is not said in {PATIENCE:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "wants Python; cargo xtask test makes it ready"]
async fn the_example_of_a_controller_in_python_works() {
    let mut servers = Servers::start();
    let definition = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../client/examples/greetings.json"
    );
    let running = Command::new(script::program("grpc-python"))
        .arg("greetings")
        .args(servers.introduction())
        .arg(definition)
        .spawn()
        .unwrap();
    let _running = Process(running);
    let client = Client::new(Config::from_kubeconfig(&servers.kubeconfig).unwrap()).unwrap();
    let greetings = client.dynamic(Resource {
        group: "example.com".to_owned(),
        version: "v1".to_owned(),
        plural: "greetings".to_owned(),
        namespaced: true,
    });
    let key = Key::new("default", "world");
    let greeting = json!({"metadata": {"name": "world"}, "spec": {"to": "world"}});
    let making = async {
        while greetings.create(&key, &greeting).await.is_err() {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, making).await.unwrap();
    is_said(&client, "world").await;
    servers.kill();
    let patch = Patch::Merge(json!({"spec": {"to": "all"}}));
    let changing = async {
        while greetings.patch(&key, &patch).await.is_err() {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, changing).await.unwrap();
    is_said(&client, "all").await;
}
