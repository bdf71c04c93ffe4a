//! Custom objects in other versions of their kind, as the webhook of its definition makes them.

mod check;

use std::sync::Arc;
use std::time::Duration;

use objects::status::{Reason, Status};
use objects::{Value, catalog, meta};
use serde_json::json;

use self::check::check;
use crate::webhook::{Caller, Failure, Location, Purpose, check_kind, review_version};

const GROUP: &str = "apiextensions.k8s.io";
const KIND: &str = "ConversionReview";
/// Time for a call.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Objects of one call. A longer list is converted by several, one after the other.
const OBJECTS_MAX: usize = 1_000;

/// The webhook of a definition.
pub struct Conversion {
    caller: Arc<Caller>,
    location: Result<Location, String>,
    /// The version of reviews that it reads.
    version: Option<&'static str>,
}

impl std::fmt::Debug for Conversion {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Conversion").finish_non_exhaustive()
    }
}

impl Conversion {
    /// The webhook that a definition names, if it does.
    #[must_use]
    pub fn of(definition: &Value, caller: &Arc<Caller>) -> Option<Conversion> {
        let conversion = meta::at(definition, &["spec", "conversion"])?;
        if meta::text(conversion, &["strategy"]) != "Webhook" {
            return None;
        }
        let versions = meta::list(conversion, &["webhook", "conversionReviewVersions"]);
        Some(Conversion {
            caller: caller.clone(),
            location: Location::read(&conversion["webhook"]["clientConfig"]),
            version: review_version(versions),
        })
    }

    /// Gives objects another version, in their order.
    ///
    /// # Errors
    ///
    /// If the webhook cannot be asked, or answers with other objects.
    pub async fn convert(
        &self,
        objects: Vec<Value>,
        api_version: &str,
    ) -> Result<Vec<Value>, Status> {
        let mut converted = Vec::with_capacity(objects.len());
        for part in objects.chunks(OBJECTS_MAX) {
            converted.extend(self.convert_part(part, api_version).await?);
        }
        Ok(converted)
    }

    async fn convert_part(&self, part: &[Value], api_version: &str) -> Result<Vec<Value>, Status> {
        let failed = |why: String| failure(&part[0], &format!("failed: {why}"));
        let version = self
            .version
            .ok_or_else(|| failed("no supported conversion review versions".to_owned()))?;
        let location = self.location.as_ref().map_err(|why| failed(why.clone()))?;
        let uid = crate::registry::uid();
        let sent: Vec<Value> = part.iter().map(as_stored).collect();
        let document = json!({
            "kind": KIND,
            "apiVersion": catalog::api_version(GROUP, version),
            "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": sent},
            "response": {"uid": "", "convertedObjects": null, "result": {"metadata": {}}},
        });
        let to = (Purpose::Conversion, location);
        let answered = self.caller.post(to, &document, TIMEOUT).await;
        let answer = answered.map_err(|failure| match failure {
            Failure::Unusable(why) | Failure::Failed(why) => failed(why),
            Failure::Crowded(status) => status,
        })?;
        let converted = read(&answer, version, &uid).map_err(failed)?;
        if converted.len() != part.len() {
            let (made, sent) = (converted.len(), part.len());
            let why = format!("returned {made} objects, expected {sent}");
            return Err(failure(&part[0], &why));
        }
        part.iter()
            .zip(converted)
            .enumerate()
            .map(|(at, (before, after))| check(at, before, after.clone(), api_version))
            .collect::<Result<_, String>>()
            .map_err(|why| failure(&part[0], &why))
    }
}

/// An object as it is in the store: its version there is no part of it.
fn as_stored(object: &Value) -> Value {
    let mut stored = object.clone();
    meta::metadata_mut(&mut stored).remove("resourceVersion");
    stored
}

/// Upstream gives these failures no reason.
fn failure(object: &Value, why: &str) -> Status {
    let (version, kind) = (
        meta::text(object, &["apiVersion"]),
        meta::text(object, &["kind"]),
    );
    let message = format!("conversion webhook for {version}, Kind={kind} {why}");
    let mut status = Status::new(Reason::Unknown, message);
    status.code = Reason::InternalError.code();
    status
}

/// The objects that a review came back with.
fn read<'a>(answer: &'a Value, version: &str, uid: &str) -> Result<&'a [Value], String> {
    check_kind(answer, (GROUP, version, KIND))?;
    let said = meta::text(answer, &["kind"]);
    if version == "v1" && said.is_empty() {
        return Err(format!(
            "expected webhook response of {GROUP}/v1, Kind={KIND}, got /, Kind="
        ));
    }
    let response = answer
        .get("response")
        .filter(|response| response.is_object())
        .ok_or("no response provided")?;
    let said = meta::text(response, &["uid"]);
    if version == "v1" && said != uid {
        return Err(format!("expected response.uid={uid:?}, got {said:?}"));
    }
    let result = meta::text(response, &["result", "status"]);
    if result != "Success" {
        return Err(match meta::text(response, &["result", "message"]) {
            "" => format!("response.result.status was '{result}', not 'Success'"),
            message => message.to_owned(),
        });
    }
    Ok(meta::list(response, &["convertedObjects"]))
}
