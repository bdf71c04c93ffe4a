//! Histories of claims, volumes and classes: every step is fed back until nothing is left to do.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::StorageClass;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

mod finalizers;
mod provisioning;

/// Turns after which a history has to be at rest.
const TURNS_MAX: usize = 20;

#[derive(Default)]
struct Model {
    claims: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    volumes: BTreeMap<String, Arc<PersistentVolume>>,
    classes: Vec<Arc<StorageClass>>,
    nodes: BTreeMap<String, Node>,
    waiting_pods: Vec<String>,
    told: Vec<String>,
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(
                target
                    .as_object_mut()
                    .unwrap()
                    .entry(name.clone())
                    .or_insert(Value::Null),
                value,
            );
        }
    }
}

fn patched<T: Serialize + DeserializeOwned>(object: &T, patch: &Value) -> Arc<T> {
    let mut tree = serde_json::to_value(object).unwrap();
    let metadata = |tree: &Value, field: &str| tree["metadata"].get(field).cloned();
    for field in ["uid", "resourceVersion"] {
        let asked = metadata(patch, field);
        assert!(
            asked.is_none() || asked == metadata(&tree, field),
            "a precondition of {patch} does not hold"
        );
    }
    merge(&mut tree, patch);
    let version: u32 = tree["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    tree["metadata"]["resourceVersion"] = json!((version + 1).to_string());
    Arc::new(serde_json::from_value(tree).unwrap())
}

fn with<T: DeserializeOwned>(mut base: Value, changes: &Value) -> Arc<T> {
    merge(&mut base, changes);
    Arc::new(serde_json::from_value(base).unwrap())
}

impl Model {
    fn claim(&mut self, name: &str, changes: &Value) {
        let base = json!({
            "metadata": {"name": name, "namespace": "ns", "uid": format!("{name}-uid"), "resourceVersion": "1"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}, "storageClassName": ""},
            "status": {"phase": "Pending"},
        });
        self.claims.insert(name.to_owned(), with(base, changes));
    }

    fn volume(&mut self, name: &str, size: &str, changes: &Value) {
        let base = json!({
            "metadata": {"name": name, "uid": format!("{name}-uid"), "resourceVersion": "1"},
            "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "hostPath": {"path": "/x"}},
            "status": {"phase": "Pending"},
        });
        self.volumes.insert(name.to_owned(), with(base, changes));
    }

    fn class(&mut self, name: &str, provisioner: &str, mode: &str) {
        let class = json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode, "reclaimPolicy": "Delete"});
        self.classes.push(with(class, &json!({})));
    }

    fn claim_steps(&self, claim: &Arc<PersistentVolumeClaim>) -> Vec<Step> {
        let volumes: Vec<_> = self.volumes.values().cloned().collect();
        let node = claims::selected_node(claim).and_then(|name| self.nodes.get(name));
        let seen = claims::Seen {
            claim,
            named: self.volumes.get(volume_name(claim)),
            volumes: &volumes,
            classes: &self.classes,
            waiting_pods: &self.waiting_pods,
            node,
        };
        claims::decide(&seen).unwrap()
    }

    /// Looks at everything until nothing is written any more.
    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut writes = 0;
            for volume in self.volumes.values().cloned().collect::<Vec<_>>() {
                let reference =
                    claim_reference(&volume).and_then(|reference| reference.name.clone());
                let claim = reference.and_then(|name| self.claims.get(&name)).cloned();
                writes += self.carry_out(volumes::decide(&volume, claim.as_ref()));
            }
            for claim in self.claims.values().cloned().collect::<Vec<_>>() {
                writes += self.carry_out(self.claim_steps(&claim));
            }
            if writes == 0 {
                return;
            }
        }
        panic!(
            "the history does not come to rest: {:?} {:?}",
            self.claims, self.volumes
        );
    }

    fn carry_out(&mut self, steps: Vec<Step>) -> usize {
        let mut writes = 0;
        for step in steps {
            writes += 1;
            match step {
                Step::Volume { volume, patch } | Step::VolumeStatus { volume, patch } => {
                    let name = volume.metadata.name.clone().unwrap();
                    let new = patched(&*self.volumes[&name], &patch);
                    self.volumes.insert(name, new);
                }
                Step::Claim { claim, patch } | Step::ClaimStatus { claim, patch } => {
                    let name = claim.metadata.name.clone().unwrap();
                    let new = patched(&*self.claims[&name], &patch);
                    self.claims.insert(name, new);
                }
                Step::Create(volume) => {
                    let name = volume.metadata.name.clone().unwrap();
                    let added = json!({"metadata": {"uid": format!("{name}-uid"), "resourceVersion": "1"}, "status": {"phase": "Pending"}});
                    self.volumes
                        .insert(name, with(serde_json::to_value(volume).unwrap(), &added));
                }
                Step::Delete(volume) => {
                    self.volumes.remove(volume.metadata.name.as_ref().unwrap());
                }
                Step::TellVolume { event, .. } | Step::TellClaim { event, .. } => {
                    writes -= 1;
                    if !self.told.contains(&event.reason) {
                        self.told.push(event.reason);
                    }
                }
                Step::Look(_) => writes -= 1,
            }
        }
        writes
    }

    /// The phase of a claim and the volume it has.
    fn state(&self, claim: &str) -> (&str, &str) {
        (
            claim_phase(&self.claims[claim]),
            volume_name(&self.claims[claim]),
        )
    }

    fn phase(&self, volume: &str) -> &str {
        volume_phase(&self.volumes[volume])
    }
}

