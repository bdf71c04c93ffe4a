//! A Deployment with its sets, whose pods come and go as the sets are sized.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet, ReplicaSetStatus};
use serde_json::{Value, json};

use crate::deployment::{Action, Plan, State, decide, limits};
use crate::patches::count;
use crate::replicaset::replicas;

/// Turns after which a Deployment must rest.
const TURNS_MAX: usize = 200;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

pub(super) fn deployment(replicas: i32, extra: &Value) -> Deployment {
    let mut tree = json!({
        "metadata": {
            "name": "web", "namespace": "default", "uid": "web-uid", "generation": 1,
            "annotations": {"note": "mine", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
            },
        },
    });
    for (path, value) in extra.as_object().unwrap() {
        let (parent, field) = path.rsplit_once('/').unwrap();
        tree.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    serde_json::from_value(tree).unwrap()
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) deployment: Deployment,
    pub(super) sets: Vec<ReplicaSet>,
    pub(super) now: Timestamp,
    /// Pods of this image never become available.
    pub(super) broken_image: Option<String>,
    /// The set with this uid still has a pod that ends.
    pub(super) lingering: Option<String>,
    made: i64,
}

fn image(template: &Value) -> String {
    let image = template.pointer("/spec/containers/0/image").unwrap();
    image.as_str().unwrap().to_owned()
}

fn image_of(set: &ReplicaSet) -> String {
    image(&json!(set.spec.as_ref().unwrap().template))
}

impl Model {
    pub(super) fn new(deployment: Deployment) -> Model {
        Model {
            deployment,
            sets: Vec::new(),
            now: at(1000),
            broken_image: None,
            lingering: None,
            made: 0,
        }
    }

    pub(super) fn change(&mut self, change: impl FnOnce(&mut DeploymentSpec)) {
        change(self.deployment.spec.as_mut().unwrap());
        *self.deployment.metadata.generation.as_mut().unwrap() += 1;
    }

    pub(super) fn set_image(&mut self, image: &str) {
        self.change(|spec| {
            let pod = spec.template.spec.as_mut().unwrap();
            pod.containers[0].image = Some(image.to_owned());
        });
    }

    pub(super) fn set_of(&self, image: &str) -> &ReplicaSet {
        self.sets.iter().find(|set| image_of(set) == image).unwrap()
    }

    /// Images and sizes of the sets, from the oldest.
    pub(super) fn sizes(&self) -> Vec<(String, i32)> {
        self.sets
            .iter()
            .map(|set| (image_of(set), replicas(set)))
            .collect()
    }

    /// The reason of the condition of this type.
    pub(super) fn reason(&self, kind: &str) -> String {
        let status = json!(self.deployment.status);
        let conditions = status["conditions"].as_array().unwrap();
        let condition = conditions
            .iter()
            .find(|condition| condition["type"] == kind);
        condition.unwrap()["reason"].as_str().unwrap().to_owned()
    }

    /// Decides and carries out one turn.
    pub(super) fn turn(&mut self) -> Plan {
        let sets: Vec<&ReplicaSet> = self.sets.iter().collect();
        let with_pods = self.sets.iter().filter(|set| {
            set.status
                .as_ref()
                .is_some_and(|status| status.replicas > 0)
                || set.metadata.uid == self.lingering
        });
        let with_pods: Vec<&str> = with_pods
            .map(|set| set.metadata.uid.as_deref().unwrap())
            .collect();
        let state = State {
            deployment: &self.deployment,
            sets: &sets,
            with_pods: &with_pods,
        };
        let plan = decide(&state, self.now);
        for action in &plan.actions {
            self.carry_out(action);
        }
        plan
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Create { set, .. } => {
                let mut set = (**set).clone();
                self.made += 1;
                set.metadata.uid = Some(format!("set-{}", self.made));
                set.metadata.generation = Some(1);
                set.metadata.creation_timestamp = Some(crate::patches::time(at(self.made)));
                self.sets.push(set);
            }
            Action::Update { set, .. } => {
                let name = &set.metadata.name;
                let place = self
                    .sets
                    .iter_mut()
                    .find(|place| place.metadata.name == *name)
                    .unwrap();
                *place = (**set).clone();
                *place.metadata.generation.as_mut().unwrap() += 1;
            }
            Action::Delete(set) => self.sets.retain(|one| one.metadata.uid != set.metadata.uid),
            Action::Status { status, revision } => {
                self.deployment.status = Some((**status).clone());
                if let Some(revision) = revision {
                    let annotations = self.deployment.metadata.annotations.get_or_insert_default();
                    let name = "deployment.kubernetes.io/revision".to_owned();
                    annotations.insert(name, revision.clone());
                }
            }
        }
    }

    /// Every set has as many pods as it asks for, and those that can become available are.
    fn run_sets(&mut self) {
        for set in &mut self.sets {
            let size = replicas(set);
            let is_broken = self.broken_image.as_ref() == Some(&image_of(set));
            let available = if is_broken { 0 } else { size };
            set.status = Some(ReplicaSetStatus {
                replicas: size,
                ready_replicas: count(available),
                available_replicas: count(available),
                terminating_replicas: Some(0),
                observed_generation: set.metadata.generation,
                ..ReplicaSetStatus::default()
            });
        }
    }

    /// Goes on until nothing changes.
    pub(super) fn settle(&mut self) {
        self.settle_checking(|_| {});
    }

    /// Goes on until nothing changes; there are never too many pods, nor too few available ones.
    pub(super) fn settle_within_limits(&mut self) {
        self.settle_checking(|model| {
            let total: i32 = model.sets.iter().map(replicas).sum();
            assert!(
                total <= limits::total_max(&model.deployment),
                "{:?}",
                model.sizes()
            );
            let available = model.sets.iter().filter_map(|set| {
                let status = set.status.as_ref()?;
                Some(status.available_replicas?.min(replicas(set)))
            });
            let available: i32 = available.sum();
            let least = limits::available_min(&model.deployment);
            assert!(available >= least, "{available} of {:?}", model.sizes());
        });
    }

    fn settle_checking(&mut self, check: impl Fn(&Model)) {
        for _ in 0..TURNS_MAX {
            let plan = self.turn();
            check(self);
            self.run_sets();
            if plan.actions.is_empty() && self.turn().actions.is_empty() {
                return;
            }
        }
        panic!("no rest: {:?} {:?}", self.sizes(), self.deployment.status);
    }
}
