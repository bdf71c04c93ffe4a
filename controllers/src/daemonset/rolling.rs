//! How a DaemonSet renews its pods: old ones deleted first, or new ones beside them first.

use k8s_openapi::api::apps::v1::{DaemonSetSpec, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::Pod;

use super::decide::{Changes, View};
use super::eligible::Fit;
use crate::amounts::{self, Round};

/// The strategy, unless pods are renewed only when a user deletes them.
fn strategy(spec: &DaemonSetSpec) -> Option<RollingUpdateDaemonSet> {
    let strategy = spec.update_strategy.as_ref();
    match strategy.and_then(|strategy| strategy.type_.as_deref()) {
        Some("OnDelete") => None,
        _ => Some(
            strategy
                .and_then(|strategy| strategy.rolling_update.clone())
                .unwrap_or_default(),
        ),
    }
}

/// Whether a new pod may run beside the old one.
pub(super) fn surges(spec: &DaemonSetSpec) -> bool {
    most_surging(spec, 1) > 0
}

fn most_surging(spec: &DaemonSetSpec, nodes: i32) -> i32 {
    let surge = strategy(spec).and_then(|strategy| strategy.max_surge);
    surge
        .and_then(|surge| amounts::scaled(&surge, nodes, Round::Up).ok())
        .unwrap_or(0)
}

fn most_unavailable(spec: &DaemonSetSpec, nodes: i32) -> i32 {
    let most = strategy(spec).and_then(|strategy| strategy.max_unavailable);
    most.and_then(|most| amounts::scaled(&most, nodes, Round::Up).ok())
        .unwrap_or(0)
}

/// The new and the old pod of a node.
struct Pair<'a> {
    new: Option<&'a Pod>,
    old: Option<&'a Pod>,
}

/// Decides which pods are renewed. It is asked when nothing else is to be done.
pub(super) fn update<'a>(view: &View<'a>) -> Changes<'a> {
    if strategy(view.spec).is_none() {
        return Changes::default();
    }
    let wanted = view.fits.values().filter(|fit| **fit == Fit::Runs).count();
    let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
    let (surging, unavailable) = (
        most_surging(view.spec, wanted),
        most_unavailable(view.spec, wanted),
    );
    if surging > 0 {
        return surge(view, surging, wanted);
    }
    replace(
        view,
        if wanted > 0 {
            unavailable.max(1)
        } else {
            unavailable
        },
    )
}

/// The nodes that have pods or are to have one, each with its pair, or none if it has too many of one kind.
fn pairs<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = (&'a str, Option<Pair<'a>>)> + 'v {
    let empty = view
        .fits
        .iter()
        .filter(|(node, fit)| **fit == Fit::Runs && !view.pods.contains_key(*node));
    let empty = empty.map(|(node, _)| {
        (
            *node,
            Some(Pair {
                new: None,
                old: None,
            }),
        )
    });
    let full = view
        .pods
        .iter()
        .map(|(node, pods)| (*node, pair(view, pods)));
    full.chain(empty)
}

fn pair<'a>(view: &View<'a>, pods: &[&'a Pod]) -> Option<Pair<'a>> {
    let mut pair = Pair {
        new: None,
        old: None,
    };
    for pod in pods
        .iter()
        .copied()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    {
        let place = if view.is_updated(pod) {
            &mut pair.new
        } else {
            &mut pair.old
        };
        if place.replace(pod).is_some() {
            return None;
        }
    }
    Some(pair)
}

/// Deletes old pods: those that are unavailable anyway, and of the others as many as may be missing.
fn replace<'a>(view: &View<'a>, most_unavailable: i32) -> Changes<'a> {
    let mut unavailable = 0;
    let mut changes = Changes::default();
    let mut candidates = Vec::new();
    for (_, pair) in pairs(view) {
        match pair {
            Some(Pair {
                new: Some(new),
                old: None,
            }) => unavailable += i32::from(!view.is_available(new)),
            Some(Pair {
                new: None,
                old: Some(old),
            }) if view.is_available(old) => candidates.push(old),
            Some(Pair {
                new: None,
                old: Some(old),
            }) => {
                changes.pods.push(old);
                unavailable += 1;
            }
            _ => unavailable += 1,
        }
    }
    let free = usize::try_from(most_unavailable.saturating_sub(unavailable)).unwrap_or(0);
    changes.pods.extend(candidates.into_iter().take(free));
    changes
}

/// Makes new pods beside old ones, and deletes an old one once its new one is available.
fn surge<'a>(view: &View<'a>, most_surging: i32, wanted: i32) -> Changes<'a> {
    let (mut surging, mut available) = (0, 0);
    let mut changes = Changes::default();
    let (mut candidates, mut misplaced) = (Vec::new(), Vec::new());
    for (node, pair) in pairs(view) {
        let Some(pair) = pair else {
            surging += 1;
            continue;
        };
        available += i32::from(
            pair.old
                .or(pair.new)
                .is_some_and(|pod| view.is_available(pod)),
        );
        let Some(old) = pair.old else { continue };
        let runs = view.fits.get(node) == Some(&Fit::Runs);
        match (pair.new, view.is_available(old)) {
            (Some(new), _) if view.is_available(new) => changes.pods.push(old),
            (Some(_), _) => surging += 1,
            (None, false) if runs => changes.nodes.push(node),
            (None, false) => changes.pods.push(old),
            (None, true) if runs => candidates.push(node),
            (None, true) => misplaced.push(old),
        }
    }
    let spare = usize::try_from(available.saturating_sub(wanted)).unwrap_or(0);
    changes.pods.extend(misplaced.into_iter().take(spare));
    let free = usize::try_from(most_surging.saturating_sub(surging)).unwrap_or(0);
    changes.nodes.extend(candidates.into_iter().take(free));
    changes
}
