//! The sizes of workloads of any kind, through their `scale` subresource.

use std::sync::Arc;
use std::time::Duration;

use client::{Client, Error, Key, Patch, Resource, ServedResource};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

/// After this it is asked anew what is served.
const SERVED_AGE_MAX: Duration = Duration::from_secs(30);

/// The size of a workload, as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    /// Pods that it asks for.
    pub(crate) replicas: i32,
    /// Pods that it has.
    pub(crate) current: i32,
    /// Selects its pods; empty if it tells none.
    pub(crate) selector: String,
}

impl Scale {
    /// Reads an `autoscaling/v1` Scale. What is not there is zero or empty.
    fn read(tree: &Value) -> Scale {
        let number = |pointer: &str| {
            let number = tree.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
            i32::try_from(number).unwrap_or(i32::MAX)
        };
        let text = |pointer: &str| {
            tree.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Scale {
            uid: text("/metadata/uid"),
            resource_version: text("/metadata/resourceVersion"),
            replicas: number("/spec/replicas"),
            current: number("/status/replicas"),
            selector: text("/status/selector"),
        }
    }
}

/// Why there is no size.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoScale {
    #[error("no matches for kind {kind:?} in group {group:?}")]
    UnknownKind { group: String, kind: String },
    #[error("{0} does not implement the scale subresource")]
    NoSubresource(String),
    #[error(transparent)]
    Call(#[from] Error),
}

/// Reads and writes sizes, and remembers for a while what is served.
pub(crate) struct Scales {
    client: Client,
    served: Mutex<Option<(Instant, Arc<Vec<ServedResource>>)>>,
}

impl Scales {
    pub(crate) fn new(client: Client) -> Scales {
        Scales {
            client,
            served: Mutex::new(None),
        }
    }

    async fn served(&self) -> Result<Arc<Vec<ServedResource>>, Error> {
        let known = self.served.lock().clone();
        if let Some((at, served)) = known
            && at.elapsed() < SERVED_AGE_MAX
        {
            return Ok(served);
        }
        let served = Arc::new(self.client.resources().await?);
        *self.served.lock() = Some((Instant::now(), served.clone()));
        Ok(served)
    }

    /// The resource of a kind, in the version that its group prefers. Its objects must have sizes.
    pub(crate) async fn resource(&self, group: &str, kind: &str) -> Result<Resource, NoScale> {
        let served = self.served().await?;
        scalable(&served, group, kind)
    }

    /// How a kind's resource is named with its group, whether its objects have sizes or not.
    pub(crate) async fn qualified(&self, group: &str, kind: &str) -> Result<String, NoScale> {
        let served = self.served().await?;
        let known = of_kind(&served, group, kind);
        let known = known.ok_or_else(|| unknown(group, kind))?;
        Ok(known.resource.to_string())
    }

    /// The size of an object.
    pub(crate) async fn get(&self, resource: &Resource, key: &Key) -> Result<Scale, Error> {
        let scales = self.client.dynamic(resource.clone()).subresource("scale");
        Ok(Scale::read(&scales.get(key).await?))
    }

    /// Changes the size of an object, which must be as it was read.
    pub(crate) async fn set(
        &self,
        resource: &Resource,
        key: &Key,
        seen: &Scale,
        replicas: i32,
    ) -> Result<(), Error> {
        let patch = json!({
            "metadata": {"resourceVersion": seen.resource_version},
            "spec": {"replicas": replicas},
        });
        let scales = self.client.dynamic(resource.clone()).subresource("scale");
        scales.patch(key, &Patch::Merge(patch)).await?;
        Ok(())
    }
}

/// A kind in the version that its group prefers.
fn of_kind<'a>(
    served: &'a [ServedResource],
    group: &str,
    kind: &str,
) -> Option<&'a ServedResource> {
    let is_it = |one: &&ServedResource| one.resource.group == group && one.kind == kind;
    let known = || served.iter().filter(is_it);
    known().find(|one| one.preferred).or_else(|| known().next())
}

fn unknown(group: &str, kind: &str) -> NoScale {
    NoScale::UnknownKind {
        group: group.to_owned(),
        kind: kind.to_owned(),
    }
}

fn scalable(served: &[ServedResource], group: &str, kind: &str) -> Result<Resource, NoScale> {
    let found = of_kind(served, group, kind).ok_or_else(|| unknown(group, kind))?;
    if found.subresources.iter().any(|(name, _)| name == "scale") {
        return Ok(found.resource.clone());
    }
    Err(NoScale::NoSubresource(found.resource.to_string()))
}

/// The group of an `apiVersion`.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(group: &str, version: &str, kind: &str, below: &[&str]) -> ServedResource {
        ServedResource {
            resource: Resource {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: format!("{}s", kind.to_lowercase()),
                namespaced: true,
            },
            kind: kind.to_owned(),
            singular: String::new(),
            short_names: Vec::new(),
            verbs: Vec::new(),
            subresources: below
                .iter()
                .map(|name| ((*name).to_owned(), Vec::new()))
                .collect(),
            preferred: version == "v1",
        }
    }

    #[test]
    fn a_kind_is_scaled_in_its_preferred_version_if_it_can_be() {
        let served = [
            served("apps", "v1beta1", "Deployment", &["scale"]),
            served("apps", "v1", "Deployment", &["status", "scale"]),
            served("batch", "v1", "Job", &["status"]),
            served("", "v1", "Pod", &[]),
        ];
        assert_eq!(
            scalable(&served, "apps", "Deployment").unwrap().version,
            "v1"
        );
        for (group, kind, fault) in [
            (
                "batch",
                "Job",
                "jobs.batch does not implement the scale subresource",
            ),
            ("", "Pod", "pods does not implement the scale subresource"),
            (
                "x",
                "Deployment",
                "no matches for kind \"Deployment\" in group \"x\"",
            ),
        ] {
            assert_eq!(
                scalable(&served, group, kind).unwrap_err().to_string(),
                fault
            );
        }
    }

    #[test]
    fn a_scale_tells_sizes_and_selector() {
        let tree = json!({
            "metadata": {"uid": "u", "resourceVersion": "7"},
            "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "app=a"},
        });
        let expected = Scale {
            uid: "u".into(),
            resource_version: "7".into(),
            replicas: 3,
            current: 2,
            selector: "app=a".into(),
        };
        assert_eq!(Scale::read(&tree), expected);
        assert_eq!(Scale::read(&json!({})), Scale::default());
    }
}
