//! Removes pods that nobody else will: too many that ended, those of nodes that are gone, those that never got a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};

use crate::conditions::TRUE;
use crate::{patches, pods};

mod run;

pub(crate) use run::start;

const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// How long a node has to be missing before its pods are taken to be lost.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);

/// Nodes that are missing, and since when.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    missing: BTreeMap<String, Timestamp>,
}

impl Quarantine {
    /// Looks at the pods and nodes. The nodes that are missing for long enough; each is named once a quarantine.
    pub(crate) fn observe(
        &mut self,
        pods: &[Arc<Pod>],
        nodes: &BTreeMap<String, Arc<Node>>,
        now: Timestamp,
    ) -> Vec<String> {
        let named = pods.iter().map(|pod| pods::node_name(pod));
        let missing: BTreeSet<&str> = named
            .filter(|name| !name.is_empty() && !nodes.contains_key(*name))
            .collect();
        self.missing
            .retain(|name, _| missing.contains(name.as_str()));
        for name in missing {
            self.missing.entry(name.to_owned()).or_insert(now);
        }
        let over = |since: &Timestamp| now.duration_since(*since) >= QUARANTINE;
        let due: Vec<String> = self
            .missing
            .iter()
            .filter(|(_, since)| over(since))
            .map(|(name, _)| name.clone())
            .collect();
        due.iter().for_each(|name| {
            self.missing.remove(name);
        });
        due
    }
}

/// The pods that go, in the order in which they go; of those that ended only what exceeds `ended_max`, evicted and
/// oldest first. Zero keeps all that ended.
pub(crate) fn decide(
    pods: &[Arc<Pod>],
    nodes: &BTreeMap<String, Arc<Node>>,
    ended_max: usize,
) -> Vec<Arc<Pod>> {
    let mut gone = ended(pods, ended_max);
    let is_left = |pod: &Pod| {
        let name = pods::node_name(pod);
        let is_terminating = pod.metadata.deletion_timestamp.is_some();
        is_terminating
            && (name.is_empty() || nodes.get(name).is_some_and(|node| is_out_of_service(node)))
    };
    let mut left: Vec<_> = pods.iter().filter(|pod| is_left(pod)).cloned().collect();
    left.sort_by_key(|pod| order(pod));
    let chosen: BTreeSet<_> = gone.iter().map(|pod| pod.metadata.uid.clone()).collect();
    gone.extend(
        left.into_iter()
            .filter(|pod| !chosen.contains(&pod.metadata.uid)),
    );
    gone
}

fn ended(pods: &[Arc<Pod>], ended_max: usize) -> Vec<Arc<Pod>> {
    if ended_max == 0 {
        return Vec::new();
    }
    let is_ended = |pod: &Pod| !matches!(pods::phase(pod), "" | "Pending" | "Running" | "Unknown");
    let mut ended: Vec<_> = pods.iter().filter(|pod| is_ended(pod)).cloned().collect();
    ended.sort_by_key(|pod| order(pod));
    ended.truncate(ended.len().saturating_sub(ended_max));
    ended
}

fn order(pod: &Pod) -> (bool, Option<Timestamp>, Option<String>) {
    let reason = pod
        .status
        .as_ref()
        .and_then(|status| status.reason.as_deref());
    let is_evicted = pods::phase(pod) == "Failed" && reason == Some("Evicted");
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (!is_evicted, created, pod.metadata.name.clone())
}

