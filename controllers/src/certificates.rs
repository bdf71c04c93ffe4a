//! Requests for certificates: approves those of nodes, signs what is approved, and removes what is old.

mod authority;
mod clean;
mod request;
mod rules;
#[cfg(test)]
mod samples;
mod usages;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use client::{Change, Client, DeleteOptions, Informer, Key, Kind, Next, Patch, WorkQueue};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use serde_json::{Value, json};

use crate::context::Context;
use crate::patches;
pub(crate) use authority::Authority;
use authority::Terms;
use request::Request;
use rules::Ground;
use usages::Usages;

/// Kubernetes' own signers, with the part that the flags of each have in their names.
pub(crate) const SIGNERS: [(&str, &str); 4] = [
    (rules::CLIENT, "kube-apiserver-client-"),
    (rules::KUBELET_CLIENT, "kubelet-client-"),
    (rules::KUBELET_SERVING, "kubelet-serving-"),
    (rules::LEGACY, "legacy-unknown-"),
];

const WORKERS: usize = 5;
/// Time between two looks for requests that are old.
const CLEAN_PERIOD: Duration = Duration::from_hours(1);
/// The shortest life of a certificate.
const LIFE_MIN: SignedDuration = SignedDuration::from_mins(10);

/// A queue of the requests that have no certificate yet.
fn queue(context: &Context, informer: &Informer<CertificateSigningRequest>) -> Arc<WorkQueue<Key>> {
    let queue = context.queue("certificate");
    let added = queue.clone();
    informer.on_change(move |change| {
        let csr = change.object();
        if !matches!(change, Change::Deleted(_)) && !rules::is_issued(csr) {
            added.add(Key::of(&**csr));
        }
    });
    queue
}

pub(crate) fn start_approving(context: &Context) {
    let informer = context.informers.of::<CertificateSigningRequest>();
    let store = informer.store();
    let client = context.client.clone();
    context.work(
        ("CSR approving", WORKERS),
        queue(context, &informer),
        context.synced(),
        move |key: Key| {
            let (found, client) = (store.get(&key), client.clone());
            async move {
                if let Some(csr) = found {
                    approve(&client, &csr).await?;
                }
                anyhow::Ok(Next::Done)
            }
        },
    );
}

async fn approve(client: &Client, csr: &CertificateSigningRequest) -> Result<()> {
    if rules::is_issued(csr) || rules::has(csr, "Approved") || rules::has(csr, "Denied") {
        return Ok(());
    }
    let request = Request::parse(&csr.spec.request.0).map_err(|fault| anyhow!(fault))?;
    let grounds = rules::grounds(csr, &request);
    for ground in &grounds {
        if may(client, csr, *ground).await? {
            let now = patches::time(Timestamp::now());
            let condition = json!({
                "type": "Approved", "status": "True", "reason": "AutoApproved", "message": ground.message,
                "lastUpdateTime": now, "lastTransitionTime": now,
            });
            let patch = with_condition(csr, condition);
            let written = client
                .dynamic(CertificateSigningRequest::resource())
                .subresource("approval");
            written.patch(&Key::of(csr), &Patch::Merge(patch)).await?;
            return Ok(());
        }
    }
    if !grounds.is_empty() {
        let name = Key::of(csr);
        let tried: Vec<&str> = grounds.iter().map(|ground| ground.subresource).collect();
        bail!(
            "recognized csr {:?} as [{}] but subject access review was not approved",
            name.name,
            tried.join(" ")
        );
    }
    Ok(())
}

/// Whether who made a request may make it on this ground.
async fn may(client: &Client, csr: &CertificateSigningRequest, ground: Ground) -> Result<bool> {
    let review = json!({"spec": {
        "user": csr.spec.username,
        "uid": csr.spec.uid,
        "groups": csr.spec.groups,
        "extra": csr.spec.extra,
        "resourceAttributes": {
            "group": "certificates.k8s.io",
            "resource": "certificatesigningrequests",
            "verb": "create",
            "subresource": ground.subresource,
            "version": "*",
        },
    }});
    let reviews = client.dynamic(SubjectAccessReview::resource());
    let answer = reviews.create(&Key::new("", ""), &review).await?;
    Ok(answer["status"]["allowed"] == true)
}

/// A patch that adds a condition to those that were seen.
fn with_condition(csr: &CertificateSigningRequest, condition: Value) -> Value {
    let mut conditions: Vec<Value> = rules::conditions(csr).map(|seen| json!(seen)).collect();
    conditions.push(condition);
    let patch = json!({"status": {"conditions": conditions}});
    patches::when_unchanged(&csr.metadata, patch)
}

