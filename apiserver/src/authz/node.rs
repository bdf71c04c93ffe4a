//! Nodes: each may read what its pods need and write what it reports about itself; that it is about itself, NodeRestriction sees.
//!
//! Whether an object is needed is looked up among the pods of its namespace at each request. Pods change all the time, so that a
//! graph of all their references would be made anew far more often than it is asked.

mod references;

use std::sync::Arc;

use objects::meta;

use self::references::{Needed, pod_needs, pv_needs_secret};
use super::{Authorizer, Decision, Rule, Rules, bootstrap};
use crate::{attributes::Attributes, objects_view::ObjectsView, user::User};

const PREFIX: &str = "system:node:";
const GROUP: &str = "system:nodes";
const LEASES: &str = "kube-node-lease";

/// The authorizer of nodes, which has no opinion about anybody else.
pub struct Node {
    view: Arc<dyn ObjectsView>,
    /// What every node may do.
    rules: Vec<Rule>,
}

impl Node {
    #[must_use]
    pub fn new(view: Arc<dyn ObjectsView>) -> Node {
        let role = bootstrap::policy()
            .iter()
            .find(|own| own.plural == "clusterroles" && meta::name(&own.object) == "system:node");
        let rules = role.map_or_else(Vec::new, |role| Rule::list_of(&role.object));
        Node { view, rules }
    }
}

/// The node that somebody is; nothing if it is not one.
pub(crate) fn identity(user: &User) -> Option<&str> {
    user.name.strip_prefix(PREFIX).filter(|_| user.is_in(GROUP))
}

impl Authorizer for Node {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let Some(node) = identity(&attributes.user) else {
            return Decision::no_opinion("");
        };
        if node.is_empty() {
            let name = &attributes.user.name;
            return Decision::no_opinion(format!("unknown node for user {name:?}"));
        }
        let request = Request {
            node,
            asked: attributes,
            view: self.view.as_ref(),
        };
        match request.judge() {
            Some(Ok(())) => Decision::allow(),
            Some(Err(why)) => Decision::no_opinion(why),
            None if self.rules.iter().any(|rule| rule.allows(attributes)) => Decision::allow(),
            None => Decision::no_opinion(""),
        }
    }

    fn rules_for(&self, user: &User, _: &str) -> Rules {
        if identity(user).is_none() {
            return Rules::default();
        }
        Rules {
            incomplete: true,
            errors: vec!["node authorizer does not support user rule resolution".to_owned()],
            ..Rules::default()
        }
    }
}

/// Allowed, or why not.
type Judged = Result<(), String>;

fn refuse(why: &str) -> Judged {
    Err(why.to_owned())
}

/// A request of a node.
struct Request<'a> {
    node: &'a str,
    asked: &'a Attributes,
    view: &'a dyn ObjectsView,
}

