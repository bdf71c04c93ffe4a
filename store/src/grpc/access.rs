//! Who may ask over plain HTTP: etcd's rules on host names and on origins of browsers.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST,
    ORIGIN,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::config::Config;

const METHODS: HeaderValue = HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("accept, content-type, authorization");
const ALL: &str = "*";

/// Put among a request's extensions by a connection over TLS: its client has checked our name already.
#[derive(Debug, Clone, Copy)]
pub(super) struct OverTls;

/// The rules.
#[derive(Debug, Clone, Default)]
pub struct Access {
    origins: Names,
    hosts: Names,
}

/// Names that are let in: all when there is none, or `*` is one of them.
#[derive(Debug, Clone, Default)]
struct Names(Vec<String>);

impl Names {
    fn allow(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|known| known == name || known == ALL)
    }
}

impl Access {
    pub(super) fn from_config(config: &Config) -> Access {
        Access {
            origins: Names(config.cors.clone()),
            hosts: Names(config.host_whitelist.clone()),
        }
    }

    /// etcd's text for a request without TLS to a host name that is not ours: a browser may have been led here by
    /// somebody else's name.
    pub(super) fn refusal(&self, head: &Parts) -> Option<String> {
        if head.extensions.get::<OverTls>().is_some() {
            return None;
        }
        let host = host_name(head);
        (!self.hosts.allow(host)).then(|| {
            tracing::warn!(
                host,
                "rejecting HTTP request to prevent DNS rebinding attacks"
            );
            unknown_host(host)
        })
    }

    /// The origin to name in an answer, if the request's may read it.
    pub(super) fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.allow(ALL) {
            return Some(HeaderValue::from_static(ALL));
        }
        let origin = headers.get(ORIGIN)?;
        self.origins
            .allow(origin.to_str().ok()?)
            .then(|| origin.clone())
    }
}

/// Tells a browser that its page may read the answer.
pub(super) fn allow_origin(answer: &mut HeaderMap, origin: HeaderValue) {
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
}

/// The host that a request is for, without its port; empty when it names none.
fn host_name(head: &Parts) -> &str {
    let host = match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => head
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default(),
    };
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn unknown_host(host: &str) -> String {
    format!(
        "
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist {host:?}

This requirement has been added to help prevent \"DNS Rebinding\" attacks (CVE-2018-5702).
"
    )
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn access(origins: &[&str], hosts: &[&str]) -> Access {
        let names = |names: &[&str]| Names(names.iter().map(|name| (*name).to_owned()).collect());
        Access {
            origins: names(origins),
            hosts: names(hosts),
        }
    }

    fn head(host: &str) -> Parts {
        let request = Request::builder().header(HOST, host).body(());
        request.unwrap().into_parts().0
    }

    #[test]
    fn a_host_is_compared_without_its_port() {
        let access = access(&["*"], &["good", "::1"]);
        for host in ["good", "good:2379", "[::1]:2379", "[::1]"] {
            assert_eq!(access.refusal(&head(host)), None, "{host}");
        }
        for host in ["", "evil.com", "good.evil.com:2379", "good:2379:1"] {
            assert!(access.refusal(&head(host)).is_some(), "{host}");
        }
        let mut secured = head("evil.com");
        secured.extensions.insert(OverTls);
        assert_eq!(access.refusal(&secured), None);
    }

    #[test]
    fn no_list_and_a_star_let_everybody_in() {
        for names in [&[][..], &["*"], &["good", "*"]] {
            let access = access(names, names);
            assert_eq!(access.refusal(&head("evil.com")), None);
            assert_eq!(access.allowed_origin(&HeaderMap::new()).unwrap(), "*");
        }
    }

    #[test]
    fn an_origin_is_named_when_it_is_on_the_list() {
        let access = access(&["http://a", "http://b"], &[]);
        let asked = |origin| {
            let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
            access.allowed_origin(&headers)
        };
        assert_eq!(asked("http://b").unwrap(), "http://b");
        assert_eq!(asked("http://c"), None);
        assert_eq!(access.allowed_origin(&HeaderMap::new()), None);
    }
}
