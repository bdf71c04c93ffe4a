//! What a plugin is: the points of a scheduling cycle that it takes part in, and the rules there.
//!
//! A pod's way: `pre_enqueue` lets it into the queue. In a cycle `wants` tells the snapshot what to keep, `pre_filter` looks at the
//! cluster once and returns what will judge nodes, `Filter::filter` judges one node after the other until enough fit, `pre_score` and
//! `Score` rank those that fit. Then `reserve` and, while other pods go on, `pre_bind` and binding. A pod that fits nowhere
//! waits until an event comes that one of the plugins that rejected it says may help
//! (`events`, `may_help`).
//!
//! The rest of the framework's points belong to the scheduler itself: the order of the queue is by priority and time, preemption
//! comes after filtering, a group's pods are placed together or not at all, and binding is done in batches.
//!
//! Rules:
//! - Everything is a pure function of its parameters: no IO, no clock, no randomness, no state in the plugin but its configuration.
//! - What depends on the pods of the judged node is asked of the `Site`, because preemption judges nodes with other pods than they
//!   have. What depends on pods of other nodes is taken from the snapshot in `pre_filter`, and corrected by `pod_added` and
//!   `pod_removed` on a fork.
//! - `Filter::filter` and `Score::score` run for thousands of nodes for each pod: they should read columns, sets and arrays by node
//!   or domain that `pre_filter` and `pre_score` made, and neither allocate nor compare text for a node that fits.
//! - Words of rejections are upstream's, because people read them in conditions and events.

mod event;

use std::{borrow::Cow, sync::Arc};

pub use event::{ClusterEvent, EventKinds};

use crate::{
    cluster::{Name, NodeIndex, NodeSet, Objects, Site, Snapshot, Wants},
    pod::PodView,
};

/// Highest score of a node after `Score::normalize`; the lowest is 0.
pub const SCORE_MAX: i64 = 100;

/// Why a node or a pod is rejected, in upstream's words: `node(s) had untolerated taint(s)`. Counted by equal text.
pub type Reason = Cow<'static, str>;

/// Reasons of one plugin for one node: one, or several (`Insufficient cpu`, `Insufficient memory`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reasons {
    One(Reason),
    Many(Box<[Reason]>),
}

impl Reasons {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Reason> {
        match self {
            Reasons::One(one) => std::slice::from_ref(one).iter(),
            Reasons::Many(many) => many.iter(),
        }
    }
}

impl From<&'static str> for Reasons {
    fn from(text: &'static str) -> Reasons {
        Reasons::One(Cow::Borrowed(text))
    }
}

impl From<String> for Reasons {
    fn from(text: String) -> Reasons {
        Reasons::One(Cow::Owned(text))
    }
}

/// What a filter says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    /// It does not fit, and it might if pods of the node were gone.
    Unschedulable(Reasons),
    /// It does not fit, and no preemption can change that.
    Unresolvable(Reasons),
}

impl Verdict {
    /// Whether the node fits.
    #[must_use]
    pub fn fits(&self) -> bool {
        matches!(self, Verdict::Fits)
    }
}

/// What judges nodes for one pod in one cycle.
pub trait Filter {
    /// Judges one node. It is called only for nodes that filters before this one let through.
    fn filter(&self, site: &Site<'_>) -> Verdict;

    /// A copy that can be changed by `pod_added` and `pod_removed` while this one stays as it is.
    fn fork(&self) -> Box<dyn Filter + '_>;

    /// From now on judges as if this pod were on that node too. Called on forks, with pods that are nominated to a node and pods that
    /// preemption takes back. The `Site`'s trial has the pod already; only what was taken from the snapshot has to follow.
    fn pod_added(&mut self, pod: &PodView, node: NodeIndex) {
        let _ = (pod, node);
    }

    /// From now on judges as if this pod were not on that node.
    fn pod_removed(&mut self, pod: &PodView, node: NodeIndex) {
        let _ = (pod, node);
    }
}

/// What `pre_filter` makes of a pod.
pub enum PreFilter<'a> {
    /// The plugin has nothing to say about this pod: its filter is not called, and it does not count as one that rejected it.
    Skip,
    /// The filter judges nodes. With `nodes` only those are looked at; they are the plugin's reason for all others, as `node(s) didn't
    /// satisfy plugin(s) [NAME]`.
    Judge {
        filter: Box<dyn Filter + 'a>,
        nodes: Option<NodeSet>,
    },
    /// No node can take the pod, and preemption might help (`Unschedulable`) or cannot (`Unresolvable`).
    Reject(Verdict),
}

