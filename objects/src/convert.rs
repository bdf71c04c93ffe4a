//! One kind's objects in another version of it.

use crate::catalog::{Catalog, split_api_version};
use crate::codec::json;
use crate::{Value, meta};

mod autoscaler;
mod event;

/// The version that objects of a kind are stored in, if it is another than that they are asked for in.
#[must_use]
pub fn stored_version(api_version: &str, kind: &str) -> Option<&'static str> {
    match (api_version, kind) {
        ("autoscaling/v1", "HorizontalPodAutoscaler") => Some("autoscaling/v2"),
        ("events.k8s.io/v1", "Event") => Some("v1"),
        _ => None,
    }
}

/// An object in another version of its kind; one that has no other form there gets its `apiVersion` alone.
#[must_use]
pub fn convert(mut object: Value, api_version: &str) -> Value {
    let kind = meta::text(&object, &["kind"]).to_owned();
    let from = meta::text(&object, &["apiVersion"]).to_owned();
    if from == api_version || !object.is_object() {
        return object;
    }
    object["apiVersion"] = api_version.into();
    match (&*kind, &*from, api_version) {
        ("HorizontalPodAutoscaler", "autoscaling/v1", "autoscaling/v2") => {
            autoscaler::to_v2(&mut object);
        }
        ("HorizontalPodAutoscaler", "autoscaling/v2", "autoscaling/v1") => {
            autoscaler::to_v1(&mut object);
        }
        ("Event", "v1", "events.k8s.io/v1") => event::from_core(&mut object),
        ("Event", "events.k8s.io/v1", "v1") => event::to_core(&mut object),
        _ => return object,
    }
    let (group, version) = split_api_version(api_version);
    // The form that Go gives the other type; an object that it does not fit is left for validation to tell.
    Catalog::builtin()
        .kind(group, version, &kind)
        .and_then(|at| json::check(&object, at).ok())
        .map_or(object, |read| read.value)
}

#[cfg(test)]
mod tests;
