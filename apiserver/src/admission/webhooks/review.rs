//! `AdmissionReview`s: what a webhook is asked, and what it answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use objects::status::{Cause, Reason, Status};
use objects::{Value, meta};
use serde_json::json;

use super::Refused;
use super::hook::Hook;
use crate::admission::Review;
use crate::served::Served;
use crate::webhook::check_kind;

const GROUP: &str = "admission.k8s.io";
const KIND: &str = "AdmissionReview";
/// The form of patch that there is.
const PATCH_TYPE: &str = "JSONPatch";
/// Codes from here on are failures.
const CODE_MIN: u64 = 400;

/// The review around a request.
pub(super) fn document(version: &str, request: Value) -> Value {
    json!({"kind": KIND, "apiVersion": format!("{GROUP}/{version}"), "request": request})
}

/// What a webhook is asked, of the object as it will be and as it is, both in the version that it reads.
pub(super) fn request(
    review: &Review<'_>,
    target: &Served,
    uid: &str,
    (object, old): (Option<&Value>, Option<&Value>),
) -> Value {
    let mut request = crate::admission::request::request(review, target, object.or(old));
    request["uid"] = json!(uid);
    request["object"] = json!(object);
    request["oldObject"] = json!(old);
    request
}

/// What a webhook answered.
#[derive(Debug)]
pub(super) struct Answer {
    is_allowed: bool,
    status: Value,
    patch: Vec<u8>,
    patch_type: Option<String>,
    pub(super) warnings: Vec<String>,
    /// What is told in the audit log, by the webhook's own keys.
    pub(super) annotations: Vec<(String, String)>,
    is_beta: bool,
}

impl Answer {
    /// Reads the review that came back.
    pub(super) fn read(document: &Value, version: &str, uid: &str) -> Result<Answer, String> {
        let failed = |why: String| format!("failed to call webhook: {why}");
        check_kind(document, (GROUP, version, KIND)).map_err(failed)?;
        let response = document
            .get("response")
            .filter(|response| response.is_object())
            .ok_or_else(|| invalid("webhook response was absent"))?;
        let is_beta = version == "v1beta1";
        if !is_beta {
            check_origin(document, response, uid)?;
        }
        let patch = STANDARD
            .decode(meta::text(response, &["patch"]))
            .map_err(|error| failed(error.to_string()))?;
        let warnings = meta::list(response, &["warnings"]).iter();
        let annotations = meta::map(response, &["auditAnnotations"]).into_iter();
        Ok(Answer {
            is_allowed: response["allowed"] == true,
            status: response["status"].clone(),
            patch,
            patch_type: response["patchType"].as_str().map(str::to_owned),
            warnings: warnings
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            annotations: annotations
                .flatten()
                .filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned())))
                .collect(),
            is_beta,
        })
    }

    /// The operations that the object is changed by.
    pub(super) fn patch(&self, hook: &Hook) -> Result<Option<&[u8]>, Refused> {
        let patch_type = match &self.patch_type {
            // The older version did not look at the type.
            _ if self.is_beta => PATCH_TYPE,
            None if self.patch.is_empty() => return Ok(None),
            None => {
                return Err(invalid_of(
                    "webhook returned response.patch but not response.patchType",
                ));
            }
            Some(_) if self.patch.is_empty() => {
                return Err(invalid_of(
                    "webhook returned response.patchType but not response.patch",
                ));
            }
            Some(patch_type) => patch_type,
        };
        if patch_type.is_empty() {
            return Err(invalid_of(
                "webhook returned invalid response.patchType of \"\"",
            ));
        }
        if patch_type != PATCH_TYPE {
            tracing::debug!(
                webhook = hook.name,
                patch_type,
                "a webhook answered with a patch of another form"
            );
            return Err(Refused::Unasked(format!(
                "unsupported patch type {patch_type:?}"
            )));
        }
        Ok(Some(&self.patch))
    }

    /// Who only judges changes nothing.
    pub(super) fn has_no_patch(&self) -> Result<(), String> {
        match &self.patch_type {
            _ if self.is_beta => Ok(()),
            _ if !self.patch.is_empty() => {
                Err(invalid("validating webhook may not return response.patch"))
            }
            Some(_) => Err(invalid(
                "validating webhook may not return response.patchType",
            )),
            None => Ok(()),
        }
    }

    /// What the client is told, if the webhook denied its request.
    pub(super) fn refusal(&self, hook: &str) -> Option<Status> {
        if self.is_allowed {
            return None;
        }
        let text = |path: &[&str]| meta::text(&self.status, path);
        let denied = format!("admission webhook {hook:?} denied the request");
        let message = match (text(&["message"]), text(&["reason"])) {
            ("", "") => format!("{denied} without explanation"),
            ("", reason) => format!("{denied}: {reason}"),
            (message, _) => format!("{denied}: {message}"),
        };
        let mut status = Status::new(Reason::Unknown, message).about(
            text(&["details", "group"]),
            text(&["details", "kind"]),
            text(&["details", "name"]),
        );
        let code = self.status["code"].as_u64().unwrap_or(0).max(CODE_MIN);
        status.code = u16::try_from(code).unwrap_or(500);
        text(&["reason"]).clone_into(&mut status.other_reason);
        text(&["details", "uid"]).clone_into(&mut status.uid);
        let retry = meta::at(&self.status, &["details", "retryAfterSeconds"]);
        let retry = retry.and_then(Value::as_u64).unwrap_or(0);
        status.retry_after_seconds = u32::try_from(retry).unwrap_or(u32::MAX);
        status.causes = meta::list(&self.status, &["details", "causes"])
            .iter()
            .map(|cause| Cause {
                reason: meta::text(cause, &["reason"]).to_owned(),
                message: meta::text(cause, &["message"]).to_owned(),
                field: meta::text(cause, &["field"]).to_owned(),
            })
            .collect();
        Some(status)
    }
}

