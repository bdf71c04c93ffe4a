//! `NodePorts`: host ports are used by one pod a node.

use crate::{
    cluster::{Site, Snapshot},
    framework::{ClusterEvent, EventKinds, Filter, Plugin, PreFilter, Verdict},
    pod::{HostPort, PodView},
};

const REASON: &str = "node(s) didn't have free ports for the requested pod ports";

/// Rejects nodes whose ports are in use.
#[derive(Debug, Default)]
pub struct NodePorts;

#[derive(Clone, Copy)]
struct Free<'a>(&'a [HostPort]);

impl Filter for Free<'_> {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        if site.has_port_conflict(self.0) {
            return Verdict::Unschedulable(REASON.into());
        }
        Verdict::Fits
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(*self)
    }
}

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED | EventKinds::POD_DELETED
    }

    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        match event {
            ClusterEvent::PodDeleted(gone) => {
                let mut ports = gone.host_ports.iter();
                ports.any(|port| pod.host_ports.iter().any(|own| own.conflicts(port)))
            }
            _ => true,
        }
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, _: &'a Snapshot) -> PreFilter<'a> {
        if pod.host_ports.is_empty() {
            return PreFilter::Skip;
        }
        PreFilter::judge(Free(&pod.host_ports))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::World;

    /// A pod with ports as `TCP/127.0.0.1/80`.
    fn pod(name: &str, ports: &[&str]) -> Value {
        let port = |text: &&str| {
            let parts: Vec<&str> = text.split('/').collect();
            let number: i32 = parts[2].parse().unwrap();
            json!({"containerPort": 1, "protocol": parts[0], "hostIP": parts[1], "hostPort": number})
        };
        let ports: Vec<Value> = ports.iter().map(port).collect();
        json!({"name": name, "spec": {"containers": [{"name": "c", "ports": ports}]}})
    }

    #[test]
    fn a_port_is_free_unless_a_pod_has_it_on_the_same_address() {
        let cases: [(&[&str], &[&str], bool); 11] = [
            (&[], &["UDP/127.0.0.1/8080"], true),
            (&["UDP/127.0.0.1/8080"], &["UDP/127.0.0.1/9090"], true),
            (&["UDP/127.0.0.1/8080"], &["UDP/127.0.0.1/8080"], false),
            (
                &["TCP/127.0.0.1/8080"],
                &["TCP/127.0.0.1/8081", "TCP/127.0.0.1/8080"],
                false,
            ),
            (&["TCP/127.0.0.1/8080"], &["UDP/127.0.0.1/8080"], true),
            (&["TCP/127.0.0.1/8080"], &["TCP/127.0.0.2/8080"], true),
            (&["TCP/0.0.0.0/8001"], &["TCP/127.0.0.1/8001"], false),
            (&["TCP/127.0.0.1/8001"], &["TCP/0.0.0.0/8001"], false),
            (&["TCP//8001"], &["TCP/10.0.0.1/8001"], false),
            (
                &["TCP/10.0.0.1/8001", "TCP/0.0.0.0/8080"],
                &["TCP/0.0.0.0/8001"],
                false,
            ),
            (&["TCP/127.0.0.1/8001"], &["TCP/127.0.0.1/0"], true),
        ];
        for (used, wanted, fits) in cases {
            let mut world = World::of(&[json!({"name": "n"})]);
            world.place(&pod("other", used), "n");
            let incoming = world.pod(&pod("incoming", wanted));
            let rejected = "node(s) didn't have free ports for the requested pod ports";
            let expected = if fits { "" } else { rejected };
            assert_eq!(
                world.judge(&NodePorts, &incoming),
                [expected],
                "{used:?} {wanted:?}"
            );
        }
    }

    #[test]
    fn a_pod_that_gives_back_such_a_port_may_help() {
        let world = World::of(&[]);
        let waiting = world.pod(&pod("waiting", &["TCP/127.0.0.1/80"]));
        let helps = |ports: &[&str]| {
            let gone = world.pod(&pod("gone", ports));
            NodePorts.may_help(&waiting, &ClusterEvent::PodDeleted(&gone), &world.snapshot)
        };
        assert!(helps(&["TCP/0.0.0.0/80"]));
        assert!(!helps(&["TCP/0.0.0.0/81"]));
        assert!(!helps(&[]));
    }
}
