//! The words of what is written: patches of pods and claims, and events. Pure.

use client::{DeleteOptions, Key, Patch, Write};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Event, EventSource, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time},
};
use serde_json::{Value, json};

use crate::{
    cluster::Objects,
    engine::Unschedulable,
    framework::Preparation,
    pod::{PREEMPTED, PodView},
};

/// Longest message of an event, in bytes.
const EVENT_MESSAGE_BYTES_MAX: usize = 1024;

/// A pod's name for calls.
pub(crate) fn key(pod: &PodView) -> Key {
    Key::new(&*pod.namespace, &*pod.name)
}

/// Sets the condition `PodScheduled`, and the nomination if it changes.
pub(crate) fn unschedulable(why: &Unschedulable, now: Timestamp) -> Write {
    let mut condition = json!({
        "type": "PodScheduled",
        "status": "False",
        "reason": why.reason,
        "message": why.message,
    });
    if !why.was_unscheduled {
        condition["lastTransitionTime"] = json!(Time(now));
    }
    let mut status = json!({"conditions": [condition]});
    if let Some(node) = &why.nominated {
        status["nominatedNodeName"] = name_or_null(node);
    }
    let patch = json!({"metadata": {"uid": &*why.uid}, "status": status});
    let key = Key::new(&*why.namespace, &*why.name);
    Write::patch_status::<Pod>(&key, Patch::Strategic(patch))
}

/// Takes a nomination away.
pub(crate) fn clear_nomination(pod: &PodView) -> Write {
    let patch = json!({"metadata": {"uid": &*pod.uid}, "status": {"nominatedNodeName": null}});
    Write::patch_status::<Pod>(&key(pod), Patch::Merge(patch))
}

/// Says of a victim that it is preempted.
pub(crate) fn disruption(victim: &PodView, preemptor: &PodView, now: Timestamp) -> Write {
    let message = format!(
        "{}: preempting to accommodate a higher priority pod",
        preemptor.scheduler_name
    );
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": PREEMPTED,
        "message": message,
        "lastTransitionTime": Time(now),
    });
    let patch = json!({"metadata": {"uid": &*victim.uid}, "status": {"conditions": [condition]}});
    Write::patch_status::<Pod>(&key(victim), Patch::Strategic(patch))
}

/// Deletes a victim, and no other pod of its name.
pub(crate) fn deletion(victim: &PodView) -> Write {
    Write::delete::<Pod>(&key(victim), DeleteOptions::of_uid(&*victim.uid))
}

/// What a claim of a pod needs. `None` if its objects are not there any more.
pub(crate) fn preparation(preparation: &Preparation, objects: &Objects) -> Option<Write> {
    let claim = objects.claims.get(preparation.claim())?;
    match preparation {
        Preparation::Provision { node, version, .. } => {
            let patch = json!({"metadata": {
                "resourceVersion": &**version,
                "annotations": {"volume.kubernetes.io/selected-node": &**node},
            }});
            let key = Key::of(&**claim);
            Some(Write::patch::<PersistentVolumeClaim>(
                &key,
                Patch::Merge(patch),
            ))
        }
        Preparation::BindVolume {
            volume, version, ..
        } => {
            let volume = objects.volumes.get(volume)?;
            let patch = json!({
                "metadata": {
                    "resourceVersion": &**version,
                    "annotations": {"pv.kubernetes.io/bound-by-controller": "yes"},
                },
                "spec": {"claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": claim.metadata.namespace,
                    "name": claim.metadata.name,
                    "uid": claim.metadata.uid,
                    "resourceVersion": claim.metadata.resource_version,
                }},
            });
            let key = Key::of(&**volume);
            Some(Write::patch::<PersistentVolume>(&key, Patch::Merge(patch)))
        }
    }
}

/// The pod that an event is about.
pub(crate) fn reference(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// What an event of a pod that was scheduled or preempted tells.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) reason: &'static str,
    pub(crate) action: &'static str,
    pub(crate) message: String,
    /// The scheduler's name.
    pub(crate) reporter: String,
}

impl Told {
    /// An event of a pod.
    pub(crate) fn of(
        pod: &PodView,
        reason: &'static str,
        action: &'static str,
        message: String,
    ) -> Told {
        Told {
            namespace: (*pod.namespace).to_owned(),
            name: (*pod.name).to_owned(),
            uid: (*pod.uid).to_owned(),
            reason,
            action,
            message,
            reporter: (*pod.scheduler_name).to_owned(),
        }
    }

    /// Makes the event's object, named after the pod and a number that makes it unique.
    pub(crate) fn write(self, host: &str, unique: u64, now: Timestamp) -> Write {
        let mut message = self.message;
        if message.len() > EVENT_MESSAGE_BYTES_MAX {
            let end = message.floor_char_boundary(EVENT_MESSAGE_BYTES_MAX - 4);
            message.truncate(end);
            message.push_str(" ...");
        }
        Write::create(&Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{unique:016x}", self.name)),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: reference(&self.namespace, &self.name, &self.uid),
            type_: Some("Normal".to_owned()),
            reason: Some(self.reason.to_owned()),
            action: Some(self.action.to_owned()),
            message: Some(message),
            event_time: Some(MicroTime(now)),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            source: Some(EventSource {
                component: Some(self.reporter.clone()),
                host: None,
            }),
            reporting_component: Some(self.reporter),
            reporting_instance: Some(host.to_owned()),
            ..Event::default()
        })
    }
}

fn name_or_null(name: &str) -> Value {
    if name.is_empty() {
        Value::Null
    } else {
        json!(name)
    }
}
