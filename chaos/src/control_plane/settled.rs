//! Whether everything in a namespace is as it is desired: specifications, statuses, pods and endpoints agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fields::{
    has_ended, is_active, is_ready, is_terminating, is_true, list, name, number, ordinal, owner,
    owner_kind, owner_uid, text, uid,
};
use super::history::Objects;

/// The label of a slice that names its service.
const SERVICE_NAME: &str = "/metadata/labels/kubernetes.io~1service-name";

/// In words, what is not as it is desired.
pub(super) fn complaints(objects: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    let all = Lists { objects };
    for one in all.of("deployments") {
        deployment(one, &all, &mut found);
    }
    for one in all.of("replicasets") {
        replica_set(one, &all, &mut found);
    }
    for one in all.of("statefulsets") {
        stateful_set(one, &all, &mut found);
    }
    for one in all.of("jobs") {
        job(one, &all, &mut found);
    }
    for one in all.of("pods") {
        pod(one, &all, &mut found);
    }
    for one in all.of("services") {
        service(one, &all, &mut found);
    }
    found
}

struct Lists<'a> {
    objects: &'a Objects,
}

impl<'a> Lists<'a> {
    fn of(&self, resource: &str) -> &'a [Value] {
        self.objects.get(resource).map_or(&[], Vec::as_slice)
    }

    /// The objects of a resource that one controls.
    fn owned(&self, resource: &str, by: &Value) -> Vec<&'a Value> {
        let all = self.of(resource).iter();
        all.filter(|one| owner_uid(one) == uid(by)).collect()
    }
}

/// Says when the controller has not seen the specification, or a figure of the status is not the desired one.
fn figures(kind: &str, object: &Value, figures: &[&str], found: &mut Vec<String>) {
    let label = format!("{kind} {}", name(object));
    let generation = number(object, "/metadata/generation");
    let observed = number(object, "/status/observedGeneration");
    if generation != observed {
        found.push(format!(
            "{label}: generation {generation} is not observed, only {observed}"
        ));
    }
    let desired = number(object, "/spec/replicas");
    for figure in figures {
        let is = number(object, &format!("/status/{figure}"));
        if is != desired {
            found.push(format!("{label}: {figure} is {is} and not {desired}"));
        }
    }
}

fn deployment(object: &Value, all: &Lists<'_>, found: &mut Vec<String>) {
    let wanted = [
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    ];
    figures("deployment", object, &wanted, found);
    let sets = all.owned("replicasets", object);
    let image = "/spec/template/spec/containers/0/image";
    let current = sets
        .iter()
        .filter(|set| number(set, "/spec/replicas") > 0)
        .collect::<Vec<_>>();
    let is_right = match current.as_slice() {
        [set] => {
            number(set, "/spec/replicas") == number(object, "/spec/replicas")
                && text(set, image) == text(object, image)
        }
        _ => false,
    };
    if !is_right {
        found.push(format!(
            "deployment {}: its {} ReplicaSets with pods are not one with its template and replicas",
            name(object),
            current.len()
        ));
    }
}

fn replica_set(object: &Value, all: &Lists<'_>, found: &mut Vec<String>) {
    let label = format!("replicaset {}", name(object));
    figures(
        "replicaset",
        object,
        &["replicas", "readyReplicas", "availableReplicas"],
        found,
    );
    let has_owner = all
        .of("deployments")
        .iter()
        .any(|one| uid(one) == owner_uid(object));
    if !has_owner {
        found.push(format!("{label} is an orphan"));
    }
    let pods = all.owned("pods", object).len();
    if pods as i64 != number(object, "/spec/replicas") {
        found.push(format!(
            "{label} has {pods} pods and not {}",
            number(object, "/spec/replicas")
        ));
    }
}

fn stateful_set(object: &Value, all: &Lists<'_>, found: &mut Vec<String>) {
    let wanted = [
        "replicas",
        "readyReplicas",
        "updatedReplicas",
        "availableReplicas",
    ];
    figures("statefulset", object, &wanted, found);
    let label = format!("statefulset {}", name(object));
    if text(object, "/status/currentRevision") != text(object, "/status/updateRevision") {
        found.push(format!("{label}: its update is not complete"));
    }
    let pods = all.owned("pods", object);
    let ordinals: BTreeSet<u64> = pods.iter().filter_map(|pod| ordinal(name(pod))).collect();
    let desired = u64::try_from(number(object, "/spec/replicas")).unwrap_or_default();
    if !ordinals.iter().copied().eq(0..desired) {
        found.push(format!(
            "{label} has the ordinals {ordinals:?} and not the first {desired}"
        ));
    }
}

fn job(object: &Value, all: &Lists<'_>, found: &mut Vec<String>) {
    let label = format!("job {}", name(object));
    let completions = number(object, "/spec/completions");
    let pods = all.owned("pods", object);
    let succeeded = pods
        .iter()
        .filter(|pod| text(pod, "/status/phase") == "Succeeded")
        .count() as i64;
    let counted = number(object, "/status/succeeded");
    if !is_true(object, "Complete") || counted != completions || succeeded != completions {
        found.push(format!(
            "{label}: {counted} counted and {succeeded} succeeded of {completions}, complete: {}",
            is_true(object, "Complete")
        ));
    }
    if number(object, "/status/active") != 0 {
        found.push(format!("{label} has active pods"));
    }
}

fn pod(object: &Value, all: &Lists<'_>, found: &mut Vec<String>) {
    let label = format!("pod {}", name(object));
    let resource = match owner_kind(object) {
        "ReplicaSet" => "replicasets",
        "StatefulSet" => "statefulsets",
        "Job" => "jobs",
        _ => "",
    };
    let owners = all.of(resource).iter();
    if !owners.into_iter().any(|one| uid(one) == owner_uid(object)) {
        let words = owner(object).map_or("nobody", |owner| text(owner, "/name"));
        found.push(format!("{label} is an orphan of {words}"));
    }
    if is_terminating(object) {
        found.push(format!("{label} is still to go"));
    } else if resource == "jobs" {
        if !has_ended(object) {
            found.push(format!("{label} of a job runs"));
        }
    } else if !is_ready(object) {
        found.push(format!(
            "{label} is {} and not ready",
            text(object, "/status/phase")
        ));
    }
}

fn service(object: &Value, all: &Lists<'_>, found: &mut Vec<String>) {
    let app = text(object, "/spec/selector/app");
    let pods = all.of("pods").iter();
    let ready: BTreeSet<&str> = pods
        .filter(|pod| text(pod, "/metadata/labels/app") == app && is_ready(pod))
        .map(|pod| text(pod, "/status/podIP"))
        .collect();
    let mut told: BTreeMap<&str, bool> = BTreeMap::new();
    let slices = all.of("endpointslices").iter();
    for slice in slices.filter(|slice| text(slice, SERVICE_NAME) == name(object)) {
        for endpoint in list(slice, "/endpoints") {
            let is_ready = endpoint["conditions"]["ready"] == true;
            told.insert(text(endpoint, "/addresses/0"), is_ready);
        }
    }
    let is_right = told.keys().copied().eq(ready.iter().copied()) && told.values().all(|one| *one);
    if !is_right {
        found.push(format!(
            "service {}: the endpoints {told:?} are not the ready pods {ready:?}",
            name(object)
        ));
    }
}

/// How many pods are neither over nor to be deleted, for a line of progress.
pub(super) fn active_pods(objects: &Objects) -> usize {
    let pods = objects.get("pods").map_or(&[][..], Vec::as_slice);
    pods.iter().filter(|pod| is_active(pod)).count()
}
