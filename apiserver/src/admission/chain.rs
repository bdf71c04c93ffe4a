//! The plugins that are on, one after the other.

use std::sync::Arc;

use futures::TryFutureExt;
use futures::future::BoxFuture;
use objects::Value;
use objects::status::Status;

use super::{
    Admission, Operation, Review, certificates, classes, limits, namespaces, node_restriction,
    nodes, owner_references, pod_security, pods, policies, priority, quota, runtime_class,
    service_account, storage_claims,
    webhooks::{self, Webhooks},
};
use crate::authz::Authorizer;
use crate::authz::escalation::{check_binding, check_role};
use crate::authz::rbac::{GROUP as RBAC, Rbac};
use crate::objects_view::ObjectsView;
use crate::served::Resources;
use crate::storage::Storage;
use crate::webhook::Caller;

/// A plugin of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    NamespaceLifecycle,
    LimitRanger,
    ServiceAccount,
    NodeRestriction,
    TaintNodesByCondition,
    AlwaysPullImages,
    PodSecurity,
    Priority,
    DefaultTolerationSeconds,
    DefaultStorageClass,
    StorageObjectInUseProtection,
    OwnerReferencesPermissionEnforcement,
    PersistentVolumeClaimResize,
    RuntimeClass,
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    DefaultIngressClass,
    MutatingAdmissionPolicy,
    MutatingAdmissionWebhook,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionWebhook,
    ResourceQuota,
    AlwaysDeny,
}

/// All names that the flags may have, in the order of their work, with the plugin where this server has it and whether it is on by itself.
const PLUGINS: [(&str, Option<Plugin>, bool); 41] = [
    ("AlwaysAdmit", None, false),
    ("NamespaceAutoProvision", None, false),
    ("NamespaceLifecycle", Some(Plugin::NamespaceLifecycle), true),
    ("NamespaceExists", None, false),
    ("LimitPodHardAntiAffinityTopology", None, false),
    ("LimitRanger", Some(Plugin::LimitRanger), true),
    ("ServiceAccount", Some(Plugin::ServiceAccount), true),
    ("NodeRestriction", Some(Plugin::NodeRestriction), false),
    (
        "TaintNodesByCondition",
        Some(Plugin::TaintNodesByCondition),
        true,
    ),
    ("AlwaysPullImages", Some(Plugin::AlwaysPullImages), false),
    ("ImagePolicyWebhook", None, false),
    ("PodSecurity", Some(Plugin::PodSecurity), true),
    ("PodNodeSelector", None, false),
    ("Priority", Some(Plugin::Priority), true),
    (
        "DefaultTolerationSeconds",
        Some(Plugin::DefaultTolerationSeconds),
        true,
    ),
    ("PodTolerationRestriction", None, false),
    ("EventRateLimit", None, false),
    ("ExtendedResourceToleration", None, false),
    (
        "DefaultStorageClass",
        Some(Plugin::DefaultStorageClass),
        true,
    ),
    (
        "StorageObjectInUseProtection",
        Some(Plugin::StorageObjectInUseProtection),
        true,
    ),
    ("PodGroupProtection", None, true),
    (
        "OwnerReferencesPermissionEnforcement",
        Some(Plugin::OwnerReferencesPermissionEnforcement),
        false,
    ),
    (
        "PersistentVolumeClaimResize",
        Some(Plugin::PersistentVolumeClaimResize),
        true,
    ),
    ("RuntimeClass", Some(Plugin::RuntimeClass), true),
    (
        "CertificateApproval",
        Some(Plugin::CertificateApproval),
        true,
    ),
    ("CertificateSigning", Some(Plugin::CertificateSigning), true),
    ("ClusterTrustBundleAttest", None, true),
    (
        "CertificateSubjectRestriction",
        Some(Plugin::CertificateSubjectRestriction),
        true,
    ),
    (
        "DefaultIngressClass",
        Some(Plugin::DefaultIngressClass),
        true,
    ),
    ("DenyServiceExternalIPs", None, false),
    ("PodTopologyLabels", None, true),
    ("PodGroupWorkloadExists", None, true),
    ("NodeDeclaredFeatureValidator", None, true),
    ("JobValidation", None, true),
    ("PodResizeValidator", None, true),
    (
        "MutatingAdmissionPolicy",
        Some(Plugin::MutatingAdmissionPolicy),
        true,
    ),
    (
        "MutatingAdmissionWebhook",
        Some(Plugin::MutatingAdmissionWebhook),
        true,
    ),
    (
        "ValidatingAdmissionPolicy",
        Some(Plugin::ValidatingAdmissionPolicy),
        true,
    ),
    (
        "ValidatingAdmissionWebhook",
        Some(Plugin::ValidatingAdmissionWebhook),
        true,
    ),
    ("ResourceQuota", Some(Plugin::ResourceQuota), true),
    ("AlwaysDeny", Some(Plugin::AlwaysDeny), false),
];

