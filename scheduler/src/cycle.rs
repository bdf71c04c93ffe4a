//! One decision: which node a pod gets, or why none. Pure over the pod, the snapshot, what is nominated, and random numbers.

mod diagnosis;
mod judge;
mod laps;
mod preemption;

use std::{collections::HashMap, sync::Arc};

pub use diagnosis::{Diagnosis, Rejected};
pub(crate) use laps::timed;
pub use laps::{Lap, Laps, Point};
pub use preemption::{NotPreempted, Preemption, preempt};

use crate::{
    cluster::{NodeIndex, NodeSet, Snapshot, Trial, Wants},
    framework::{PreFilter, Verdict},
    pod::PodView,
    profile::{PluginSet, Profile},
    random::Random,
};
use judge::Judge;

/// Pods that wait for pods to leave the node that was promised to them, by that node's name.
#[derive(Debug, Clone, Default)]
pub struct Nominated {
    by_node: HashMap<Arc<str>, Vec<Arc<PodView>>>,
    by_uid: HashMap<Arc<str>, Arc<str>>,
}

impl Nominated {
    /// Promises a node to a pod in place of what it was promised before.
    pub fn set(&mut self, pod: Arc<PodView>, node: Arc<str>) {
        self.remove(&pod.uid);
        self.by_uid.insert(pod.uid.clone(), node.clone());
        self.by_node.entry(node).or_default().push(pod);
    }

    /// Takes back what a pod was promised. The pod, if it was promised anything.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<PodView>> {
        let node = self.by_uid.remove(uid)?;
        let pods = self.by_node.get_mut(&node)?;
        let at = pods.iter().position(|pod| *pod.uid == *uid)?;
        let pod = pods.remove(at);
        if pods.is_empty() {
            self.by_node.remove(&node);
        }
        Some(pod)
    }

    /// The node that a pod was promised.
    #[must_use]
    pub fn node_of(&self, uid: &str) -> Option<&Arc<str>> {
        self.by_uid.get(uid)
    }

    /// The pods that were promised a node.
    #[must_use]
    pub fn on(&self, node: &str) -> &[Arc<PodView>] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    /// Those that a pod has to leave room for on a node: of its priority and above, without itself.
    fn ahead_of(&self, pod: &PodView, node: &str) -> Option<Trial> {
        if self.by_node.is_empty() {
            return None;
        }
        let others = self.on(node).iter();
        let others = others.filter(|o| o.priority >= pod.priority && o.uid != pod.uid);
        let added: Vec<_> = others.cloned().collect();
        (!added.is_empty()).then(|| Trial {
            removed: Vec::new(),
            added,
        })
    }
}

/// What a cycle goes by.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub profile: &'a Profile,
    pub snapshot: &'a Snapshot,
    pub nominated: &'a Nominated,
    /// Takes times, where somebody wants to know them.
    pub laps: Option<&'a Laps>,
}

/// What a cycle comes to.
#[derive(Debug)]
pub enum Decision {
    /// The pod gets this node.
    Node(NodeIndex),
    /// There is none for it.
    Unschedulable(Diagnosis),
}

/// Where the next search begins, so that over time all nodes are looked at.
#[derive(Debug, Clone, Default)]
pub struct Start(usize);

/// What the plugins of a profile are going to ask for a pod.
#[must_use]
pub fn wants(profile: &Profile, pod: &PodView, snapshot: &Snapshot) -> Wants {
    let mut wants = Wants::default();
    for enabled in profile
        .plugins
        .iter()
        .filter(|one| one.filters || one.weight.is_some())
    {
        enabled.plugin.wants(pod, &snapshot.objects, &mut wants);
    }
    wants
}

/// Decides for a pod.
pub fn decide(
    context: Context<'_>,
    pod: &PodView,
    start: &mut Start,
    random: &mut Random,
) -> Decision {
    let mut diagnosis = Diagnosis::new(context.snapshot.nodes().len());
    if context.snapshot.nodes().is_empty() {
        return Decision::Unschedulable(diagnosis);
    }
    let prepare = || Search::prepare(context, pod, &mut diagnosis);
    let prepared = timed(context.laps, Point::PreFilter, prepare, Option::is_some);
    let Some(search) = prepared else {
        return Decision::Unschedulable(diagnosis);
    };
    let find = || {
        search
            .promised(pod)
            .map_or_else(|| search.find(start, &mut diagnosis), |node| vec![node])
    };
    let feasible = timed(context.laps, Point::Filter, find, |found| !found.is_empty());
    match feasible.as_slice() {
        [] => Decision::Unschedulable(diagnosis),
        [only] => Decision::Node(*only),
        many => {
            let best = || best(context, pod, many, random);
            Decision::Node(timed(context.laps, Point::Score, best, |_| true))
        }
    }
}

/// Judges every node for a pod: the nodes that fit, and what is wrong with the others.
#[must_use]
pub fn inspect(context: Context<'_>, pod: &PodView) -> (Vec<NodeIndex>, Diagnosis) {
    let mut diagnosis = Diagnosis::new(context.snapshot.nodes().len());
    let mut fits = Vec::new();
    if let Some(search) = Search::prepare(context, pod, &mut diagnosis) {
        let allowed = |node: &&NodeIndex| {
            search
                .allowed
                .as_ref()
                .is_none_or(|all| all.contains(**node))
        };
        for node in context.snapshot.nodes().iter().filter(allowed) {
            match search.judge(*node) {
                Ok(()) => fits.push(*node),
                Err((plugin, verdict)) => diagnosis.reject(*node, plugin, verdict),
            }
        }
    }
    (fits, diagnosis)
}

