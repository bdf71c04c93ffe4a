//! The past templates of a StatefulSet or DaemonSet, kept as ControllerRevisions.

pub(crate) mod keep;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};

use crate::hash;

/// The label that tells a workload's pods of different templates apart.
pub(crate) const REVISION_LABEL: &str = "controller-revision-hash";
/// A name of a revision begins with at most so many bytes of its owner's.
const OWNER_NAME_BYTES_MAX: usize = 223;

/// How the template a workload has now stands to its past ones.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Update {
    /// It is the latest of them.
    Latest(Arc<ControllerRevision>),
    /// It is an older one, which becomes the latest under this number.
    Renumber(Arc<ControllerRevision>, i64),
    /// It is new, and becomes a revision of this number.
    Create(i64),
}

/// The revisions from the oldest to the latest.
pub(crate) fn sorted(mut revisions: Vec<Arc<ControllerRevision>>) -> Vec<Arc<ControllerRevision>> {
    revisions.sort_by_key(|revision| {
        let meta = &revision.metadata;
        let created = meta.creation_timestamp.as_ref().map(|at| at.0);
        (revision.revision, created, meta.name.clone())
    });
    revisions
}

/// Compares a template with sorted revisions.
pub(crate) fn update(template: &PodTemplateSpec, revisions: &[Arc<ControllerRevision>]) -> Update {
    let Some(latest) = revisions.last() else {
        return Update::Create(1);
    };
    let next = latest.revision.saturating_add(1);
    match revisions
        .iter()
        .rev()
        .find(|revision| holds(revision, template))
    {
        Some(found) if found.metadata.name == latest.metadata.name => {
            Update::Latest(Arc::clone(found))
        }
        Some(found) => Update::Renumber(Arc::clone(found), next),
        None => Update::Create(next),
    }
}

/// Whether a revision is of this template, however it is spelled.
pub(crate) fn holds(revision: &ControllerRevision, template: &PodTemplateSpec) -> bool {
    let past = self::template(revision);
    past.is_some_and(|past| hash::canonical(&past) == hash::canonical(template))
}

/// The template that a revision holds.
pub(crate) fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision
        .data
        .as_ref()?
        .0
        .get("spec")?
        .get("template")?
        .clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

/// A revision of a template for the owner that `reference` points at. It is named by the hash of its content.
pub(crate) fn revision(
    owner: &ObjectMeta,
    reference: OwnerReference,
    template: &PodTemplateSpec,
    number: i64,
    collisions: i32,
) -> ControllerRevision {
    let hash = hash::template(template, Some(collisions));
    let name = owner.name.as_deref().unwrap_or_default();
    let prefix = name.get(..OWNER_NAME_BYTES_MAX).unwrap_or(name);
    let labels = template
        .metadata
        .as_ref()
        .and_then(|meta| meta.labels.clone());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{prefix}-{hash}")),
            namespace: owner.namespace.clone(),
            labels: Some(with_hashes(
                labels.unwrap_or_default(),
                &hash,
                &reference.kind,
            )),
            annotations: owner.annotations.clone(),
            owner_references: Some(vec![reference]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(data(template))),
        revision: number,
    }
}

fn with_hashes(
    mut labels: BTreeMap<String, String>,
    hash: &str,
    kind: &str,
) -> BTreeMap<String, String> {
    let label = match kind {
        "DaemonSet" => REVISION_LABEL,
        _ => "controller.kubernetes.io/hash",
    };
    labels.insert(label.to_owned(), hash.to_owned());
    labels
}

