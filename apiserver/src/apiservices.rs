//! APIs that other servers answer: which they are, where they are, and what a request to them says about who sent it.

mod asking;
pub(crate) mod available;
mod discovery;
mod secured;
pub(crate) mod trust;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use objects::{Value, meta};
use parking_lot::Mutex;

pub(crate) use self::asking::ask;
use self::secured::Believed;
use crate::config::Config;
use crate::dial::{Identity, Recent, Services};
use crate::flag_files::read_pair;
use crate::objects_view::ObjectsView;
use crate::relay::Target;
use crate::user::User;

pub(crate) const GROUP: &str = "apiregistration.k8s.io";
pub(crate) const PLURAL: &str = "apiservices";
/// The port of a service that names none.
const PORT: u16 = 443;
/// Where the other server reads for whom a request is passed on.
const USER: HeaderName = HeaderName::from_static("x-remote-user");
const UID: HeaderName = HeaderName::from_static("x-remote-uid");
const GROUPS: HeaderName = HeaderName::from_static("x-remote-group");
const EXTRA: &str = "x-remote-extra-";

/// The APIs of others.
pub(crate) struct ApiServices {
    view: Arc<dyn ObjectsView>,
    services: Services,
    /// What this server shows to the others: a certificate and its key in PEM.
    identity: Option<(Vec<u8>, Vec<u8>)>,
    /// How the others are spoken to.
    secured: Recent<Believed>,
    /// What the others say that they serve.
    known: Mutex<Known>,
}

/// What the others said last, in the form of the document of everything, and a number that grows when it changes.
#[derive(Debug, Default)]
struct Known {
    resources: BTreeMap<String, Arc<Vec<Value>>>,
    generation: u64,
}

/// The group and version of a path, if it is about resources of a named group.
pub(crate) fn group_version(path: &str) -> Option<(&str, &str)> {
    let mut parts = path.trim_start_matches('/').split('/');
    let (apis, group, version) = (parts.next()?, parts.next()?, parts.next()?);
    (apis == "apis" && !group.is_empty() && !version.is_empty()).then_some((group, version))
}

/// Whether an API is there.
fn is_available(service: &Value) -> bool {
    meta::list(service, &["status", "conditions"])
        .iter()
        .any(|one| one["type"] == "Available" && one["status"] == "True")
}

impl ApiServices {
    /// # Errors
    ///
    /// If a file cannot be used.
    pub(crate) fn new(config: &Config, view: Arc<dyn ObjectsView>) -> Result<ApiServices> {
        let identity = read_pair(
            ("--proxy-client-cert-file", &config.proxy_client_cert_file),
            ("--proxy-client-key-file", &config.proxy_client_key_file),
        )?;
        Ok(ApiServices {
            services: Services::new(view.clone()),
            view,
            identity,
            secured: Recent::default(),
            known: Mutex::default(),
        })
    }

    /// The API service that answers for a group and version, if that is not this server.
    pub(crate) fn find(&self, group: &str, version: &str) -> Option<Arc<Value>> {
        let name = format!("{version}.{group}");
        self.view
            .get(GROUP, PLURAL, "", &name)
            .filter(|found| is_elsewhere(found))
    }

    /// All that others answer.
    fn all(&self) -> Vec<Arc<Value>> {
        let mut all = self.view.list(GROUP, PLURAL, None);
        all.retain(|service| is_elsewhere(service));
        all
    }

    /// Where a request goes to.
    ///
    /// # Errors
    ///
    /// Why there is no way.
    fn target(&self, service: &Value, path: &str) -> Result<Target, String> {
        let text = |field| meta::text(service, &["spec", "service", field]);
        let (namespace, name) = (text("namespace"), text("name"));
        let place = self
            .services
            .resolve((namespace, name), port(service))
            .map_err(|status| status.message)?;
        let believed = if service["spec"]["insecureSkipTLSVerify"] == true {
            Believed::Everybody
        } else {
            Believed::Bundle(meta::text(service, &["spec", "caBundle"]).to_owned())
        };
        let identity = self.identity.as_ref();
        let identity = identity.map(|(certificate, key)| Identity { certificate, key });
        let make = |believed: &Believed| secured::make(believed, identity);
        let tls = self.secured.get_or_make(&believed, make)?;
        Ok(Target {
            place,
            tls: Some((tls, format!("{name}.{namespace}.svc"))),
            path: path.to_owned(),
        })
    }

    /// Where a request for an API that is there goes to.
    ///
    /// # Errors
    ///
    /// The code and text of the answer instead.
    pub(crate) fn way(&self, service: &Value, path: &str) -> Result<Target, (u16, String)> {
        if !is_available(service) {
            return Err((503, "service unavailable\n".to_owned()));
        }
        self.target(service, path).map_err(|why| {
            tracing::debug!(error = why, "there is no way to an API service");
            (503, "service unavailable\n".to_owned())
        })
    }
}

/// Whether another server answers. The group of these objects never leaves this one, or nobody could take that back.
fn is_elsewhere(service: &Value) -> bool {
    meta::at(service, &["spec", "service"]).is_some_and(Value::is_object)
        && meta::text(service, &["spec", "group"]) != GROUP
}

fn port(service: &Value) -> u16 {
    meta::at(service, &["spec", "service", "port"])
        .and_then(Value::as_u64)
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or(PORT)
}

/// Says for whom a request is passed on, and nothing that the client says about that itself.
pub(crate) fn introduce(headers: &mut HeaderMap, user: &User) {
    let told: Vec<HeaderName> = headers
        .keys()
        .filter(|name| [USER, UID, GROUPS].contains(name) || name.as_str().starts_with(EXTRA))
        .cloned()
        .collect();
    for name in told {
        headers.remove(name);
    }
    let mut add = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            headers.append(name, value);
        }
    };
    add(USER, &user.name);
    if !user.uid.is_empty() {
        add(UID, &user.uid);
    }
    for group in &user.groups {
        add(GROUPS, group);
    }
    for (key, values) in &user.extra {
        let name = HeaderName::try_from(format!("{EXTRA}{}", crate::rest::encoded(key, "")));
        let Ok(name) = name else { continue };
        for value in values {
            add(name.clone(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_for_whom_it_is_and_not_what_its_sender_made_up() {
        let mut headers = HeaderMap::new();
        for name in ["x-remote-user", "x-remote-group", "x-remote-extra-scopes"] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static("root"),
            );
        }
        let user = User {
            name: "älice".to_owned(),
            groups: vec!["a".to_owned(), "b".to_owned()],
            extra: [("example.com/x".to_owned(), vec!["1".to_owned()])].into(),
            ..User::default()
        };
        introduce(&mut headers, &user);
        let all = |name: &str| -> Vec<&str> {
            let values = headers.get_all(name).iter();
            values
                .map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
                .collect()
        };
        assert_eq!(all("x-remote-user"), ["älice"]);
        assert_eq!(all("x-remote-group"), ["a", "b"]);
        assert_eq!(all("x-remote-extra-example.com%2fx"), ["1"]);
        assert!(all("x-remote-extra-scopes").is_empty());
    }

    #[test]
    fn a_path_is_about_a_group_and_version() {
        assert_eq!(group_version("/apis/a.b/v1"), Some(("a.b", "v1")));
        assert_eq!(group_version("/apis/a.b/v1/pods"), Some(("a.b", "v1")));
        for path in [
            "/apis",
            "/apis/a.b",
            "/apis/a.b/",
            "/api/v1/pods",
            "/healthz",
        ] {
            assert_eq!(group_version(path), None, "{path}");
        }
    }
}
