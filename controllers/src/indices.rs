//! Under which keys objects are found beside their names.

use client::{Informer, Informers};
use k8s_openapi::api::core::v1::Pod;

use crate::persistent_volumes::protection;
use crate::pods;

/// Pods by the name of their node.
pub(crate) const BY_NODE: &str = "node";

/// Pods by `namespace/name` of the claims that they mount.
pub(crate) const BY_CLAIM: &str = "claim";

/// All pods, which are found by their node too.
pub(crate) fn pods_by_node(informers: &Informers) -> Informer<Pod> {
    let informer = informers.of::<Pod>();
    informer.index(BY_NODE, |pod| {
        let name = pods::node_name(pod);
        if name.is_empty() {
            Vec::new()
        } else {
            vec![name.to_owned()]
        }
    });
    informer
}

/// All pods, which are found by their claims too.
pub(crate) fn pods_by_claim(informers: &Informers) -> Informer<Pod> {
    let informer = informers.of::<Pod>();
    informer.index(BY_CLAIM, |pod| {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        protection::claims_of(pod)
            .iter()
            .map(|name| format!("{namespace}/{name}"))
            .collect()
    });
    informer
}
