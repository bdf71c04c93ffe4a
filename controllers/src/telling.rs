//! Tells the users of an object what became of it.

use client::{EventType, Kind, Recorder};
use k8s_openapi::api::core::v1::ObjectReference;

use crate::context::Context;
use crate::events::Event;

/// Tells in the name of one controller.
#[derive(Clone)]
pub(crate) struct Teller {
    recorder: Recorder,
}

impl Teller {
    pub(crate) fn new(context: &Context, component: &str) -> Teller {
        Teller {
            recorder: context.recorder.named(component),
        }
    }

    /// Tells about an object.
    pub(crate) fn tell<K: Kind>(&self, object: &K, event: &Event) {
        self.tell_of(&client::reference(object), event);
    }

    /// Tells about what is known by a reference alone.
    pub(crate) fn tell_of(&self, about: &ObjectReference, event: &Event) {
        let kind = if event.is_warning {
            EventType::Warning
        } else {
            EventType::Normal
        };
        self.recorder
            .event(about, kind, &event.reason, &*event.message);
    }
}
