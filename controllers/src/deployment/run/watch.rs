//! Which Deployments have a turn when ReplicaSets and pods change.

use client::{Change, Key};
use k8s_openapi::Resource as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Controller;
use crate::deployment::limits;
use crate::{owners, pods, selectors};

impl Controller {
    pub(super) fn set_changed(&self, change: &Change<ReplicaSet>) {
        if let Change::Deleted(set) = change {
            self.written_sets.forget(&Key::of(set.as_ref()));
        }
        match change {
            Change::Added(set) if set.metadata.deletion_timestamp.is_none() => {
                self.add_owner_or_adopters(set);
            }
            Change::Modified { old, new } => {
                let reference = |set: &ReplicaSet| owners::controller_of(&set.metadata).cloned();
                let has_new_owner = reference(old) != reference(new);
                if has_new_owner {
                    self.add_owner(&old.metadata);
                }
                let may_be_adopted = has_new_owner || old.metadata.labels != new.metadata.labels;
                if reference(new).is_some() || may_be_adopted {
                    self.add_owner_or_adopters(new);
                }
            }
            Change::Added(set) | Change::Deleted(set) => self.add_owner(&set.metadata),
        }
    }

    /// A Deployment that replaces its pods goes on when the last one is gone.
    pub(super) fn pod_changed(&self, change: &Change<Pod>) {
        let pod = match change {
            Change::Deleted(pod) => pod,
            Change::Modified { old, new } if pods::is_terminal(new) && !pods::is_terminal(old) => {
                new
            }
            _ => return,
        };
        let Some(reference) = owners::controller_of(&pod.metadata) else {
            return;
        };
        if reference.kind != ReplicaSet::KIND {
            return;
        }
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let Some(set) = self.sets.get(&Key::new(namespace, reference.name.clone())) else {
            return;
        };
        let deployment = self
            .owner(&set.metadata)
            .and_then(|key| self.deployments.get(&key));
        if let Some(deployment) = deployment
            && !limits::is_rolling(&deployment)
        {
            self.queue.add(Key::of(deployment.as_ref()));
        }
    }

    /// The Deployment that is the object's controller, if it is known.
    fn owner(&self, object: &ObjectMeta) -> Option<Key> {
        let reference = owners::controller_of(object)?;
        if reference.kind != Deployment::KIND || reference.api_version != Deployment::API_VERSION {
            return None;
        }
        let namespace = object.namespace.clone().unwrap_or_default();
        let key = Key::new(namespace, reference.name.clone());
        let deployment = self.deployments.get(&key)?;
        (deployment.metadata.uid.as_ref() == Some(&reference.uid)).then_some(key)
    }

    fn add_owner(&self, object: &ObjectMeta) {
        if let Some(key) = self.owner(object) {
            self.queue.add(key);
        }
    }

    /// A set without an owner may be wanted by every Deployment that selects it.
    fn add_owner_or_adopters(&self, set: &ReplicaSet) {
        if owners::controller_of(&set.metadata).is_some() {
            self.add_owner(&set.metadata);
            return;
        }
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        for deployment in self.deployments.in_namespace(namespace) {
            let selector = deployment.spec.as_ref().map(|spec| &spec.selector);
            let is_selected = selectors::read(selector).is_ok_and(|selector| {
                !selector.is_everything() && selectors::selects(&selector, &set.metadata)
            });
            if is_selected {
                self.queue.add(Key::of(deployment.as_ref()));
            }
        }
    }
}
