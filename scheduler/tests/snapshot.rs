//! What the snapshot keeps up to date equals what it finds by looking at everything.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use proptest::prelude::*;
use scheduler::{
    cluster::{Carries, Snapshot, Wants},
    node::NodeView,
    pod::PodView,
    resources::{ResourceId, ResourceNames},
};
use serde_json::{from_value, json};

#[derive(Debug, Clone)]
enum Step {
    Node {
        name: u8,
        zone: u8,
        cpu: u8,
    },
    NodeGone {
        name: u8,
    },
    Pod {
        name: u8,
        node: u8,
        color: u8,
        cpu: u8,
        terminating: bool,
        finished: bool,
    },
    PodGone {
        name: u8,
    },
    Namespace {
        team: Option<u8>,
    },
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6u8, 0..3u8, 1..9u8).prop_map(|(name, zone, cpu)| Step::Node { name, zone, cpu }),
        (0..6u8).prop_map(|name| Step::NodeGone { name }),
        (
            0..12u8,
            0..7u8,
            0..3u8,
            0..4u8,
            any::<bool>(),
            prop::bool::weighted(0.1)
        )
            .prop_map(
                |(name, node, color, cpu, terminating, finished)| Step::Pod {
                    name,
                    node,
                    color,
                    cpu,
                    terminating,
                    finished,
                }
            ),
        (0..12u8).prop_map(|name| Step::PodGone { name }),
        prop::option::of(0..2u8).prop_map(|team| Step::Namespace { team }),
        Just(Step::Settle),
    ]
}

fn node(name: u8, zone: u8, cpu: u8, names: &ResourceNames) -> Arc<NodeView> {
    let node: Node = from_value(json!({
        "metadata": {"name": format!("n{name}"), "labels": {"zone": format!("z{zone}")}},
        "status": {"allocatable": {"cpu": cpu.to_string(), "pods": "10"}},
    }))
    .expect("the test is written so");
    Arc::new(NodeView::new(&node, names))
}

fn pod(name: u8, color: u8, more: serde_json::Value, names: &ResourceNames) -> PodView {
    let mut pod = json!({
        "metadata": {"name": format!("p{name}"), "namespace": "default", "uid": format!("p{name}"),
            "labels": {"color": format!("c{color}")}},
        "spec": {
            "containers": [{"name": "c"}],
            "nodeSelector": {"zone": format!("z{color}")},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"color": format!("c{color}")}}}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "zone", "labelSelector": {"matchLabels": {"color": format!("c{color}")}},
                 "namespaceSelector": {"matchLabels": {"team": "t1"}}}]}},
        },
    });
    for (part, fields) in more.as_object().expect("an object") {
        for (key, value) in fields.as_object().expect("an object") {
            pod[part][key] = value.clone();
        }
    }
    let pod: Pod = from_value(pod).expect("the test is written so");
    PodView::new(&pod, names)
}

fn apply(snapshot: &mut Snapshot, step: &Step, names: &ResourceNames) {
    match step {
        Step::Node { name, zone, cpu } => {
            snapshot.set_node(node(*name, *zone, *cpu, names));
        }
        Step::NodeGone { name } => snapshot.remove_node(&format!("n{name}")),
        Step::Pod {
            name,
            node,
            color,
            cpu,
            terminating,
            finished,
        } => {
            let phase = if *finished { "Succeeded" } else { "Running" };
            let mut more = json!({
                "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu.to_string()}},
                    "ports": [{"containerPort": 80, "hostPort": 80 + i32::from(*cpu)}]}]},
                "status": {"phase": phase},
            });
            if *terminating {
                more["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
            }
            let pod = pod(*name, *color, more, names);
            snapshot.set_pod(Arc::new(pod), &format!("n{node}"));
        }
        Step::PodGone { name } => snapshot.remove_pod(&format!("p{name}")),
        Step::Namespace { team } => {
            let labels = team.map(|team| [("team", format!("t{team}"))].into_iter().collect());
            snapshot.set_namespace("default", labels);
        }
        Step::Settle => snapshot.settle(),
    }
}

/// Everything that pods of all colors ask for.
fn questions(names: &ResourceNames) -> Wants {
    let mut wants = Wants {
        topologies: vec!["zone".into()],
        ..Wants::default()
    };
    for color in 0..3 {
        let asker = pod(99, color, json!({}), names);
        wants.pods.push(asker.spread[0].query.clone());
        wants.pods.push(asker.affinities.forbidden[0].1.clone());
        wants.nodes.push(asker.node_query.clone());
    }
    wants
}

proptest! {
    #[test]
    fn kept_answers_are_those_of_a_look_at_everything(steps in prop::collection::vec(step(), 0..60)) {
        let names = ResourceNames::default();
        let wants = questions(&names);
        let mut kept = Snapshot::new(names.clone());
        let mut plain = Snapshot::new(names.clone());
        for step in &steps {
            kept.keep(&wants);
            apply(&mut kept, step, &names);
            apply(&mut plain, step, &names);
        }
        kept.keep(&wants);
        prop_assert_eq!(kept.nodes().len(), plain.nodes().len());
        let topology = (kept.topology("zone"), plain.topology("zone"));
        for index in plain.nodes() {
            let label = plain.node(*index).labels.get("zone");
            for (topology, snapshot) in [(&topology.0, &kept), (&topology.1, &plain)] {
                let own = snapshot.find(&plain.node(*index).name).expect("the test is written so");
                prop_assert_eq!(topology.domain(own).map(|one| topology.value(one)), label);
            }
            for query in &wants.pods {
                let namespaces = plain.objects.namespaces();
                let expected = plain.pods_on(*index).iter().filter(|pod| query.matches(pod, namespaces)).count();
                prop_assert_eq!(kept.matching_pods(query).get(*index) as usize, expected);
            }
            for query in &wants.nodes {
                prop_assert_eq!(kept.matching_nodes(query).contains(*index), query.matches(plain.node(*index)));
            }
            let pods = plain.pods_on(*index);
            let cpu: i64 = pods.iter().map(|pod| pod.requests.get(ResourceId::CPU)).sum();
            prop_assert_eq!(kept.site(*index).used(ResourceId::CPU), cpu);
            let ports: usize = pods.iter().map(|pod| pod.host_ports.len()).sum();
            prop_assert_eq!(kept.ports_on(*index).len(), ports);
            let carried: u32 = kept.carried(Carries::RequiredAntiAffinity).map(|term| term.pods.get(*index)).sum();
            prop_assert_eq!(carried as usize, pods.len());
        }
    }

    #[test]
    fn what_came_and_went_leaves_nothing_behind(steps in prop::collection::vec(step(), 0..60)) {
        let names = ResourceNames::default();
        let mut snapshot = Snapshot::new(names.clone());
        snapshot.keep(&questions(&names));
        steps.iter().for_each(|step| apply(&mut snapshot, step, &names));
        (0..12).for_each(|name| snapshot.remove_pod(&format!("p{name}")));
        for index in snapshot.nodes() {
            prop_assert_eq!(snapshot.site(*index).used(ResourceId::CPU), 0);
            prop_assert_eq!(snapshot.scored(*index), [0, 0]);
            prop_assert!(snapshot.ports_on(*index).is_empty());
        }
        prop_assert_eq!(snapshot.carried(Carries::RequiredAntiAffinity).count(), 0);
        for query in &questions(&names).pods {
            prop_assert_eq!(snapshot.matching_pods(query).total(), 0);
        }
    }
}
