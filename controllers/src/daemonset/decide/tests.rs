//! Histories of DaemonSets on a few nodes.

use serde_json::{Value, json};

use super::*;

struct Model {
    set: DaemonSet,
    nodes: Vec<Arc<Node>>,
    pods: Vec<Arc<Pod>>,
    hash: &'static str,
    backoff: Backoff,
    now: Timestamp,
    made: u32,
    events: Vec<String>,
}

impl Model {
    fn of(strategy: Value, nodes: &[&str]) -> Model {
        let set = json!({
            "metadata": {"name": "ds", "namespace": "ns", "uid": "set-uid", "generation": 3},
            "spec": {
                "selector": {"matchLabels": {"app": "d"}}, "updateStrategy": strategy,
                "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c"}]}},
            },
        });
        let mut model = Model {
            set: serde_json::from_value(set).unwrap(),
            nodes: Vec::new(),
            pods: Vec::new(),
            hash: "one",
            backoff: Backoff::default(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            made: 0,
            events: Vec::new(),
        };
        nodes.iter().for_each(|name| model.node(name, json!([])));
        model
    }

    fn node(&mut self, name: &str, taints: Value) {
        self.nodes
            .retain(|node| node.metadata.name.as_deref() != Some(name));
        let node = json!({"metadata": {"name": name}, "spec": {"taints": taints}});
        self.nodes
            .push(Arc::new(serde_json::from_value(node).unwrap()));
    }

    fn plan(&self) -> Plan {
        decide(&Seen {
            set: &self.set,
            nodes: &self.nodes,
            pods: &self.pods,
            hash: self.hash,
            backoff: &self.backoff,
            now: self.now,
        })
    }

    /// Decides and carries out once; the words for what was done.
    fn turn(&mut self) -> Vec<String> {
        let plan = self.plan();
        self.set.status = Some(plan.status);
        self.backoff = plan.backoff;
        self.events.extend(
            plan.events
                .into_iter()
                .map(|event| format!("{}: {}", event.reason, event.message)),
        );
        let mut done = Vec::new();
        for id in plan.delete {
            self.pods
                .retain(|pod| pod.metadata.uid.as_deref() != Some(&id.uid));
            done.push(format!("delete {}", id.name));
        }
        for mut pod in plan.create {
            self.made += 1;
            let node = pod::target(&pod).unwrap().to_owned();
            pod.metadata.name = Some(format!("{node}-{}", self.made));
            pod.metadata.uid = Some(format!("uid-{}", self.made));
            pod.metadata.creation_timestamp = Some(crate::patches::time(self.now));
            pod.spec.as_mut().unwrap().node_name = Some(node);
            done.push(format!("create {}", pod.metadata.name.as_deref().unwrap()));
            self.pods.push(Arc::new(pod));
        }
        self.now += SignedDuration::from_secs(1);
        done
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Pod)) {
        let found = self
            .pods
            .iter_mut()
            .find(|pod| pod.metadata.name.as_deref() == Some(name));
        change(Arc::make_mut(found.expect("the pod is there")));
    }

    fn phase(&mut self, name: &str, phase: &str) {
        self.change(name, |pod| {
            pod.status = Some(serde_json::from_value(json!({"phase": phase})).unwrap())
        });
    }

    fn up(&mut self) {
        let now = self.now.to_string();
        for pod in self.pods.iter_mut().filter(|pod| !pods::is_ready(pod)) {
            let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]});
            Arc::make_mut(pod).status = Some(serde_json::from_value(ready).unwrap());
        }
    }

    /// Turns until nothing is done, with every pod coming up at once; the most pods that were down before that.
    fn run(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        for _ in 0..40 {
            let words = self.turn();
            if words.is_empty() {
                return done;
            }
            done.extend(words);
            self.up();
        }
        panic!("the set does not come to rest: {done:?}");
    }

    fn status(&self) -> DaemonSetStatus {
        self.set.status.clone().unwrap()
    }
}

fn rolling(fields: Value) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": fields})
}

const NOTHING: [&str; 0] = [];

