//! Questions about permissions that clients ask: the reviews of the group `authorization.k8s.io`.

mod selectors;

use std::{collections::BTreeMap, sync::Arc};

use objects::{
    Value,
    invalid::{Faults, Invalid, aggregate},
    meta,
    path::Path,
    status::Status,
};
use serde_json::json;

use super::{Authorizer, Decision, Rule};
use crate::{attributes::Attributes, user::User};

const GROUP: &str = "authorization.k8s.io";

const ONE_OF: &str = "exactly one of nonResourceAttributes or resourceAttributes must be specified";

/// SubjectAccessReview: whether somebody may do something.
///
/// # Errors
/// 422 for a question that is not one.
pub fn subject_access(authorizer: &dyn Authorizer, body: &Value) -> Result<Value, Status> {
    let mut faults = check_spec(body, true);
    check_metadata(body, &mut faults, &[], "must be empty");
    answer(authorizer, body, subject(body), &faults)
}

/// SelfSubjectAccessReview: whether the one who asks may do something.
///
/// # Errors
/// 422 for a question that is not one.
pub fn self_subject_access(
    authorizer: &dyn Authorizer,
    user: &Arc<User>,
    body: &Value,
) -> Result<Value, Status> {
    let mut faults = check_spec(body, false);
    check_metadata(body, &mut faults, &[], "must be empty");
    answer(authorizer, body, user.clone(), &faults)
}

/// LocalSubjectAccessReview: whether somebody may do something in a namespace, which is that of the request.
///
/// # Errors
/// 422 for a question that is not one, 400 for one about another namespace.
pub fn local_subject_access(
    authorizer: &dyn Authorizer,
    namespace: &str,
    body: &Value,
) -> Result<Value, Status> {
    // The namespace of the request is that of the object, if it has none of its own.
    let mut body = body.clone();
    if meta::namespace(&body).is_empty() {
        meta::metadata_mut(&mut body).insert("namespace".to_owned(), json!(namespace));
    }
    let own = meta::namespace(&body);
    let mut faults = check_spec(&body, true);
    check_metadata(
        &body,
        &mut faults,
        &["namespace"],
        "must be empty except for namespace",
    );
    let asked = text(&body, "resourceAttributes", "namespace");
    if part(&body, "resourceAttributes").is_some() && asked != own {
        let path = Path::new("spec.resourceAttributes.namespace");
        faults.push(Invalid::value(
            &path,
            asked,
            "must match metadata.namespace",
        ));
    }
    if part(&body, "nonResourceAttributes").is_some() {
        let path = Path::new("spec.nonResourceAttributes");
        let detail = "disallowed on this kind of request";
        faults.push(Invalid::value(&path, non_resource_shown(&body), detail));
    }
    if faults.is_empty() && own != namespace {
        return Err(Status::bad_request(format!(
            "spec.resourceAttributes.namespace must match namespace: {namespace}"
        )));
    }
    answer(authorizer, &body, subject(&body), &faults)
}

/// SelfSubjectRulesReview: what the one who asks may do in a namespace.
///
/// # Errors
/// 400 for a question without a namespace.
pub fn self_subject_rules(
    authorizer: &dyn Authorizer,
    user: &User,
    body: &Value,
) -> Result<Value, Status> {
    let namespace = meta::text(body, &["spec", "namespace"]);
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let found = authorizer.rules_for(user, namespace);
    let shown = |rule: &Rule, without: &[&str]| {
        let mut value = rule.to_value();
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|field, _| !without.contains(&field.as_str()));
        }
        value
    };
    let resource_rules: Vec<Value> = found
        .rules
        .iter()
        .filter(|rule| !rule.resources.is_empty())
        .map(|rule| shown(rule, &["nonResourceURLs"]))
        .collect();
    let non_resource_rules: Vec<Value> = found
        .rules
        .iter()
        .filter(|rule| !rule.non_resource_urls.is_empty())
        .map(|rule| shown(rule, &["apiGroups", "resources", "resourceNames"]))
        .collect();
    let mut status = json!({
        "resourceRules": resource_rules, "nonResourceRules": non_resource_rules, "incomplete": found.incomplete,
    });
    if !found.errors.is_empty() {
        status["evaluationError"] = json!(aggregate(&found.errors));
    }
    Ok(json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "metadata": {}, "spec": {}, "status": status,
    }))
}