/// The filters of one cycle with the nodes that they are asked about.
struct Search<'a> {
    context: Context<'a>,
    judge: Judge<'a>,
    /// Nodes that plugins narrowed the search to.
    allowed: Option<NodeSet>,
    pod: &'a PodView,
}

impl<'a> Search<'a> {
    /// Asks every plugin. `None` if one says that no node can take the pod.
    fn prepare(
        context: Context<'a>,
        pod: &'a PodView,
        diagnosis: &mut Diagnosis,
    ) -> Option<Search<'a>> {
        let mut judge = Judge::default();
        let mut allowed: Option<NodeSet> = None;
        let mut narrowing = PluginSet::default();
        let plugins = context.profile.plugins.iter().enumerate();
        for (place, enabled) in plugins.filter(|(_, enabled)| enabled.filters) {
            match enabled.plugin.pre_filter(pod, context.snapshot) {
                PreFilter::Skip => {}
                PreFilter::Judge { filter, nodes } => {
                    judge.add(place, filter);
                    if let Some(nodes) = nodes {
                        narrowing.insert(place);
                        allowed = Some(match allowed {
                            None => nodes,
                            Some(old) => old.iter().filter(|node| nodes.contains(*node)).collect(),
                        });
                    }
                }
                PreFilter::Reject(verdict) => {
                    diagnosis.reject_pod(place, verdict);
                    return None;
                }
            }
        }
        if allowed.is_some() {
            diagnosis.narrow(context.profile, narrowing);
        }
        Some(Search {
            context,
            judge,
            allowed,
            pod,
        })
    }

    /// The node that was promised to the pod, if it fits there.
    fn promised(&self, pod: &PodView) -> Option<NodeIndex> {
        let own = self
            .context
            .nominated
            .node_of(&pod.uid)
            .or(pod.nominated_node_name.as_ref())?;
        let node = self.context.snapshot.find(own)?;
        let allowed = self
            .allowed
            .as_ref()
            .is_none_or(|allowed| allowed.contains(node));
        (allowed && self.judge(node).is_ok()).then_some(node)
    }

    /// Nodes that fit, as many as are enough.
    fn find(&self, start: &mut Start, diagnosis: &mut Diagnosis) -> Vec<NodeIndex> {
        let nodes = self.context.snapshot.nodes();
        let narrowed: Vec<NodeIndex>;
        let candidates = match &self.allowed {
            None => nodes,
            Some(allowed) => {
                narrowed = allowed.iter().collect();
                &narrowed
            }
        };
        let enough = self.context.profile.feasible_enough(candidates.len());
        let mut feasible = Vec::with_capacity(enough);
        let begin = if candidates.is_empty() {
            0
        } else {
            start.0 % candidates.len()
        };
        let turn = candidates[begin..].iter().chain(&candidates[..begin]);
        let mut visited = 0;
        for node in turn {
            visited += 1;
            match self.judge(*node) {
                Ok(()) => {
                    feasible.push(*node);
                    if feasible.len() >= enough {
                        break;
                    }
                }
                Err((plugin, verdict)) => diagnosis.reject(*node, plugin, verdict),
            }
        }
        start.0 = (start.0 + visited) % nodes.len();
        feasible
    }

    /// Judges a node both without the pods that were promised it and with them, because they may never come.
    fn judge(&self, node: NodeIndex) -> Result<(), (usize, Verdict)> {
        self.judge.judge(&self.context.snapshot.site(node))?;
        match self.ahead_on(node) {
            Some(trial) => self.judge.on_trial(self.context.snapshot, node, &trial),
            None => Ok(()),
        }
    }

    /// What the node would be with the pods that were promised it.
    fn ahead_on(&self, node: NodeIndex) -> Option<Trial> {
        self.context
            .nominated
            .ahead_of(self.pod, &self.context.snapshot.node(node).name)
    }
}

/// The node with the highest sum of weighted scores; among equals any.
fn best(
    context: Context<'_>,
    pod: &PodView,
    nodes: &[NodeIndex],
    random: &mut Random,
) -> NodeIndex {
    let totals = totals(context, pod, nodes);
    let mut chosen = 0;
    let mut equals = 1;
    for at in 1..nodes.len() {
        if totals[at] > totals[chosen] {
            (chosen, equals) = (at, 1);
        } else if totals[at] == totals[chosen] {
            equals += 1;
            if random.below(equals) == 0 {
                chosen = at;
            }
        }
    }
    nodes[chosen]
}

/// Sums of weighted scores, in the order of the nodes.
#[must_use]
pub fn totals(context: Context<'_>, pod: &PodView, nodes: &[NodeIndex]) -> Vec<i64> {
    let mut totals = vec![0; nodes.len()];
    let mut scores = Vec::with_capacity(nodes.len());
    for enabled in &context.profile.plugins {
        let Some(weight) = enabled.weight else {
            continue;
        };
        let Some(scorer) = enabled.plugin.pre_score(pod, context.snapshot, nodes) else {
            continue;
        };
        scores.clear();
        scores.extend(
            nodes
                .iter()
                .map(|node| scorer.score(&context.snapshot.site(*node))),
        );
        scorer.normalize(nodes, &mut scores);
        for (total, score) in totals.iter_mut().zip(&scores) {
            *total += weight * score;
        }
    }
    totals
}