#[test]
fn every_node_that_is_fit_gets_one_pod() {
    let mut model = Model::of(json!({}), &["a", "b"]);
    model.node("c", json!([{"key": "x", "effect": "NoSchedule"}]));
    assert_eq!(model.turn(), ["create a-1", "create b-2"]);
    assert_eq!(model.turn(), NOTHING);
    model.up();
    model.turn();
    let status = model.status();
    assert_eq!(
        (
            status.desired_number_scheduled,
            status.current_number_scheduled,
            status.number_ready
        ),
        (2, 2, 2)
    );
    assert_eq!(
        (status.number_available, status.number_unavailable),
        (Some(2), None)
    );
    assert_eq!(
        (status.updated_number_scheduled, status.observed_generation),
        (Some(2), Some(3))
    );
    model.node("d", json!([]));
    assert_eq!(model.turn(), ["create d-3"]);
}

#[test]
fn a_pod_is_bound_to_its_node_by_name_and_tolerates_what_daemons_do() {
    let mut model = Model::of(json!({}), &["a"]);
    let plan = model.plan();
    let spec = plan.create[0].spec.as_ref().unwrap();
    let affinity = spec
        .affinity
        .as_ref()
        .unwrap()
        .node_affinity
        .as_ref()
        .unwrap();
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()
        .unwrap();
    assert_eq!(
        serde_json::to_value(required).unwrap(),
        json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]})
    );
    assert_eq!(spec.tolerations.as_ref().unwrap().len(), 6);
    assert_eq!(
        plan.create[0].metadata.labels.as_ref().unwrap()["controller-revision-hash"],
        "one"
    );
    assert_eq!(
        plan.create[0].metadata.generate_name.as_deref(),
        Some("ds-")
    );
    model.turn();
}

#[test]
fn a_taint_keeps_new_pods_away_and_only_one_that_evicts_removes_the_old_one() {
    let mut model = Model::of(json!({}), &["a"]);
    model.run();
    model.node("a", json!([{"key": "x", "effect": "NoSchedule"}]));
    assert_eq!(model.turn(), NOTHING);
    assert_eq!(
        (
            model.status().number_misscheduled,
            model.status().desired_number_scheduled
        ),
        (1, 0)
    );
    model.node("a", json!([{"key": "x", "effect": "NoExecute"}]));
    assert_eq!(model.turn(), ["delete a-1"]);
}

#[test]
fn an_unbound_pod_of_a_node_that_is_gone_is_deleted() {
    let mut model = Model::of(json!({}), &["a", "b"]);
    model.turn();
    model.change("b-2", |pod| pod.spec.as_mut().unwrap().node_name = None);
    model.nodes.clear();
    assert_eq!(model.turn(), ["delete b-2"]);
}

#[test]
fn of_several_pods_on_a_node_the_oldest_stays() {
    let mut model = Model::of(json!({}), &["a"]);
    model.run();
    let mut twin = (*model.pods[0]).clone();
    twin.metadata.uid = Some("twin".to_owned());
    twin.metadata.name = Some("twin".to_owned());
    twin.metadata.creation_timestamp = Some(crate::patches::time(model.now));
    model.pods.insert(0, Arc::new(twin));
    assert_eq!(model.turn(), ["delete twin"]);
}

#[test]
fn a_pod_that_ended_is_deleted_and_one_that_keeps_failing_waits_longer() {
    let mut model = Model::of(json!({}), &["a"]);
    model.run();
    model.phase("a-1", "Succeeded");
    assert_eq!(model.turn(), ["delete a-1"]);
    assert_eq!(model.turn(), ["create a-2"]);
    model.phase("a-2", "Failed");
    assert_eq!(model.turn(), ["delete a-2"]);
    assert_eq!(model.turn(), ["create a-3"]);
    model.phase("a-3", "Failed");
    assert_eq!(model.turn(), ["delete a-3"]);
    model.turn();
    model.phase("a-4", "Failed");
    model.now -= SignedDuration::from_secs(1);
    assert_eq!(
        (model.plan().delete.len(), model.plan().next),
        (0, Some(Duration::from_secs(1)))
    );
    assert_eq!(
        model.events[..2],
        [
            "SucceededDaemonPod: Found succeeded daemon pod ns/a-1 on node a, will try to delete it",
            "FailedDaemonPod: Found failed daemon pod ns/a-2 on node a, will try to kill it",
        ]
    );
}

