//! Tells every node how long its kubelet may keep what it read of config maps and secrets, by the size of the cluster.

use std::sync::Arc;

use client::{Change, Error, Key, Next, Patch};
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use serde_json::json;

use crate::context::Context;

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";
const WORKERS: usize = 5;

/// A range of sizes. Neighbours overlap, so that a cluster at a border does not go to and fro.
struct Step {
    nodes_min: usize,
    nodes_max: usize,
    ttl_seconds: u32,
}

const fn step(nodes_min: usize, nodes_max: usize, ttl_seconds: u32) -> Step {
    Step {
        nodes_min,
        nodes_max,
        ttl_seconds,
    }
}

const STEPS: [Step; 5] = [
    step(0, 100, 0),
    step(90, 500, 15),
    step(450, 1000, 30),
    step(900, 2000, 60),
    step(1800, usize::MAX, 300),
];

/// How large the cluster is.
#[derive(Debug, Default)]
struct Size {
    nodes: usize,
    step: usize,
}

impl Size {
    fn count(&mut self, change: &Change<Node>) {
        match change {
            Change::Added(_) => self.nodes += 1,
            Change::Modified { .. } => {}
            Change::Deleted(_) => self.nodes = self.nodes.saturating_sub(1),
        }
        if self.nodes > STEPS[self.step].nodes_max {
            self.step += 1;
        } else if self.nodes < STEPS[self.step].nodes_min {
            self.step -= 1;
        }
    }

    fn ttl_seconds(&self) -> u32 {
        STEPS[self.step].ttl_seconds
    }
}

/// Starts the controller. Nodes learn of another size when they next report.
pub(crate) fn start(context: &Context) {
    let nodes = context.informers.of::<Node>();
    let queue = context.queue("ttlcontroller");
    let size = Arc::new(Mutex::new(Size::default()));
    let (added, counted) = (queue.clone(), size.clone());
    nodes.on_change(move |change| {
        counted.lock().count(change);
        if !matches!(change, Change::Deleted(_)) {
            added.add(Key::of(&**change.object()));
        }
    });
    let (client, store) = (context.client.clone(), nodes.store());
    let ready = async move { nodes.synced().await };
    context.work(
        ("ttl-controller", WORKERS),
        queue,
        ready,
        move |key: Key| {
            let wanted = size.lock().ttl_seconds();
            let patch = store.get(&key).and_then(|node| decide(&node, wanted));
            let client = client.clone();
            async move {
                let Some(patch) = patch else {
                    return Ok::<_, Error>(Next::Done);
                };
                match client.patch::<Node>(&key, &patch).await {
                    Err(error) if !error.is_not_found() => Err(error),
                    _ => Ok(Next::Done),
                }
            }
        },
    );
}

/// The patch that tells a node its time; none if it has it.
fn decide(node: &Node, ttl_seconds: u32) -> Option<Patch> {
    let told = node
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(ANNOTATION));
    let is_told = told.and_then(|text| text.parse().ok()) == Some(ttl_seconds);
    (!is_told).then(|| {
        Patch::Strategic(json!({
            "metadata": {"annotations": {ANNOTATION: ttl_seconds.to_string()}},
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grow(size: &mut Size, nodes: usize) {
        while size.nodes != nodes {
            let node = Arc::new(Node::default());
            size.count(&if size.nodes < nodes {
                Change::Added(node)
            } else {
                Change::Deleted(node)
            });
        }
    }

    #[test]
    fn the_time_grows_with_the_cluster_and_shrinks_only_well_below_a_border() {
        let mut size = Size::default();
        for (nodes, seconds) in [
            (1, 0),
            (100, 0),
            (101, 15),
            (90, 15),
            (89, 0),
            (500, 15),
            (501, 30),
            (1001, 60),
            (2001, 300),
            (5000, 300),
            (1800, 300),
            (1799, 60),
            (899, 30),
            (449, 15),
            (0, 0),
        ] {
            grow(&mut size, nodes);
            assert_eq!(size.ttl_seconds(), seconds, "{nodes} nodes");
        }
    }

    #[test]
    fn a_node_is_told_what_it_was_not_told_yet() {
        for (told, wanted, is_told_anew) in [
            (None, 0, true),
            (Some("0"), 0, false),
            (Some("0"), 15, true),
            (Some("15"), 15, false),
            (Some("soon"), 15, true),
        ] {
            let mut node = Node::default();
            node.metadata.annotations =
                told.map(|text| [(ANNOTATION.to_owned(), text.to_owned())].into());
            let found = decide(&node, wanted);
            let expected = Patch::Strategic(
                json!({"metadata": {"annotations": {ANNOTATION: wanted.to_string()}}}),
            );
            assert_eq!(found, is_told_anew.then_some(expected), "{told:?} {wanted}");
        }
    }
}