impl Request<'_> {
    /// What is decided about the resource; nothing if all nodes have the same rules for it.
    fn judge(&self) -> Option<Judged> {
        let asked = self.asked;
        Some(match (asked.group.as_str(), asked.resource.as_str()) {
            ("", "secrets") => self.read(Needed::Secret),
            ("", "configmaps") => self.read(Needed::ConfigMap),
            ("", "persistentvolumeclaims") if asked.subresource == "status" => self.claim_status(),
            ("", "persistentvolumeclaims") => self.get(|own| own.needs(Needed::Claim)),
            ("", "persistentvolumes") => self.get(Request::needs_volume),
            ("resource.k8s.io", "resourceclaims") => {
                self.get(|own| own.needs(Needed::ResourceClaim))
            }
            ("storage.k8s.io", "volumeattachments") => self.get(Request::is_on_node),
            ("", "serviceaccounts") => self.service_account(),
            ("coordination.k8s.io", "leases") => self.lease(),
            ("storage.k8s.io", "csinodes") => self.csi_node(),
            ("resource.k8s.io", "resourceslices") => self.resource_slice(),
            ("", "nodes") => self.own_node(),
            ("", "pods") => self.pod(),
            ("certificates.k8s.io", "podcertificaterequests") => refuse(""),
            _ => return None,
        })
    }

    fn verb_is(&self, verbs: &[&str]) -> bool {
        verbs.contains(&self.asked.verb.as_str())
    }

    fn related(&self, is_related: impl FnOnce(&Self) -> bool) -> Judged {
        if self.asked.name.is_empty() {
            return refuse("No Object name found");
        }
        if is_related(self) {
            return Ok(());
        }
        Err(format!(
            "no relationship found between node '{}' and this object",
            self.node
        ))
    }

    fn get(&self, is_related: impl FnOnce(&Self) -> bool) -> Judged {
        if self.asked.verb != "get" {
            return refuse("can only get individual resources of this type");
        }
        if !self.asked.subresource.is_empty() {
            return refuse("cannot get subresource");
        }
        self.related(is_related)
    }

    fn read(&self, kind: Needed) -> Judged {
        if !self.verb_is(&["get", "list", "watch"]) {
            return refuse("can only read resources of this type");
        }
        if !self.asked.subresource.is_empty() {
            return refuse("cannot read subresource");
        }
        if self.asked.namespace.is_empty() {
            return refuse("can only read namespaced object of this type");
        }
        self.related(|own| {
            own.needs(kind) || (kind == Needed::Secret && own.needs_secret_of_volume())
        })
    }

    fn claim_status(&self) -> Judged {
        if !self.verb_is(&["update", "patch"]) {
            return refuse("can only get/update/patch this type");
        }
        self.related(|own| own.needs(Needed::Claim))
    }

    fn service_account(&self) -> Judged {
        let asked = self.asked;
        if asked.verb == "get" && asked.subresource.is_empty() {
            return self.read(Needed::ServiceAccount);
        }
        if asked.verb != "create" || asked.name.is_empty() {
            return refuse("can only create tokens for individual service accounts");
        }
        if asked.subresource != "token" {
            return refuse("can only create token subresource of serviceaccount");
        }
        self.related(|own| own.needs(Needed::ServiceAccount))
    }

    fn lease(&self) -> Judged {
        let asked = self.asked;
        if !self.verb_is(&["get", "create", "update", "patch", "delete"]) {
            return refuse("can only get, create, update, patch, or delete a node lease");
        }
        if asked.namespace != LEASES {
            return Err(format!(
                "can only access leases in the {LEASES:?} system namespace"
            ));
        }
        // The name of an object that is being created is not known here; admission compares it.
        if asked.verb != "create" && asked.name != self.node {
            return refuse("can only access node lease with the same name as the requesting node");
        }
        Ok(())
    }

    fn csi_node(&self) -> Judged {
        let asked = self.asked;
        if !self.verb_is(&["get", "create", "update", "patch", "delete"]) {
            return refuse("can only get, create, update, patch, or delete a CSINode");
        }
        if !asked.subresource.is_empty() {
            return refuse("cannot authorize CSINode subresources");
        }
        if asked.verb != "create" && asked.name != self.node {
            return refuse("can only access CSINode with the same name as the requesting node");
        }
        Ok(())
    }

    fn resource_slice(&self) -> Judged {
        if !self.asked.subresource.is_empty() {
            return refuse("cannot authorize ResourceSlice subresources");
        }
        match self.asked.verb.as_str() {
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => self.related(Request::is_on_node),
            "watch" | "list" | "deletecollection" if self.selects_own() => Ok(()),
            "watch" | "list" | "deletecollection" => refuse(
                "can only list/watch/deletecollection resourceslices with nodeName field selector",
            ),
            _ => refuse(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection",
            ),
        }
    }

    fn own_node(&self) -> Judged {
        let (asked, node) = (self.asked, self.node);
        match (asked.subresource.as_str(), asked.verb.as_str()) {
            // That it is its own is for admission to see.
            ("", "create") | ("" | "status", "update" | "patch") => Ok(()),
            ("", "get" | "list" | "watch") => match asked.name.as_str() {
                name if name == node => Ok(()),
                "" => Err(format!(
                    "node '{node}' cannot read all nodes, only its own Node object"
                )),
                name => Err(format!(
                    "node '{node}' cannot read '{name}', only its own Node object"
                )),
            },
            _ => refuse(""),
        }
    }

    fn pod(&self) -> Judged {
        let asked = self.asked;
        match (asked.subresource.as_str(), asked.verb.as_str()) {
            // That they are its own is for admission to see.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => {
                Ok(())
            }
            ("", "get") => self.get(Request::is_on_node),
            ("", "list" | "watch") if self.selects_own() => Ok(()),
            ("", "list" | "watch") if !asked.name.is_empty() => self.related(Request::is_on_node),
            ("", "list" | "watch") => {
                refuse("can only list/watch pods with spec.nodeName field selector")
            }
            _ => refuse(""),
        }
    }

    /// Whether the field selector wants nothing but what is on the node. One with escapes is not looked into.
    fn selects_own(&self) -> bool {
        let selector = &self.asked.field_selector;
        !selector.contains('\\')
            && selector.split(',').any(|term| {
                let value = term.trim().strip_prefix("spec.nodeName=");
                value.is_some_and(|value| value.strip_prefix('=').unwrap_or(value) == self.node)
            })
    }

    /// Whether the object itself says that it is on the node.
    fn is_on_node(&self) -> bool {
        let asked = self.asked;
        self.view
            .get(&asked.group, &asked.resource, &asked.namespace, &asked.name)
            .is_some_and(|object| meta::text(&object, &["spec", "nodeName"]) == self.node)
    }

    /// Whether a pod of the node needs the object.
    fn needs(&self, kind: Needed) -> bool {
        self.pods_need(&self.asked.namespace, kind, &self.asked.name)
    }

    fn pods_need(&self, namespace: &str, kind: Needed, name: &str) -> bool {
        self.view
            .pods_on_node(namespace, self.node)
            .iter()
            .any(|pod| pod_needs(pod, kind, name))
    }

    /// Whether a pod of the node needs the claim that the volume is bound to.
    fn needs_volume(&self) -> bool {
        let volume = self.view.get("", "persistentvolumes", "", &self.asked.name);
        volume.is_some_and(|volume| self.needs_claim_of(&volume))
    }

    fn needs_claim_of(&self, volume: &objects::Value) -> bool {
        let claim = |field| meta::text(volume, &["spec", "claimRef", field]);
        !claim("name").is_empty()
            && self.pods_need(claim("namespace"), Needed::Claim, claim("name"))
    }

    /// Whether the secret mounts a volume that a pod of the node needs.
    fn needs_secret_of_volume(&self) -> bool {
        let (namespace, name) = (&self.asked.namespace, &self.asked.name);
        self.view
            .list("", "persistentvolumes", None)
            .iter()
            .any(|volume| pv_needs_secret(volume, namespace, name) && self.needs_claim_of(volume))
    }
}

#[cfg(test)]
mod tests;
