//! `mainstay ctl why-pending` over a control plane that runs: its words are the scheduler's, and its exit codes those of `ctl`.
use std::process::{Command, Output};

use client::{Key, Query};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use crate::running::Running;

const MESSAGE: &str = "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
const EXPECTED: &str = "
NODES  WHY NOT           WHICH
2      Insufficient cpu  node-1, node-2

RESOURCE  ASKED  MOST LEFT ON A NODE  LEFT ON ALL  LARGEST NODE  NODES SHORT
cpu       64     8 (node-2)           16           8             2

What would help:
  ask for less cpu, or add a larger node: it asks for 64, and the largest node has 8
";

fn pod(name: &str, spec: &Value) -> Pod {
    let meta = json!({"name": name, "namespace": "default"});
    serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
}

fn asking(cpu: &str) -> Value {
    json!({"containers": [{"name": "main", "image": "any", "resources": {"requests": {"cpu": cpu}}}]})
}

/// What the scheduler says of a pod in its condition.
async fn said(running: &Running, name: &str) -> Option<String> {
    let pod = running
        .client()
        .get::<Pod>(&Key::new("default", name))
        .await;
    let conditions = pod.ok()?.status?.conditions?.into_iter();
    let mut conditions = conditions.filter(|one| one.type_ == "PodScheduled");
    conditions.next()?.message
}

fn why(running: &Running, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command
        .env_remove("KUBECONFIG")
        .args(["ctl", "why-pending"]);
    command.arg("--kubeconfig").arg(running.kubeconfig());
    command.args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_answer_is_the_schedulers_own_with_what_would_help() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(folder.path(), &["--nodes", "2"]);
    running
        .until("nodes", async |running| {
            let (client, all) = (running.client(), Query::default());
            client
                .list::<Node>(&all)
                .await
                .is_ok_and(|nodes| nodes.items.len() == 2)
        })
        .await;
    let client = running.client();
    running
        .until("a pod", async |_| {
            let made = client.create(&pod("large", &asking("64"))).await;
            // A create whose answer was lost may have made it.
            made.is_ok() || made.is_err_and(|error| error.is_already_exists())
        })
        .await;
    running
        .until("its condition", async |running| {
            said(running, "large").await.as_deref() == Some(MESSAGE)
        })
        .await;
    let answer = why(&running, &["large"]);
    assert_eq!(text(&answer.stderr), "");
    let expected = format!("default/large is not scheduled: {MESSAGE}\n{EXPECTED}");
    assert_eq!(text(&answer.stdout), expected);
    assert!(answer.status.success());

    let answer = why(&running, &["default/large", "-o", "json"]);
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["state"], "unschedulable");
    assert_eq!(answer["message"], MESSAGE);
    assert_eq!(answer["rejected"][0]["nodes"], json!(["node-1", "node-2"]));

    let answer = why(&running, &["large", "-n", "kube-system"]);
    assert_eq!(answer.status.code(), Some(1));
    assert_eq!(
        text(&answer.stderr),
        "Error: there is no pod large in namespace kube-system; one of that name is in default\n"
    );
    let answer = why(&running, &["default/large", "-n", "kube-system"]);
    assert_eq!(answer.status.code(), Some(128));

    client.create(&pod("small", &asking("1"))).await.unwrap();
    running
        .until("a pod that runs", async |running| {
            let pod = running
                .client()
                .get::<Pod>(&Key::new("default", "small"))
                .await;
            pod.is_ok_and(|pod| pod.status.unwrap_or_default().phase.as_deref() == Some("Running"))
        })
        .await;
    let answer = text(&why(&running, &["small"]).stdout);
    assert!(
        answer.starts_with("default/small runs on node node-"),
        "{answer}"
    );
}

#[tokio::test]
async fn without_an_apiserver_the_exit_code_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), &["--nodes", "0", "--for", "0"]);
    let kubeconfig = running.kubeconfig();
    running.ended();
    let answer = Command::new(env!("CARGO_BIN_EXE_mainstay"))
        .args([
            "ctl",
            "--command-timeout",
            "1s",
            "why-pending",
            "web",
            "--kubeconfig",
        ])
        .arg(kubeconfig)
        .output()
        .unwrap();
    assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    assert!(text(&answer.stderr).starts_with("Error: "), "{answer:?}");
}
