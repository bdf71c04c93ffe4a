//! A script: what happens to an engine, and in one line each what it wants done.

use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use k8s_openapi::api::core::v1::{Node, Pod};
use scheduler::{
    cluster::Objects,
    config::Configuration,
    engine::{Effect, Engine},
    framework::EventKinds,
    node::NodeView,
    pod::PodView,
    resources::ResourceNames,
};
use serde_json::{Value, from_value, json};

/// An engine, and the time that it is told.
pub(super) struct Script {
    pub(super) engine: Engine,
    names: ResourceNames,
    pub(super) now: Timestamp,
}

impl Script {
    pub(super) fn new() -> Script {
        let names = ResourceNames::default();
        let Configuration {
            profiles, backoff, ..
        } = Configuration::standard();
        let engine = Engine::new(profiles, backoff, names.clone(), 7);
        Script {
            engine,
            names,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    pub(super) fn node(&mut self, name: &str, cpu: &str) {
        self.node_in(name, cpu, "one");
    }

    /// A node of a zone.
    pub(super) fn node_in(&mut self, name: &str, cpu: &str, zone: &str) {
        let node: Node = from_value(json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": zone}},
            "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "10"}},
        }))
        .expect("the test is written so");
        self.engine
            .set_node(Arc::new(NodeView::new(&node, &self.names)), self.now);
    }

    /// Another object came, changed or went.
    pub(super) fn object(&mut self, kind: EventKinds, change: impl FnOnce(&mut Objects)) {
        self.engine
            .change_object((kind, "default", "c"), change, self.now);
    }

    fn view(&self, name: &str, cpu: &str, more: &Value) -> PodView {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
        });
        for part in ["metadata", "spec", "status"] {
            for (key, value) in more[part].as_object().into_iter().flatten() {
                pod[part][key] = value.clone();
            }
        }
        let pod: Pod = from_value(pod).expect("the test is written so");
        PodView::new(&pod, &self.names)
    }

    pub(super) fn pod(&mut self, name: &str, cpu: &str, more: Value) {
        let view = self.view(name, cpu, &more);
        self.engine.set_pod(Arc::new(view), self.now);
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        self.now = self
            .now
            .checked_add(seconds.seconds())
            .expect("the test is written so");
        self.engine.tick(self.now);
    }

    /// Decides for every pod that can be tried, and tells what is to be done, a line each.
    pub(super) fn run(&mut self) -> Vec<String> {
        while self.engine.schedule_next(self.now) {}
        let effects = self.engine.take_effects();
        effects.iter().map(|effect| self.line(effect)).collect()
    }

    fn line(&self, effect: &Effect) -> String {
        match effect {
            Effect::Bind { pod, node } => format!("bind {} {node}", pod.name),
            Effect::Unschedulable(why) => format!("{}: {}", why.name, why.message),
            Effect::Preempt { pod, node, victims } => {
                let victims: Vec<&str> = victims.iter().map(|victim| &*victim.name).collect();
                format!("{} evicts {} from {node}", pod.name, victims.join(","))
            }
            Effect::ClearNomination { pod } => format!("{} loses its nomination", pod.name),
            Effect::Prepare { pod, .. } => format!("prepare {}", pod.name),
        }
    }

    pub(super) fn seen_on(&mut self, name: &str, cpu: &str, node: &str, more: Value) {
        let mut more = more;
        more["spec"]["nodeName"] = json!(node);
        self.pod(name, cpu, more);
    }
}