/// Does nothing where no authority is given.
pub(crate) fn start_signing(context: &Context) {
    if context.material.authorities.is_empty() {
        tracing::info!("without --cluster-signing-cert-file no certificates are signed");
        return;
    }
    let informer = context.informers.of::<CertificateSigningRequest>();
    let store = informer.store();
    let signer = Arc::new(Signer {
        client: context.client.clone(),
        material: context.material.clone(),
        life_max: context.options.signing.cluster_signing_duration,
    });
    context.work(
        ("CSR signing", WORKERS),
        queue(context, &informer),
        context.synced(),
        move |key: Key| {
            let (found, signer) = (store.get(&key), signer.clone());
            async move {
                if let Some(csr) = found {
                    signer.see_to(&csr).await?;
                }
                anyhow::Ok(Next::Done)
            }
        },
    );
}

struct Signer {
    client: Client,
    material: Arc<crate::material::Material>,
    life_max: Duration,
}

impl Signer {
    async fn see_to(&self, csr: &CertificateSigningRequest) -> Result<()> {
        let is_approved = rules::has(csr, "Approved") && !rules::has(csr, "Denied");
        if !is_approved || rules::has(csr, "Failed") || rules::is_issued(csr) {
            return Ok(());
        }
        let authorities = &self.material.authorities;
        let Some(authority) = authorities.get(csr.spec.signer_name.as_str()) else {
            return Ok(());
        };
        let request = Request::parse(&csr.spec.request.0).map_err(|fault| anyhow!(fault))?;
        let patch = if let Err(fault) = rules::admits(csr, &request) {
            let now = patches::time(Timestamp::now());
            let condition = json!({
                "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": fault,
                "lastUpdateTime": now, "lastTransitionTime": now,
            });
            with_condition(csr, condition)
        } else {
            let certificate = self.sign(csr, authority, &request)?;
            let patch = json!({"status": {"certificate": BASE64_STANDARD.encode(certificate)}});
            patches::when_unchanged(&csr.metadata, patch)
        };
        let key = Key::of(csr);
        self.client
            .patch_status::<CertificateSigningRequest>(&key, &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// The certificate, in PEM.
    fn sign(
        &self,
        csr: &CertificateSigningRequest,
        authority: &Authority,
        request: &Request,
    ) -> Result<String> {
        let usages = csr.spec.usages.clone().unwrap_or_default();
        let mut terms = Terms {
            usages: Usages::new(&usages).map_err(|fault| anyhow!(fault))?,
            life: life(csr.spec.expiration_seconds, self.life_max),
            now: Timestamp::now(),
            serial: [0; 16],
        };
        getrandom::fill(&mut terms.serial)?;
        let der = authority.sign(request, &terms);
        Ok(pem(&der.map_err(|fault| anyhow!(fault))?))
    }
}

/// How long a certificate is good for which was asked for so many seconds.
fn life(asked_seconds: Option<i32>, most: Duration) -> SignedDuration {
    let most = SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX);
    match asked_seconds {
        None => most,
        Some(seconds) => SignedDuration::from_secs(seconds.into())
            .max(LIFE_MIN)
            .min(most),
    }
}

/// A certificate as text.
fn pem(der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = BASE64_STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for start in (0..text.len()).step_by(LINE) {
        let end = (start + LINE).min(text.len());
        pem.push_str(&text[start..end]);
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

pub(crate) fn start_cleaning(context: &Context) {
    let informer = context.informers.of::<CertificateSigningRequest>();
    let client = context.client.clone();
    context.spawn("CSR cleaning", async move {
        informer.synced().await;
        let mut turns = tokio::time::interval(CLEAN_PERIOD);
        loop {
            turns.tick().await;
            for csr in informer.store().all() {
                let Some(why) = clean::why(&csr, Timestamp::now()) else {
                    continue;
                };
                let key = Key::of(&*csr);
                tracing::info!(csr = %key, why, "removing a request for a certificate");
                let options = DeleteOptions::of_uid(csr.metadata.uid.clone().unwrap_or_default());
                let deleted = client.delete::<CertificateSigningRequest>(&key, &options);
                if let Err(error) = deleted.await {
                    tracing::warn!(csr = %key, %error, "cannot remove a request for a certificate");
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn a_certificate_lives_as_long_as_was_asked_within_bounds() {
        let most = Duration::from_hours(24);
        for (asked, seconds) in [
            (None, 86_400),
            (Some(3_600), 3_600),
            (Some(1), 600),
            (Some(i32::MAX), 86_400),
        ] {
            assert_eq!(life(asked, most).as_secs(), seconds);
        }
    }

    #[test]
    fn text_of_a_certificate_has_short_lines_and_is_read_again() {
        for length in [0, 1, 47, 48, 49, 500] {
            let der = vec![9; length];
            let text = pem(&der);
            assert!(text.lines().all(|line| line.len() <= 64));
            let read = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
            assert_eq!(&*read, &der[..]);
        }
    }
}
