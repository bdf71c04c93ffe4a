//! Ingresses and their classes.

use super::{backend_fault, reference};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    path::Path,
    validate::{
        kinds::{ip, rules, view::View},
        names,
    },
};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const CONTROLLER_LENGTH_MAX: usize = 250;

/// What an older ingress had that a newer one may keep.
#[derive(Clone, Copy, Default)]
struct Allowed {
    secret_names: bool,
    wildcard_hosts: bool,
}

pub(crate) fn create(new: &Value, faults: &mut Faults) {
    spec(new, Allowed::default(), faults);
    let root = View::root(new);
    let annotation = root.at("metadata").at("annotations").key(CLASS_ANNOTATION);
    let class = root.at("spec").at("ingressClassName");
    if annotation.is_set() && class.is_set() && annotation.value != class.value {
        let told = annotation.told_as(Path::new("annotations").child(CLASS_ANNOTATION));
        faults.push(told.invalid("must match `ingressClassName` when both are specified"));
    }
}

pub(crate) fn update(new: &Value, old: &Value, faults: &mut Faults) {
    let before = View::root(old).at("spec");
    let allowed = Allowed {
        secret_names: before.at("tls").items().any(|tls| {
            let name = tls.at("secretName");
            !name.is_empty() && !names::subdomain(name.text()).is_empty()
        }),
        wildcard_hosts: before.at("rules").items().any(|rule| {
            let mut faults = Faults::new();
            paths(&rule, &mut faults);
            rule.at("host").text().contains('*') && !faults.is_empty()
        }),
    };
    spec(new, allowed, faults);
}

pub(crate) fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let annotated = crate::meta::annotation(new, CLASS_ANNOTATION).is_some();
    if annotated && old.is_none() {
        vec![format!(
            "annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"
        )]
    } else {
        Vec::new()
    }
}

fn spec(new: &Value, allowed: Allowed, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    let (list, default) = (spec.at("rules"), spec.at("defaultBackend"));
    if list.is_empty() && !default.is_set() {
        let told = list.told_as(spec.path.clone());
        faults.push(told.invalid("either `defaultBackend` or `rules` must be specified"));
    }
    if default.is_set() {
        backend(&default, faults);
    }
    for rule in list.items() {
        let name = rule.at("host");
        host(&name, faults);
        let wildcard = name.text().contains('*');
        if !wildcard || !allowed.wildcard_hosts {
            paths(&rule, faults);
        }
    }
    for tls in spec.at("tls").items() {
        for host in tls.at("hosts").items() {
            rules::named(&host, host_rule(host.text()), faults);
        }
        let name = tls.at("secretName");
        if !name.is_empty() && !allowed.secret_names {
            rules::subdomain(&name, faults);
        }
    }
    if spec.at("ingressClassName").is_set() {
        rules::subdomain(&spec.at("ingressClassName"), faults);
    }
}

fn host_rule(host: &str) -> names::Rule {
    if host.contains('*') {
        names::wildcard_subdomain
    } else {
        names::subdomain
    }
}

fn host(host: &View<'_>, faults: &mut Faults) {
    if host.is_empty() {
        return;
    }
    if ip::parse(host.text()).is_some() {
        faults.push(host.invalid("must be a DNS name, not an IP address"));
    }
    rules::named(host, host_rule(host.text()), faults);
}

fn paths(rule: &View<'_>, faults: &mut Faults) {
    let http = rule.at("http");
    if !http.is_set() {
        return;
    }
    http.at("paths").require("", faults);
    for item in http.at("paths").items() {
        path(&item, faults);
    }
}

fn path(item: &View<'_>, faults: &mut Faults) {
    let (kind, path) = (item.at("pathType"), item.at("path"));
    let text = path.text();
    if !kind.is_set() {
        faults.push(kind.required("pathType must be specified"));
        return;
    }
    let relative = Invalid::value(&path.path, text, "must be an absolute path");
    match kind.text() {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                faults.push(relative);
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.contains(part) {
                    faults.push(path.invalid(format!("must not contain '{part}'")));
                }
            }
            for end in ["/..", "/."] {
                if text.ends_with(end) {
                    faults.push(path.invalid(format!("cannot end with '{end}'")));
                }
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                faults.push(relative);
            }
        }
        _ => kind.one_of(&["Exact", "ImplementationSpecific", "Prefix"], faults),
    }
    backend(&item.at("backend"), faults);
}

fn backend(backend: &View<'_>, faults: &mut Faults) {
    let (resource, service) = (backend.at("resource"), backend.at("service"));
    if resource.is_set() && service.is_set() {
        let detail = "cannot set both resource and service backends";
        faults.push(backend_fault(backend, detail));
    } else if resource.is_set() {
        reference(&resource, faults);
    } else if service.is_set() {
        let name = service.at("name");
        if name.require("", faults) {
            rules::label(&name, faults);
        }
        let port = service.at("port");
        let (name, number) = (port.at("name"), port.at("number"));
        if !name.is_empty() && number.number() != 0 {
            faults.push(backend_fault(
                backend,
                "cannot set both port name & port number",
            ));
        } else if !name.is_empty() {
            rules::named(&name, names::port_name, faults);
        } else if number.number() != 0 {
            rules::port_number(&number, faults);
        } else {
            faults.push(backend.required("port name or number is required"));
        }
    } else {
        faults.push(backend_fault(
            backend,
            "resource or service backend is required",
        ));
    }
}

pub(crate) fn class(new: &Value, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    let controller = spec.at("controller");
    if controller.text().len() > CONTROLLER_LENGTH_MAX {
        faults.push(Invalid::too_long(&controller.path, CONTROLLER_LENGTH_MAX));
    }
    domain_path(&controller, faults);
    let parameters = spec.at("parameters");
    if !parameters.is_set() {
        return;
    }
    reference(&parameters, faults);
    let (scope, namespace) = (parameters.at("scope"), parameters.at("namespace"));
    match scope.text() {
        "Namespace" if !namespace.is_set() => {
            faults.push(namespace.required("`parameters.scope` is set to 'Namespace'"));
        }
        "Namespace" => rules::label(&namespace, faults),
        "Cluster" if namespace.is_set() => {
            faults.push(namespace.forbidden("`parameters.scope` is set to 'Cluster'"));
        }
        "Cluster" => {}
        "" if !scope.is_set() => faults.push(scope.required("")),
        _ => scope.one_of(&["Cluster", "Namespace"], faults),
    }
}

pub(crate) fn class_update(new: &Value, old: &Value, faults: &mut Faults) {
    let controller = View::root(new).at("spec").at("controller");
    controller.immutable(&View::root(old).at("spec").at("controller"), faults);
    class(new, faults);
}

/// A domain, a slash and a path.
fn domain_path(view: &View<'_>, faults: &mut Faults) {
    if !view.require("", faults) {
        return;
    }
    let text = view.text();
    let Some((domain, path)) = text
        .split_once('/')
        .filter(|parts| !parts.0.is_empty() && !parts.1.is_empty())
    else {
        faults.push(view.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")"));
        return;
    };
    names::add(faults, &view.path, domain, &names::subdomain(domain));
    let well = path.split('/').all(|part| !part.is_empty())
        && path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/%:@-._~!$&'()*+,;=".contains(&byte));
    if !well {
        let words = names::form("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]);
        faults.push(Invalid::value(&view.path, path, words));
    }
}