#[test]
fn a_claim_is_bound_to_the_smallest_volume_that_fits_in_both_directions() {
    let mut model = Model::default();
    model.volume("large", "50Gi", &json!({}));
    model.volume("right", "10Gi", &json!({}));
    model.volume("small", "1Gi", &json!({}));
    model.settle();
    model.claim("c", &json!({}));
    model.settle();
    assert_eq!(
        (model.state("c"), model.phase("right"), model.phase("large")),
        (("Bound", "right"), "Bound", "Available")
    );
    let (claim, volume) = (&model.claims["c"], &model.volumes["right"]);
    for key in [BIND_COMPLETED, BOUND_BY_CONTROLLER] {
        assert_eq!(annotation(&claim.metadata, key), Some("yes"));
    }
    assert_eq!(
        annotation(&volume.metadata, BOUND_BY_CONTROLLER),
        Some("yes")
    );
    assert_eq!(
        claim_reference(volume).unwrap().uid.as_deref(),
        Some("c-uid")
    );
    let status = serde_json::to_value(claim.status.as_ref().unwrap()).unwrap();
    assert_eq!(
        status,
        json!({"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}})
    );
}

#[test]
fn a_volume_suits_a_claim_only_in_every_respect() {
    let cases = [
        (json!({}), json!({}), true),
        (
            json!({"spec": {"accessModes": ["ReadOnlyMany"]}}),
            json!({}),
            false,
        ),
        (
            json!({"spec": {"accessModes": ["ReadOnlyMany", "ReadWriteOnce"]}}),
            json!({}),
            true,
        ),
        (json!({"spec": {"volumeMode": "Block"}}), json!({}), false),
        (json!({"spec": {"storageClassName": "x"}}), json!({}), false),
        (
            json!({"spec": {"storageClassName": "x"}}),
            json!({"spec": {"storageClassName": "x"}}),
            true,
        ),
        (
            json!({"spec": {"capacity": {"storage": "4Gi"}}}),
            json!({}),
            false,
        ),
        (
            json!({"spec": {"claimRef": {"name": "other", "namespace": "ns"}}}),
            json!({}),
            false,
        ),
        (
            json!({"spec": {"claimRef": {"name": "c", "namespace": "ns"}}}),
            json!({}),
            true,
        ),
        (
            json!({"spec": {"claimRef": {"name": "c", "namespace": "ns", "uid": "older"}}}),
            json!({}),
            false,
        ),
        (
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            json!({}),
            false,
        ),
        (
            json!({}),
            json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
            false,
        ),
        (
            json!({"metadata": {"labels": {"a": "b"}}}),
            json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}),
            true,
        ),
    ];
    for (volume, claim, expected) in cases {
        let mut model = Model::default();
        model.volume("v", "5Gi", &volume);
        model.claim("c", &claim);
        model.settle();
        assert_eq!(model.state("c").0 == "Bound", expected, "{volume} {claim}");
    }
}

