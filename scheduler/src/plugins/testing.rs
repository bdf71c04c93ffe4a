//! Pods, nodes and clusters as the tests of plugins write them down.

pub(super) mod random;

use std::sync::Arc;

use serde_json::{Value, from_value, json};

use crate::{
    cluster::{NodeIndex, Snapshot, Wants},
    framework::{Plugin, PreFilter, Verdict},
    node::NodeView,
    pod::PodView,
    resources::ResourceNames,
};

/// A pod and its node.
pub(super) type Placed = (PodView, NodeIndex);

/// A cluster with names that pods can be made with.
pub(super) struct World {
    pub(super) names: ResourceNames,
    pub(super) snapshot: Snapshot,
}

impl World {
    /// A cluster of these nodes: `{"name": .., "labels": .., "spec": .., "status": ..}`.
    pub(super) fn of(nodes: &[Value]) -> World {
        let names = ResourceNames::default();
        let snapshot = Snapshot::new(names.clone());
        let mut world = World { names, snapshot };
        for node in nodes {
            world.add_node(node);
        }
        world
    }

    pub(super) fn add_node(&mut self, node: &Value) {
        let object = json!({
            "metadata": {"name": node["name"], "labels": node["labels"]},
            "spec": node["spec"],
            "status": node["status"],
        });
        let node = NodeView::new(&from_value(object).unwrap(), &self.names);
        self.snapshot.set_node(Arc::new(node));
        self.snapshot.settle();
    }

    /// A pod of `{"name": .., "namespace": .., "labels": .., "spec": ..}`; its UID is its name.
    pub(super) fn pod(&self, pod: &Value) -> PodView {
        let spec = pod
            .get("spec")
            .cloned()
            .unwrap_or(json!({"containers": []}));
        let mut metadata = json!({
            "name": pod.get("name").unwrap_or(&json!("incoming")),
            "namespace": pod.get("namespace").unwrap_or(&json!("default")),
            "labels": pod["labels"],
            "ownerReferences": pod["owners"],
            "deletionTimestamp": pod["deleted"],
        });
        metadata["uid"] = metadata["name"].clone();
        let mut object = json!({"metadata": metadata, "spec": spec});
        if object["spec"]["containers"].is_null() {
            object["spec"]["containers"] = json!([]);
        }
        PodView::new(&from_value(object).unwrap(), &self.names)
    }

    /// Puts a pod on a node.
    pub(super) fn place(&mut self, pod: &Value, node: &str) {
        let pod = self.pod(pod);
        self.snapshot.set_pod(Arc::new(pod), node);
    }

    pub(super) fn index(&self, node: &str) -> NodeIndex {
        self.snapshot.find(node).unwrap()
    }

    /// Keeps what a plugin wants for a pod, as the scheduler does before it decides.
    pub(super) fn keep(&mut self, plugin: &dyn Plugin, pod: &PodView) {
        let mut wants = Wants::default();
        plugin.wants(pod, &self.snapshot.objects, &mut wants);
        self.snapshot.keep(&wants);
    }

    /// What a plugin says of every node for a pod, in order of nodes' names: nothing where the pod fits, else the reasons, with `!` before
    /// those that preemption cannot change. A pod that is rejected as a whole has one entry.
    pub(super) fn judge(&self, plugin: &dyn Plugin, pod: &PodView) -> Vec<String> {
        let nodes = self.sorted();
        match plugin.pre_filter(pod, &self.snapshot) {
            PreFilter::Skip => vec![String::new(); nodes.len()],
            PreFilter::Reject(verdict) => vec![words(&verdict)],
            PreFilter::Judge {
                filter,
                nodes: narrowed,
            } => nodes
                .into_iter()
                .map(|node| match &narrowed {
                    Some(set) if !set.contains(node) => "-".to_owned(),
                    _ => words(&filter.filter(&self.snapshot.site(node))),
                })
                .collect(),
        }
    }

    /// The same after pods were thought away and onto nodes. `None` if the plugin says nothing of the pod.
    pub(super) fn judge_changed(
        &self,
        plugin: &dyn Plugin,
        pod: &PodView,
        (removed, added): (&[Placed], &[Placed]),
    ) -> Option<Vec<String>> {
        let PreFilter::Judge { filter, .. } = plugin.pre_filter(pod, &self.snapshot) else {
            return None;
        };
        let mut fork = filter.fork();
        removed
            .iter()
            .for_each(|(other, node)| fork.pod_removed(other, *node));
        added
            .iter()
            .for_each(|(other, node)| fork.pod_added(other, *node));
        let sites = self
            .sorted()
            .into_iter()
            .map(|node| self.snapshot.site(node));
        Some(sites.map(|site| words(&fork.filter(&site))).collect())
    }

    /// What a plugin scores every node for a pod, normalized, in order of nodes' names. `None` if it does not score.
    pub(super) fn score(&self, plugin: &dyn Plugin, pod: &PodView) -> Option<Vec<i64>> {
        self.score_among(plugin, pod, &self.sorted())
    }

    /// The same for nodes that fit.
    pub(super) fn score_among(
        &self,
        plugin: &dyn Plugin,
        pod: &PodView,
        nodes: &[NodeIndex],
    ) -> Option<Vec<i64>> {
        let score = plugin.pre_score(pod, &self.snapshot, nodes)?;
        let sites = nodes.iter().map(|node| self.snapshot.site(*node));
        let mut scores: Vec<i64> = sites.map(|site| score.score(&site)).collect();
        score.normalize(nodes, &mut scores);
        Some(scores)
    }

    /// All nodes, in order of their names.
    pub(super) fn sorted(&self) -> Vec<NodeIndex> {
        let mut nodes = self.snapshot.nodes().to_vec();
        nodes.sort_by(|left, right| {
            self.snapshot
                .node(*left)
                .name
                .cmp(&self.snapshot.node(*right).name)
        });
        nodes
    }
}

/// The words of a verdict.
pub(super) fn words(verdict: &Verdict) -> String {
    let (mark, reasons) = match verdict {
        Verdict::Fits => return String::new(),
        Verdict::Unschedulable(reasons) => ("", reasons),
        Verdict::Unresolvable(reasons) => ("!", reasons),
    };
    let words: Vec<&str> = reasons.iter().map(|reason| &**reason).collect();
    format!("{mark}{}", words.join(", "))
}