/// An answer belongs to what was asked, and says its kind.
fn check_origin(document: &Value, response: &Value, uid: &str) -> Result<(), String> {
    let said = meta::text(response, &["uid"]);
    if said != uid {
        return Err(invalid(&format!(
            "expected response.uid={uid:?}, got {said:?}"
        )));
    }
    if meta::text(document, &["kind"]).is_empty()
        || meta::text(document, &["apiVersion"]).is_empty()
    {
        let said = meta::text(document, &["apiVersion"]);
        let said = if said.is_empty() { "/" } else { said };
        let kind = meta::text(document, &["kind"]);
        return Err(invalid(&format!(
            "expected webhook response of {GROUP}/v1, Kind={KIND}, got {said}, Kind={kind}"
        )));
    }
    Ok(())
}

fn invalid(why: &str) -> String {
    format!("received invalid webhook response: {why}")
}

fn invalid_of(why: &str) -> Refused {
    Refused::Unasked(invalid(why))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(status: Value) -> Status {
        let document = json!({
            "kind": KIND, "apiVersion": "admission.k8s.io/v1", "response": {"uid": "u", "allowed": false, "status": status},
        });
        let answer = Answer::read(&document, "v1", "u").unwrap();
        answer.refusal("a.test").unwrap()
    }

    #[test]
    fn a_refusal_is_told_as_the_webhook_said_it() {
        // Captured from a kube-apiserver 1.36.3.
        let cases = [
            (
                json!(null),
                400,
                "",
                "admission webhook \"a.test\" denied the request without explanation",
            ),
            (
                json!({"reason": "Because"}),
                400,
                "Because",
                "admission webhook \"a.test\" denied the request: Because",
            ),
            (
                json!({"code": 403, "reason": "Forbidden", "message": "no way"}),
                403,
                "Forbidden",
                "admission webhook \"a.test\" denied the request: no way",
            ),
            (
                json!({"code": 200, "message": "m"}),
                400,
                "",
                "admission webhook \"a.test\" denied the request: m",
            ),
        ];
        for (said, code, reason, message) in cases {
            let status = refusal(said);
            assert_eq!((status.code, status.reason_name().as_str()), (code, reason));
            assert_eq!(status.message, message);
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(text in "[{}\\[\\]\":,a-z0-9]{0,80}", field in "(allowed|status|patch|patchType|warnings|uid)") {
            let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            let mut response = json!({"uid": "u", "allowed": true});
            response[field] = value;
            let document = json!({"kind": KIND, "apiVersion": "admission.k8s.io/v1", "response": response});
            if let Ok(answer) = Answer::read(&document, "v1", "u") {
                let _ = answer.refusal("a.test");
            }
        }
    }
}