#[test]
fn two_claims_never_share_a_volume() {
    let mut model = Model::default();
    model.volume("v", "5Gi", &json!({}));
    model.settle();
    model.claim("a", &json!({}));
    model.claim("b", &json!({}));
    model.settle();
    let mut phases = [model.state("a").0, model.state("b").0];
    phases.sort_unstable();
    assert_eq!(phases, ["Bound", "Pending"]);
    assert_eq!(model.told, ["FailedBinding"]);
}

#[test]
fn a_claim_may_ask_for_a_volume_by_name() {
    let named = json!({"spec": {"volumeName": "v"}});
    let taken = json!({"spec": {"claimRef": {"name": "other", "namespace": "ns", "uid": "o"}}});
    let cases = [
        (json!({}), "Bound", vec![]),
        (
            json!({"spec": {"capacity": {"storage": "1Gi"}}}),
            "Pending",
            vec!["VolumeMismatch"],
        ),
        (taken, "Pending", vec!["FailedBinding"]),
    ];
    for (volume, phase, told) in cases {
        let mut model = Model::default();
        model.claim("c", &named);
        model.settle();
        assert_eq!(
            model.state("c"),
            ("Pending", "v"),
            "it waits for the volume"
        );
        model.volume("v", "5Gi", &volume);
        model.settle();
        assert_eq!(
            (model.state("c").0, model.told.clone()),
            (phase, told.into_iter().map(str::to_owned).collect()),
            "{volume}"
        );
    }
}

#[test]
fn a_claim_whose_volume_is_gone_is_lost() {
    let mut model = Model::default();
    model.volume("v", "5Gi", &json!({}));
    model.claim("c", &json!({}));
    model.settle();
    model.volumes.clear();
    model.settle();
    assert_eq!(
        (model.state("c"), model.told.as_slice()),
        (("Lost", "v"), ["ClaimLost".to_owned()].as_slice())
    );
}

#[test]
fn a_volume_without_its_claim_is_reclaimed_as_its_policy_says() {
    let cases = [
        (
            json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}),
            Some("Released"),
            vec![],
        ),
        (
            json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}),
            Some("Failed"),
            vec!["VolumeFailedDelete"],
        ),
        (
            json!({"spec": {"persistentVolumeReclaimPolicy": "Recycle"}}),
            Some("Failed"),
            vec!["VolumeFailedRecycle"],
        ),
        (
            json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}, "metadata": {"annotations": {PROVISIONED_BY: "csi.example"}}}),
            Some("Released"),
            vec![],
        ),
        (
            json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}, "metadata": {"annotations": {PROVISIONED_BY: local_path::PROVISIONER_NAME}}}),
            None,
            vec![],
        ),
    ];
    for (volume, phase, told) in cases {
        let mut model = Model::default();
        model.volume("v", "5Gi", &volume);
        model.claim("c", &json!({}));
        model.settle();
        model.claims.clear();
        model.settle();
        let left = model.volumes.get("v").map(|volume| volume_phase(volume));
        assert_eq!(
            (left, model.told),
            (phase, told.into_iter().map(str::to_owned).collect()),
            "{volume}"
        );
    }
}

#[test]
fn a_volume_whose_claim_took_another_is_free_again() {
    let bound = json!({"metadata": {"annotations": {BIND_COMPLETED: "yes"}}, "spec": {"volumeName": "other"}});
    let reference = json!({"name": "c", "namespace": "ns", "uid": "c-uid"});
    let by_controller = json!({"metadata": {"annotations": {BOUND_BY_CONTROLLER: "yes"}}, "spec": {"claimRef": reference}});
    let by_user = json!({"spec": {"claimRef": reference}});
    for (changes, kept_name) in [(by_controller, None), (by_user, Some("c"))] {
        let mut model = Model::default();
        model.volume("other", "5Gi", &json!({"spec": {"claimRef": reference}}));
        model.volume("v", "5Gi", &changes);
        model.claim("c", &bound);
        model.settle();
        assert_eq!(
            (model.state("c"), model.phase("v")),
            (("Bound", "other"), "Available")
        );
        assert_eq!(
            claim_reference(&model.volumes["v"]).and_then(|reference| reference.name.as_deref()),
            kept_name
        );
    }
}
