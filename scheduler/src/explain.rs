//! Why a pod waits, from lists of objects alone: for people who ask.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::{
    cluster::Snapshot,
    config::default_profile,
    cycle::{self, Context, Nominated, wants},
    framework::Verdict,
    node::NodeView,
    pod::PodView,
    resources::ResourceNames,
};

/// What can be said of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The scheduler's own words if no node fits: `0/3 nodes are available: ...`. Empty if one does.
    pub message: String,
    /// Gates that keep it from being tried.
    pub gates: Vec<String>,
    /// Nodes that fit.
    pub fits: Vec<String>,
    /// Nodes that do not, with the plugin that rejects each, and its reasons.
    pub rejected: Vec<(String, &'static str, Vec<String>)>,
}

/// Judges all nodes for a pod with the default plugins, as if it were tried now.
#[must_use]
pub fn explain(pod: &Pod, nodes: &[Node], pods: &[Pod]) -> Explanation {
    let names = ResourceNames::default();
    let mut snapshot = Snapshot::new(names.clone());
    for node in nodes {
        snapshot.set_node(Arc::new(NodeView::new(node, &names)));
    }
    let pod = PodView::new(pod, &names);
    for other in pods {
        let other = PodView::new(other, &names);
        if let Some(node) = other.node_name.clone().filter(|_| other.uid != pod.uid) {
            snapshot.set_pod(Arc::new(other), &node);
        }
    }
    let profile = default_profile(&pod.scheduler_name);
    snapshot.keep(&wants(&profile, &pod, &snapshot));
    snapshot.settle();
    let nominated = Nominated::default();
    let context = Context {
        laps: None,
        profile: &profile,
        snapshot: &snapshot,
        nominated: &nominated,
    };
    let (fits, diagnosis) = cycle::inspect(context, &pod);
    let rejected = diagnosis.rejected().iter().map(|one| {
        let reasons = match &one.verdict {
            Verdict::Unschedulable(why) | Verdict::Unresolvable(why) => {
                why.iter().map(ToString::to_string).collect()
            }
            Verdict::Fits => Vec::new(),
        };
        let plugin = profile.plugins[one.plugin].plugin.name();
        (snapshot.node(one.node).name.to_string(), plugin, reasons)
    });
    Explanation {
        message: if fits.is_empty() {
            diagnosis.message()
        } else {
            String::new()
        },
        gates: pod.gates.iter().map(ToString::to_string).collect(),
        rejected: rejected.collect(),
        fits: fits
            .iter()
            .map(|node| snapshot.node(*node).name.to_string())
            .collect(),
    }
}
