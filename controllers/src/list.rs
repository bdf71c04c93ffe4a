//! Which controllers there are, under kube-controller-manager's names, and which of them run.

use crate::context::Context;

/// A controller.
pub(crate) struct Controller {
    pub(crate) name: &'static str,
    /// Its name in command lines of old; empty if it has none.
    alias: &'static str,
    /// Whether `*` means it.
    is_default: bool,
    /// Makes its informers and spawns its workers.
    pub(crate) start: fn(&Context),
}

const fn on(name: &'static str, alias: &'static str, start: fn(&Context)) -> Controller {
    Controller {
        name,
        alias,
        is_default: true,
        start,
    }
}

/// One that runs only if it is named.
const fn off(name: &'static str, alias: &'static str, start: fn(&Context)) -> Controller {
    Controller {
        is_default: false,
        ..on(name, alias, start)
    }
}

/// The controllers, in the order of their start. Those that tokens and certificates come from are first.
pub(crate) const CONTROLLERS: &[Controller] = &[
    on(
        "serviceaccount-token-controller",
        "serviceaccount-token",
        crate::service_account_tokens::start,
    ),
    on(
        "serviceaccount-controller",
        "serviceaccount",
        crate::service_accounts::start,
    ),
    on(
        "root-ca-certificate-publisher-controller",
        "root-ca-cert-publisher",
        crate::root_ca::start,
    ),
    on("namespace-controller", "namespace", crate::namespace::start),
    on(
        "garbage-collector-controller",
        "garbagecollector",
        crate::garbage_collector::start,
    ),
    on(
        "resourcequota-controller",
        "resourcequota",
        crate::quota::start,
    ),
    on(
        "certificatesigningrequest-signing-controller",
        "csrsigning",
        crate::certificates::start_signing,
    ),
    on(
        "certificatesigningrequest-approving-controller",
        "csrapproving",
        crate::certificates::start_approving,
    ),
    on(
        "certificatesigningrequest-cleaner-controller",
        "csrcleaner",
        crate::certificates::start_cleaning,
    ),
    on(
        "deployment-controller",
        "deployment",
        crate::deployment::run::start,
    ),
    on(
        "replicaset-controller",
        "replicaset",
        crate::replicaset::run::start,
    ),
    on(
        "replicationcontroller-controller",
        "replicationcontroller",
        crate::replicaset::run::start_replication,
    ),
    on(
        "statefulset-controller",
        "statefulset",
        crate::statefulset::run::start,
    ),
    on(
        "daemonset-controller",
        "daemonset",
        crate::daemonset::run::start,
    ),
    on("job-controller", "job", crate::job::run::start),
    on("cronjob-controller", "cronjob", crate::cronjob::run::start),
    on(
        "ttl-after-finished-controller",
        "ttl-after-finished",
        crate::ttl_after_finished::start,
    ),
    on(
        "disruption-controller",
        "disruption",
        crate::disruption::run::start,
    ),
    on(
        "horizontal-pod-autoscaler-controller",
        "horizontalpodautoscaling",
        crate::hpa::run::start,
    ),
    on("endpoints-controller", "endpoint", crate::endpoints::start),
    on(
        "endpointslice-controller",
        "endpointslice",
        crate::endpointslice::start,
    ),
    on(
        "endpointslice-mirroring-controller",
        "endpointslicemirroring",
        crate::endpointslice_mirroring::start,
    ),
    on("service-cidr-controller", "", crate::service_cidrs::start),
    on("ttl-controller", "ttl", crate::node_ttl::start),
    on("node-ipam-controller", "nodeipam", crate::node_ipam::start),
    on(
        "node-lifecycle-controller",
        "nodelifecycle",
        crate::node_lifecycle::start,
    ),
    on(
        "taint-eviction-controller",
        "taint-eviction",
        crate::taint_eviction::start,
    ),
    on(
        "pod-garbage-collector-controller",
        "podgc",
        crate::pod_gc::start,
    ),
    on(
        "persistentvolume-binder-controller",
        "persistentvolume-binder",
        crate::persistent_volumes::start,
    ),
    on(
        "persistentvolumeclaim-protection-controller",
        "pvc-protection",
        crate::persistent_volumes::start_claims,
    ),
    on(
        "persistentvolume-protection-controller",
        "pv-protection",
        crate::persistent_volumes::start_volumes,
    ),
    on(
        "persistentvolume-attach-detach-controller",
        "attachdetach",
        crate::attach_detach::start,
    ),
    on(
        "persistentvolume-expander-controller",
        "persistentvolume-expander",
        crate::volume_expansion::start,
    ),
    on(
        "ephemeral-volume-controller",
        "ephemeral-volume",
        crate::ephemeral_volumes::start,
    ),
    off(
        "bootstrap-signer-controller",
        "bootstrapsigner",
        crate::bootstrap_tokens::start_signing,
    ),
    off(
        "token-cleaner-controller",
        "tokencleaner",
        crate::bootstrap_tokens::start_cleaning,
    ),
];

/// Names that command lines may have of what is done elsewhere, or is not here.
const ELSEWHERE: &[&str] = &[
    // The apiserver.
    "clusterrole-aggregation-controller",
    "clusterrole-aggregation",
    "validatingadmissionpolicy-status-controller",
    "legacy-serviceaccount-token-cleaner-controller",
    "legacy-service-account-token-cleaner",
    "podcertificaterequest-cleaner-controller",
    "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    "storageversion-garbage-collector-controller",
    "storage-version-gc",
    "storage-version-migrator-controller",
    "svm",
    "selinux-warning-controller",
    "device-taint-eviction-controller",
    "resourceclaim-controller",
    "resource-claim-controller",
    "resourcepoolstatusrequest-controller",
    "podgroup-protection-controller",
    "volumeattributesclass-protection-controller",
    // Those of clouds.
    "service-lb-controller",
    "service",
    "node-route-controller",
    "route",
    "cloud-node-lifecycle-controller",
    "cloud-node-lifecycle",
];

/// All names that `--controllers` may have.
pub(crate) fn names() -> Vec<&'static str> {
    let own = CONTROLLERS.iter();
    own.flat_map(|controller| [controller.name, controller.alias])
        .filter(|name| !name.is_empty())
        .chain(ELSEWHERE.iter().copied())
        .collect()
}

impl Controller {
    /// Whether it runs by the words of `--controllers`. The first word that names it decides, and `*` where none does.
    pub(crate) fn is_chosen(&self, words: &[String]) -> bool {
        let names_it = |name: &str| name == self.name || name == self.alias;
        let by_name = words.iter().find_map(|word| match word.strip_prefix('-') {
            Some(name) if names_it(name) => Some(false),
            None if names_it(word) => Some(true),
            _ => None,
        });
        by_name.unwrap_or_else(|| self.is_default && words.iter().any(|word| word == "*"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn controllers_are_chosen_by_name_and_by_default() {
        let default = on("a-controller", "a", |_| {});
        let named = off("b-controller", "b", |_| {});
        for (line, a, b) in [
            ("*", true, false),
            ("*,b-controller", true, true),
            ("*,b", true, true),
            ("-a,*", false, false),
            ("*,-a-controller", false, false),
            ("b", false, true),
            ("a,-a", true, false),
            ("", false, false),
        ] {
            let words: Vec<String> = line.split(',').map(str::to_owned).collect();
            let chosen = (default.is_chosen(&words), named.is_chosen(&words));
            assert_eq!(chosen, (a, b), "{line}");
        }
    }

    #[test]
    fn no_name_is_there_twice() {
        let names = names();
        let different: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(different.len(), names.len());
    }
}