/// The answer to a question that has no faults.
fn answer(
    authorizer: &dyn Authorizer,
    body: &Value,
    user: Arc<User>,
    faults: &Faults,
) -> Result<Value, Status> {
    if !faults.is_empty() {
        return Err(Status::invalid(GROUP, "", "", faults));
    }
    let decision = authorizer.authorize(&attributes(body, user));
    let mut status = json!({ "allowed": decision.is_allowed() });
    if matches!(decision, Decision::Deny { .. }) {
        status["denied"] = json!(true);
    }
    if !decision.reason().is_empty() {
        status["reason"] = json!(decision.reason());
    }
    let mut answer = body.clone();
    answer["status"] = status;
    Ok(answer)
}

/// One of the two parts of a question, if it is there.
fn part<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    meta::at(body, &["spec", name]).filter(|part| !part.is_null())
}

fn text<'a>(body: &'a Value, part: &str, field: &str) -> &'a str {
    meta::text(body, &["spec", part, field])
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

/// Whom a question is about.
fn subject(body: &Value) -> Arc<User> {
    let extra: BTreeMap<String, Vec<String>> = meta::map(body, &["spec", "extra"])
        .into_iter()
        .flatten()
        .map(|(key, values)| (key.clone(), texts(values)))
        .collect();
    Arc::new(User {
        name: meta::text(body, &["spec", "user"]).to_owned(),
        uid: meta::text(body, &["spec", "uid"]).to_owned(),
        groups: meta::at(body, &["spec", "groups"]).map_or_else(Vec::new, texts),
        extra,
    })
}

/// What a question is about.
fn attributes(body: &Value, user: Arc<User>) -> Attributes {
    if part(body, "resourceAttributes").is_none() {
        let own = |field| text(body, "nonResourceAttributes", field).to_owned();
        return Attributes {
            user,
            verb: own("verb"),
            path: own("path"),
            ..Attributes::default()
        };
    }
    let own = |field| text(body, "resourceAttributes", field).to_owned();
    let version = own("version");
    Attributes {
        user,
        verb: own("verb"),
        group: own("group"),
        version: if version.is_empty() {
            "*".to_owned()
        } else {
            version
        },
        resource: own("resource"),
        subresource: own("subresource"),
        namespace: own("namespace"),
        name: own("name"),
        path: String::new(),
        field_selector: selectors::field_selector(body),
        label_selector: selectors::label_selector(body),
    }
}

fn check_spec(body: &Value, has_subject: bool) -> Faults {
    let mut faults = Faults::new();
    let spec = Path::new("spec");
    let (resource, other) = (
        part(body, "resourceAttributes"),
        part(body, "nonResourceAttributes"),
    );
    match (resource, other) {
        (Some(_), Some(_)) => {
            let path = spec.child("nonResourceAttributes");
            let detail = "cannot be specified in combination with resourceAttributes";
            faults.push(Invalid::value(&path, non_resource_shown(body), detail));
        }
        (None, None) => {
            let path = spec.child("resourceAttributes");
            faults.push(Invalid::value(&path, Value::Null, ONE_OF));
        }
        _ => {}
    }
    let user = meta::text(body, &["spec", "user"]);
    if has_subject && user.is_empty() && meta::list(body, &["spec", "groups"]).is_empty() {
        let detail = "at least one of user or group must be specified";
        faults.push(Invalid::value(&spec.child("user"), user, detail));
    }
    if let Some(resource) = resource {
        selectors::check(resource, &mut faults);
    }
    faults
}

/// The part about a path, with the names that upstream's messages give its fields.
fn non_resource_shown(body: &Value) -> Value {
    let own = |field| text(body, "nonResourceAttributes", field);
    json!({"Path": own("path"), "Verb": own("verb")})
}

fn check_metadata(body: &Value, faults: &mut Faults, allowed: &[&str], detail: &str) {
    let Some(metadata) = meta::map(body, &["metadata"]) else {
        return;
    };
    let is_set = |(field, value): (&String, &Value)| {
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        !empty && field != "managedFields" && !allowed.contains(&field.as_str())
    };
    if metadata.iter().any(is_set) {
        let value = Value::Object(metadata.clone());
        faults.push(Invalid::value(&Path::new("metadata"), value, detail));
    }
}

#[cfg(test)]
mod tests;
