//! Who may approve and sign requests for certificates, and what nobody may ask for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use objects::status::Status;
use objects::{Value, meta};

use super::{Operation, Review};
use crate::attributes::Attributes;
use crate::authz::Authorizer;

const GROUP: &str = "certificates.k8s.io";
const REQUESTS: &str = "certificatesigningrequests";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

pub(super) fn approval(authorizer: &dyn Authorizer, review: &Review<'_>) -> Result<(), Status> {
    if !review.is_of_part(GROUP, REQUESTS, "approval") || review.operation != Operation::Update {
        return Ok(());
    }
    let old = review.old.unwrap_or(&Value::Null);
    let signer = meta::text(old, &["spec", "signerName"]);
    if may(authorizer, review, "approve", signer) {
        return Ok(());
    }
    let why = format!("user not permitted to approve requests with signerName \"{signer}\"");
    Err(review.forbidden(Some(old), why))
}

pub(super) fn signing(
    authorizer: &dyn Authorizer,
    review: &Review<'_>,
    object: &Value,
) -> Result<(), Status> {
    if !review.is_of_part(GROUP, REQUESTS, "status") || review.operation != Operation::Update {
        return Ok(());
    }
    let old = review.old.unwrap_or(&Value::Null);
    let same = |field| meta::at(old, &["status", field]) == meta::at(object, &["status", field]);
    if same("certificate") && same("conditions") {
        return Ok(());
    }
    let signer = meta::text(old, &["spec", "signerName"]);
    if may(authorizer, review, "sign", signer) {
        return Ok(());
    }
    let why = format!("user not permitted to sign requests with signerName \"{signer}\"");
    Err(review.forbidden(Some(object), why))
}

/// Whether somebody may do something for a signer, or for all signers of its domain.
fn may(authorizer: &dyn Authorizer, review: &Review<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    [signer.to_owned(), format!("{domain}/*")]
        .into_iter()
        .any(|name| {
            let asked = Attributes {
                user: review.attributes.user.clone(),
                verb: verb.to_owned(),
                group: GROUP.to_owned(),
                version: "*".to_owned(),
                resource: "signers".to_owned(),
                name,
                ..Attributes::default()
            };
            authorizer.authorize(&asked).is_allowed()
        })
}

/// What a request for a certificate holds.
pub(super) fn request_pem(object: &Value) -> Option<Vec<u8>> {
    STANDARD
        .decode(meta::text(object, &["spec", "request"]))
        .ok()
}

pub(super) fn subject(review: &Review<'_>, object: &Value) -> Result<(), Status> {
    let is_new = review.operation == Operation::Create && review.is_of(GROUP, REQUESTS);
    if !is_new || meta::text(object, &["spec", "signerName"]) != CLIENT_SIGNER {
        return Ok(());
    }
    let asked = request_pem(object).and_then(|pem| crate::authn::request_organizations(&pem));
    let why = match asked {
        None => "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST".to_owned(),
        Some(groups) if groups.iter().any(|group| group == crate::user::MASTERS) => {
            format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed")
        }
        Some(_) => return Ok(()),
    };
    Err(review.forbidden(Some(object), why))
}