/// A strategic patch that gives a workload this template again.
fn data(template: &PodTemplateSpec) -> Value {
    let mut template = serde_json::to_value(template).unwrap_or_default();
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

/// The revisions to delete so that at most `limit` stay beyond those that are in use, the oldest first.
pub(crate) fn expired<'a>(
    revisions: &'a [Arc<ControllerRevision>],
    used: &BTreeSet<&str>,
    limit: i32,
) -> Vec<&'a Arc<ControllerRevision>> {
    let Ok(limit) = usize::try_from(limit) else {
        return Vec::new();
    };
    let is_used = |revision: &ControllerRevision| {
        let meta = &revision.metadata;
        let labels = meta.labels.as_ref();
        let label = labels
            .and_then(|labels| labels.get(REVISION_LABEL))
            .map(String::as_str);
        [meta.name.as_deref(), label]
            .into_iter()
            .flatten()
            .any(|name| used.contains(name))
    };
    let mut unused: Vec<_> = revisions
        .iter()
        .filter(|revision| !is_used(revision))
        .collect();
    unused.sort_by_key(|revision| Reverse(revision.revision));
    unused.into_iter().skip(limit).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_template(image: &str) -> PodTemplateSpec {
        serde_json::from_value(json!({
            "metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": image}]},
        }))
        .unwrap()
    }

    fn made(image: &str, number: i64) -> Arc<ControllerRevision> {
        let owner = ObjectMeta {
            name: Some("web".into()),
            ..ObjectMeta::default()
        };
        let reference = OwnerReference {
            kind: "StatefulSet".into(),
            ..OwnerReference::default()
        };
        Arc::new(revision(&owner, reference, &pod_template(image), number, 0))
    }

    #[test]
    fn a_revision_gives_its_template_back() {
        let revision = made("one", 1);
        assert_eq!(template(&revision), Some(pod_template("one")));
        assert!(revision.metadata.name.as_ref().unwrap().starts_with("web-"));
        assert_eq!(revision.metadata.labels.as_ref().unwrap()["app"], "a");
        assert_eq!(
            revision.data.as_ref().unwrap().0["spec"]["template"]["$patch"],
            "replace"
        );
    }

    #[test]
    fn a_template_is_the_latest_revision_or_an_older_one_or_a_new_one() {
        let past = [made("one", 1), made("two", 2)];
        assert_eq!(
            update(&pod_template("two"), &past),
            Update::Latest(past[1].clone())
        );
        assert_eq!(
            update(&pod_template("one"), &past),
            Update::Renumber(past[0].clone(), 3)
        );
        assert_eq!(update(&pod_template("three"), &past), Update::Create(3));
        assert_eq!(update(&pod_template("one"), &[]), Update::Create(1));
    }

    #[test]
    fn a_revision_that_upstream_wrote_is_recognized_though_it_is_spelled_otherwise() {
        let mut revision = (*made("one", 1)).clone();
        let template = json!({
            "$patch": "replace",
            "metadata": {"creationTimestamp": null, "labels": {"app": "a"}},
            "spec": {"containers": [{"name": "c", "image": "one", "resources": {}}]},
        });
        revision.data = Some(RawExtension(json!({"spec": {"template": template}})));
        let revision = Arc::new(revision);
        assert_eq!(
            update(&pod_template("one"), std::slice::from_ref(&revision)),
            Update::Latest(revision)
        );
    }

    #[test]
    fn the_oldest_revisions_that_nothing_uses_expire_beyond_the_limit() {
        let all: Vec<_> = (1..=5)
            .map(|number| made(&format!("image-{number}"), number))
            .collect();
        let name = |at: usize| all[at].metadata.name.as_deref().unwrap();
        let used = BTreeSet::from([name(0), name(4)]);
        let numbers = |limit| -> Vec<i64> {
            expired(&all, &used, limit)
                .into_iter()
                .map(|revision| revision.revision)
                .collect()
        };
        assert_eq!(numbers(10), [0i64; 0]);
        assert_eq!(numbers(3), [0i64; 0]);
        assert_eq!(numbers(1), [2, 3]);
        assert_eq!(numbers(0), [2, 3, 4]);
        assert_eq!(numbers(-1), [0i64; 0]);
    }
}
