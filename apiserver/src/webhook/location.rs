//! Where a webhook is, as its configuration says it: a URL, or a path of a service.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use objects::{Value, meta};

use crate::dial::{Place, Services};

/// The port of HTTPS.
const PORT: u16 = 443;

/// Where a webhook is, and whose certificate it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The name that its certificate has.
    pub(super) host: String,
    port: Option<u16>,
    pub(super) path: String,
    /// Namespace and name.
    service: Option<(String, String)>,
    /// Certificates of authorities in PEM; empty for those of the machine.
    pub(super) bundle: Vec<u8>,
}

impl Location {
    /// Reads a `clientConfig`.
    ///
    /// # Errors
    ///
    /// If it names no place.
    pub fn read(config: &Value) -> Result<Location, String> {
        let bundle = STANDARD
            .decode(meta::text(config, &["caBundle"]))
            .map_err(|error| format!("the caBundle is no base64: {error}"))?;
        // White space alone is no bundle.
        let bundle = if bundle.trim_ascii().is_empty() {
            Vec::new()
        } else {
            bundle
        };
        if let Some(service) = config.get("service").filter(|service| service.is_object()) {
            let (namespace, name) = (
                meta::text(service, &["namespace"]).to_owned(),
                meta::text(service, &["name"]).to_owned(),
            );
            let port = service.get("port").and_then(Value::as_u64);
            return Ok(Location {
                host: format!("{name}.{namespace}.svc"),
                port: Some(
                    port.and_then(|port| u16::try_from(port).ok())
                        .unwrap_or(PORT),
                ),
                path: rooted(meta::text(service, &["path"])),
                service: Some((namespace, name)),
                bundle,
            });
        }
        let url = meta::text(config, &["url"]);
        if url.is_empty() {
            return Err("webhook configuration must have either service or URL".to_owned());
        }
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("Unparsable URL: {error}"))?;
        let host = uri.host().ok_or("Unparsable URL: it has no host")?;
        Ok(Location {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16(),
            path: rooted(uri.path()),
            service: None,
            bundle,
        })
    }

    /// Host and port as they were said.
    pub(super) fn authority(&self) -> String {
        match self.port {
            Some(port) => self.at(port).to_string(),
            None if self.host.contains(':') => format!("[{}]", self.host),
            None => self.host.clone(),
        }
    }

    fn at(&self, port: u16) -> Place {
        Place {
            host: self.host.clone(),
            port,
        }
    }

    /// Where it listens now.
    pub(super) fn place(&self, services: &Services) -> Result<Place, String> {
        let port = self.port.unwrap_or(PORT);
        match &self.service {
            None => Ok(self.at(port)),
            Some((namespace, name)) => services
                .resolve((namespace, name), port)
                .map_err(|status| status.message),
        }
    }
}

fn rooted(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::Location;

    proptest! {
        #[test]
        fn no_place_is_a_panic(url in "(https://)?[a-z0-9.:/@\\[\\]%?#-]{0,30}", bundle in ".{0,8}") {
            if let Ok(at) = Location::read(&json!({"url": url, "caBundle": bundle})) {
                at.authority();
            }
        }
    }

    #[test]
    fn a_webhook_is_at_a_url_or_a_path_of_a_service() {
        let told =
            |config| Location::read(&config).map(|at| format!("{}{}", at.authority(), at.path));
        let cases = [
            (json!({"url": "https://a.test:8443/x"}), "a.test:8443/x"),
            (json!({"url": "https://a.test"}), "a.test/"),
            (json!({"url": "https://[::1]:1/x"}), "[::1]:1/x"),
            (
                json!({"service": {"name": "s", "namespace": "n"}}),
                "s.n.svc:443/",
            ),
            (
                json!({"service": {"name": "s", "namespace": "n", "port": 1, "path": "p"}}),
                "s.n.svc:1/p",
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(told(config).unwrap(), expected);
        }
        told(json!({})).unwrap_err();
        told(json!({"url": "https://a.test", "caBundle": "?"})).unwrap_err();
    }
}
