//! Ownership of the number of replicas, between an object and its `scale` subresource.

use std::collections::BTreeMap;

use super::managers::{Managers, Owned};
use super::set::{FieldPath, Set};
use crate::Value;

/// The version of `Scale` objects.
const SCALE: &str = "autoscaling/v1";

/// Where `Scale` keeps the replicas.
const REPLICAS: [&str; 2] = ["spec", "replicas"];

/// Where each version of the object's kind keeps the number of replicas; none for a version that has no such field.
pub type ReplicasPaths<'a> = &'a [(&'a str, Option<FieldPath>)];

/// The managed fields of the `scale` of an object with these managed fields.
///
/// # Errors
///
/// What is wrong with the entries.
pub fn to_scale(parent: &[Value], paths: ReplicasPaths<'_>) -> Result<Vec<Value>, String> {
    let owners = Managers::decode(parent)?.0.into_iter();
    let scale = owners.filter(|(_, owned)| {
        path(paths, &owned.api_version)
            .flatten()
            .is_some_and(|path| owned.set.has(path))
    });
    let scale = scale.map(|(manager, owned)| {
        let owned = Owned {
            set: Set::of(&[&REPLICAS]),
            api_version: SCALE.to_owned(),
            time: owned.time,
        };
        (manager, owned)
    });
    Ok(Managers(scale.collect()).encode())
}

/// The managed fields of an object after its `scale` was written, in this version of the object.
///
/// # Errors
///
/// What is wrong with the entries.
pub fn to_parent(
    parent: &[Value],
    scale: &[Value],
    api_version: &str,
    paths: ReplicasPaths<'_>,
) -> Result<Vec<Value>, String> {
    let parent = Managers::decode(parent)?;
    let mut scale = Managers::decode(scale)?;
    let mut managers = Managers::default();
    let mut times = BTreeMap::new();
    for (manager, mut owned) in parent.0 {
        times.insert(manager.clone(), owned.time.clone());
        let Some(path) = path(paths, &owned.api_version) else {
            continue;
        };
        if let Some(path) = path.filter(|path| owned.set.has(path))
            && scale.0.remove(&manager).is_none()
        {
            let mut replicas = Set::default();
            replicas.insert(path);
            owned.set = owned.set.difference(&replicas);
        }
        if !owned.set.is_empty() {
            managers.0.insert(manager, owned);
        }
    }
    let Some(path) = path(paths, api_version).flatten() else {
        return Ok(managers.encode());
    };
    let mut replicas = Set::default();
    replicas.insert(path);
    for (manager, owned) in scale.0 {
        if !owned.set.has(&Set::of(&[&REPLICAS]).paths()[0]) {
            continue;
        }
        let owned = Owned {
            set: replicas.clone(),
            api_version: api_version.to_owned(),
            // As upstream, whose new owners by scale have no time.
            time: times.remove(&manager).unwrap_or_default(),
        };
        managers.0.insert(manager, owned);
    }
    Ok(managers.encode())
}

fn path<'a>(paths: ReplicasPaths<'a>, api_version: &str) -> Option<Option<&'a FieldPath>> {
    paths
        .iter()
        .find(|(version, _)| *version == api_version)
        .map(|(_, path)| path.as_ref())
}
