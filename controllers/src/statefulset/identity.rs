//! Who a StatefulSet's pod is: its ordinal, its name, its labels and its volumes.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::revisions::REVISION_LABEL;
use crate::{owners, pods};

const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The ordinal at the end of a pod's name, if what stands before it is the set's name.
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let (parent, ordinal) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
    let is_number = !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && Some(parent) == set.metadata.name.as_deref()).then(|| ordinal.parse().ok())?
}

pub(super) fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!(
        "{}-{ordinal}",
        set.metadata.name.as_deref().unwrap_or_default()
    )
}

/// The revision a pod was made of.
pub(super) fn revision(pod: &Pod) -> &str {
    let labels = pod.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(REVISION_LABEL))
        .map_or("", String::as_str)
}

/// The pod of an ordinal, made of a revision's template.
pub(super) fn pod(
    set: &StatefulSet,
    ordinal: i32,
    template: &PodTemplateSpec,
    revision: &str,
) -> Pod {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let mut pod = pods::from_template(
        template,
        namespace,
        owners::reference::<StatefulSet>(&set.metadata),
    );
    let name = pod_name(set, ordinal);
    pod.metadata.generate_name = None;
    pod.metadata.name = Some(name.clone());
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME_LABEL.to_owned(), name.clone());
    labels.insert(POD_INDEX_LABEL.to_owned(), ordinal.to_string());
    labels.insert(REVISION_LABEL.to_owned(), revision.to_owned());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
    let claims = claims(set, ordinal);
    let own = spec.volumes.take().unwrap_or_default();
    let kept = own
        .into_iter()
        .filter(|volume| !claims.iter().any(|(name, _)| *name == volume.name));
    let mut volumes: Vec<Volume> = claims
        .iter()
        .map(|(name, claim)| volume(name, claim))
        .collect();
    volumes.extend(kept);
    spec.volumes = (!volumes.is_empty()).then_some(volumes);
    pod
}

fn volume(name: &str, claim: &PersistentVolumeClaim) -> Volume {
    let source = PersistentVolumeClaimVolumeSource {
        claim_name: claim.metadata.name.clone().unwrap_or_default(),
        read_only: None,
    };
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(source),
        ..Volume::default()
    }
}

/// The claims of an ordinal, each with the name of its template.
pub(super) fn claims(set: &StatefulSet, ordinal: i32) -> Vec<(String, PersistentVolumeClaim)> {
    let Some(spec) = &set.spec else {
        return Vec::new();
    };
    let templates = spec.volume_claim_templates.iter().flatten();
    templates
        .map(|template| {
            let name = template.metadata.name.clone().unwrap_or_default();
            let mut labels = template.metadata.labels.clone().unwrap_or_default();
            labels.extend(spec.selector.match_labels.clone().unwrap_or_default());
            let metadata = ObjectMeta {
                name: Some(format!("{name}-{}", pod_name(set, ordinal))),
                namespace: set.metadata.namespace.clone(),
                labels: (!labels.is_empty()).then_some(labels),
                annotations: template.metadata.annotations.clone(),
                finalizers: template.metadata.finalizers.clone(),
                ..ObjectMeta::default()
            };
            let claim = PersistentVolumeClaim {
                metadata,
                spec: template.spec.clone(),
                status: None,
            };
            (name, claim)
        })
        .collect()
}

/// Whether a claim has the name of one of the set's, whatever its ordinal is.
pub(super) fn has_claim(set: &StatefulSet, name: &str) -> bool {
    let set_name = set.metadata.name.as_deref().unwrap_or_default();
    let Some((prefix, _)) = name.rsplit_once('-') else {
        return false;
    };
    let template = prefix
        .strip_suffix(set_name)
        .and_then(|prefix| prefix.strip_suffix('-'));
    let templates = set
        .spec
        .iter()
        .flat_map(|spec| spec.volume_claim_templates.iter().flatten());
    template.is_some()
        && templates
            .into_iter()
            .any(|claim| claim.metadata.name.as_deref() == template)
}

/// Whether a pod has the label of its name, without which its peers do not find it.
pub(super) fn is_labelled(pod: &Pod) -> bool {
    let label = pod
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(POD_NAME_LABEL));
    label == pod.metadata.name.as_ref()
}

/// The labels that a pod must have, as a merge patch.
pub(super) fn labels(pod: &Pod, ordinal: i32) -> serde_json::Value {
    serde_json::json!({"metadata": {"labels": {
        POD_NAME_LABEL: pod.metadata.name, POD_INDEX_LABEL: ordinal.to_string(),
    }}})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "web-a"},
            "spec": {"selector": {}, "template": {}, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
        }))
        .unwrap()
    }

    #[test]
    fn an_ordinal_is_the_number_behind_the_name_of_the_set() {
        let cases = [
            ("web-a-0", Some(0)),
            ("web-a-12", Some(12)),
            ("web-a-", None),
            ("web-a", None),
            ("web-b-1", None),
            ("web-a-1-2", None),
            ("web-a-+1", None),
            ("web-a-99999999999", None),
        ];
        for (name, expected) in cases {
            let pod = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
            assert_eq!(ordinal(&set(), &pod), expected, "{name}");
        }
    }

    #[test]
    fn a_claim_is_known_by_its_template_and_its_set() {
        let cases = [
            ("data-web-a-0", true),
            ("data-web-a-17", true),
            ("logs-web-a-0", false),
            ("data-web-b-0", false),
            ("dataweb-a-0", false),
            ("web-a-0", false),
            ("data", false),
        ];
        for (name, expected) in cases {
            assert_eq!(has_claim(&set(), name), expected, "{name}");
        }
    }
}
