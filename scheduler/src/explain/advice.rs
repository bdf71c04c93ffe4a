//! What a pod would need that it fits somewhere: what is short, and what could be changed.

use std::collections::BTreeMap;
use std::fmt::Write;

use objects::quantity::{Format, Quantity};
use serde::Serialize;

use super::Explanation;
use crate::{
    cluster::{NodeIndex, Snapshot},
    node::NodeView,
    pod::PodView,
    resources::ResourceId,
    selector::{Condition, Requirement},
    taint::{Effect, Taint},
};

/// A resource of which some node has not enough left, in quantities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shortfall {
    pub resource: String,
    /// What the pod asks for.
    pub asked: String,
    /// The most that one node has left, and which one that is.
    pub free_most: String,
    pub free_most_on: String,
    /// What all nodes together have left.
    pub free: String,
    /// The most that one node has, if it were empty.
    pub node_most: String,
    /// Nodes that have not enough left.
    pub nodes_short: usize,
}

/// What of a resource is left where.
struct Left {
    on: NodeIndex,
    free: i64,
    all: i64,
}

/// The resources that some node has not enough of, in the order of the pod's.
pub(super) fn shortfalls(pod: &PodView, snapshot: &Snapshot) -> Vec<Shortfall> {
    let names = snapshot.resource_names();
    let asked = pod.requests.iter().map(|(id, amount)| {
        let left = |node: &NodeIndex| {
            let at = |column: &[i64]| column.get(node.slot()).copied().unwrap_or(0);
            let all = at(snapshot.allocatable(id));
            Left {
                on: *node,
                free: (all - at(snapshot.used(id))).max(0),
                all,
            }
        };
        let left: Vec<Left> = snapshot.nodes().iter().map(left).collect();
        let unit = |amount| quantity(id, &names.name(id), amount);
        shortfall(&names.name(id), amount, (&left, snapshot), unit)
    });
    let pods = snapshot.nodes().iter().map(|node| {
        let all = snapshot.pods_max(*node);
        let used = i64::try_from(snapshot.pods_on(*node).len()).unwrap_or(i64::MAX);
        Left {
            on: *node,
            free: (all - used).max(0),
            all,
        }
    });
    let pods: Vec<Left> = pods.collect();
    let pods = shortfall("pods", 1, (&pods, snapshot), |amount| amount.to_string());
    asked.chain([pods]).flatten().collect()
}

fn shortfall(
    name: &str,
    asked: i64,
    (left, snapshot): (&[Left], &Snapshot),
    unit: impl Fn(i64) -> String,
) -> Option<Shortfall> {
    let nodes_short = left.iter().filter(|one| one.free < asked).count();
    let most = left.iter().max_by_key(|one| one.free)?;
    let free = left.iter().map(|one| one.free);
    (nodes_short > 0).then(|| Shortfall {
        resource: name.to_owned(),
        asked: unit(asked),
        free_most: unit(most.free),
        free_most_on: snapshot.node(most.on).name.to_string(),
        free: unit(free.fold(0, i64::saturating_add)),
        node_most: unit(left.iter().map(|one| one.all).max().unwrap_or(0)),
        nodes_short,
    })
}

fn quantity(id: ResourceId, name: &str, amount: i64) -> String {
    let is_bytes = matches!(id, ResourceId::MEMORY | ResourceId::EPHEMERAL_STORAGE)
        || name.starts_with("hugepages-");
    match id {
        ResourceId::CPU => Quantity::from_milli(amount, Format::Decimal).to_string(),
        _ if is_bytes => Quantity::new(amount, Format::Binary).to_string(),
        _ => amount.to_string(),
    }
}

/// What would help, in sentences. Where no node could ever take the pod, that alone.
pub(super) fn advice(pod: &PodView, snapshot: &Snapshot, explanation: &Explanation) -> Vec<String> {
    let (too_large, short): (Vec<_>, Vec<_>) = explanation
        .shortfalls
        .iter()
        .filter(|short| short.nodes_short == explanation.nodes)
        .partition(|short| is_too_large(short));
    let mut never = selection(pod, snapshot);
    never.extend(too_large.into_iter().map(too_little));
    if !never.is_empty() {
        return never;
    }
    let mut advice = Vec::new();
    for group in &explanation.rejected {
        let nodes = || {
            let found = group.nodes.iter().filter_map(|name| snapshot.find(name));
            found.map(|node| snapshot.node(node))
        };
        match group.plugin {
            "TaintToleration" => taints(pod, nodes(), &mut advice),
            "NodeUnschedulable" => advice.push(format!(
                "uncordon a node (kubectl uncordon {}): {} cordoned",
                group.nodes.first().map_or("", String::as_str),
                counted(group.nodes.len())
            )),
            _ => {}
        }
    }
    advice.extend(short.into_iter().map(too_little));
    advice
}

fn counted(nodes: usize) -> String {
    match nodes {
        1 => "1 node is".to_owned(),
        nodes => format!("{nodes} nodes are"),
    }
}

