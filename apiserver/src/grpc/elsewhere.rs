//! Reading what other servers answer, whose APIs API services name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use objects::status::{Reason, Status};
use proto::api::{ReadRequest, ReadResponse, Target};

use super::caller::{Caller, Selectors};
use super::failure::Failed;
use super::reads::encoded as in_json;
use crate::apiservices::ask;
use crate::rest::{BODY_BYTES_MAX, encoded, names, not_served};
use crate::served::not_yet_known;
use crate::user::User;

/// Parameters that decide what a request is, and that its message says in other ways or not at all.
const JUDGED: [&str; 4] = ["fieldSelector", "follow", "labelSelector", "watch"];
const BAD_GATEWAY: u16 = 502;

pub(super) async fn read(
    caller: &Caller<'_>,
    message: &ReadRequest,
) -> Result<ReadResponse, Failed> {
    let target = message.target.clone().unwrap_or_default();
    check(&target, &message.parameters)?;
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
        let is_known = front.registry.resources.table().is_whole;
        let service = service.ok_or_else(if is_known { not_served } else { not_yet_known })?;
        let told = ask(front, &user, &service, (&path, BODY_BYTES_MAX)).await;
        let told = told.map_err(of_the_other)?;
        let body = in_json(&told);
        if body.len() > BODY_BYTES_MAX {
            let why = format!("the answer has more than {BODY_BYTES_MAX} bytes");
            return Err(Status::new(Reason::RequestEntityTooLarge, why));
        }
        Ok(ReadResponse { body })
    };
    Ok(caller.read(attributes, reading).await?)
}

/// What the other server cannot do is no reason to leave this one, as clients do that are told 503.
fn of_the_other(mut status: Status) -> Status {
    if status.code == 503 {
        status.code = BAD_GATEWAY;
    }
    status
}

/// The other server has to read of the path and its query what was judged here.
fn check(target: &Target, parameters: &HashMap<String, String>) -> Result<(), Status> {
    let parts = [
        &target.group,
        &target.version,
        &target.namespace,
        &target.resource,
        &target.name,
        &target.subresource,
    ];
    let leads_away =
        |text: &String| matches!(text.as_str(), "." | "..") || text.contains(['/', '%']);
    if parts.into_iter().any(leads_away) || !names(&place(target), parts.map(String::as_str)) {
        return Err(Status::bad_request(format!(
            "target: Invalid value: {:?}: a path of these parts is read as another target",
            place(target)
        )));
    }
    match JUDGED.iter().find(|name| parameters.contains_key(**name)) {
        Some(name) => Err(Status::bad_request(format!(
            "parameters: Invalid value: {name:?}: cannot be set here"
        ))),
        None => Ok(()),
    }
}

/// Where REST has it.
fn place(target: &Target) -> String {
    let part = |text: &str| encoded(text, "*:");
    let mut place = format!("/apis/{}/{}", part(&target.group), part(&target.version));
    if !target.namespace.is_empty() {
        place = format!("{place}/namespaces/{}", part(&target.namespace));
    }
    for text in [&target.resource, &target.name, &target.subresource] {
        if !text.is_empty() {
            place = format!("{place}/{}", part(text));
        }
    }
    place
}

/// What the other server is asked for.
fn path(target: &Target, message: &ReadRequest) -> String {
    let path = place(target);
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

    fn is_taken(target: &Target) -> bool {
        check(target, &HashMap::new()).is_ok()
    }

    #[test]
    fn no_part_leads_to_another_path() {
        assert!(is_taken(&target()));
        for text in ["", ".", "..", "a/b", "%2e%2e"] {
            let resource = text.to_owned();
            let target = Target {
                resource,
                ..target()
            };
            assert!(!is_taken(&target), "{text:?}");
        }
    }

    #[test]
    fn what_is_judged_is_what_the_other_server_reads() {
        let of = |resource: &str, name: &str, subresource: &str| Target {
            namespace: String::new(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            ..target()
        };
        assert!(is_taken(&of("namespaces", "kube-system", "")));
        assert!(is_taken(&of("nodes", "a", "load")));
        // A list of secrets in a namespace, two watches, and a part of nothing.
        assert!(!is_taken(&of("namespaces", "kube-system", "secrets")));
        assert!(!is_taken(&of("watch", "pods", "")));
        assert!(!is_taken(&of("watch", "", "")));
        assert!(!is_taken(&of("pods", "", "load")));
        for name in JUDGED {
            let parameters = [(name.to_owned(), "true".to_owned())].into();
            let refused = check(&target(), &parameters).unwrap_err();
            assert_eq!(refused.code, 400, "{name}");
        }
    }
}
