//! A simulated node as an object: what it has, where it is, and that it is well.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use crate::behaviour::{BY, FAIL};
use crate::options::Options;
use crate::stages::text;

/// Time between two reports of a node that is well, as a kubelet has it.
const REPORT_EACH: SignedDuration = SignedDuration::from_mins(5);
/// Leaves it to controllers to attach volumes.
const MANAGED_ATTACH: &str = "volumes.kubernetes.io/controller-managed-attach-detach";
/// What a node runs, to whoever asks: the release of Kubernetes whose API the apiserver serves.
const VERSION: &str = "v1.36.3";
/// The first address of agents, all of which are of this machine alone.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);
/// What is well on a node that is.
const PRESSURES: [(&str, &str, &str); 3] = [
    (
        "MemoryPressure",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    (
        "DiskPressure",
        "KubeletHasNoDiskPressure",
        "kubelet has no disk pressure",
    ),
    (
        "PIDPressure",
        "KubeletHasSufficientPID",
        "kubelet has sufficient PID available",
    ),
];

/// The name of a node by its number, from 0 on.
pub(crate) fn name(options: &Options, number: usize) -> String {
    format!("{}{number}", options.name_prefix)
}

/// The address of a node's agent by its number.
#[must_use]
pub fn address(number: usize) -> Ipv4Addr {
    let offset = u32::try_from(number).unwrap_or(u32::MAX);
    Ipv4Addr::from(u32::from(FIRST_ADDRESS).saturating_add(offset))
}

/// The number behind a node's address, if it has one of ours.
pub(crate) fn number(node: &Node) -> Option<usize> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let internal = addresses
        .iter()
        .find(|address| address.type_ == "InternalIP")?;
    let address: Ipv4Addr = internal.address.parse().ok()?;
    let offset = u32::from(address).checked_sub(u32::from(FIRST_ADDRESS))?;
    usize::try_from(offset).ok()
}

/// Whether somebody wants it to have failed.
pub(crate) fn has_failed(node: &Node) -> bool {
    let annotations = node.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.get(FAIL).is_some_and(|value| value == "true"))
}

/// A node that is not there yet.
pub(crate) fn object(options: &Options, number: usize, now: Timestamp) -> Node {
    let name = name(options, number);
    let mut labels = json!({
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        BY: options.by,
    });
    if options.zones > 0 {
        labels["topology.kubernetes.io/zone"] = json!(format!("zone-{}", number % options.zones));
        labels["topology.kubernetes.io/region"] = json!("simulation");
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {MANAGED_ATTACH: "true"}},
        "status": status(options, number, None, now),
    });
    serde_json::from_value(object).expect("it has a node's fields")
}

/// When a node reports next: at once if others think that it is not well, or that its agent is at another port.
pub(crate) fn report_at(node: &Node, agent_port: u16) -> Timestamp {
    let conditions = node.status.iter().flat_map(|status| &status.conditions);
    let ready = conditions
        .flatten()
        .find(|condition| condition.type_ == "Ready");
    let heard = ready
        .filter(|ready| ready.status == "True")
        .and_then(|ready| ready.last_heartbeat_time.as_ref());
    let told_port = node
        .status
        .as_ref()
        .and_then(|status| status.daemon_endpoints.as_ref())
        .and_then(|endpoints| endpoints.kubelet_endpoint.as_ref())
        .map(|endpoint| endpoint.port);
    let is_there = told_port == Some(i32::from(agent_port)) && number(node).is_some();
    match heard.filter(|_| is_there) {
        Some(heard) => heard.0.checked_add(REPORT_EACH).unwrap_or(Timestamp::MAX),
        None => Timestamp::MIN,
    }
}

/// The patch of a node's report. What it has is told only where nobody has said it.
pub(crate) fn report(options: &Options, node: &Node, number: usize, now: Timestamp) -> Value {
    let mut status = status(options, number, Some(node), now);
    let known = node
        .status
        .as_ref()
        .is_some_and(|status| status.capacity.is_some());
    if known && let Some(fields) = status.as_object_mut() {
        fields.remove("capacity");
        fields.remove("allocatable");
    }
    json!({"metadata": {"uid": node.metadata.uid}, "status": status})
}

