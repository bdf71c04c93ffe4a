//! What makes a control plane of stores and apiservers: controllers, schedulers and simulated nodes, three of each.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use client::{Client, Config};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;
use tokio::process::Command;

use super::apiservers::{Apiservers, write_kubeconfig};
use super::plan::{END_WITH_PARENT, Plan};
use super::replica::Supervised;

/// As many of each as there are stores, so that a third can go.
const COUNT: usize = 3;
/// Nodes of one of the three processes that simulate some.
const NODES_EACH: usize = 2;
/// Addresses of pods, as the controllers give them out.
const POD_RANGE: &str = "10.244.0.0/16";
/// Pause between two tries to make what a cluster begins with.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A part of the control plane that is a process of its own.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) log: PathBuf,
    words: Vec<String>,
}

impl Supervised for Part {
    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self) -> &Path {
        &self.log
    }
}

/// All parts, and their kubeconfigs written. They call the apiservers themselves, and go on to another when one is gone.
pub(super) fn make(plan: &Plan, apiservers: &Apiservers) -> Result<Vec<Part>> {
    let ports = apiservers.members.iter().map(|member| member.port);
    let servers: Vec<String> = ports
        .map(|port| format!("https://127.0.0.1:{port}"))
        .collect();
    // A node's number is at the end of its name, from 1 on.
    let agents = (1..=COUNT * NODES_EACH).map(node::agent_address);
    let agent_port = plan.agent_port(&agents.collect::<Vec<_>>())?;
    let mut parts = Vec::new();
    for kind in ["controllers", "scheduler", "node"] {
        let user = if kind == "node" { "nodes" } else { kind };
        let kubeconfig = plan.data_dir.join(format!("{user}.kubeconfig"));
        for number in 0..COUNT {
            let name = format!("{kind}{}", number + 1);
            let mut words = vec![
                kind.to_owned(),
                format!("--kubeconfig={}", kubeconfig.display()),
            ];
            words.extend(flags(kind, number, apiservers, agent_port));
            parts.push(Part {
                log: plan.data_dir.join(format!("{name}.log")),
                name,
                words,
            });
        }
        write_kubeconfig(&kubeconfig, &apiservers.pki, user, &servers.join(","))?;
    }
    Ok(parts)
}

fn flags(kind: &str, number: usize, apiservers: &Apiservers, agent_port: u16) -> Vec<String> {
    let file = |name: &str| apiservers.pki.file(name).display().to_string();
    match kind {
        "controllers" => vec![
            "--secure-port=0".to_owned(),
            "--allocate-node-cidrs=true".to_owned(),
            format!("--cluster-cidr={POD_RANGE}"),
            format!("--root-ca-file={}", file("ca.crt")),
            format!("--cluster-signing-cert-file={}", file("ca.crt")),
            format!("--cluster-signing-key-file={}", file("ca.key")),
            format!(
                "--service-account-private-key-file={}",
                file("service-accounts.key")
            ),
        ],
        "node" => vec![
            format!("--nodes={NODES_EACH}"),
            format!("--first={}", number * NODES_EACH + 1),
            format!("--by=mainstay-{}", number + 1),
            format!("--agent-port={agent_port}"),
        ],
        // Three on one host would want the same port.
        _ => vec!["--secure-port=0".to_owned()],
    }
}

impl Part {
    /// How to start it.
    pub(super) fn command(&self) -> Result<Command> {
        let own = std::env::current_exe().context("cannot find our own program")?;
        let mut command = Command::new(own);
        command
            .args(&self.words)
            .env(END_WITH_PARENT, "1")
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }
}

/// Makes what a cluster on one machine begins with beside what apiservers make: a class of volumes that are folders of nodes.
pub(super) async fn make_storage_class(kubeconfig: PathBuf) -> Result<()> {
    let client = Client::new(Config::from_kubeconfig(kubeconfig)?)?;
    let class: StorageClass = serde_json::from_value(json!({
        "metadata": {
            "name": "local-path",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": controllers::LOCAL_PATH,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }))?;
    loop {
        match client.create(&class).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_already_exists() => return Ok(()),
            Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
}
