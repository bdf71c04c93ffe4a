//! Right histories hold, and each damage is found as what it is.

mod ends;
mod workloads;

use serde_json::{Value, json};

use super::{Promise, judge};
use crate::control_plane::history::{Change, Record};

/// A history in the making.
#[derive(Default)]
struct Tale {
    records: Vec<Record>,
    revision: i64,
}

impl Tale {
    fn put(&mut self, key: &str, object: &Value) -> &mut Tale {
        self.change(key, Some(object.clone()))
    }

    fn gone(&mut self, key: &str) -> &mut Tale {
        self.change(key, None)
    }

    fn change(&mut self, key: &str, object: Option<Value>) -> &mut Tale {
        self.revision += 1;
        self.records.push(Record::Change(Change {
            revision: self.revision,
            key: key.to_owned(),
            object,
        }));
        self
    }

    fn users(&mut self, uid: &str) -> &mut Tale {
        let uid = uid.to_owned();
        self.records.push(Record::Deleted { uid });
        self
    }

    /// What was found broken.
    fn broken(&self) -> Vec<Promise> {
        let findings = judge(&self.records);
        let broken = findings.violations.into_iter();
        broken.map(|(promise, _)| promise).collect()
    }

    /// The promise was judged, and nothing was found broken.
    fn holds(&self, promise: Promise) {
        let findings = judge(&self.records);
        assert_eq!(findings.violations, []);
        assert!(findings.counts.contains_key(&promise), "{promise:?}");
    }
}

/// A pod of an owner that waits for a node.
fn pod(name: &str, uid: &str, owner: (&str, &str)) -> Value {
    json!({
        "metadata": { "name": name, "uid": uid,
            "ownerReferences": [{ "kind": owner.0, "uid": owner.1, "name": owner.1, "controller": true }] },
        "spec": { "containers": [{ "image": "a" }] },
        "status": { "phase": "Pending" },
    })
}

fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

fn on(pod: &Value, node: &str) -> Value {
    with(pod, "/spec/nodeName", json!(node))
}

/// It runs since a second, ready or not.
fn running(pod: &Value, second: u32, ready: bool) -> Value {
    let ready = if ready { "True" } else { "False" };
    let started = json!({ "running": { "startedAt": format!("2026-01-01T00:00:{second:02}Z") } });
    let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }],
        "containerStatuses": [{ "state": started }] });
    with(pod, "/status", status)
}

fn ended(pod: &Value, phase: &str, second: u32) -> Value {
    let finished =
        json!({ "terminated": { "finishedAt": format!("2026-01-01T00:00:{second:02}Z") } });
    let status = json!({ "phase": phase, "containerStatuses": [{ "state": finished }] });
    with(pod, "/status", status)
}

fn terminating(pod: &Value) -> Value {
    with(pod, "/metadata/deletionTimestamp", json!("2026"))
}

const KEY: &str = "pods/broken/db-0";

fn db(uid: &str) -> Value {
    on(&pod("db-0", uid, ("StatefulSet", "set")), "node-1")
}

#[test]
fn a_pod_that_is_bound_twice_is_found() {
    let waiting = pod("db-0", "a", ("StatefulSet", "set"));
    let mut tale = Tale::default();
    tale.put(KEY, &waiting).put(KEY, &on(&waiting, "node-1"));
    tale.holds(Promise::BoundOnce);
    tale.put(KEY, &on(&waiting, "node-2"));
    assert_eq!(tale.broken(), [Promise::BoundOnce]);
}

#[test]
fn a_bound_pod_that_is_removed_while_it_runs_is_found() {
    let mut right = Tale::default();
    right
        .put(KEY, &db("a"))
        .put(KEY, &running(&db("a"), 1, true));
    let mut wrong = Tale::default();
    wrong.records.clone_from(&right.records);
    right.put(KEY, &terminating(&ended(&db("a"), "Succeeded", 2)));
    right.gone(KEY).holds(Promise::RemovedWhenOver);
    wrong.put(KEY, &terminating(&running(&db("a"), 1, false)));
    assert_eq!(wrong.gone(KEY).broken(), [Promise::RemovedWhenOver]);
}

#[test]
fn a_pod_without_a_node_may_be_removed_at_any_time() {
    let mut tale = Tale::default();
    tale.put(KEY, &pod("db-0", "a", ("StatefulSet", "set")))
        .gone(KEY);
    assert_eq!(tale.broken(), []);
}

#[test]
fn a_pod_that_runs_again_although_it_was_over_is_found() {
    let mut tale = Tale::default();
    tale.put(KEY, &ended(&db("a"), "Failed", 1));
    tale.put(KEY, &ended(&db("a"), "Failed", 1))
        .holds(Promise::OverForGood);
    tale.put(KEY, &running(&db("a"), 2, true));
    assert_eq!(tale.broken(), [Promise::OverForGood]);
}

#[test]
fn an_ordinal_that_starts_before_the_former_has_stopped_is_found() {
    let after = |second: u32| {
        let mut tale = Tale::default();
        tale.put(KEY, &db("a"))
            .put(KEY, &running(&db("a"), 1, true));
        tale.put(KEY, &terminating(&ended(&db("a"), "Succeeded", 5)));
        tale.gone(KEY).put(KEY, &db("b"));
        tale.put(KEY, &running(&db("b"), second, false));
        tale
    };
    after(5).holds(Promise::OrdinalOnce);
    assert_eq!(after(4).broken(), [Promise::OrdinalOnce]);
}
