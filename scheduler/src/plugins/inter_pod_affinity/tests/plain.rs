//! Affinity as it is defined: every pod of every node against every term, by the text of labels.

use std::sync::Arc;

use super::{FAR, NEAR, OTHERS, World};
use crate::{
    cluster::NodeIndex,
    pod::{AffinityTerm, PodView},
};

/// Whether two nodes are in one domain.
fn share(world: &World, one: NodeIndex, two: NodeIndex, term: &AffinityTerm) -> bool {
    let value = |node| world.snapshot.node(node).labels.get(&term.topology_key);
    value(one).is_some() && value(one) == value(two)
}

fn placed(world: &World) -> impl Iterator<Item = (NodeIndex, &Arc<PodView>)> {
    let nodes = world.sorted().into_iter();
    nodes.flat_map(|node| {
        world
            .snapshot
            .pods_on(node)
            .iter()
            .map(move |pod| (node, pod))
    })
}

pub(super) fn judge(world: &World, pod: &PodView) -> Vec<String> {
    let known = world.snapshot.objects.namespaces();
    let required = &pod.affinities.required;
    let matches_all = |other: &PodView| {
        !required.is_empty() && required.iter().all(|term| term.pods.matches(other, known))
    };
    let judge = |node: NodeIndex| {
        let has_key = |term: &Arc<AffinityTerm>| {
            world
                .snapshot
                .node(node)
                .labels
                .get(&term.topology_key)
                .is_some()
        };
        let is_met = |term: &Arc<AffinityTerm>| {
            placed(world)
                .any(|(there, other)| matches_all(other) && share(world, node, there, term))
        };
        // No pod that matches is in any domain of the terms.
        let is_first = matches_all(pod)
            && !placed(world).any(|(there, other)| {
                matches_all(other) && required.iter().any(|term| share(world, there, there, term))
            });
        if !required.iter().all(has_key) || !(required.iter().all(is_met) || is_first) {
            return NEAR.to_owned();
        }
        let keeps_away = |pod: &PodView, other: &PodView, there: NodeIndex| {
            pod.affinities
                .forbidden
                .iter()
                .any(|(term, _)| term.pods.matches(other, known) && share(world, node, there, term))
        };
        if placed(world).any(|(there, other)| keeps_away(pod, other, there)) {
            return FAR.to_owned();
        }
        if placed(world).any(|(there, other)| keeps_away(other, pod, there)) {
            return OTHERS.to_owned();
        }
        String::new()
    };
    world.sorted().into_iter().map(judge).collect()
}

pub(super) fn score(world: &World, pod: &PodView, hard_weight: i64) -> Vec<i64> {
    let known = world.snapshot.objects.namespaces();
    let raw = |node: NodeIndex| {
        let mut sum = 0;
        for (there, other) in placed(world) {
            let worth = |term: &AffinityTerm, of: &PodView| {
                i64::from(term.pods.matches(of, known) && share(world, node, there, term))
            };
            for (from, of) in [(pod, &**other), (&**other, pod)] {
                let near = &from.affinities.preferred;
                let far = &from.affinities.avoided;
                let weigh =
                    |one: &crate::pod::WeightedTerm| i64::from(one.weight) * worth(&one.term, of);
                sum += near.iter().map(weigh).sum::<i64>();
                sum -= far.iter().map(weigh).sum::<i64>();
            }
            let needs = other.affinities.required.iter();
            sum += needs
                .map(|term| hard_weight * worth(term, pod))
                .sum::<i64>();
        }
        sum
    };
    let raw: Vec<i64> = world.sorted().into_iter().map(raw).collect();
    let (least, most) = (raw.iter().min().unwrap(), raw.iter().max().unwrap());
    let scale = |score: &i64| match most - least {
        0 => 0,
        span => (100.0 * ((score - least) as f64 / span as f64)) as i64,
    };
    raw.iter().map(scale).collect()
}
