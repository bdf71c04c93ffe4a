//! Requests for tokens and for decisions, and the services behind other groups of the API.

use super::{rules, view::View};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
    validate::names,
};

const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const GROUP_PRIORITY_MAX: i64 = 20000;
const VERSION_PRIORITY_MAX: i64 = 1000;

/// The body of the subresource `token` of a service account.
pub fn token_request(new: &Value, faults: &mut Faults) {
    let seconds = View::root(new).at("spec").at("expirationSeconds");
    if seconds.number() < TOKEN_SECONDS_MIN {
        faults.push(seconds.number_invalid("may not specify a duration less than 10 minutes"));
    }
    if seconds.number() > TOKEN_SECONDS_MAX {
        faults.push(seconds.invalid("may not specify a duration larger than 2^32 seconds"));
    }
}

/// A `SubjectAccessReview`, its form for oneself, or that for one namespace.
pub fn access_review(kind: &str, new: &Value, faults: &mut Faults) {
    let root = View::root(new);
    let spec = root.at("spec");
    let (resource, other) = (
        spec.at("resourceAttributes"),
        spec.at("nonResourceAttributes"),
    );
    if resource.is_set() && other.is_set() {
        faults.push(other.invalid("cannot be specified in combination with resourceAttributes"));
    }
    if !resource.is_set() && !other.is_set() {
        faults.push(resource.invalid(
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        ));
    }
    let user = spec.at("user");
    if kind != "SelfSubjectAccessReview" && user.is_empty() && spec.at("groups").is_empty() {
        let detail = "at least one of user or group must be specified";
        faults.push(Invalid::value(&user.path, user.text(), detail));
    }
    for field in ["fieldSelector", "labelSelector"] {
        selector(&resource.at(field), faults);
    }
    let local = kind == "LocalSubjectAccessReview";
    let metadata = root.at("metadata");
    let filled = metadata.map().into_iter().flatten().any(|(field, value)| {
        let told = View {
            path: Path::root(),
            value,
        };
        field != "managedFields" && !(local && field == "namespace") && !told.is_empty()
    });
    if filled {
        let detail = if local {
            "must be empty except for namespace"
        } else {
            "must be empty"
        };
        faults.push(metadata.invalid(detail));
    }
    if local {
        let namespace = resource.at("namespace");
        if resource.is_set() && namespace.text() != meta::namespace(new) {
            let detail = "must match metadata.namespace";
            faults.push(Invalid::value(&namespace.path, namespace.text(), detail));
        }
        if other.is_set() {
            faults.push(other.invalid("disallowed on this kind of request"));
        }
    }
}

fn selector(selector: &View<'_>, faults: &mut Faults) {
    if !selector.is_set() {
        return;
    }
    let (raw, requirements) = (selector.at("rawSelector"), selector.at("requirements"));
    if !raw.is_empty() && !requirements.is_empty() {
        faults.push(raw.invalid("may not specified at the same time as requirements"));
    }
    if raw.is_empty() && requirements.is_empty() {
        faults.push(requirements.required(&format!(
            "when {} is specified, requirements or rawSelector is required",
            selector.path
        )));
    }
}

/// The group and version that a server serves, ours or another one.
pub(super) fn api_service(new: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    let (group, version) = (spec.at("group"), spec.at("version"));
    let wanted = format!("{}.{}", version.text(), group.text());
    let name = meta::name(new);
    if name != wanted && names::path_segment(name).is_empty() {
        let detail = format!("must be `spec.version+\".\"+spec.group`: \"{wanted}\"");
        let path = Path::new("metadata").child("name");
        faults.push(Invalid::value(&path, name, detail));
    }
    if group.is_empty() && version.text() != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        faults.push(group.required(detail));
    }
    if !group.is_empty() {
        rules::subdomain(&group, faults);
    }
    rules::named(&version, names::letter_label, faults);
    for (field, most) in [
        ("groupPriorityMinimum", GROUP_PRIORITY_MAX),
        ("versionPriority", VERSION_PRIORITY_MAX),
    ] {
        let priority = spec.at(field);
        if !(1..=most).contains(&priority.number()) {
            let detail = format!("must be positive and less than {most}");
            faults.push(priority.number_invalid(detail));
        }
    }
    let (service, bundle) = (spec.at("service"), spec.at("caBundle"));
    let insecure = spec.at("insecureSkipTLSVerify");
    if !service.is_set() {
        if !bundle.is_empty() {
            let shown = format!("{} bytes", super::core::decoded_length(bundle.text()));
            let detail = "local APIServices may not have a caBundle";
            faults.push(Invalid::value(&bundle.path, shown, detail));
        }
        if insecure.flag() {
            faults.push(insecure.invalid("local APIServices may not have insecureSkipTLSVerify"));
        }
        return;
    }
    service.at("namespace").require("", faults);
    service.at("name").require("", faults);
    let port = service.at("port");
    let wrong = names::port_number(port.number());
    if !wrong.is_empty() {
        faults.push(port.number_invalid(format!("port is not valid: {}", wrong.join(", "))));
    }
    if insecure.flag() && !bundle.is_empty() {
        faults.push(insecure.invalid("may not be true if caBundle is present"));
    }
}

pub(super) fn api_service_status(new: &Value, _old: &Value, faults: &mut Faults) {
    for condition in View::root(new).at("status").at("conditions").items() {
        condition
            .at("status")
            .one_of(&["True", "False", "Unknown"], faults);
    }
}