/// Whether somebody vouches that a node that is not ready will not come back by itself.
fn is_out_of_service(node: &Node) -> bool {
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    let is_ready = crate::node_lifecycle::health::ready_status(node) == Some(TRUE);
    !is_ready && taints.into_iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

/// What the status of a pod says whose node is gone.
pub(crate) fn condition(pod: &Pod, now: Timestamp) -> PodCondition {
    PodCondition {
        last_transition_time: Some(patches::time(now)),
        message: Some("PodGC: node no longer exists".to_owned()),
        observed_generation: observed_generation(pod),
        reason: Some("DeletionByPodGC".to_owned()),
        status: TRUE.to_owned(),
        type_: "DisruptionTarget".to_owned(),
        ..PodCondition::default()
    }
}

/// The generation that a status says it was made for, if the pod's status says so at all.
pub(crate) fn observed_generation(pod: &Pod) -> Option<i64> {
    pod.status
        .as_ref()?
        .observed_generation
        .and(pod.metadata.generation)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, changes: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [], "nodeName": "node"}, "status": {"phase": "Running"},
        });
        for (section, fields) in changes.as_object().unwrap() {
            pod[section]
                .as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
        }
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn nodes(node: Value) -> BTreeMap<String, Arc<Node>> {
        BTreeMap::from([(
            "node".to_owned(),
            Arc::new(serde_json::from_value(node).unwrap()),
        )])
    }

    fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
        pods.iter()
            .filter_map(|pod| pod.metadata.name.as_deref())
            .collect()
    }

    #[test]
    fn of_the_pods_that_ended_the_evicted_and_oldest_go_first() {
        let created =
            |day: u32| json!({"creationTimestamp": format!("2026-01-{day:02}T00:00:00Z")});
        let pods = [
            pod(
                "young",
                json!({"metadata": created(9), "status": {"phase": "Succeeded"}}),
            ),
            pod(
                "old",
                json!({"metadata": created(2), "status": {"phase": "Failed"}}),
            ),
            pod(
                "evicted",
                json!({"metadata": created(8), "status": {"phase": "Failed", "reason": "Evicted"}}),
            ),
            pod("running", json!({"metadata": created(1)})),
        ];
        let cases = [
            (0, vec![]),
            (1, vec!["evicted", "old"]),
            (2, vec!["evicted"]),
            (3, vec![]),
        ];
        for (ended_max, expected) in cases {
            assert_eq!(
                names(&decide(&pods, &nodes(json!({})), ended_max)),
                expected,
                "{ended_max}"
            );
        }
    }

    #[test]
    fn terminating_pods_go_if_they_have_no_node_or_one_that_is_out_of_service() {
        let going = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let pods = [
            pod("stays", json!({})),
            pod(
                "nowhere",
                json!({"metadata": going, "spec": {"nodeName": ""}}),
            ),
            pod("bound", json!({"metadata": going})),
            pod("waiting", json!({"spec": {"nodeName": ""}})),
        ];
        let tainted = json!({"taints": [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]});
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let cases = [
            (json!({}), vec!["nowhere"]),
            (json!({"spec": tainted}), vec!["bound", "nowhere"]),
            (json!({"spec": tainted, "status": ready}), vec!["nowhere"]),
        ];
        for (node, expected) in cases {
            assert_eq!(
                names(&decide(&pods, &nodes(node.clone()), 10)),
                expected,
                "{node}"
            );
        }
    }

    #[test]
    fn a_node_is_lost_after_it_was_missing_for_the_whole_quarantine() {
        let pods = [pod("a", json!({}))];
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let (none, there) = (BTreeMap::new(), nodes(json!({})));
        let mut quarantine = Quarantine::default();
        assert_eq!(
            quarantine.observe(&pods, &none, at(0)),
            Vec::<String>::new()
        );
        assert_eq!(
            quarantine.observe(&pods, &there, at(20)),
            Vec::<String>::new()
        );
        assert_eq!(
            quarantine.observe(&pods, &none, at(40)),
            Vec::<String>::new(),
            "it came back in between"
        );
        assert_eq!(
            quarantine.observe(&pods, &none, at(79)),
            Vec::<String>::new()
        );
        assert_eq!(quarantine.observe(&pods, &none, at(80)), ["node"]);
        assert_eq!(
            quarantine.observe(&pods, &none, at(100)),
            Vec::<String>::new(),
            "a new quarantine begins"
        );
    }
}
