//! Who may have which certificate: what each of Kubernetes' own signers takes, and what is approved without a person.

use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};

use super::request::Request;

pub(super) const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
pub(super) const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
pub(super) const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
pub(super) const LEGACY: &str = "kubernetes.io/legacy-unknown";

const NODES: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";

/// Why a request may be approved at once, if its maker may `create` this subresource of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ground {
    pub(super) subresource: &'static str,
    pub(super) message: &'static str,
}

const OF_ITSELF: Ground = Ground {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
};
const OF_A_NODE: Ground = Ground {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
};

/// The grounds on which a request may be approved, the first that holds decides.
pub(super) fn grounds(csr: &CertificateSigningRequest, request: &Request) -> Vec<Ground> {
    let usages = usages(csr);
    if csr.spec.signer_name != KUBELET_CLIENT || kubelet_client(request, &usages).is_err() {
        return Vec::new();
    }
    let is_own = csr.spec.username.as_deref() == Some(request.common_name.as_str());
    let own = is_own.then_some(OF_ITSELF);
    own.into_iter().chain([OF_A_NODE]).collect()
}

/// Whether a signer takes a request.
///
/// # Errors
///
/// Why it does not.
pub(super) fn admits(csr: &CertificateSigningRequest, request: &Request) -> Result<(), String> {
    let usages = usages(csr);
    match csr.spec.signer_name.as_str() {
        CLIENT => client(&usages),
        KUBELET_CLIENT => kubelet_client(request, &usages),
        KUBELET_SERVING => kubelet_serving(request, &usages),
        _ => Ok(()),
    }
}

fn usages(csr: &CertificateSigningRequest) -> Vec<&str> {
    let usages = csr.spec.usages.iter().flatten();
    usages.map(String::as_str).collect()
}

fn client(usages: &[&str]) -> Result<(), String> {
    let optional = ["digital signature", "key encipherment"];
    let odd = usages
        .iter()
        .find(|usage| **usage != "client auth" && !optional.contains(usage));
    if let Some(odd) = odd {
        return Err(format!("invalid usage for client certificate: {odd}"));
    }
    if usages.contains(&"client auth") {
        return Ok(());
    }
    Err("missing required usage for client certificate: client auth".to_owned())
}

fn kubelet_client(request: &Request, usages: &[&str]) -> Result<(), String> {
    of_nodes(request)?;
    let names = &request.names;
    for (is_there, kind) in [
        (names.dns, "DNS"),
        (names.email, "Email"),
        (names.address, "IP"),
        (names.uri, "URI"),
    ] {
        if is_there {
            return Err(format!("{kind} subjectAltNames are not allowed"));
        }
    }
    is_called_as_node(request)?;
    used_for(usages, "client auth")
}