fn taints<'a>(pod: &PodView, nodes: impl Iterator<Item = &'a NodeView>, advice: &mut Vec<String>) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for node in nodes {
        let untolerated = node.taints.iter().filter(|taint| {
            let tolerated = pod.tolerations.iter().any(|one| one.tolerates(taint));
            taint.effect.is_hard() && !tolerated
        });
        for taint in untolerated {
            *counts.entry(written(taint)).or_default() += 1;
        }
    }
    for (taint, nodes) in counts {
        advice.push(format!(
            "tolerate the taint {taint}: it is on {}",
            of(nodes)
        ));
    }
}

fn of(nodes: usize) -> String {
    match nodes {
        1 => "1 node".to_owned(),
        nodes => format!("{nodes} nodes"),
    }
}

/// A taint as kubectl has it: `key=value:NoSchedule`.
fn written(taint: &Taint) -> String {
    let effect = match taint.effect {
        Effect::NoExecute => "NoExecute",
        _ => "NoSchedule",
    };
    match &*taint.value {
        "" => format!("{}:{effect}", taint.key),
        value => format!("{}={value}:{effect}", taint.key),
    }
}

/// Which words of a pod's node selector and required affinity no node matches; nothing if some node matches all.
fn selection(pod: &PodView, snapshot: &Snapshot) -> Vec<String> {
    let nodes = || snapshot.nodes().iter().map(|node| snapshot.node(*node));
    let query = &pod.node_query;
    if nodes().next().is_none() || nodes().any(|node| query.matches(node)) {
        return Vec::new();
    }
    let own = query.selector.requirements().iter();
    let mut wanting = missing("its node selector", own, &nodes);
    let terms = query.terms.as_deref().unwrap_or_default();
    for (place, term) in terms.iter().enumerate() {
        let whose = match terms.len() {
            1 => "its required node affinity".to_owned(),
            _ => format!("term {} of its required node affinity", place + 1),
        };
        wanting.extend(missing(&whose, term.labels.requirements().iter(), &nodes));
        if !term
            .names
            .iter()
            .all(|one| nodes().any(|node| one.allows(Some(&*node.name))))
        {
            wanting.push(format!("{whose} names a node that is not there"));
        }
    }
    if wanting.is_empty() {
        wanting.push(
            "each label that it asks for is on some node, and no node has all of them".to_owned(),
        );
    }
    wanting
}

/// Those requirements that no node satisfies.
fn missing<'a, 'n, N: Iterator<Item = &'n NodeView>>(
    whose: &str,
    requirements: impl Iterator<Item = &'a Requirement>,
    nodes: &impl Fn() -> N,
) -> Vec<String> {
    let unmet = requirements.filter(|one| {
        let mut nodes = nodes();
        !nodes.any(|node| one.allows(node.labels.get(&one.key)))
    });
    unmet
        .map(|one| {
            let mut values: Vec<&str> = nodes()
                .filter_map(|node| node.labels.get(&one.key))
                .collect();
            values.sort_unstable();
            values.dedup();
            let mut text = format!("{whose} asks for {}, which no node has", worded(one));
            match values.as_slice() {
                [] => {}
                few if few.len() <= VALUES_SHOWN_MAX => {
                    // Writing to a string cannot fail.
                    let _ = write!(text, " ({} is {} there)", one.key, few.join(", "));
                }
                many => {
                    let _ = write!(text, " ({} has {} values there)", one.key, many.len());
                }
            }
            text
        })
        .collect()
}

/// Values of a label that are told; of more, their number.
const VALUES_SHOWN_MAX: usize = 5;

fn worded(requirement: &Requirement) -> String {
    let key = &requirement.key;
    let set = |values: &[std::sync::Arc<str>]| values.join(", ");
    match &requirement.condition {
        Condition::In(values) if values.len() == 1 => format!("{key}={}", values[0]),
        Condition::In(values) => format!("{key} in ({})", set(values)),
        Condition::NotIn(values) => format!("{key} not in ({})", set(values)),
        Condition::Exists => format!("the label {key}"),
        Condition::DoesNotExist => format!("no label {key}"),
        Condition::GreaterThan(bound) => format!("{key} greater than {bound}"),
        Condition::LessThan(bound) => format!("{key} less than {bound}"),
        Condition::Never => format!("something of {key} that nothing satisfies"),
    }
}

/// Whether it is more than any node has when it is empty.
fn is_too_large(short: &Shortfall) -> bool {
    let amount = |text: &str| Quantity::parse(text).map_or(0, |parsed| parsed.milli_value());
    amount(&short.asked) > amount(&short.node_most)
}

fn too_little(short: &Shortfall) -> String {
    let Shortfall {
        resource,
        asked,
        free_most,
        free_most_on,
        node_most,
        ..
    } = short;
    if is_too_large(short) {
        return format!(
            "ask for less {resource}, or add a larger node: it asks for {asked}, and the largest node has {node_most}"
        );
    }
    format!(
        "free {resource}, or ask for less: it asks for {asked}, and the most that is left on one node is {free_most} (on {free_most_on})"
    )
}