#[test]
fn old_pods_are_renewed_as_many_at_a_time_as_may_be_missing() {
    let cases = [
        (json!({"maxUnavailable": 1}), 1),
        (json!({"maxUnavailable": "50%"}), 2),
        (json!({"maxUnavailable": 9}), 4),
    ];
    for (fields, at_a_time) in cases {
        let mut model = Model::of(rolling(fields.clone()), &["a", "b", "c", "d"]);
        model.run();
        model.hash = "two";
        assert_eq!(model.turn().len(), at_a_time, "{fields}");
        assert_eq!(model.turn().len(), at_a_time, "the new pods come at once");
        assert_eq!(
            model.turn(),
            NOTHING,
            "the next ones wait until these are available"
        );
        model.up();
        model.run();
        assert!(
            model.pods.iter().all(
                |pod| pod.metadata.labels.as_ref().unwrap()["controller-revision-hash"] == "two"
            )
        );
        assert_eq!(
            (model.pods.len(), model.status().updated_number_scheduled),
            (4, Some(4))
        );
    }
}

#[test]
fn an_old_pod_that_is_down_is_renewed_whatever_else_is_missing() {
    let mut model = Model::of(rolling(json!({"maxUnavailable": 1})), &["a", "b", "c"]);
    model.run();
    model.phase("a-1", "Running");
    model.phase("b-2", "Running");
    model.hash = "two";
    assert_eq!(model.turn(), ["delete a-1", "delete b-2"]);
}

#[test]
fn with_a_surge_the_old_pod_goes_when_the_new_one_is_available() {
    let mut model = Model::of(
        rolling(json!({"maxSurge": 1, "maxUnavailable": 0})),
        &["a", "b"],
    );
    model.run();
    model.hash = "two";
    assert_eq!(model.turn(), ["create a-3"]);
    assert_eq!(model.turn(), NOTHING);
    model.up();
    assert_eq!(model.turn(), ["delete a-1"]);
    assert_eq!(model.run(), ["create b-4", "delete b-2"]);
}

#[test]
fn with_a_surge_an_old_pod_that_goes_down_leaves_at_once_when_a_new_one_is_there() {
    let mut model = Model::of(rolling(json!({"maxSurge": 1, "maxUnavailable": 0})), &["a"]);
    model.run();
    model.hash = "two";
    assert_eq!(model.turn(), ["create a-2"]);
    model.phase("a-1", "Running");
    assert_eq!(model.turn(), ["delete a-1"]);
}

#[test]
fn with_on_delete_only_a_pod_that_a_user_deletes_is_renewed() {
    let mut model = Model::of(json!({"type": "OnDelete"}), &["a", "b"]);
    model.run();
    model.hash = "two";
    assert_eq!(model.turn(), NOTHING);
    assert_eq!(model.status().updated_number_scheduled, None);
    model
        .pods
        .retain(|pod| pod.metadata.name.as_deref() != Some("a-1"));
    assert_eq!(model.run(), ["create a-3"]);
    assert_eq!(model.status().updated_number_scheduled, Some(1));
}

#[test]
fn a_turn_makes_a_bounded_number_of_pods() {
    let names: Vec<String> = (0..300).map(|at| format!("n{at:03}")).collect();
    let mut model = Model::of(
        json!({}),
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    assert_eq!(model.turn().len(), PODS_PER_TURN_MAX);
    assert_eq!(model.turn().len(), 50);
}

#[test]
fn a_pod_becomes_available_after_its_time() {
    let mut model = Model::of(json!({}), &["a"]);
    model.set.spec.as_mut().unwrap().min_ready_seconds = Some(10);
    model.turn();
    model.up();
    assert_eq!(model.plan().next, Some(Duration::from_secs(10)));
    model.turn();
    assert_eq!(
        (
            model.status().number_ready,
            model.status().number_unavailable
        ),
        (1, Some(1))
    );
}
