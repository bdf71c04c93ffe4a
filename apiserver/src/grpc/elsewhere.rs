//! Reading what other servers answer, whose APIs API services name.

use std::collections::BTreeMap;
use std::sync::Arc;

use objects::status::{Reason, Status};
use proto::api::{ReadRequest, ReadResponse, Target};

use super::caller::{Caller, Selectors};
use super::failure::Failed;
use super::reads::encoded as in_json;
use crate::apiservices::ask;
use crate::rest::{BODY_BYTES_MAX, encoded, not_served};
use crate::user::User;

pub(super) async fn read(
    caller: &Caller<'_>,
    message: &ReadRequest,
) -> Result<ReadResponse, Failed> {
    let target = message.target.clone().unwrap_or_default();
    check(&target)?;
    let verb = if target.name.is_empty() {
        "list"
    } else {
        "get"
    };
    let selectors = Selectors {
        labels: &message.label_selector,
        ..Selectors::default()
    };
    let attributes = caller.attributes(message.target.as_ref(), verb, selectors)?;
    let path = path(&target, message);
    let front = caller.front();
    let reading = |user: Arc<User>| async move {
        let service = front.apiservices.find(&target.group, &target.version);
        let service = service.ok_or_else(not_served)?;
        let told = ask(front, &user, &service, (&path, BODY_BYTES_MAX)).await?;
        let body = in_json(&told);
        if body.len() > BODY_BYTES_MAX {
            let why = format!("the answer has more than {BODY_BYTES_MAX} bytes");
            return Err(Status::new(Reason::RequestEntityTooLarge, why));
        }
        Ok(ReadResponse { body })
    };
    Ok(caller.read(attributes, reading).await?)
}

/// No part of the path may lead to another one than was judged.
fn check(target: &Target) -> Result<(), Status> {
    let Target {
        group,
        version,
        resource,
        subresource,
        ..
    } = target;
    for (what, text) in [
        ("group", group),
        ("version", version),
        ("resource", resource),
        ("subresource", subresource),
    ] {
        let is_required = what != "subresource";
        let leads_away = matches!(text.as_str(), "." | "..") || text.contains(['/', '%']);
        if leads_away || (is_required && text.is_empty()) {
            return Err(Status::bad_request(format!(
                "target.{what}: Invalid value: {text:?}: must be one part of a path"
            )));
        }
    }
    Ok(())
}

/// Where REST would find it.
fn path(target: &Target, message: &ReadRequest) -> String {
    let part = |text: &str| encoded(text, "*:");
    let mut path = format!("/apis/{}/{}", part(&target.group), part(&target.version));
    if !target.namespace.is_empty() {
        path = format!("{path}/namespaces/{}", part(&target.namespace));
    }
    for text in [&target.resource, &target.name, &target.subresource] {
        if !text.is_empty() {
            path = format!("{path}/{}", part(text));
        }
    }
    let mut query: BTreeMap<&str, &str> = BTreeMap::new();
    let parameters = message.parameters.iter();
    query.extend(parameters.map(|(name, value)| (name.as_str(), value.as_str())));
    if !message.label_selector.is_empty() {
        query.insert("labelSelector", &message.label_selector);
    }
    let query = query.iter();
    let query: Vec<String> = query
        .map(|(name, value)| format!("{}={}", encoded(name, ""), encoded(value, "")))
        .collect();
    if query.is_empty() {
        return path;
    }
    format!("{path}?{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            group: "custom.metrics.k8s.io".to_owned(),
            version: "v1beta2".to_owned(),
            namespace: "a".to_owned(),
            resource: "pods".to_owned(),
            name: "*".to_owned(),
            subresource: "requests".to_owned(),
        }
    }

    #[test]
    fn a_target_is_the_path_that_rest_has_for_it() {
        let message = ReadRequest {
            label_selector: "app=web,tier in (a)".to_owned(),
            parameters: [("metricLabelSelector".to_owned(), "x=1".to_owned())].into(),
            ..ReadRequest::default()
        };
        assert_eq!(
            path(&target(), &message),
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/a/pods/*/requests\
             ?labelSelector=app%3Dweb%2Ctier%20in%20%28a%29&metricLabelSelector=x%3D1"
        );
        let list = Target {
            name: String::new(),
            subresource: String::new(),
            ..target()
        };
        let found = path(&list, &ReadRequest::default());
        assert_eq!(
            found,
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/a/pods"
        );
    }

    #[test]
    fn no_part_leads_to_another_path() {
        check(&target()).unwrap();
        for text in ["", ".", "..", "a/b", "%2e%2e"] {
            let resource = text.to_owned();
            let target = Target {
                resource,
                ..target()
            };
            assert!(check(&target).is_err(), "{text:?}");
        }
    }
}
