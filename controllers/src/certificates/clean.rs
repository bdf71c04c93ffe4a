//! Requests for certificates that are old enough to go.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::authority;
use super::rules::{certificate, conditions, is_issued};

/// How long requests are kept that somebody has decided about, and those that nobody has.
const DECIDED_FOR: SignedDuration = SignedDuration::from_hours(1);
const PENDING_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Why a request goes; nothing if it stays.
pub(super) fn why(csr: &CertificateSigningRequest, now: Timestamp) -> Option<&'static str> {
    let is_older = |since: Option<Timestamp>, limit| {
        since.is_some_and(|since| now.duration_since(since) > limit)
    };
    let is_issued = is_issued(csr);
    let created = csr.metadata.creation_timestamp.as_ref().map(|at| at.0);
    if conditions(csr).next().is_none() && is_older(created, PENDING_FOR) {
        return Some("nobody has decided about it");
    }
    conditions(csr).find_map(|condition| {
        let updated = condition.last_update_time.as_ref().map(|at| at.0);
        let is_old = |limit| is_older(updated, limit);
        match condition.type_.as_str() {
            "Denied" if is_old(DECIDED_FOR) => Some("it was denied"),
            "Failed" if is_old(DECIDED_FOR) => Some("it failed"),
            "Approved" if is_issued && is_old(DECIDED_FOR) => Some("it has its certificate"),
            "Approved" if !is_issued && is_old(PENDING_FOR) => Some("nobody signs it"),
            "Approved" if is_issued && has_ended(csr, now) => Some("its certificate has ended"),
            _ => None,
        }
    })
}

fn has_ended(csr: &CertificateSigningRequest, now: Timestamp) -> bool {
    let end = certificate(csr).and_then(authority::end_of);
    end.is_some_and(|end| now > end)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::{Value, json};

    use super::*;
    use crate::certificates::samples;

    #[test]
    fn requests_go_when_they_are_old_or_their_certificate_has_ended() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let before = |hours: i64, seconds: i64| {
            let ago = SignedDuration::from_hours(hours) + SignedDuration::from_secs(seconds);
            json!((now - ago).to_string())
        };
        let of =
            |kind: &str, at: Value| json!([{"type": kind, "status": "True", "lastUpdateTime": at}]);
        let (certificate, _) = samples::authority(-999);
        let ended = json!(BASE64_STANDARD.encode(certificate));
        let recent = before(0, 1);
        for (created, conditions, certificate, goes) in [
            (before(24, 0), json!([]), Value::Null, false),
            (before(24, 1), json!([]), Value::Null, true),
            (
                before(25, 0),
                of("Denied", before(1, 0)),
                Value::Null,
                false,
            ),
            (before(25, 0), of("Denied", before(1, 1)), Value::Null, true),
            (before(25, 0), of("Failed", before(1, 1)), Value::Null, true),
            (
                before(25, 0),
                of("Approved", before(1, 1)),
                Value::Null,
                false,
            ),
            (
                before(25, 0),
                of("Approved", before(24, 1)),
                Value::Null,
                true,
            ),
            (
                before(25, 0),
                of("Approved", before(1, 1)),
                json!("eA=="),
                true,
            ),
            (
                before(25, 0),
                of("Approved", before(1, 0)),
                json!("eA=="),
                false,
            ),
            (before(25, 0), of("Approved", recent.clone()), ended, true),
        ] {
            let csr = json!({
                "metadata": {"creationTimestamp": created},
                "spec": {"request": "", "signerName": "a/b"},
                "status": {"conditions": conditions, "certificate": certificate},
            });
            let typed: CertificateSigningRequest = serde_json::from_value(csr.clone()).unwrap();
            assert_eq!(why(&typed, now).is_some(), goes, "{csr}");
        }
    }
}
