//! Histories of clusters: nodes speak or stay silent, the controller's actions are fed back, and time passes.

use serde_json::{Value, json};

use super::*;

/// A model of nodes, their leases and the apiserver.
struct Model {
    lifecycle: Lifecycle,
    nodes: BTreeMap<String, Arc<Node>>,
    leases: BTreeMap<String, Arc<Lease>>,
    now: Timestamp,
    told: Vec<String>,
    unready_pods: Vec<String>,
}

impl Model {
    fn new() -> Model {
        Model {
            lifecycle: Lifecycle::new(Limits::default()),
            nodes: BTreeMap::new(),
            leases: BTreeMap::new(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            told: Vec::new(),
            unready_pods: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, zone: &str, ready: Option<&str>) {
        let now = self.now.to_string();
        let kinds = [("Ready", ready), ("MemoryPressure", ready.map(|_| "False"))];
        let conditions: Vec<Value> = kinds
            .iter()
            .filter_map(|(kind, status)| Some(json!({"type": kind, "status": (*status)?, "lastHeartbeatTime": now, "lastTransitionTime": now})))
            .collect();
        let node = json!({
            "metadata": {"name": name, "uid": format!("{name}-uid"), "creationTimestamp": now, "labels": {"topology.kubernetes.io/zone": zone}},
            "status": {"conditions": conditions},
        });
        self.nodes.insert(
            name.to_owned(),
            Arc::new(serde_json::from_value(node).unwrap()),
        );
    }

    fn renew(&mut self, name: &str) {
        let time = format!("{:.6}", self.now);
        let lease = serde_json::from_value(json!({"spec": {"renewTime": time}})).unwrap();
        self.leases.insert(name.to_owned(), Arc::new(lease));
    }

    /// The kubelet says how the node is.
    fn post(&mut self, name: &str, status: &str) {
        let now = self.now;
        self.edit(name, |node| {
            let conditions = node.status.as_mut().unwrap().conditions.as_mut().unwrap();
            let ready = conditions
                .iter_mut()
                .find(|condition| condition.type_ == "Ready")
                .unwrap();
            ready.status = status.to_owned();
            ready.last_heartbeat_time = serde_json::from_value(json!(now.to_string())).unwrap();
        });
    }

    fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Node)) {
        edit(Arc::make_mut(self.nodes.get_mut(name).unwrap()));
    }

    /// Looks, lets those who are due be tainted, and feeds all of it back.
    fn tick(&mut self) {
        let nodes: Vec<_> = self.nodes.values().cloned().collect();
        let leases = self.leases.clone();
        let actions = self
            .lifecycle
            .monitor(&nodes, &|name| leases.get(name).cloned(), self.now);
        self.carry_out(actions);
        let nodes = self.nodes.clone();
        let actions = self
            .lifecycle
            .taint_pass(&|name| nodes.get(name).cloned(), self.now);
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Conditions { node, changed } => self.edit(name(&node), |node| {
                    let conditions = node
                        .status
                        .get_or_insert_default()
                        .conditions
                        .get_or_insert_default();
                    for condition in changed {
                        conditions.retain(|known| known.type_ != condition.type_);
                        conditions.push(condition);
                    }
                }),
                Action::Taints { node, taints } => {
                    self.edit(name(&node), |node| {
                        node.spec.get_or_insert_default().taints = Some(taints)
                    });
                }
                Action::PodsNotReady { node } => self.unready_pods.push(node),
                Action::Tell { event, .. } => self.told.push(event.message),
            }
        }
    }

    /// Lets so many seconds pass in steps of five, in which these nodes renew their leases.
    fn pass(&mut self, seconds: i64, alive: &[&str]) {
        for _ in 0..seconds / 5 {
            self.now += SignedDuration::from_secs(5);
            alive.iter().for_each(|name| self.renew(name));
            self.tick();
        }
    }

    fn ready(&self, name: &str) -> &str {
        health::ready_status(&self.nodes[name]).unwrap_or("none")
    }

    fn taints(&self, name: &str) -> Vec<String> {
        taints::no_execute(&self.nodes[name])
            .into_iter()
            .map(|taint| taint.key)
            .collect()
    }
}

