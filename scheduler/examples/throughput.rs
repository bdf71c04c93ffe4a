//! Pods a second that the engine alone decides, without IO, on simulated nodes: one line for each kind of load.
//!
//! `throughput [NODES] [NAME]` runs all loads, or those whose name contains NAME.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use scheduler::{
    config::Configuration,
    engine::{Effect, Engine},
    node::NodeView,
    pod::PodView,
    resources::ResourceNames,
};
use serde_json::{Value, from_value, json};

/// Pods that are there before, pods that are measured, and pods that wait all the time.
struct Load {
    name: &'static str,
    before: (usize, Value),
    measured: (usize, Value),
    waiting: (usize, Value),
}

fn containers(cpu: &str) -> Value {
    json!([{"name": "c", "image": "registry.k8s.io/pause:3.10",
        "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}}}])
}

fn basic() -> Value {
    json!({"containers": containers("100m")})
}

fn with(more: Value) -> Value {
    let mut spec = basic();
    for (key, value) in more.as_object().expect("an object") {
        spec[key] = value.clone();
    }
    spec
}

fn term(key: &str) -> Value {
    json!({"topologyKey": key, "namespaces": ["sched"], "labelSelector": {"matchLabels": {"color": "blue"}}})
}

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

fn affinity(kind: &str, key: &str) -> Value {
    with(
        json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term(key)]}}}),
    )
}

fn preferred(kind: &str, key: &str) -> Value {
    let weighted = json!([{"weight": 1, "podAffinityTerm": term(key)}]);
    with(json!({"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": weighted}}}))
}

fn spread(when: &str) -> Value {
    with(
        json!({"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": ZONE,
        "whenUnsatisfiable": when, "labelSelector": {"matchLabels": {"color": "blue"}}}]}),
    )
}

fn loads() -> Vec<Load> {
    let load = |name, before, measured| Load {
        name,
        before,
        measured,
        waiting: (0, basic()),
    };
    let near_zone = affinity("podAffinity", ZONE);
    let far = affinity("podAntiAffinity", HOST);
    let node_affinity = with(json!({"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions":
            [{"key": ZONE, "operator": "In", "values": ["zone-1", "zone-2"]}]}]}}}}));
    let huge = json!({"containers": containers("900")});
    let low = json!({"containers": containers("900m")});
    let high = json!({"priority": 10, "containers": containers("3")});
    let gated = with(json!({"schedulingGates": [{"name": "wait"}]}));
    vec![
        load("SchedulingBasic", (1000, basic()), (10_000, basic())),
        load("PodAffinity", (5000, near_zone.clone()), (5000, near_zone)),
        load("PodAntiAffinity", (1000, far.clone()), (2000, far)),
        load(
            "PreferredPodAffinity",
            (5000, preferred("podAffinity", HOST)),
            (5000, preferred("podAffinity", HOST)),
        ),
        load(
            "PreferredPodAntiAffinity",
            (5000, preferred("podAntiAffinity", HOST)),
            (5000, preferred("podAntiAffinity", HOST)),
        ),
        load(
            "TopologySpreading",
            (5000, basic()),
            (5000, spread("DoNotSchedule")),
        ),
        load(
            "PreferredTopologySpreading",
            (5000, basic()),
            (5000, spread("ScheduleAnyway")),
        ),
        load("NodeAffinity", (5000, basic()), (10_000, node_affinity)),
        load("PreemptionAsync", (20_000, low), (5000, high)),
        Load {
            name: "Unschedulable",
            before: (0, basic()),
            measured: (10_000, basic()),
            waiting: (200, huge),
        },
        Load {
            name: "Gated",
            before: (0, basic()),
            measured: (10_000, basic()),
            waiting: (10_000, gated),
        },
    ]
}

struct Bench {
    engine: Engine,
    names: ResourceNames,
    now: Timestamp,
    pods: usize,
}

impl Bench {
    fn new(nodes: usize) -> Bench {
        let names = ResourceNames::default();
        let Configuration {
            profiles, backoff, ..
        } = Configuration::standard();
        let engine = Engine::new(profiles, backoff, names.clone(), 42);
        let engine = engine.timed_by(Instant::now);
        let mut bench = Bench {
            engine,
            names,
            now: Timestamp::UNIX_EPOCH,
            pods: 0,
        };
        for at in 0..nodes {
            let name = format!("node-{at}");
            let zone = format!("zone-{}", at % 3 + 1);
            let node: Node = from_value(json!({
                "metadata": {"name": name, "labels": {HOST: name, ZONE: zone}},
                "status": {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"}},
            }))
            .expect("a node");
            let node = Arc::new(NodeView::new(&node, &bench.names));
            bench.engine.set_node(node, bench.now);
        }
        bench
    }

    fn pod(&mut self, spec: &Value) -> Arc<PodView> {
        self.pods += 1;
        let name = format!("pod-{}", self.pods);
        let pod: Pod = from_value(json!({
            "metadata": {"name": name, "namespace": "sched", "uid": name, "labels": {"color": "blue"}},
            "spec": spec,
        }))
        .expect("a pod");
        Arc::new(PodView::new(&pod, &self.names))
    }

    fn add(&mut self, (count, spec): &(usize, Value)) {
        for _ in 0..*count {
            let pod = self.pod(spec);
            self.engine.set_pod(pod, self.now);
        }
    }

    /// Schedules until so many pods are bound, or, without a number, until nothing is left to try now. How many were bound.
    fn drain(&mut self, enough: usize) -> usize {
        let mut bound = 0;
        while bound < enough {
            let decided = self.engine.schedule_next(self.now);
            self.engine.take_notes();
            for effect in self.engine.take_effects() {
                match effect {
                    Effect::Bind { pod, node } => {
                        bound += 1;
                        let seen = PodView {
                            node_name: Some(node),
                            ..(*pod).clone()
                        };
                        self.engine.set_pod(Arc::new(seen), self.now);
                    }
                    Effect::Preempt { pod, victims, .. } => {
                        self.engine.preempted(&pod.uid, true, self.now);
                        for victim in victims {
                            self.engine.remove_pod(&victim.uid, self.now);
                        }
                    }
                    _ => {}
                }
            }
            if !decided {
                if enough == usize::MAX {
                    break;
                }
                let Some(next) = self.engine.next_tick() else {
                    break;
                };
                self.now = next;
                self.engine.tick(next);
                if self.engine.queue().active_len() == 0 {
                    break;
                }
            }
        }
        bound
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let nodes = words
        .first()
        .and_then(|word| word.parse().ok())
        .unwrap_or(5000);
    let wanted = words.get(1).map_or("", String::as_str);
    for load in loads().iter().filter(|load| load.name.contains(wanted)) {
        let mut bench = Bench::new(nodes);
        bench.add(&load.before);
        bench.drain(load.before.0);
        bench.add(&load.waiting);
        bench.drain(usize::MAX);
        bench.add(&load.measured);
        let begin = Instant::now();
        let bound = bench.drain(load.measured.0);
        let seconds = begin.elapsed().as_secs_f64();
        let rate = bound as f64 / seconds;
        println!(
            "{:28} {bound:6} pods in {seconds:6.2} s: {rate:8.0} pods/s",
            load.name
        );
    }
}
