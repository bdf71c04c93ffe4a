//! The objects at every revision so far.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::control_plane::fields::{owner_uid, uid};
use crate::control_plane::history::Change;

fn resource(key: &str) -> &str {
    key.split('/').next().unwrap_or_default()
}

/// One write, with what it replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) revision: i64,
    pub(super) resource: &'a str,
    pub(super) key: &'a str,
    pub(super) before: Option<&'a Value>,
    pub(super) after: Option<&'a Value>,
}

/// The versions of one key, each with its revision; none while there is no object.
type Versions<'a> = Vec<(i64, Option<&'a Value>)>;

/// Everything up to now.
#[derive(Debug)]
pub(super) struct Story<'a> {
    /// By resource and key.
    versions: BTreeMap<&'a str, BTreeMap<&'a str, Versions<'a>>>,
    deleted: BTreeSet<&'a str>,
}

impl<'a> Story<'a> {
    /// Nothing yet; the user deletes these pods.
    pub(super) fn new(deleted: BTreeSet<&'a str>) -> Story<'a> {
        Story {
            versions: BTreeMap::new(),
            deleted,
        }
    }

    /// A write before it is taken.
    pub(super) fn turn(&self, change: &'a Change) -> Turn<'a> {
        Turn {
            revision: change.revision,
            resource: resource(&change.key),
            key: &change.key,
            before: self.now(&change.key),
            after: change.object.as_ref(),
        }
    }

    /// It has happened.
    pub(super) fn take(&mut self, change: &'a Change) {
        let of_resource = self.versions.entry(resource(&change.key)).or_default();
        let versions = of_resource.entry(&change.key).or_default();
        versions.push((change.revision, change.object.as_ref()));
    }

    /// Whether the user deleted a pod, or may have.
    pub(super) fn is_users(&self, pod: &Value) -> bool {
        self.deleted.contains(uid(pod))
    }

    pub(super) fn versions(&self, key: &str) -> &[(i64, Option<&'a Value>)] {
        let of_resource = self.versions.get(resource(key));
        let versions = of_resource.and_then(|keys| keys.get(key));
        versions.map_or(&[], Vec::as_slice)
    }

    pub(super) fn now(&self, key: &str) -> Option<&'a Value> {
        self.versions(key).last().and_then(|(_, object)| *object)
    }

    pub(super) fn at(&self, key: &str, revision: i64) -> Option<&'a Value> {
        let versions = self.versions(key);
        let behind = versions.partition_point(|(at, _)| *at <= revision);
        versions[..behind].last().and_then(|(_, object)| *object)
    }

    /// Keys of a resource that there were so far.
    pub(super) fn keys(&self, resource: &str) -> impl Iterator<Item = &'a str> {
        let of_resource = self.versions.get(resource).into_iter();
        of_resource.flat_map(|keys| keys.keys().copied())
    }

    /// Keys and objects of a resource that one controls now.
    pub(super) fn owned(&self, resource: &str, owner: &str) -> Vec<(&'a str, &'a Value)> {
        self.keys(resource)
            .filter_map(|key| Some((key, self.now(key)?)))
            .filter(|(_, object)| owner_uid(object) == owner)
            .collect()
    }

    /// The object of a resource with a uid, and its key.
    pub(super) fn with_uid(&self, resource: &str, wanted: &str) -> Option<(&'a str, &'a Value)> {
        self.keys(resource)
            .filter_map(|key| Some((key, self.now(key)?)))
            .find(|(_, object)| uid(object) == wanted)
    }

    /// When an owner's controller last told as many pods as there were: it knew of all of them. 0 if it never did.
    pub(super) fn level(&self, key: &str, there: impl Fn(i64) -> i64) -> i64 {
        let count = |object: &Value| object.pointer("/status/replicas").and_then(Value::as_i64);
        let versions = self.versions(key);
        for (index, (revision, version)) in versions.iter().enumerate().rev() {
            let before = index.checked_sub(1).and_then(|before| versions[before].1);
            let (Some(version), before) = (version, before.map(|one| &one["status"])) else {
                continue;
            };
            // Others write the specification, and leave an old status.
            let is_told = before.is_some_and(|before| *before != version["status"]);
            if is_told && count(version).unwrap_or(0) == there(*revision) {
                return *revision;
            }
        }
        0
    }

    /// What an owner's controller may know of its specification: every version from the one that its status has observed on.
    pub(super) fn known(&self, key: &str) -> Vec<&'a Value> {
        let number = |object: &Value, pointer: &str| {
            object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
        };
        let Some(now) = self.now(key) else {
            return Vec::new();
        };
        let observed = number(now, "/status/observedGeneration");
        let versions = self.versions(key).iter().filter_map(|(_, object)| *object);
        versions
            .filter(|one| uid(one) == uid(now) && number(one, "/metadata/generation") >= observed)
            .collect()
    }
}
