//! Nodes write about themselves and about the pods that they run, and nothing else.

mod labels;
mod pods;
mod tokens;

use objects::status::Status;
use objects::{Value, meta};

use super::chain::Parts;
use super::{Operation, Review};
use crate::authn::request_common_name;
use crate::authz::node::identity;

const LEASES: &str = "kube-node-lease";
/// Who signs certificates that make somebody a node.
const NODE_SIGNERS: [&str; 2] = [
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/kube-apiserver-client-kubelet",
];

/// A request of a node.
struct Asked<'a> {
    node: &'a str,
    parts: &'a Parts,
    review: &'a Review<'a>,
    /// What is to be there; there is none in a deletion.
    object: Option<&'a Value>,
}

/// Judges what a node wants; anybody else may go on.
pub(super) async fn judge(
    parts: &Parts,
    review: &Review<'_>,
    object: Option<&Value>,
) -> Result<(), Status> {
    let user = &review.attributes.user;
    let Some(node) = identity(user) else {
        return Ok(());
    };
    let asked = Asked {
        node,
        parts,
        review,
        object,
    };
    if node.is_empty() {
        let why = format!("could not determine node from user {:?}", user.name);
        return asked.refuse(why);
    }
    let attributes = review.attributes;
    match (attributes.group.as_str(), attributes.resource.as_str()) {
        ("", "pods") => pods::judge(&asked).await,
        ("", "nodes") => asked.own_node(),
        ("", "persistentvolumeclaims") => asked.claim(),
        ("", "serviceaccounts") => tokens::judge(&asked).await,
        ("coordination.k8s.io", "leases") => asked.lease(),
        ("storage.k8s.io", "csinodes") => asked.named_as_node("CSINode"),
        ("resource.k8s.io", "resourceslices") => asked.resource_slice(),
        ("certificates.k8s.io", "certificatesigningrequests") => asked.signing_request(),
        ("certificates.k8s.io", "podcertificaterequests") => {
            asked.refuse("PodCertificateRequest feature gate is disabled")
        }
        _ => Ok(()),
    }
}

impl Asked<'_> {
    fn refuse(&self, why: impl std::fmt::Display) -> Result<(), Status> {
        Err(self.review.forbidden(self.object, why))
    }

    /// The name of what is asked for; a new object says it itself.
    fn name(&self) -> &str {
        match self.object {
            Some(object) if self.review.attributes.name.is_empty() => meta::name(object),
            _ => &self.review.attributes.name,
        }
    }

    fn own_node(&self) -> Result<(), Status> {
        let (node, name) = (self.node, self.name());
        if name != node {
            return self.refuse(format!(
                "node {node:?} is not allowed to modify node {name:?}"
            ));
        }
        let Some(new) = self.object else {
            return Ok(());
        };
        let source = meta::at(new, &["spec", "configSource"]).filter(|source| !source.is_null());
        let old = match self.review.old {
            Some(old) => old,
            None => return self.new_node(new, source.is_some()),
        };
        if source.is_some() && source != meta::at(old, &["spec", "configSource"]) {
            return self.refuse(format!(
                "node {node:?} is not allowed to update configSource to a new non-nil configSource"
            ));
        }
        let is_same = |path: &[&str]| meta::list(new, path) == meta::list(old, path);
        if !is_same(&["spec", "taints"]) {
            return self.refuse(format!("node {node:?} is not allowed to modify taints"));
        }
        if !is_same(&["metadata", "ownerReferences"]) {
            return self.refuse(format!(
                "node {node:?} is not allowed to modify ownerReferences"
            ));
        }
        let forbidden = labels::forbidden(meta::labels(new), meta::labels(old));
        if forbidden.is_empty() {
            return Ok(());
        }
        self.refuse(format!(
            "is not allowed to modify labels: {}",
            forbidden.join(", ")
        ))
    }

    fn new_node(&self, new: &Value, has_source: bool) -> Result<(), Status> {
        let node = self.node;
        if has_source {
            return self.refuse(format!(
                "node {node:?} is not allowed to create pods with a non-nil configSource"
            ));
        }
        let forbidden = labels::forbidden(meta::labels(new), None);
        if forbidden.is_empty() {
            return Ok(());
        }
        self.refuse(format!(
            "node {node:?} is not allowed to set the following labels: {}",
            forbidden.join(", ")
        ))
    }

    fn claim(&self) -> Result<(), Status> {
        if self.review.attributes.subresource != "status" {
            return self.refuse("may only update PVC status");
        }
        let (Operation::Update, Some(new), Some(old)) =
            (self.review.operation, self.object, self.review.old)
        else {
            return self.refuse(format!(
                "unexpected operation {:?}",
                self.review.operation.name()
            ));
        };
        if fixed_part(new) == fixed_part(old) {
            return Ok(());
        }
        self.refuse(format!(
            "node {:?} is not allowed to update fields other than status.quantity and status.conditions",
            self.node
        ))
    }

    fn lease(&self) -> Result<(), Status> {
        if self.review.attributes.namespace != LEASES {
            return self.refuse(format!(
                "can only access leases in the {LEASES:?} system namespace"
            ));
        }
        self.named_as_node("node lease")
    }

    fn named_as_node(&self, kind: &str) -> Result<(), Status> {
        if self.name() == self.node {
            return Ok(());
        }
        self.refuse(format!(
            "can only access {kind} with the same name as the requesting node"
        ))
    }

    fn resource_slice(&self) -> Result<(), Status> {
        let (verb, slice) = match self.review.operation {
            Operation::Create => ("create", self.object),
            Operation::Delete => ("delete", self.review.old),
            _ => return Ok(()),
        };
        let own = slice.is_some_and(|slice| meta::text(slice, &["spec", "nodeName"]) == self.node);
        if own {
            return Ok(());
        }
        self.refuse(format!(
            "can only {verb} ResourceSlice with the same NodeName as the requesting node"
        ))
    }

    fn signing_request(&self) -> Result<(), Status> {
        let (Operation::Create, Some(request)) = (self.review.operation, self.object) else {
            return Ok(());
        };
        if !NODE_SIGNERS.contains(&meta::text(request, &["spec", "signerName"])) {
            return Ok(());
        }
        let pem = super::certificates::request_pem(request);
        let Some(name) = pem.as_deref().and_then(request_common_name) else {
            return self.refuse("unable to parse csr: PEM block type must be CERTIFICATE REQUEST");
        };
        let wanted = format!("system:node:{}", self.node);
        if name == wanted {
            return Ok(());
        }
        self.refuse(format!("can only create a node CSR with CN={wanted}"))
    }
}

/// What of a claim a node may not change.
fn fixed_part(claim: &Value) -> Value {
    let mut claim = claim.clone();
    let metadata = meta::metadata_mut(&mut claim);
    metadata.remove("resourceVersion");
    metadata.remove("managedFields");
    let status = meta::fields_mut(&mut claim, "status");
    for field in [
        "capacity",
        "conditions",
        "allocatedResourceStatuses",
        "allocatedResources",
    ] {
        status.remove(field);
    }
    claim
}

#[cfg(test)]
mod tests;
