//! Histories of StatefulSets: a small model carries the actions out and lets the pods come up.

mod updates;

use serde_json::json;

use super::*;

/// A set, its pods and claims, with a current and a new template.
struct Model {
    set: StatefulSet,
    pods: Vec<Arc<Pod>>,
    claims: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    current: Revision,
    update: Revision,
    now: Timestamp,
    made: u32,
    events: Vec<Event>,
}

fn revision(name: &str) -> Revision {
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": name}]}});
    Revision {
        name: name.to_owned(),
        template: serde_json::from_value(template).unwrap(),
    }
}

impl Model {
    fn of(spec: Value) -> Model {
        let mut whole = json!({"replicas": 3, "serviceName": "svc", "selector": {"matchLabels": {"app": "web"}}, "template": {}});
        for (name, value) in spec.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let meta = json!({"name": "web", "namespace": "ns", "uid": "set-uid", "generation": 4});
        Model {
            set: serde_json::from_value(json!({"metadata": meta, "spec": whole})).unwrap(),
            pods: Vec::new(),
            claims: BTreeMap::new(),
            current: revision("one"),
            update: revision("one"),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            made: 0,
            events: Vec::new(),
        }
    }

    fn set(&mut self, fields: Value) {
        let mut set = serde_json::to_value(&self.set).unwrap();
        for (name, value) in fields.as_object().unwrap() {
            set["spec"][name] = value.clone();
        }
        self.set = serde_json::from_value(set).unwrap();
    }

    fn plan(&self) -> Plan {
        decide(&Seen {
            set: &self.set,
            pods: &self.pods,
            claims: &self.claims,
            current: &self.current,
            update: &self.update,
            collisions: 0,
            now: self.now,
        })
    }

    /// Decides and carries out once; the words for what was done.
    fn turn(&mut self) -> Vec<String> {
        let plan = self.plan();
        self.set.status = Some(plan.status.clone());
        self.events.extend(plan.events.clone());
        plan.actions
            .into_iter()
            .map(|action| self.carry_out(action))
            .collect()
    }

    fn carry_out(&mut self, action: Action) -> String {
        self.made += 1;
        let uid = format!("uid-{}", self.made);
        match action {
            Action::CreateClaim { mut claim, .. } => {
                claim.metadata.uid = Some(uid);
                let name = claim.metadata.name.clone().unwrap();
                self.claims.insert(name.clone(), Arc::new(*claim));
                format!("claim {name}")
            }
            Action::CreatePod(mut pod) => {
                pod.metadata.uid = Some(uid);
                pod.status.get_or_insert_default().phase = Some("Pending".to_owned());
                let name = pod.metadata.name.clone().unwrap();
                self.pods.push(Arc::new(*pod));
                format!("create {name}")
            }
            Action::DeletePod { name, uid } => {
                self.pods
                    .retain(|pod| pod.metadata.uid.as_deref() != Some(&uid));
                format!("delete {name}")
            }
            Action::LabelPod { name, .. } => format!("label {name}"),
            Action::OwnClaim { name, owners, .. } => {
                let words = owners
                    .iter()
                    .map(|owner| owner.kind.as_str())
                    .collect::<Vec<_>>()
                    .join(",");
                let claim = self.claims.get_mut(&name).unwrap();
                Arc::make_mut(claim).metadata.owner_references = Some(owners);
                format!("own {name} by {words}")
            }
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Pod)) {
        let found = self
            .pods
            .iter_mut()
            .find(|pod| pod.metadata.name.as_deref() == Some(name));
        change(Arc::make_mut(found.expect("the pod is there")));
    }

    fn up(&mut self, name: &str) {
        let now = self.now.to_string();
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]});
        self.change(name, |pod| {
            pod.status = Some(serde_json::from_value(ready).unwrap())
        });
    }

    fn phase(&mut self, name: &str, phase: &str) {
        self.change(name, |pod| {
            pod.status = Some(serde_json::from_value(json!({"phase": phase})).unwrap())
        });
    }

    /// Turns until nothing is done, with every pod coming up at once.
    fn run(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        for _ in 0..40 {
            let words = self.turn();
            if words.is_empty() {
                return done;
            }
            done.extend(words);
            let names: Vec<String> = self
                .pods
                .iter()
                .filter_map(|pod| pod.metadata.name.clone())
                .collect();
            names.iter().for_each(|name| self.up(name));
        }
        panic!("the set does not come to rest: {done:?}");
    }

    fn status(&self) -> StatefulSetStatus {
        self.set.status.clone().unwrap()
    }
}

