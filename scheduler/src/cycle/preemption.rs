//! Preemption: which pods of lower priority would have to go so that a pod fits, and on which node that does least harm.

use std::{cmp::Reverse, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::{Context, Diagnosis, Search, diagnosis::Histogram};
use crate::{
    cluster::{NodeIndex, Site},
    framework::{Reasons, Verdict},
    pod::PodView,
    profile::PreemptionLimits,
    random::Random,
    selector::Selector,
};

/// A node with the pods that have to leave it.
#[derive(Debug)]
pub struct Preemption {
    pub node: NodeIndex,
    /// The most important first. At least one.
    pub victims: Vec<Arc<PodView>>,
    /// Victims whose leaving breaks a disruption budget.
    pub violations: usize,
}

/// Why no pod is preempted.
#[derive(Debug, PartialEq, Eq)]
pub struct NotPreempted {
    /// In upstream's words, to follow the diagnosis: `preemption: ...`.
    pub message: String,
    /// Whether a node that was promised to the pod is of no use to it any more.
    pub gives_up_nomination: bool,
}

impl NotPreempted {
    fn new(why: &str, gives_up_nomination: bool) -> NotPreempted {
        NotPreempted {
            message: format!("preemption: {why}"),
            gives_up_nomination,
        }
    }
}

/// Looks for pods to preempt for a pod that fits nowhere.
pub fn preempt(
    context: Context<'_>,
    pod: &PodView,
    diagnosis: &Diagnosis,
    limits: PreemptionLimits,
    random: &mut Random,
) -> Result<Preemption, NotPreempted> {
    eligible(context, pod, diagnosis)?;
    let snapshot = context.snapshot;
    let potential = diagnosis
        .curable()
        .unwrap_or_else(|| snapshot.nodes().to_vec());
    let all = snapshot.nodes().len();
    let mut scratch = Diagnosis::new(all);
    let mut refusals: Vec<Reasons> = Vec::new();
    let mut candidates: Vec<Preemption> = Vec::new();
    if !potential.is_empty()
        && let Some(search) = Search::prepare(context, pod, &mut scratch)
    {
        let share = potential.len() * limits.candidates_min_percent / 100;
        let enough = share.max(limits.candidates_min).min(potential.len());
        let budgets = budgets(context);
        let offset = random.below(potential.len());
        for at in 0..potential.len() {
            let node = potential[(offset + at) % potential.len()];
            match victims_on(&search, pod, node, &budgets) {
                Ok(candidate) => candidates.push(candidate),
                Err(refusal) => refusals.push(refusal),
            }
            if candidates.len() >= enough && candidates.iter().any(|one| one.violations == 0) {
                break;
            }
        }
    }
    let best = candidates.into_iter().min_by_key(harm);
    best.ok_or_else(|| {
        let mut counts = Histogram::default();
        refusals.iter().for_each(|refusal| counts.add(refusal));
        counts.add_many(
            "Preemption is not helpful for scheduling",
            all - refusals.len().min(all),
        );
        NotPreempted::new(&counts.message(all), true)
    })
}

/// Whether the pod may preempt now: not while the pods leave that it has preempted before.
fn eligible(
    context: Context<'_>,
    pod: &PodView,
    diagnosis: &Diagnosis,
) -> Result<(), NotPreempted> {
    if pod.never_preempts {
        return Err(NotPreempted::new(
            "not eligible due to preemptionPolicy=Never.",
            false,
        ));
    }
    let own = context
        .nominated
        .node_of(&pod.uid)
        .or(pod.nominated_node_name.as_ref());
    let Some(node) = own.and_then(|name| context.snapshot.find(name)) else {
        return Ok(());
    };
    if diagnosis.is_unresolvable(node) {
        return Ok(());
    }
    let leaves = |other: &Arc<PodView>| {
        other.priority < pod.priority && other.terminating && other.preempted
    };
    if context.snapshot.pods_on(node).iter().any(leaves) {
        let why = "not eligible due to a terminating pod on the nominated node.";
        return Err(NotPreempted::new(why, false));
    }
    Ok(())
}

/// The fewest pods that have to leave a node, found by taking all of lower priority away and giving back one after the other.
fn victims_on(
    search: &Search<'_>,
    pod: &PodView,
    node: NodeIndex,
    budgets: &[Budget<'_>],
) -> Result<Preemption, Reasons> {
    let snapshot = search.context.snapshot;
    let mut lower: Vec<Arc<PodView>> = snapshot
        .pods_on(node)
        .iter()
        .filter(|other| other.priority < pod.priority)
        .cloned()
        .collect();
    if lower.is_empty() {
        return Err("No preemption victims found for incoming pod".into());
    }
    lower.sort_by_key(|pod| importance(pod));
    let mut fork = search.judge.fork();
    let mut trial = search.ahead_on(node).unwrap_or_default();
    trial.added.iter().for_each(|pod| fork.pod_added(pod, node));
    lower.iter().for_each(|pod| fork.pod_removed(pod, node));
    trial.removed.clone_from(&lower);
    if let Err((_, verdict)) = fork.judge(&Site::with(snapshot, node, &trial)) {
        return Err(match verdict {
            Verdict::Unschedulable(why) | Verdict::Unresolvable(why) => why,
            Verdict::Fits => unreachable!("a judge rejects with a reason"),
        });
    }
    let (violating, harmless) = split(&lower, budgets);
    let mut victims = Vec::new();
    let mut violations = 0;
    let count = violating.len();
    for (at, candidate) in violating.into_iter().chain(harmless).enumerate() {
        trial.removed.retain(|other| other.uid != candidate.uid);
        fork.pod_added(&candidate, node);
        if fork.judge(&Site::with(snapshot, node, &trial)).is_err() {
            fork.pod_removed(&candidate, node);
            trial.removed.push(candidate.clone());
            victims.push(candidate);
            violations += usize::from(at < count);
        }
    }
    if victims.is_empty() {
        return Err("No preemption victims found for incoming pod".into());
    }
    victims.sort_by_key(|pod| importance(pod));
    Ok(Preemption {
        node,
        victims,
        violations,
    })
}

/// The most important pod comes first: of higher priority, then started earlier. A pod that has not started counts as starting last.
fn importance(pod: &PodView) -> (Reverse<i32>, Timestamp) {
    (Reverse(pod.priority), pod.started.unwrap_or(Timestamp::MAX))
}

/// The least is best: violations, highest priority, sum of priorities, number; then the latest start of the most important.
fn harm(candidate: &Preemption) -> (usize, i32, i64, usize, Reverse<Timestamp>) {
    let victims = &candidate.victims;
    let highest = victims.first().map_or(i32::MIN, |pod| pod.priority);
    let sum = victims
        .iter()
        .map(|pod| i64::from(pod.priority) + i64::from(i32::MAX) + 1)
        .sum();
    let most_important = victims.iter().take_while(|pod| pod.priority == highest);
    let started = most_important
        .map(|pod| pod.started.unwrap_or(Timestamp::MAX))
        .min();
    (
        candidate.violations,
        highest,
        sum,
        victims.len(),
        Reverse(started.unwrap_or(Timestamp::MAX)),
    )
}

/// A disruption budget with its selector parsed.
struct Budget<'a> {
    object: &'a PodDisruptionBudget,
    selector: Selector,
    allowed: i32,
}

fn budgets(context: Context<'_>) -> Vec<Budget<'_>> {
    let all = context.snapshot.objects.budgets.values();
    let parsed = all.map(|object| Budget {
        selector: Selector::of(object.spec.as_ref().and_then(|spec| spec.selector.as_ref())),
        allowed: object
            .status
            .as_ref()
            .and_then(|status| status.disruptions_allowed)
            .unwrap_or(0),
        object,
    });
    parsed
        .filter(|budget| !budget.selector.is_everything())
        .collect()
}

impl Budget<'_> {
    /// Whether a pod's leaving counts against it. One that is noted as leaving already does not.
    fn covers(&self, pod: &PodView) -> bool {
        let noted = self
            .object
            .status
            .as_ref()
            .and_then(|status| status.disrupted_pods.as_ref());
        self.object.metadata.namespace.as_deref() == Some(&*pod.namespace)
            && self.selector.matches(&pod.labels)
            && noted.is_none_or(|noted| !noted.contains_key(&*pod.name))
    }
}

/// Pods whose leaving breaks a budget, and the others, in the order they came.
fn split(pods: &[Arc<PodView>], budgets: &[Budget<'_>]) -> (Vec<Arc<PodView>>, Vec<Arc<PodView>>) {
    let mut allowed: Vec<i32> = budgets.iter().map(|budget| budget.allowed).collect();
    pods.iter().cloned().partition(|pod| {
        let mut violates = false;
        if !pod.labels.is_empty() {
            for (left, _) in allowed
                .iter_mut()
                .zip(budgets)
                .filter(|(_, one)| one.covers(pod))
            {
                *left -= 1;
                violates |= *left < 0;
            }
        }
        violates
    })
}