impl<'a> PreFilter<'a> {
    /// A filter for all nodes.
    #[must_use]
    pub fn judge(filter: impl Filter + 'a) -> PreFilter<'a> {
        PreFilter::Judge {
            filter: Box::new(filter),
            nodes: None,
        }
    }
}

/// What ranks nodes for one pod in one cycle.
pub trait Score {
    /// The raw score of one node that fits.
    fn score(&self, site: &Site<'_>) -> i64;

    /// Turns raw scores into 0 to `SCORE_MAX`, higher is better. `scores` are those of `nodes`, in the same order. For scores that are
    /// in this range already there is nothing to do.
    fn normalize(&self, nodes: &[NodeIndex], scores: &mut [i64]) {
        let _ = (nodes, scores);
    }

    /// Whether the normalized score of a node is the same whatever other nodes fit, and changes by nothing but pods of that node and
    /// changes of that node itself. Then pods alike can share scores until a pod is placed there.
    fn is_local(&self) -> bool {
        false
    }
}

/// Scales raw scores so that the highest becomes `SCORE_MAX`, the others in proportion; with `reverse` the lowest is best. All 0 stays
/// 0, or becomes `SCORE_MAX` with `reverse`.
pub fn normalize_by_max(scores: &mut [i64], reverse: bool) {
    let max = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let scaled = if max == 0 {
            0
        } else {
            *score * SCORE_MAX / max
        };
        *score = if reverse { SCORE_MAX - scaled } else { scaled };
    }
}

/// Something to do for a pod's claims before it is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preparation {
    /// Bind this volume to the claim: the volume's `spec.claimRef` is set.
    BindVolume {
        claim: Name,
        volume: Arc<str>,
        /// The volume's `resourceVersion` when it was chosen: whoever sees another one sees what became of the binding.
        version: Arc<str>,
    },
    /// Ask for a volume to be made near this node: the claim's annotation `volume.kubernetes.io/selected-node` is set.
    Provision {
        claim: Name,
        node: Arc<str>,
        /// The claim's `resourceVersion` when this was decided: whoever sees another one sees what became of the request.
        version: Arc<str>,
    },
}

impl Preparation {
    /// The claim it is for.
    #[must_use]
    pub fn claim(&self) -> &Name {
        match self {
            Preparation::BindVolume { claim, .. } | Preparation::Provision { claim, .. } => claim,
        }
    }
}

/// What `reserve` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserve {
    /// The pod may have the node, once this is done. The scheduler puts it into `Objects::prepared` at once, carries it out before it
    /// binds the pod, and takes it out again when the pod is bound or given up.
    Granted(Vec<Preparation>),
    /// It may not.
    Rejected(Reasons),
}

/// How far the preparations of a pod are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The pod can be bound.
    Ready,
    /// Asked again when claims or volumes change.
    Waiting,
    /// It will not come: the pod gives the node back.
    Failed(Reasons),
}

/// A part of decisions. Every point has a default that says nothing.
pub trait Plugin: Send + Sync {
    /// Upstream's name: `NodeResourcesFit`.
    fn name(&self) -> &'static str;

    /// The kinds of events that may make a pod schedulable which this plugin rejected.
    fn events(&self) -> EventKinds {
        EventKinds::NONE
    }

    /// Whether this very event may make this pod schedulable, which this plugin rejected. Called only for kinds out of `events`. When in
    /// doubt `true`: a pod that is tried for nothing costs less than one that waits for nothing.
    fn may_help(&self, pod: &PodView, event: &ClusterEvent<'_>, snapshot: &Snapshot) -> bool {
        let _ = (pod, event, snapshot);
        true
    }

    /// Whether the pod may be tried at all. Asked again when the pod changes.
    fn pre_enqueue(&self, pod: &PodView) -> Result<(), Reasons> {
        let _ = pod;
        Ok(())
    }

    /// Adds what `pre_filter` and `pre_score` will ask the snapshot for. Leaving something out costs time, and changes no answer.
    fn wants(&self, pod: &PodView, objects: &Objects, wants: &mut Wants) {
        let _ = (pod, objects, wants);
    }

    /// Looks at the cluster once for a pod.
    fn pre_filter<'a>(&'a self, pod: &'a PodView, snapshot: &'a Snapshot) -> PreFilter<'a> {
        let _ = (pod, snapshot);
        PreFilter::Skip
    }

    /// Looks at the nodes that fit once for a pod. `None`: every node scores 0.
    fn pre_score<'a>(
        &'a self,
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        nodes: &[NodeIndex],
    ) -> Option<Box<dyn Score + 'a>> {
        let _ = (pod, snapshot, nodes);
        None
    }

    /// The pod has got this node; what has to be done for it there?
    fn reserve(&self, pod: &PodView, snapshot: &Snapshot, node: NodeIndex) -> Reserve {
        let _ = (pod, snapshot, node);
        Reserve::Granted(Vec::new())
    }

    /// Is everything done that `reserve` asked for?
    fn pre_bind(&self, pod: &PodView, objects: &Objects, node: &str) -> Progress {
        let _ = (pod, objects, node);
        Progress::Ready
    }
}