#[test]
fn pods_are_made_one_after_the_other_once_the_one_before_is_ready() {
    let mut model = Model::of(json!({}));
    assert_eq!(model.turn(), ["create web-0"]);
    assert_eq!(model.turn(), [""; 0]);
    model.phase("web-0", "Running");
    assert_eq!(model.turn(), [""; 0]);
    model.up("web-0");
    assert_eq!(model.turn(), ["create web-1"]);
    model.up("web-1");
    assert_eq!(model.turn(), ["create web-2"]);
    model.up("web-2");
    model.turn();
    let status = model.status();
    assert_eq!(
        (
            status.replicas,
            status.ready_replicas,
            status.available_replicas
        ),
        (3, Some(3), Some(3))
    );
    assert_eq!(
        (
            status.current_replicas,
            status.updated_replicas,
            status.observed_generation
        ),
        (Some(3), Some(3), Some(4))
    );
}

#[test]
fn a_pod_has_its_name_labels_hostname_and_domain() {
    let mut model = Model::of(json!({"ordinals": {"start": 5}}));
    model.turn();
    let pod = &model.pods[0];
    let labels = pod.metadata.labels.as_ref().unwrap();
    for (label, value) in [
        ("app", "web"),
        ("statefulset.kubernetes.io/pod-name", "web-5"),
        ("apps.kubernetes.io/pod-index", "5"),
        ("controller-revision-hash", "one"),
    ] {
        assert_eq!(labels[label], value);
    }
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(
        (spec.hostname.as_deref(), spec.subdomain.as_deref()),
        (Some("web-5"), Some("svc"))
    );
    assert_eq!(
        (
            pod.metadata.generate_name.as_deref(),
            pod.metadata.owner_references.as_ref().unwrap().len()
        ),
        (None, 1)
    );
}

#[test]
fn a_parallel_set_makes_and_deletes_all_at_once() {
    let mut model = Model::of(json!({"podManagementPolicy": "Parallel"}));
    assert_eq!(
        model.turn(),
        ["create web-0", "create web-1", "create web-2"]
    );
    model.set(json!({"replicas": 0}));
    assert_eq!(
        model.turn(),
        ["delete web-2", "delete web-1", "delete web-0"]
    );
}

#[test]
fn a_parallel_set_of_any_size_makes_a_bounded_number_of_pods_in_a_turn() {
    let model = Model::of(json!({"podManagementPolicy": "Parallel", "replicas": i32::MAX}));
    assert_eq!(model.plan().actions.len(), CREATES_PER_TURN_MAX);
}

#[test]
fn pods_go_from_the_end_one_by_one_and_wait_for_those_that_stay() {
    let mut model = Model::of(json!({}));
    model.run();
    model.set(json!({"replicas": 1}));
    model.phase("web-0", "Running");
    assert_eq!(model.turn(), [""; 0]);
    model.up("web-0");
    assert_eq!(model.turn(), ["delete web-2"]);
    assert_eq!(model.turn(), ["delete web-1"]);
    assert_eq!(model.turn(), [""; 0]);
}

#[test]
fn of_the_pods_that_go_an_unready_one_waits_unless_it_is_the_lowest_unready_one() {
    let mut model = Model::of(json!({}));
    model.run();
    model.set(json!({"replicas": 1}));
    model.phase("web-1", "Running");
    model.phase("web-2", "Running");
    assert_eq!(model.turn(), [""; 0]);
    model.up("web-2");
    assert_eq!(model.turn(), ["delete web-2"]);
    assert_eq!(model.turn(), ["delete web-1"]);
}

#[test]
fn a_change_of_the_first_ordinal_moves_the_pods() {
    let mut model = Model::of(json!({"replicas": 2}));
    model.run();
    model.set(json!({"ordinals": {"start": 1}}));
    assert_eq!(model.run(), ["create web-2", "delete web-0"]);
}

#[test]
fn a_pod_that_ended_is_deleted_and_made_again() {
    for phase in ["Failed", "Succeeded"] {
        let mut model = Model::of(json!({}));
        model.run();
        model.phase("web-1", phase);
        assert_eq!(model.turn(), ["delete web-1"]);
        assert_eq!(model.turn(), ["create web-1"]);
    }
}

