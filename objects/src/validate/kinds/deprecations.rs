//! What the authors of objects are told of fields, labels and annotations that are on their way out.

use super::{amount, ip, view::View};
use crate::{Value, meta};

/// Labels of nodes that other labels took the place of.
pub(crate) const NODE_LABELS: &[(&str, &str)] = &[
    (
        "beta.kubernetes.io/arch",
        "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
    ),
    (
        "beta.kubernetes.io/os",
        "deprecated since v1.14; use \"kubernetes.io/os\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    (
        "node-role.kubernetes.io/master",
        "use \"node-role.kubernetes.io/control-plane\" instead",
    ),
];

/// Annotations of volumes that fields took the place of.
const VOLUME_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "volume.beta.kubernetes.io/storage-class",
        "deprecated since v1.8; use \"storageClassName\" attribute instead",
    ),
    (
        "volume.beta.kubernetes.io/mount-options",
        "deprecated since v1.31; use \"mountOptions\" attribute instead",
    ),
];

/// Sources of volumes that nothing serves any more: the field, its name in the warning, and since when.
const VOLUME_SOURCES: &[(&str, &str, &str)] = &[
    ("cephfs", "cephfs", "v1.28, non-functional in v1.31+"),
    (
        "photonPersistentDisk",
        "photonPersistentDisk",
        "v1.11, non-functional in v1.16+",
    ),
    ("scaleIO", "scaleIO", "v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "v1.28, non-functional in v1.31+"),
];

const MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

fn node_label(key: &str) -> Option<&'static str> {
    NODE_LABELS.iter().find(|row| row.0 == key).map(|row| row.1)
}

/// Keys of expressions that are old labels of nodes.
fn expressions(list: &View<'_>, warnings: &mut Vec<String>) {
    for expression in list.items() {
        let key = expression.at("key");
        if let Some(message) = node_label(key.text()) {
            warnings.push(format!("{}: {} is {message}", key.path, key.text()));
        }
    }
}

fn annotations(object: &Value, known: &[(&str, &str)]) -> Vec<String> {
    let told = known
        .iter()
        .filter(|row| meta::annotation(object, row.0).is_some())
        .map(|(key, message)| format!("metadata.annotations[{key}]: {message}"));
    told.collect()
}

pub(super) fn volume(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let mut warnings = annotations(new, VOLUME_ANNOTATIONS);
    let spec = View::root(new).at("spec");
    let policy = spec.at("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" {
        warnings.push(format!("{}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.", policy.path));
    }
    let required = spec.at("nodeAffinity").at("required");
    for term in required.at("nodeSelectorTerms").items() {
        expressions(&term.at("matchExpressions"), &mut warnings);
    }
    for (field, name, since) in VOLUME_SOURCES {
        if spec.at(field).is_set() {
            warnings.push(format!("spec.{name}: deprecated in {since}"));
        }
    }
    warnings
}

pub(super) fn claim(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let mut warnings = annotations(new, &VOLUME_ANNOTATIONS[..1]);
    let resources = View::root(new).at("spec").at("resources");
    for field in ["requests", "limits"] {
        let size = resources.at(field).key("storage");
        if size.is_set() && !amount::is_whole(size.value) {
            warnings.push(format!(
                "{}: fractional byte value \"{}\" is invalid, must be an integer",
                size.path,
                amount::shown(size.value)
            ));
        }
    }
    warnings
}

pub(super) fn account(new: &Value, old: Option<&Value>) -> Vec<String> {
    if old.is_some_and(|old| meta::annotation(old, MOUNTABLE_SECRETS).is_some()) {
        return Vec::new();
    }
    let message =
        "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
    annotations(new, &[(MOUNTABLE_SECRETS, message)])
}

pub(super) fn node(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let spec = View::root(new).at("spec");
    let mut warnings = Vec::new();
    if spec.at("configSource").is_set() {
        warnings.push("spec.configSource: the feature is removed".to_owned());
    }
    if !spec.at("externalID").is_empty() {
        warnings.push(
            "spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned(),
        );
    }
    for network in spec.at("podCIDRs").items() {
        warnings.extend(ip::network_warnings(&network));
    }
    warnings
}

pub(super) fn runtime_class(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let selector = View::root(new).at("scheduling").at("nodeSelector");
    let told = selector
        .entries()
        .filter_map(|(key, _)| node_label(key))
        .map(|message| format!("{}: {message}", selector.path));
    told.collect()
}

pub(super) fn storage_class(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let terms = View::root(new).at("allowedTopologies");
    let told = terms
        .items()
        .flat_map(|term| term.at("matchLabelExpressions").items())
        .filter_map(|expression| {
            let key = expression.at("key");
            node_label(key.text()).map(|message| format!("{}: {message}", key.path))
        });
    told.collect()
}

pub(super) fn capacity(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let topology = View::root(new).at("nodeTopology");
    let mut warnings = Vec::new();
    expressions(&topology.at("matchExpressions"), &mut warnings);
    let labels = topology.at("matchLabels");
    for (key, _) in labels.entries() {
        if let Some(message) = node_label(key) {
            warnings.push(format!("{}.{key}: {message}", labels.path));
        }
    }
    warnings
}

pub(super) fn driver(new: &Value, old: Option<&Value>) -> Vec<String> {
    let spec = View::root(new).at("spec");
    let unset =
        !spec.at("tokenRequests").is_empty() && !spec.at("serviceAccountTokenInSecrets").is_set();
    if unset && old.is_none() {
        vec!["spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes".to_owned()]
    } else {
        Vec::new()
    }
}

/// Addresses in an old form, of endpoints, networks of policies and the like.
pub(super) fn endpoints(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let managed = "endpoints.kubernetes.io/managed-by";
    if meta::label(new, managed) == Some("endpoint-controller") {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    for subset in View::root(new).at("subsets").items() {
        for field in ["addresses", "notReadyAddresses"] {
            for address in subset.at(field).items() {
                warnings.extend(ip::address_warning(&address.at("ip")));
            }
        }
    }
    warnings
}

pub(super) fn policy(new: &Value, _old: Option<&Value>) -> Vec<String> {
    let spec = View::root(new).at("spec");
    let mut warnings = Vec::new();
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for peer in spec
            .at(rules)
            .items()
            .flat_map(|rule| rule.at(peers).items())
        {
            let block = peer.at("ipBlock");
            if !block.is_set() {
                continue;
            }
            warnings.extend(ip::network_warnings(&block.at("cidr")));
            for except in block.at("except").items() {
                warnings.extend(ip::network_warnings(&except));
            }
        }
    }
    warnings
}
