//! Tells the users of an object what became of it.

use client::Kind;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::context::Context;
use crate::events::Event;

/// Tells in the name of one controller.
#[derive(Clone)]
pub(crate) struct Teller {
    component: &'static str,
}

impl Teller {
    pub(crate) fn new(_context: &Context, component: &'static str) -> Teller {
        Teller { component }
    }

    /// Tells about an object.
    pub(crate) fn tell<K: Kind>(&self, object: &K, event: &Event) {
        self.tell_of(reference::<K>(object.metadata()), event);
    }

    /// Tells about what is no object any more, or is known by its name alone.
    pub(crate) fn tell_of(&self, about: ObjectReference, event: &Event) {
        tracing::info!(component = self.component, ?about, ?event, "event");
    }
}

/// Points at an object of kind `K`.
pub(crate) fn reference<K: Kind>(object: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        name: object.name.clone(),
        namespace: object.namespace.clone(),
        resource_version: object.resource_version.clone(),
        uid: object.uid.clone(),
        ..ObjectReference::default()
    }
}
