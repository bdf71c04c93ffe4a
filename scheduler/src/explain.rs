//! Why a pod waits, from what the cluster is now: for people who ask.

mod advice;
mod read;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;

pub use advice::Shortfall;
pub use read::read_cluster;

use crate::{
    cluster::{NodeIndex, Snapshot},
    config::default_profile,
    cycle::{self, Context, Diagnosis, Nominated},
    engine::too_few_members,
    framework::Verdict,
    pod::PodView,
    profile::Profile,
    random::Random,
};

/// The cluster that a pod is judged in.
#[derive(Debug, Default)]
pub struct Cluster {
    pub snapshot: Snapshot,
    /// Pods without a node.
    pub waiting: Vec<Arc<PodView>>,
}

/// What can be said of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The scheduler's own words if no node fits: `0/3 nodes are available: ...`. Empty if one does.
    pub message: String,
    /// Gates that keep it from being tried.
    pub gates: Vec<String>,
    /// How many nodes there are.
    pub nodes: usize,
    /// Nodes that fit.
    pub fits: Vec<String>,
    /// Nodes that do not, those with the same reasons together; most nodes first.
    pub rejected: Vec<Rejected>,
    /// Resources of which some node has not enough left.
    pub shortfalls: Vec<Shortfall>,
    /// What would help, in sentences.
    pub advice: Vec<String>,
    /// The node whose pods would make room, if they have to.
    pub preempts: Option<Eviction>,
}

/// Nodes that one plugin rejects for the same reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Empty for nodes that several plugins together keep from being looked at.
    pub plugin: &'static str,
    pub reasons: Vec<String>,
    pub nodes: Vec<String>,
}

/// Pods that would leave a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Eviction {
    pub node: String,
    /// As `namespace/name`, the most important first.
    pub pods: Vec<String>,
}

/// Judges all nodes for a pod with the default plugins, as if it were tried now.
#[must_use]
pub fn explain(pod: &Pod, cluster: &mut Cluster) -> Explanation {
    let Cluster { snapshot, waiting } = cluster;
    let pod = PodView::new(pod, &snapshot.resource_names().clone());
    // Promises to others, as the scheduler keeps them.
    let mut nominated = Nominated::default();
    for other in waiting.iter().filter(|other| other.uid != pod.uid) {
        if let Some(node) = other.nominated_node_name.clone() {
            nominated.set(other.clone(), node);
        }
    }
    let profile = default_profile(&pod.scheduler_name);
    snapshot.keep(&cycle::wants(&profile, &pod, snapshot));
    snapshot.settle();
    let context = Context {
        laps: None,
        profile: &profile,
        snapshot,
        nominated: &nominated,
    };
    let (fits, diagnosis) = cycle::inspect(context, &pod);
    let mut explanation = Explanation {
        gates: pod.gates.iter().map(ToString::to_string).collect(),
        nodes: snapshot.nodes().len(),
        fits: fits
            .iter()
            .map(|node| snapshot.node(*node).name.to_string())
            .collect(),
        rejected: rejected(&profile, snapshot, &diagnosis, fits.len()),
        ..Explanation::default()
    };
    if fits.is_empty() {
        explanation.message = diagnosis.message();
        explanation.shortfalls = advice::shortfalls(&pod, snapshot);
        explanation.advice = advice::advice(&pod, snapshot, &explanation);
        preempt(context, &pod, &diagnosis, &mut explanation);
    }
    if let Some(message) = lacks_members(&pod, cluster) {
        explanation.message = message;
    }
    explanation
}

/// Nodes by what is wrong with them.
fn rejected(
    profile: &Profile,
    snapshot: &Snapshot,
    diagnosis: &Diagnosis,
    fits: usize,
) -> Vec<Rejected> {
    let mut groups: BTreeMap<(&'static str, Vec<String>), Vec<String>> = BTreeMap::new();
    let name = |node: &NodeIndex| snapshot.node(*node).name.to_string();
    for one in diagnosis.rejected() {
        let plugin = profile.plugins[one.plugin].plugin.name();
        let group = groups.entry((plugin, reasons(&one.verdict))).or_default();
        group.push(name(&one.node));
    }
    if let Some((plugin, verdict)) = diagnosis.of_pod() {
        let plugin = profile.plugins[plugin].plugin.name();
        let all = snapshot.nodes().iter().map(name).collect();
        groups.insert((plugin, reasons(verdict)), all);
    } else if let Some(narrowed) = diagnosis.narrowed().filter(|_| fits == 0) {
        let looked_at: HashSet<_> = diagnosis.rejected().iter().map(|one| one.node).collect();
        let others = snapshot.nodes().iter();
        let others = others.filter(|node| !looked_at.contains(node));
        let others: Vec<String> = others.map(name).collect();
        if !others.is_empty() {
            groups.insert(("", vec![narrowed.to_owned()]), others);
        }
    }
    let mut all: Vec<Rejected> = groups
        .into_iter()
        .map(|((plugin, reasons), mut nodes)| {
            nodes.sort();
            Rejected {
                plugin,
                reasons,
                nodes,
            }
        })
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.nodes.len()));
    all
}

fn reasons(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Unschedulable(why) | Verdict::Unresolvable(why) => {
            why.iter().map(ToString::to_string).collect()
        }
        Verdict::Fits => Vec::new(),
    }
}

/// Whether other pods would be made to leave, or in the scheduler's words why not.
fn preempt(
    context: Context<'_>,
    pod: &PodView,
    diagnosis: &Diagnosis,
    explanation: &mut Explanation,
) {
    let limits = context.profile.preemption;
    let Some(limits) = limits.filter(|_| !diagnosis.plugins().is_empty()) else {
        return;
    };
    match cycle::preempt(context, pod, diagnosis, limits, &mut Random::new(0)) {
        Ok(preemption) => {
            let node = context.snapshot.node(preemption.node).name.to_string();
            let pods = preemption.victims.iter().map(|pod| pod.key().to_string());
            explanation.preempts = Some(Eviction {
                node,
                pods: pods.collect(),
            });
        }
        Err(why) => explanation.message = format!("{} {}", explanation.message, why.message),
    }
}

/// What the scheduler says of a pod whose group has too few members to be tried.
fn lacks_members(pod: &PodView, cluster: &Cluster) -> Option<String> {
    let Cluster { snapshot, waiting } = cluster;
    let group = (pod.namespace.clone(), pod.group.clone()?);
    let min = snapshot.objects.pod_groups.get(&group).copied();
    let min = min.or(pod.group_members_min)?;
    let is_sibling = |other: &&Arc<PodView>| {
        other.uid != pod.uid
            && other.namespace == pod.namespace
            && other.group == pod.group
            && other.gates.is_empty()
    };
    let on_nodes = snapshot
        .pod_uids()
        .filter_map(|uid| Some(snapshot.pod(uid)?.0));
    let siblings = on_nodes.chain(waiting).filter(is_sibling);
    let all = siblings.count() + 1;
    (all < min).then(|| too_few_members(snapshot.nodes().len(), &pod.name, all, min))
}
