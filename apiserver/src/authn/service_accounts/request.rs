//! The subresource `token` of service accounts: a TokenRequest, checked and answered.

use std::sync::Arc;

use objects::{Value, invalid::Invalid, meta, path::Path, status::Status};
use serde_json::json;

use super::{BoundObject, ServiceAccountTokens, Wanted};
use crate::authn::clock::rfc3339;

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
const EXPIRATION_SECONDS_DEFAULT: i64 = 60 * 60;
const EXPIRATION_SECONDS_MIN: i64 = 10 * 60;
const EXPIRATION_SECONDS_MAX: i64 = 1 << 32;

/// What a TokenRequest is answered with.
#[derive(Debug)]
pub struct Answer {
    pub object: Value,
    /// For the headers of the answer.
    pub warnings: Vec<String>,
    /// For the audit log.
    pub credential_id: String,
}

impl ServiceAccountTokens {
    /// Answers a TokenRequest for a service account.
    ///
    /// # Errors
    /// 404 for an account or bound object that does not exist, 409 for one with another uid, 422 and 400 for a request that is wrong.
    pub fn request(&self, namespace: &str, name: &str, body: &Value) -> Result<Answer, Status> {
        check_place(body, namespace, name)?;
        let account = self.find("serviceaccounts", namespace, name)?;
        let uid = meta::uid(&account);
        let asked = meta::uid(body);
        if !asked.is_empty() && asked != uid {
            let why = format!(
                "the UID in the token request ({asked}) does not match the UID of the service account ({uid})"
            );
            return Err(Status::conflict(GROUP, KIND, name, why));
        }
        let expiration = body.pointer("/spec/expirationSeconds");
        let mut expiration_seconds = expiration
            .and_then(Value::as_i64)
            .unwrap_or(EXPIRATION_SECONDS_DEFAULT);
        check_expiration(expiration_seconds)?;
        let mut warnings = Vec::new();
        let bound = self.bound(namespace, name, body)?;
        let most = self.settings.expiration_seconds_max;
        if most > 0 && expiration_seconds > most {
            warnings.push(format!(
                "requested expiration of {expiration_seconds} seconds shortened to {most} seconds"
            ));
            expiration_seconds = most;
        }
        let wanted = Wanted {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            bound,
            audiences: self.wanted_audiences(body),
            expiration_seconds,
        };
        let now_seconds = self.settings.clock.now_seconds();
        let issued = self.issue(&wanted, now_seconds)?;
        let mut object = body.clone();
        let metadata = meta::metadata_mut(&mut object);
        for (field, text) in [
            ("name", name),
            ("namespace", namespace),
            ("uid", uid),
            ("creationTimestamp", &rfc3339(now_seconds)),
        ] {
            metadata.insert(field.to_owned(), json!(text));
        }
        let spec = meta::fields_mut(&mut object, "spec");
        spec.insert("audiences".to_owned(), json!(wanted.audiences));
        spec.insert("expirationSeconds".to_owned(), json!(expiration_seconds));
        spec.entry("boundObjectRef").or_insert(Value::Null);
        object["status"] = json!({
            "token": issued.token, "expirationTimestamp": rfc3339(issued.expires_at_seconds),
        });
        Ok(Answer {
            object,
            warnings,
            credential_id: issued.credential_id,
        })
    }

    fn wanted_audiences(&self, body: &Value) -> Vec<String> {
        let asked: Vec<String> = meta::list(body, &["spec", "audiences"])
            .iter()
            .filter_map(|audience| audience.as_str().map(str::to_owned))
            .collect();
        if asked.is_empty() {
            self.settings.api_audiences.clone()
        } else {
            asked
        }
    }

    fn find(&self, plural: &str, namespace: &str, name: &str) -> Result<Arc<Value>, Status> {
        self.view
            .get("", plural, namespace, name)
            .ok_or_else(|| Status::not_found("", plural, name))
    }

    fn bound(
        &self,
        namespace: &str,
        account: &str,
        body: &Value,
    ) -> Result<Option<BoundObject>, Status> {
        let Some(reference) = body
            .pointer("/spec/boundObjectRef")
            .filter(|reference| !reference.is_null())
        else {
            return Ok(None);
        };
        let text = |field| meta::text(reference, &[field]);
        let (version, kind, name) = (text("apiVersion"), text("kind"), text("name").to_owned());
        let core = !version.contains('/');
        let object = match kind {
            "Pod" if core => self.find("pods", namespace, &name)?,
            "Secret" if core => self.find("secrets", namespace, &name)?,
            "Node" if core => self.find("nodes", "", &name)?,
            _ => {
                return Err(Status::bad_request(format!(
                    "cannot bind token to object of type {}, Kind={kind}",
                    if core {
                        format!("/{version}")
                    } else {
                        version.to_owned()
                    }
                )));
            }
        };
        let uid = meta::uid(&object).to_owned();
        if kind == "Pod" && meta::text(&object, &["spec", "serviceAccountName"]) != account {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
            )));
        }
        let asked = text("uid");
        if !asked.is_empty() && asked != uid {
            let why = format!(
                "the UID in the bound object reference ({asked}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(Status::conflict("", kind, &name, why));
        }
        Ok(Some(match kind {
            "Pod" => BoundObject::Pod {
                node: self.node_of(&object),
                name,
                uid,
            },
            "Secret" => BoundObject::Secret { name, uid },
            _ => BoundObject::Node { name, uid },
        }))
    }

    fn node_of(&self, pod: &Value) -> Option<(String, String)> {
        let name = meta::text(pod, &["spec", "nodeName"]);
        let node = self.view.get("", "nodes", "", name);
        let uid = node.map_or_else(String::new, |node| meta::uid(&node).to_owned());
        (!name.is_empty()).then(|| (name.to_owned(), uid))
    }
}

/// The name and namespace in the body, which may be left out.
fn check_place(body: &Value, namespace: &str, name: &str) -> Result<(), Status> {
    for (field, own) in [("name", name), ("namespace", namespace)] {
        let asked = meta::text(body, &["metadata", field]);
        if !asked.is_empty() && asked != own {
            let fault = Invalid::value(
                &Path::new("metadata").child(field),
                asked,
                format!("must match the service account {field} if specified"),
            );
            return Err(Status::invalid(GROUP, KIND, name, &vec![fault]));
        }
    }
    Ok(())
}

fn check_expiration(seconds: i64) -> Result<(), Status> {
    let detail = if seconds < EXPIRATION_SECONDS_MIN {
        "may not specify a duration less than 10 minutes"
    } else if seconds > EXPIRATION_SECONDS_MAX {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let path = Path::new("spec").child("expirationSeconds");
    let fault = Invalid::value(&path, seconds, detail);
    Err(Status::invalid(GROUP, KIND, "", &vec![fault]))
}
