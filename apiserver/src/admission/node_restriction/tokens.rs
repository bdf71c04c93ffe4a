//! Tokens of service accounts: a node asks for those of the pods that it runs, for whom those are meant.

use objects::status::Status;
use objects::{Value, meta};

use super::super::Operation;
use super::{Asked, pods};
use crate::attributes::Attributes;

/// What somebody may do who asks for tokens that no pod on it needs.
const AUDIENCE_VERB: &str = "request-serviceaccounts-token-audience";

pub(super) async fn judge(asked: &Asked<'_>) -> Result<(), Status> {
    let review = asked.review;
    let (Operation::Create, "token", Some(request)) = (
        review.operation,
        review.attributes.subresource.as_str(),
        asked.object,
    ) else {
        return Ok(());
    };
    let bound = |field| meta::text(request, &["spec", "boundObjectRef", field]);
    if bound("apiVersion") != "v1" || bound("kind") != "Pod" || bound("name").is_empty() {
        return asked.refuse("node requested token not bound to a pod");
    }
    let uid = bound("uid");
    if uid.is_empty() {
        return asked.refuse("node requested token with a pod binding without a uid");
    }
    let pod = pods::find(asked, bound("name")).await?;
    if uid != meta::uid(&pod) {
        return asked.refuse(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        ));
    }
    if meta::text(&pod, &["spec", "nodeName"]) != asked.node {
        return asked.refuse("node requested token bound to a pod scheduled on a different node");
    }
    let audience = match meta::list(request, &["spec", "audiences"]) {
        [] => "",
        [only] => only.as_str().unwrap_or_default(),
        _ => return asked.refuse("node may only request 0 or 1 audiences"),
    };
    check_audience(asked, &pod, audience)
}

/// The audience is one that the pod names, or the node may ask for.
fn check_audience(asked: &Asked<'_>, pod: &Value, audience: &str) -> Result<(), Status> {
    let mut errors = Vec::new();
    for volume in meta::list(pod, &["spec", "volumes"]) {
        match wants(asked, pod, volume, audience) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(status) => errors.push(status.message),
        }
    }
    if !errors.is_empty() {
        let why = objects::invalid::aggregate(&errors);
        return asked.refuse(format!("error validating audience {audience:?}: {why}"));
    }
    let review = asked.review.attributes;
    let attributes = Attributes {
        user: review.user.clone(),
        verb: AUDIENCE_VERB.to_owned(),
        version: "v1".to_owned(),
        resource: audience.to_owned(),
        namespace: review.namespace.clone(),
        name: review.name.clone(),
        ..Attributes::default()
    };
    // Without an audience there is nothing that a rule could name.
    if !audience.is_empty() && asked.parts.authorizer.authorize(&attributes).is_allowed() {
        return Ok(());
    }
    asked.refuse(format!(
        "audience {audience:?} not found in pod spec volume, {} is not authorized to request tokens for this audience",
        review.user.name
    ))
}

/// Whether a volume of the pod brings tokens for an audience: itself, or by its driver.
fn wants(asked: &Asked<'_>, pod: &Value, volume: &Value, audience: &str) -> Result<bool, Status> {
    let projected = meta::list(volume, &["projected", "sources"])
        .iter()
        .filter_map(|source| source.get("serviceAccountToken"))
        .any(|token| meta::text(token, &["audience"]) == audience);
    if projected {
        return Ok(true);
    }
    let claim = meta::text(volume, &["persistentVolumeClaim", "claimName"]);
    let driver = if meta::at(volume, &["ephemeral", "volumeClaimTemplate"]).is_some() {
        let claim = format!("{}-{}", meta::name(pod), meta::text(volume, &["name"]));
        driver_of_claim(asked, pod, &claim)?
    } else if !claim.is_empty() {
        driver_of_claim(asked, pod, claim)?
    } else {
        meta::text(volume, &["csi", "driver"]).to_owned()
    };
    if driver.is_empty() {
        return Ok(false);
    }
    let view = &asked.parts.view;
    let group = "storage.k8s.io";
    let found = view
        .get(group, "csidrivers", "", &driver)
        .ok_or_else(|| Status::not_found(group, "csidriver", &driver))?;
    Ok(meta::list(&found, &["spec", "tokenRequests"])
        .iter()
        .any(|token| meta::text(token, &["audience"]) == audience))
}

fn driver_of_claim(asked: &Asked<'_>, pod: &Value, claim: &str) -> Result<String, Status> {
    let view = &asked.parts.view;
    let found = view
        .get("", "persistentvolumeclaims", meta::namespace(pod), claim)
        .ok_or_else(|| Status::not_found("", "persistentvolumeclaim", claim))?;
    let name = meta::text(&found, &["spec", "volumeName"]);
    let volume = view
        .get("", "persistentvolumes", "", name)
        .ok_or_else(|| Status::not_found("", "persistentvolume", name))?;
    Ok(meta::text(&volume, &["spec", "csi", "driver"]).to_owned())
}