impl Plugin {
    /// The plugins that two flags leave on, in the order of their work.
    ///
    /// # Errors
    ///
    /// If a name is unknown, or is in both flags.
    pub fn enabled(enable: &[String], disable: &[String]) -> Result<Vec<Plugin>, String> {
        for (flag, names) in [("enable", enable), ("disable", disable)] {
            let unknown = |name: &&String| PLUGINS.iter().all(|(known, ..)| known != *name);
            if let Some(name) = names.iter().find(unknown) {
                return Err(format!(
                    "{flag}-admission-plugins plugin \"{name}\" is unknown"
                ));
            }
        }
        let both: Vec<&str> = enable
            .iter()
            .filter(|name| disable.contains(name))
            .map(String::as_str)
            .collect();
        if !both.is_empty() {
            return Err(format!(
                "[{}] in enable-admission-plugins and disable-admission-plugins overlapped",
                both.join(" ")
            ));
        }
        let asked = |names: &[String], name: &str| names.iter().any(|other| other == name);
        for (name, plugin, _) in PLUGINS {
            if plugin.is_none() && asked(enable, name) {
                tracing::warn!(
                    plugin = name,
                    "this server does not have an admission plugin"
                );
            }
        }
        Ok(PLUGINS
            .iter()
            .filter(|(name, _, on)| asked(enable, name) || (*on && !asked(disable, name)))
            .filter_map(|(_, plugin, _)| *plugin)
            .collect())
    }
}

/// What plugins read.
pub struct Parts {
    pub view: Arc<dyn ObjectsView>,
    pub storage: Storage,
    pub resources: Arc<Resources>,
    /// What all keys begin with.
    pub prefix: String,
    pub authorizer: Arc<dyn Authorizer>,
    pub webhooks: Arc<Caller>,
}

