//! What makes a control plane of stores and apiservers: controllers, schedulers and simulated nodes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use client::{Client, Config};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;

use super::apiservers::{Apiservers, write_kubeconfig};
use super::plan::{ONE, Plan};
use super::program::{Program, Role};

/// Addresses of pods, as the controllers give them out.
const POD_RANGE: &str = "10.244.0.0/16";
/// Pause between two tries to make what a cluster begins with.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// All parts, as many of each as there are stores, and their kubeconfigs written. They call the apiservers themselves, and go on to another
/// when one is gone.
pub(super) fn make(plan: &Plan, apiservers: &Apiservers, nodes: usize) -> Result<Vec<Program>> {
    let ports = apiservers.members.iter().map(|member| member.port);
    let servers: Vec<String> = ports
        .map(|port| format!("https://127.0.0.1:{port}"))
        .collect();
    // A node's number is at the end of its name, from 1 on.
    let agents = (1..=nodes).map(node::agent_address);
    let agent_port = plan.agent_port(&agents.collect::<Vec<_>>())?;
    let count = plan.members.len();
    let mut parts = Vec::new();
    for role in [Role::Controllers, Role::Scheduler, Role::Node] {
        let kind = role.command();
        let user = if role == Role::Node { "nodes" } else { kind };
        let kubeconfig = plan.data_dir.join(format!("{user}.kubeconfig"));
        for number in 0..count {
            let mut flags = vec![format!("--kubeconfig={}", kubeconfig.display())];
            match role {
                Role::Node => {
                    let share = share(nodes, count, number);
                    if share.is_empty() {
                        continue;
                    }
                    flags.extend(node_flags(number, share, agent_port));
                }
                Role::Controllers => flags.extend(controller_flags(apiservers)),
                // Three on one host would want the same port.
                _ => flags.push("--secure-port=0".to_owned()),
            }
            // Who is alone needs no lease, nor waits for one.
            if role != Role::Node && count == ONE {
                flags.push("--leader-elect=false".to_owned());
            }
            let name = format!("{kind}{}", number + 1);
            parts.push(Program {
                log: plan.log(&name),
                name,
                role,
                flags,
            });
        }
        write_kubeconfig(&kubeconfig, &apiservers.pki, user, &servers.join(","))?;
    }
    Ok(parts)
}

/// The nodes of one of `count` processes, by their numbers: the first ones have one more when they cannot be shared out evenly.
fn share(nodes: usize, count: usize, number: usize) -> std::ops::Range<usize> {
    let first = |number: usize| 1 + number * (nodes / count) + number.min(nodes % count);
    first(number)..first(number + 1)
}

fn controller_flags(apiservers: &Apiservers) -> [String; 7] {
    let file = |name: &str| apiservers.pki.file(name).display().to_string();
    [
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
    ]
}

fn node_flags(number: usize, share: std::ops::Range<usize>, agent_port: u16) -> [String; 4] {
    [
        format!("--nodes={}", share.len()),
        format!("--first={}", share.start),
        format!("--by=mainstay-{}", number + 1),
        format!("--agent-port={agent_port}"),
    ]
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

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn every_node_has_one_process() {
        for nodes in 0..9 {
            let shares = (0..3).map(|number| share(nodes, 3, number));
            let all: Vec<usize> = shares.clone().flatten().collect();
            assert_eq!(all, (1..=nodes).collect::<Vec<_>>());
            let sizes = shares.map(|share| share.len());
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
        assert_eq!(share(6, 1, 0), 1..7);
    }
}