fn status(options: &Options, number: usize, old: Option<&Node>, now: Timestamp) -> Value {
    let has = json!({
        "cpu": options.cpu,
        "memory": options.memory,
        "pods": options.pods.to_string(),
        "ephemeral-storage": "100Gi",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    });
    let name = old
        .and_then(|old| old.metadata.name.clone())
        .unwrap_or_else(|| name(options, number));
    let mut conditions: Vec<Value> = PRESSURES
        .iter()
        .map(|(kind, reason, message)| condition(old, (kind, "False"), (reason, message), now))
        .collect();
    conditions.push(condition(
        old,
        ("Ready", "True"),
        ("KubeletReady", "kubelet is posting ready status"),
        now,
    ));
    json!({
        "capacity": has,
        "allocatable": has,
        "conditions": conditions,
        "addresses": [
            {"type": "InternalIP", "address": address(number).to_string()},
            {"type": "Hostname", "address": name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": options.agent_port}},
        "nodeInfo": {
            "architecture": "amd64",
            "operatingSystem": "linux",
            "kubeletVersion": VERSION,
            "kubeProxyVersion": VERSION,
            "containerRuntimeVersion": "simulated://1",
            "kernelVersion": "simulated",
            "osImage": "Simulated",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        },
    })
}

/// A condition, with the time of its last change.
fn condition(
    old: Option<&Node>,
    (kind, status): (&str, &str),
    (reason, message): (&str, &str),
    now: Timestamp,
) -> Value {
    let conditions = old
        .and_then(|old| old.status.as_ref())
        .and_then(|status| status.conditions.as_ref());
    let before = conditions.and_then(|all| {
        all.iter()
            .find(|condition| condition.type_ == kind && condition.status == status)
    });
    let since = before
        .and_then(|before| before.last_transition_time.as_ref())
        .map_or(now, |time| time.0);
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": text(now),
        "lastTransitionTime": text(since),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        let words = ["--kubeconfig", "k", "--zones", "3"].map(str::to_owned);
        Options::parse_words(words.to_vec()).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_node_says_what_it_has_and_where_it_is() {
        let node = object(&options(), 300, at(0));
        assert_eq!(node.metadata.name.as_deref(), Some("node-300"));
        let labels = node.metadata.labels.as_ref().unwrap();
        assert_eq!(labels["topology.kubernetes.io/zone"], "zone-0");
        for name in ["os", "arch"] {
            let stable = &labels[&format!("kubernetes.io/{name}")];
            assert_eq!(&labels[&format!("beta.kubernetes.io/{name}")], stable);
        }
        assert_eq!(number(&node), Some(300));
        assert_eq!(
            node.metadata.annotations.as_ref().unwrap()[MANAGED_ATTACH],
            "true"
        );
        assert_eq!(address(300).to_string(), "127.64.1.45");
        let status = node.status.unwrap();
        assert_eq!(status.capacity.unwrap()["pods"].0, "110");
    }

    #[test]
    fn a_node_reports_in_time_and_at_once_when_it_is_thought_lost() {
        let mut node = object(&options(), 1, at(0));
        let port = options().agent_port;
        assert_eq!(report_at(&node, port), at(300));
        assert!(report_at(&node, port + 1) < at(0), "an agent that moved");
        for condition in node.status.as_mut().unwrap().conditions.as_mut().unwrap() {
            condition.status = "Unknown".to_owned();
        }
        assert!(report_at(&node, port) < at(0));
        assert!(
            report_at(&Node::default(), port) < at(0),
            "a node without a status"
        );
    }

    #[test]
    fn a_report_keeps_the_times_of_what_did_not_change_and_what_was_said_of_capacity() {
        let node = object(&options(), 1, at(0));
        let report = report(&options(), &node, 1, at(60));
        let ready = &report["status"]["conditions"][3];
        assert_eq!(ready["lastTransitionTime"], text(at(0)));
        assert_eq!(ready["lastHeartbeatTime"], text(at(60)));
        assert_eq!(report["status"]["capacity"], Value::Null);
    }
}