impl Parts {
    /// An object from memory, or else from the store: one that was made a moment ago is found.
    pub(super) async fn find(
        &self,
        (group, plural): (&str, &str),
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Value>>, Status> {
        match self.view.get(group, plural, namespace, name) {
            Some(found) => Ok(Some(found)),
            None => self.read((group, plural), namespace, name).await,
        }
    }

    /// An object from the store.
    pub(super) async fn read(
        &self,
        (group, plural): (&str, &str),
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Value>>, Status> {
        let table = self.resources.table();
        let Some(served) = table.any_version(group, plural) else {
            return Ok(None);
        };
        let key = format!("{}{}", self.prefix, served.key(namespace, name));
        let (stored, _) = self.storage.get(key.as_bytes()).await?;
        stored
            .map(|stored| crate::registry::decode(&stored.value).map(Arc::new))
            .transpose()
            .map_err(Status::internal)
    }
}

/// What the two rounds of plugins that may change an object know of one request.
#[derive(Default)]
struct Rounds {
    policies: policies::Round,
    webhooks: webhooks::Rounds,
}

impl Rounds {
    /// Begins the second round. False if none is needed: nobody changed the object.
    fn begin_second(&mut self) -> bool {
        let by_policies = self.policies.begins_again();
        let by_webhooks = self.webhooks.begin_second();
        by_policies || by_webhooks
    }
}

/// The chain.
pub struct Chain {
    parts: Parts,
    plugins: Vec<Plugin>,
    rbac: Rbac,
    namespaces: namespaces::Deleted,
    quotas: quota::Lines,
    mutating: policies::Mutating,
    validating: policies::Validating,
    webhooks: Webhooks,
}

impl Chain {
    #[must_use]
    pub fn new(parts: Parts, plugins: Vec<Plugin>) -> Chain {
        let rbac = Rbac::new(parts.view.clone());
        let namespaces = namespaces::Deleted::default();
        let webhooks = Webhooks::new(parts.webhooks.clone());
        Chain {
            parts,
            plugins,
            rbac,
            namespaces,
            quotas: quota::Lines::default(),
            mutating: policies::Mutating::default(),
            validating: policies::Validating::default(),
            webhooks,
        }
    }

    /// One round of the plugins that may change an object.
    async fn mutate_once(
        &self,
        review: &Review<'_>,
        object: &mut Option<Value>,
        rounds: &mut Rounds,
    ) -> Result<(), Status> {
        if self.plugins.contains(&Plugin::NamespaceLifecycle) {
            namespaces::judge(&self.parts, &self.namespaces, review, object.as_ref()).await?;
        }
        for plugin in &self.plugins {
            match (plugin, &mut *object) {
                (Plugin::NodeRestriction, object) if review.operation != Operation::Connect => {
                    node_restriction::judge(&self.parts, review, object.as_ref()).await?;
                }
                (Plugin::MutatingAdmissionWebhook, object) => {
                    let asked = &mut rounds.webhooks;
                    let asked = self.webhooks.mutate(&self.parts, review, object, asked);
                    asked.await?;
                }
                (plugin, Some(object)) if changes_objects(review) => {
                    let round = &mut rounds.policies;
                    self.mutate_by(*plugin, review, object, round).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn mutate_by(
        &self,
        plugin: Plugin,
        review: &Review<'_>,
        object: &mut Value,
        round: &mut policies::Round,
    ) -> Result<(), Status> {
        let parts = &self.parts;
        let view = parts.view.as_ref();
        match plugin {
            Plugin::LimitRanger => limits::mutate(view, review, object),
            Plugin::ServiceAccount => service_account::mutate(parts, review, object).await?,
            Plugin::TaintNodesByCondition => nodes::taint(review, object),
            Plugin::AlwaysPullImages => pods::always_pull(review, object),
            Plugin::Priority => priority::mutate(parts, review, object).await?,
            Plugin::DefaultTolerationSeconds => pods::tolerate(review, object),
            Plugin::DefaultStorageClass => classes::default_storage(view, review, object),
            Plugin::StorageObjectInUseProtection => storage_claims::protect(review, object),
            Plugin::RuntimeClass => runtime_class::mutate(parts, review, object).await?,
            Plugin::DefaultIngressClass => classes::default_ingress(view, review, object),
            Plugin::MutatingAdmissionPolicy => {
                self.mutating.mutate(parts, review, object, round).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// All that may change an object, a second time where webhooks ask for it.
    async fn mutate_all(
        &self,
        review: &Review<'_>,
        object: &mut Option<Value>,
    ) -> Result<(), Status> {
        let mut rounds = Rounds::default();
        self.mutate_once(review, object, &mut rounds).await?;
        if rounds.begin_second() {
            self.mutate_once(review, object, &mut rounds).await?;
        }
        match object {
            Some(object) if changes_objects(review) => self.check_escalation(review, object),
            _ => Ok(()),
        }
    }

    /// All that judge an object.
    async fn validate_all(
        &self,
        review: &Review<'_>,
        object: Option<&Value>,
    ) -> Result<(), Status> {
        for plugin in &self.plugins {
            match (plugin, object) {
                (Plugin::ValidatingAdmissionPolicy, _) => {
                    let judged = self.validating.validate(&self.parts, review, object);
                    judged.await?;
                }
                (Plugin::ValidatingAdmissionWebhook, _) => {
                    self.webhooks.validate(&self.parts, review, object).await?;
                }
                (_, Some(object)) => self.validate_by(*plugin, review, object).await?,
                (_, None) => {}
            }
        }
        Ok(())
    }

    async fn validate_by(
        &self,
        plugin: Plugin,
        review: &Review<'_>,
        object: &Value,
    ) -> Result<(), Status> {
        let parts = &self.parts;
        let view = parts.view.as_ref();
        let authorizer = parts.authorizer.as_ref();
        match plugin {
            Plugin::LimitRanger => limits::validate(view, review, object),
            Plugin::PodSecurity => pod_security::validate(parts, review, object).await,
            Plugin::Priority => priority::validate(view, review, object),
            Plugin::OwnerReferencesPermissionEnforcement => {
                owner_references::validate(parts, review, object)
            }
            Plugin::PersistentVolumeClaimResize => storage_claims::resize(view, review, object),
            Plugin::RuntimeClass => runtime_class::validate(parts, review, object).await,
            Plugin::CertificateApproval => certificates::approval(authorizer, review),
            Plugin::CertificateSigning => certificates::signing(authorizer, review, object),
            Plugin::CertificateSubjectRestriction => certificates::subject(review, object),
            Plugin::ResourceQuota => quota::validate(parts, &self.quotas, review, object).await,
            Plugin::AlwaysDeny => Err(review.forbidden(
                Some(object),
                "admission control is denying all modifications",
            )),
            _ => Ok(()),
        }
    }

    /// Nobody grants what they do not hold. This is asked whatever plugins are on.
    fn check_escalation(&self, review: &Review<'_>, object: &Value) -> Result<(), Status> {
        let asked = review.attributes;
        if asked.group != RBAC || !asked.subresource.is_empty() {
            return Ok(());
        }
        let check = match asked.resource.as_str() {
            "roles" | "clusterroles" => check_role,
            "rolebindings" | "clusterrolebindings" => check_binding,
            _ => return Ok(()),
        };
        let authorizer = self.parts.authorizer.as_ref();
        check(authorizer, &self.rbac, asked, object, review.old)
    }
}

/// Whether a request makes an object or changes one.
fn changes_objects(review: &Review<'_>) -> bool {
    matches!(review.operation, Operation::Create | Operation::Update)
}

impl Admission for Chain {
    fn mutate<'a>(
        &'a self,
        review: &'a Review<'a>,
        object: &'a mut Option<Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        let mutate = self.mutate_all(review, object);
        Box::pin(mutate.map_err(Status::before_any_write))
    }

    fn validate<'a>(
        &'a self,
        review: &'a Review<'a>,
        object: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        let validate = self.validate_all(review, object);
        Box::pin(validate.map_err(Status::before_any_write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn flags_switch_plugins_on_and_off_and_know_their_names() {
        let on =
            Plugin::enabled(&names(&["AlwaysPullImages"]), &names(&["ServiceAccount"])).unwrap();
        assert_eq!(on[0], Plugin::NamespaceLifecycle);
        assert!(on.contains(&Plugin::AlwaysPullImages) && !on.contains(&Plugin::ServiceAccount));
        assert_eq!(
            Plugin::enabled(&names(&["Nothing"]), &[]).unwrap_err(),
            "enable-admission-plugins plugin \"Nothing\" is unknown"
        );
        assert_eq!(
            Plugin::enabled(&names(&["Priority"]), &names(&["Priority"])).unwrap_err(),
            "[Priority] in enable-admission-plugins and disable-admission-plugins overlapped"
        );
    }
}
