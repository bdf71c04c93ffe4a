//! Rules of pods and of the templates that pods are made from.

use super::{Rules, metadata, names, spot::Spot};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
};

pub(super) mod checks;
mod containers;
mod environment;
mod handlers;
mod resize;
mod resources;
mod scheduling;
mod security;
mod sources;
mod spec;
mod status;
mod update;
mod volumes;
mod warnings;

pub(super) use warnings::template as template_warnings;

pub(super) const RULES: &[Rules] = &[Rules {
    create,
    update: update::pod,
    status: status::update,
    subresource: update::subresource,
    warnings: warnings::pod,
    ..Rules::new("", "Pod", true, names::subdomain)
}];

/// What the object that a pod's spec stands in says about it.
#[derive(Debug, Default)]
pub(super) struct Owner<'a> {
    /// The name of the pod; none in a template.
    name: Option<&'a str>,
}

impl<'a> Owner<'a> {
    fn of(pod: &'a Value) -> Owner<'a> {
        Owner {
            name: Some(meta::name(pod)),
        }
    }

    fn is_pod(&self) -> bool {
        self.name.is_some()
    }
}

fn create(object: &Value, faults: &mut Faults) {
    whole(object, faults);
    let spec = Spot::root(object).get("spec");
    let ephemeral = spec.get("ephemeralContainers");
    if !ephemeral.list().is_empty() {
        ephemeral.forbidden(faults, "cannot be set on create");
    }
    let gated = !spec.get("schedulingGates").list().is_empty();
    let node = spec.get("nodeName");
    if gated && !node.text().is_empty() {
        node.forbidden(
            faults,
            "cannot be set until all schedulingGates have been cleared",
        );
    }
    status::addresses(object, None, faults);
}

/// All of a pod but its metadata.
fn whole(object: &Value, faults: &mut Faults) {
    let pod = Spot::root(object);
    let annotations = pod.get("metadata").get("annotations");
    pod_annotations(&annotations, &pod.get("spec"), faults);
    let spec = pod.get("spec");
    spec::check(&spec, &Owner::of(object), faults);
    if spec.get("serviceAccountName").text().is_empty() {
        for volume in spec.get("volumes").each() {
            for source in volume.get("projected").get("sources").each() {
                if let Some(token) = source.find("serviceAccountToken") {
                    token.forbidden(
                        faults,
                        "must not be specified when serviceAccountName is not set",
                    );
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get(list).each() {
            containers::only_for_pod(&container, faults);
        }
    }
}

/// The template of pods, with its metadata.
pub(super) fn template(template: &Spot<'_>, owner: &Owner<'_>, faults: &mut Faults) {
    template_metadata(template, faults);
    let spec = template.get("spec");
    spec::check(&spec, owner, faults);
    let ephemeral = spec.get("ephemeralContainers");
    if !ephemeral.list().is_empty() {
        ephemeral.forbidden(faults, "ephemeral containers not allowed in pod template");
    }
}

/// Labels and annotations of a template, whose paths upstream names without `metadata`.
pub(super) fn template_metadata(template: &Spot<'_>, faults: &mut Faults) {
    let inner = template.get("metadata");
    let labels = inner.get("labels");
    metadata::labels(labels.map(), &template.path.child("labels"), faults);
    let path = template.path.child("annotations");
    let mut annotations = inner.get("annotations");
    metadata::annotations(annotations.map(), &path, faults);
    annotations.path = path;
    pod_annotations(&annotations, &template.get("spec"), faults);
}

/// Annotations that mean something to a pod.
fn pod_annotations(annotations: &Spot<'_>, spec: &Spot<'_>, faults: &mut Faults) {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    let find = |key: &str| annotations.value.get(key).and_then(Value::as_str);
    if let Some(mirror) = find(MIRROR).filter(|_| spec.get("nodeName").text().is_empty()) {
        let words = "must set spec.nodeName if mirror pod annotation is set";
        faults.push(Invalid::value(&annotations.path.key(MIRROR), mirror, words));
    }
    if let Some(cost) = find(DELETION_COST) {
        let digits = cost.strip_prefix('-').unwrap_or(cost);
        let well = cost.parse::<i32>().is_ok()
            && !cost.starts_with('+')
            && (digits == "0" && !cost.starts_with('-') || !digits.starts_with('0'));
        if !well {
            let path = annotations.path.key(DELETION_COST);
            faults.push(Invalid::value(&path, cost, "must be a 32bit integer"));
        }
    }
}