fn kubelet_serving(request: &Request, usages: &[&str]) -> Result<(), String> {
    of_nodes(request)?;
    let names = &request.names;
    if !names.dns && !names.address {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    for (is_there, kind) in [(names.email, "Email"), (names.uri, "URI")] {
        if is_there {
            return Err(format!("{kind} subjectAltNames are not allowed"));
        }
    }
    used_for(usages, "server auth")?;
    is_called_as_node(request)
}

fn of_nodes(request: &Request) -> Result<(), String> {
    if request.organizations == [NODES] {
        return Ok(());
    }
    Err("subject organization is not system:nodes".to_owned())
}

fn is_called_as_node(request: &Request) -> Result<(), String> {
    if request.common_name.starts_with(NODE_PREFIX) {
        return Ok(());
    }
    Err("subject common name does not begin with system:node:".to_owned())
}

/// Signing and this purpose, and encryption or not.
fn used_for(usages: &[&str], purpose: &str) -> Result<(), String> {
    let needed = ["digital signature", purpose];
    let fits = needed.iter().all(|usage| usages.contains(usage))
        && usages
            .iter()
            .all(|usage| needed.contains(usage) || *usage == "key encipherment");
    if fits {
        return Ok(());
    }
    let mut all = ["digital signature", "key encipherment", purpose];
    all.sort_unstable();
    Err(format!("usages did not match [{}]", all.join(" ")))
}

/// Whether a request has a condition, as true.
pub(super) fn has(csr: &CertificateSigningRequest, kind: &str) -> bool {
    conditions(csr).any(|condition| condition.type_ == kind && condition.status == "True")
}

pub(super) fn conditions(
    csr: &CertificateSigningRequest,
) -> impl Iterator<Item = &CertificateSigningRequestCondition> {
    let status = csr.status.iter();
    status.flat_map(|status| status.conditions.iter().flatten())
}

/// Whether a request has its certificate.
pub(super) fn is_issued(csr: &CertificateSigningRequest) -> bool {
    certificate(csr).is_some_and(|certificate| !certificate.is_empty())
}

pub(super) fn certificate(csr: &CertificateSigningRequest) -> Option<&[u8]> {
    let certificate = csr.status.as_ref()?.certificate.as_ref()?;
    Some(&certificate.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::certificates::samples;

    fn csr(signer: &str, usages: &[&str]) -> CertificateSigningRequest {
        serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "spec": {"request": "", "signerName": signer, "usages": usages, "username": "system:node:a"},
        }))
        .unwrap()
    }

    fn request(common_name: &str, organizations: &[&str], names: &[&str]) -> Request {
        Request::parse(samples::request(common_name, organizations, names).as_bytes()).unwrap()
    }

    #[test]
    fn each_signer_takes_what_is_meant_for_it() {
        let node = request("system:node:a", &["system:nodes"], &[]);
        let named = request("system:node:a", &["system:nodes"], &["a.b"]);
        let other = request("system:node:a", &["system:nodes", "more"], &[]);
        let person = request("eve", &["system:nodes"], &[]);
        let (signs, encrypts) = ("digital signature", "key encipherment");
        for (signer, request, usages, expected) in [
            (CLIENT, &person, &[signs, "client auth"][..], ""),
            (
                CLIENT,
                &person,
                &[signs],
                "missing required usage for client certificate: client auth",
            ),
            (
                CLIENT,
                &person,
                &["server auth", "client auth"],
                "invalid usage for client certificate: server auth",
            ),
            (KUBELET_CLIENT, &node, &[signs, "client auth"], ""),
            (KUBELET_CLIENT, &node, &[signs, encrypts, "client auth"], ""),
            (
                KUBELET_CLIENT,
                &node,
                &["client auth"],
                "usages did not match [client auth digital signature key encipherment]",
            ),
            (
                KUBELET_CLIENT,
                &named,
                &[signs, "client auth"],
                "DNS subjectAltNames are not allowed",
            ),
            (
                KUBELET_CLIENT,
                &other,
                &[signs, "client auth"],
                "subject organization is not system:nodes",
            ),
            (
                KUBELET_CLIENT,
                &person,
                &[signs, "client auth"],
                "subject common name does not begin with system:node:",
            ),
            (
                KUBELET_SERVING,
                &named,
                &[signs, encrypts, "server auth"],
                "",
            ),
            (
                KUBELET_SERVING,
                &node,
                &[signs, "server auth"],
                "DNS or IP subjectAltName is required",
            ),
            (
                KUBELET_SERVING,
                &named,
                &[signs, "client auth"],
                "usages did not match [digital signature key encipherment server auth]",
            ),
            (LEGACY, &person, &[], ""),
        ] {
            let found = admits(&csr(signer, usages), request);
            assert_eq!(
                found.err().unwrap_or_default(),
                expected,
                "{signer} {usages:?}"
            );
        }
    }

    #[test]
    fn only_clients_that_are_nodes_are_approved_without_a_person() {
        let usages = ["digital signature", "client auth"];
        let own = request("system:node:a", &["system:nodes"], &[]);
        let of_other = request("system:node:b", &["system:nodes"], &[]);
        let names = |csr: &CertificateSigningRequest, request| -> Vec<&str> {
            let grounds = grounds(csr, request);
            grounds.iter().map(|ground| ground.subresource).collect()
        };
        let node = csr(KUBELET_CLIENT, &usages);
        assert_eq!(names(&node, &own), ["selfnodeclient", "nodeclient"]);
        assert_eq!(names(&node, &of_other), ["nodeclient"]);
        assert!(names(&csr(CLIENT, &usages), &own).is_empty());
        assert!(names(&csr(KUBELET_CLIENT, &["client auth"]), &own).is_empty());
    }
}
