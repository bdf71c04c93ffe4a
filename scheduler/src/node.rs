//! A node as the scheduler looks at it: parsed once, and compact.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::api::core::v1::Node;

use crate::{
    resources::{Amounts, ResourceNames},
    selector::Labels,
    taint::Taint,
};

/// Label of a node's zone.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Label of a node's region.
pub const REGION_LABEL: &str = "topology.kubernetes.io/region";
const ZONE_LABEL_OLD: &str = "failure-domain.beta.kubernetes.io/zone";
const REGION_LABEL_OLD: &str = "failure-domain.beta.kubernetes.io/region";

/// One node. Everything here is a function of the node's object alone.
#[derive(Debug, Clone)]
pub struct NodeView {
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub labels: Labels,
    pub annotations: Labels,
    pub taints: Box<[Taint]>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `status.allocatable` without `pods`.
    pub allocatable: Amounts,
    /// Most pods: `status.allocatable.pods`.
    pub pods_max: i64,
    /// Bytes of the images that are on it, by each of their names.
    pub images: HashMap<Arc<str>, i64>,
    /// `status.declaredFeatures`.
    pub declared_features: Box<[Arc<str>]>,
    /// Region and zone, for an order that visits zones in turn; both empty without labels.
    pub zone: (Arc<str>, Arc<str>),
}

impl NodeView {
    /// Parses an object.
    #[must_use]
    pub fn new(node: &Node, names: &ResourceNames) -> NodeView {
        let meta = &node.metadata;
        let status = node.status.as_ref();
        let spec = node.spec.as_ref();
        let map = |map: Option<&std::collections::BTreeMap<String, String>>| -> Labels {
            map.into_iter()
                .flatten()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect()
        };
        let labels = map(meta.labels.as_ref());
        let label = |new: &str, old: &str| -> Arc<str> {
            labels
                .get(new)
                .or_else(|| labels.get(old))
                .unwrap_or("")
                .into()
        };
        let zone = (
            label(REGION_LABEL, REGION_LABEL_OLD),
            label(ZONE_LABEL, ZONE_LABEL_OLD),
        );
        let mut list = status
            .and_then(|status| status.allocatable.clone())
            .unwrap_or_default();
        let pods = list
            .remove("pods")
            .and_then(|pods| Some(objects::quantity::Quantity::parse(&pods.0).ok()?.value()));
        let images = status
            .and_then(|status| status.images.as_ref())
            .into_iter()
            .flatten();
        NodeView {
            name: meta.name.as_deref().unwrap_or("").into(),
            uid: meta.uid.as_deref().unwrap_or("").into(),
            annotations: map(meta.annotations.as_ref()),
            taints: spec
                .and_then(|spec| spec.taints.as_ref())
                .into_iter()
                .flatten()
                .map(Taint::from)
                .collect(),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            allocatable: Amounts::of(Some(&list), names),
            pods_max: pods.unwrap_or(0),
            images: images
                .flat_map(|image| {
                    let bytes = image.size_bytes.unwrap_or(0);
                    image
                        .names
                        .iter()
                        .flatten()
                        .map(move |name| (name.as_str().into(), bytes))
                })
                .collect(),
            declared_features: status
                .and_then(|status| status.declared_features.as_ref())
                .into_iter()
                .flatten()
                .map(|name| name.as_str().into())
                .collect(),
            labels,
            zone,
        }
    }
}