#[test]
fn a_silent_node_becomes_unknown_after_its_grace_and_its_pods_unready() {
    let mut model = Model::new();
    model.add("a", "z", Some("True"));
    model.add("b", "z", Some("True"));
    model.tick();
    model.pass(50, &["b"]);
    assert_eq!(model.ready("a"), "True");
    model.pass(5, &["b"]);
    assert_eq!((model.ready("a"), model.ready("b")), ("Unknown", "True"));
    let conditions = model.nodes["a"]
        .status
        .as_ref()
        .unwrap()
        .conditions
        .as_ref()
        .unwrap();
    let reasons: BTreeMap<_, _> = conditions
        .iter()
        .map(|condition| {
            (
                condition.type_.as_str(),
                condition.reason.as_deref().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("DiskPressure", "NodeStatusNeverUpdated"),
        ("MemoryPressure", "NodeStatusUnknown"),
        ("PIDPressure", "NodeStatusNeverUpdated"),
        ("Ready", "NodeStatusUnknown"),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
    assert_eq!(model.unready_pods, ["a"]);
    assert_eq!(model.told[2..], ["Node a status is now: NodeNotReady"]);
    model.pass(30, &["b"]);
    assert_eq!(
        (model.unready_pods.len(), model.told.len()),
        (1, 3),
        "it is said once"
    );
    assert!(model.lifecycle.is_known_unready("a") && !model.lifecycle.is_known_unready("b"));
}

#[test]
fn a_node_that_never_spoke_is_given_a_minute() {
    let mut model = Model::new();
    model.add("a", "z", None);
    model.pass(60, &[]);
    assert_eq!(model.ready("a"), "none");
    model.pass(5, &[]);
    assert_eq!(model.ready("a"), "Unknown");
}

#[test]
fn a_posted_status_is_a_sign_of_life_as_a_lease_is() {
    let mut model = Model::new();
    model.add("a", "z", Some("True"));
    model.tick();
    for _ in 0..5 {
        model.pass(40, &[]);
        model.post("a", "True");
    }
    assert_eq!(model.ready("a"), "True");
}

#[test]
fn a_silent_node_is_tainted_and_a_returning_one_is_freed() {
    let mut model = Model::new();
    model.add("a", "z", Some("True"));
    model.add("b", "z", Some("True"));
    model.tick();
    model.pass(60, &["b"]);
    assert_eq!(model.taints("a"), [taints::UNREACHABLE]);
    model.post("a", "False");
    model.pass(5, &["a", "b"]);
    assert_eq!(
        model.taints("a"),
        [taints::NOT_READY],
        "one taint is swapped for the other at once"
    );
    model.post("a", "True");
    model.pass(5, &["a", "b"]);
    assert_eq!(model.taints("a"), Vec::<String>::new());
}

#[test]
fn nodes_of_a_zone_are_tainted_one_in_ten_seconds() {
    let mut model = Model::new();
    for number in 0..10 {
        model.add(&format!("n{number}"), "z", Some("True"));
    }
    let alive: Vec<String> = (4..10).map(|number| format!("n{number}")).collect();
    let alive: Vec<&str> = alive.iter().map(String::as_str).collect();
    model.tick();
    model.pass(55, &alive);
    let tainted = |model: &Model| {
        model
            .nodes
            .keys()
            .filter(|name| !model.taints(name).is_empty())
            .count()
    };
    assert_eq!(tainted(&model), 1);
    model.pass(15, &alive);
    assert_eq!(tainted(&model), 2);
    model.pass(30, &alive);
    assert_eq!(tainted(&model), 4);
}

#[test]
fn in_a_small_zone_that_is_mostly_unhealthy_nobody_is_tainted() {
    let mut model = Model::new();
    for number in 0..5 {
        model.add(&format!("n{number}"), "z", Some("True"));
    }
    model.tick();
    model.pass(55, &["n0"]);
    model.pass(120, &["n0"]);
    let tainted: Vec<_> = model
        .nodes
        .keys()
        .filter(|name| !model.taints(name).is_empty())
        .collect();
    assert!(
        tainted.len() <= 1,
        "only the one whose turn came before the zone was judged: {tainted:?}"
    );
}

#[test]
fn if_no_node_at_all_is_ready_taints_are_taken_back_until_one_is() {
    let mut model = Model::new();
    model.add("a", "z1", Some("True"));
    model.add("b", "z2", Some("True"));
    model.tick();
    model.pass(100, &["b"]);
    assert_eq!(model.taints("a"), [taints::UNREACHABLE]);
    model.pass(120, &[]);
    assert_eq!((model.ready("a"), model.ready("b")), ("Unknown", "Unknown"));
    assert_eq!((model.taints("a"), model.taints("b")), (vec![], vec![]));
    model.post("b", "True");
    model.pass(50, &["b"]);
    assert_eq!(
        model.taints("a"),
        [taints::UNREACHABLE],
        "once one is ready the other is unreachable again"
    );
}

#[test]
fn nodes_that_come_and_go_are_told_of() {
    let mut model = Model::new();
    model.add("a", "z", Some("True"));
    model.tick();
    model.nodes.clear();
    model.tick();
    assert_eq!(
        model.told,
        [
            "Node a event: Registered Node a in Controller",
            "Node a event: Removing Node a from Controller"
        ]
    );
    assert!(!model.lifecycle.is_known_unready("a"));
}

#[test]
fn pods_that_could_not_be_told_are_tried_again() {
    let mut model = Model::new();
    model.add("a", "z", Some("True"));
    model.add("b", "z", Some("True"));
    model.tick();
    model.pass(60, &["b"]);
    model.lifecycle.retry_pods("a");
    model.pass(10, &["b"]);
    assert_eq!(model.unready_pods, ["a", "a"]);
}

#[test]
fn zones_are_judged_by_the_part_that_is_ready() {
    let cases = [
        (5, 0, Disruption::Little),
        (5, 2, Disruption::Little),
        (1, 2, Disruption::Little),
        (2, 3, Disruption::Partial),
        (5, 3, Disruption::Little),
        (0, 1, Disruption::Full),
    ];
    for (ready, unready, expected) in cases {
        let statuses = [vec![true; ready], vec![false; unready]].concat();
        assert_eq!(
            zones::judge(&statuses, 0.55),
            expected,
            "{ready} ready, {unready} not"
        );
    }
}

#[test]
fn conditions_and_cordons_keep_new_pods_away_by_taints() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let condition = |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status}]}});
    let stale = json!([{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}, {"key": "mine", "effect": "NoSchedule"}]);
    let cases = [
        (condition("Ready", "True"), None),
        (
            condition("Ready", "False"),
            Some(vec!["node.kubernetes.io/not-ready"]),
        ),
        (
            condition("Ready", "Unknown"),
            Some(vec!["node.kubernetes.io/unreachable"]),
        ),
        (
            condition("MemoryPressure", "True"),
            Some(vec!["node.kubernetes.io/memory-pressure"]),
        ),
        (
            condition("DiskPressure", "True"),
            Some(vec!["node.kubernetes.io/disk-pressure"]),
        ),
        (
            condition("PIDPressure", "True"),
            Some(vec!["node.kubernetes.io/pid-pressure"]),
        ),
        (
            condition("NetworkUnavailable", "True"),
            Some(vec!["node.kubernetes.io/network-unavailable"]),
        ),
        (condition("NetworkUnavailable", "Unknown"), None),
        (
            json!({"spec": {"unschedulable": true}}),
            Some(vec!["node.kubernetes.io/unschedulable"]),
        ),
        (json!({"spec": {"taints": stale}}), Some(vec!["mine"])),
    ];
    for (given, expected) in cases {
        let node: Node = serde_json::from_value(given.clone()).unwrap();
        let taints = taints::keep_away(&node, now);
        let keys = taints
            .as_ref()
            .map(|taints| taints.iter().map(|taint| taint.key.as_str()).collect());
        assert_eq!(keys, expected, "{given}");
    }
}

#[test]
fn the_older_labels_follow_the_newer() {
    let node = |labels: Value| {
        serde_json::from_value::<Node>(json!({"metadata": {"labels": labels}})).unwrap()
    };
    let cases = [
        (
            json!({"kubernetes.io/os": "linux"}),
            vec![("beta.kubernetes.io/os", "linux".to_owned())],
        ),
        (
            json!({"kubernetes.io/os": "linux", "beta.kubernetes.io/os": "linux"}),
            vec![],
        ),
        (
            json!({"kubernetes.io/arch": "b", "beta.kubernetes.io/arch": "a"}),
            vec![("beta.kubernetes.io/arch", "b".to_owned())],
        ),
    ];
    for (labels, expected) in cases {
        assert_eq!(
            taints::older_labels(&node(labels.clone())),
            expected,
            "{labels}"
        );
    }
}
