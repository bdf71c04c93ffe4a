//! Where a webhook is: a URL, or a path of a service.

use crate::{
    invalid::{Faults, Invalid},
    validate::{kinds::view::View, names},
};

const FORM: &str = "; desired format: https://host[/path]";

/// Asks for a URL of https without user, query and fragment.
pub(super) fn check(view: &View<'_>, faults: &mut Faults) {
    let text = view.text();
    let mut wrong = |value: &str, detail: &str| {
        faults.push(Invalid::value(&view.path, value, detail));
    };
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    let authority = rest
        .strip_prefix("//")
        .map_or("", |rest| rest.split('/').next().unwrap_or_default());
    let (user, host) = authority
        .rsplit_once('@')
        .map_or((None, authority), |parts| (Some(parts.0), parts.1));
    if scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{FORM}");
        wrong(scheme, &detail);
    }
    if host.is_empty() {
        wrong(host, &format!("host must be specified{FORM}"));
    }
    if let Some(user) = user {
        wrong(user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        wrong(fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        wrong(query, "query parameters are not permitted in the URL");
    }
}

/// Asks for a path whose segments are subdomains.
pub(super) fn path(view: &View<'_>, faults: &mut Faults) {
    let text = view.text();
    if matches!(text, "/" | "") {
        return;
    }
    if text == "//" {
        faults.push(view.invalid("segment[0] may not be empty"));
        return;
    }
    if !text.starts_with('/') {
        faults.push(view.invalid("must start with a '/'"));
    }
    let mut characters = text.chars();
    characters.next();
    let inner = characters.as_str();
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for (index, segment) in inner.split('/').enumerate() {
        if segment.is_empty() {
            faults.push(view.invalid(format!("segment[{index}] may not be empty")));
            continue;
        }
        for detail in names::subdomain(segment) {
            faults.push(view.invalid(format!("segment[{index}]: {detail}")));
        }
    }
}