#[test]
fn a_pod_counts_as_available_after_its_time_and_the_next_one_waits_for_that() {
    let mut model = Model::of(json!({"minReadySeconds": 30}));
    model.turn();
    model.up("web-0");
    assert_eq!(model.turn(), [""; 0]);
    assert_eq!(model.plan().next, Some(std::time::Duration::from_secs(30)));
    assert_eq!(
        (
            model.status().ready_replicas,
            model.status().available_replicas
        ),
        (Some(1), Some(0))
    );
    model.now += jiff::SignedDuration::from_secs(30);
    assert_eq!(model.turn(), ["create web-1"]);
}

#[test]
fn claims_come_before_their_pod_and_are_its_volumes() {
    let template = json!([{"metadata": {"name": "data", "labels": {"x": "y"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}]);
    let mut model = Model::of(json!({"volumeClaimTemplates": template}));
    assert_eq!(model.turn(), ["claim data-web-0", "create web-0"]);
    let volume = &model.pods[0]
        .spec
        .as_ref()
        .unwrap()
        .volumes
        .as_ref()
        .unwrap()[0];
    assert_eq!(volume.name, "data");
    assert_eq!(
        volume.persistent_volume_claim.as_ref().unwrap().claim_name,
        "data-web-0"
    );
    let labels = model.claims["data-web-0"].metadata.labels.as_ref().unwrap();
    assert_eq!((labels["app"].as_str(), labels["x"].as_str()), ("web", "y"));
    model.claims.clear();
    assert_eq!(
        model.turn(),
        ["claim data-web-0"],
        "a pending pod gets its claim again"
    );
}

#[test]
fn a_pod_waits_for_a_claim_that_is_being_deleted() {
    let template = json!([{"metadata": {"name": "data"}, "spec": {}}]);
    let mut model = Model::of(json!({"volumeClaimTemplates": template}));
    let claim =
        json!({"metadata": {"name": "data-web-0", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    model.claims.insert(
        "data-web-0".to_owned(),
        Arc::new(serde_json::from_value(claim).unwrap()),
    );
    assert_eq!(model.turn(), [""; 0]);
    assert_eq!(
        model.events[0].message,
        "Create Pod web-0 in StatefulSet web failed error: pvc data-web-0 is being deleted"
    );
}

#[test]
fn claims_are_owned_by_what_they_are_deleted_with() {
    let mut model = Model::of(json!({
        "replicas": 2,
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"},
    }));
    let done = model.run();
    assert!(
        done.contains(&"own data-web-0 by StatefulSet".to_owned()),
        "{done:?}"
    );
    assert!(
        done.contains(&"own data-web-1 by StatefulSet".to_owned()),
        "{done:?}"
    );
    model.set(json!({"replicas": 1}));
    assert_eq!(model.turn(), ["own data-web-1 by Pod", "delete web-1"]);
    model.set(json!({"replicas": 2}));
    assert_eq!(
        model.turn(),
        [""; 0],
        "the claim is still to be deleted with the earlier pod"
    );
    model.claims.remove("data-web-1");
    assert_eq!(model.turn(), ["claim data-web-1", "create web-1"]);
}

#[test]
fn a_set_that_is_being_deleted_only_counts() {
    let mut model = Model::of(json!({}));
    model.turn();
    model.up("web-0");
    model.set.metadata.deletion_timestamp = Some(patches_time(model.now));
    assert_eq!(model.turn(), [""; 0]);
    assert_eq!(model.status().ready_replicas, Some(1));
}

#[test]
fn a_pod_that_lost_the_label_of_its_name_gets_it_back() {
    let mut model = Model::of(json!({"replicas": 1}));
    model.run();
    model.change("web-0", |pod| pod.metadata.labels = None);
    assert_eq!(
        model.plan().actions[..1],
        [Action::LabelPod {
            name: "web-0".to_owned(),
            uid: "uid-1".to_owned(),
            patch: json!({"metadata": {"labels": {
                "statefulset.kubernetes.io/pod-name": "web-0", "apps.kubernetes.io/pod-index": "0",
            }}}),
        }]
    );
}

fn patches_time(at: Timestamp) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    crate::patches::time(at)
}
