//! Servers in front of this one, which show a certificate and say in headers for whom they ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;

use super::certificate;
use crate::rest::decoded;
use crate::user::User;

/// Whose word counts, and where it is.
#[derive(Debug)]
pub struct FrontProxies {
    /// Checks the certificates of servers in front.
    pub verifier: Arc<dyn ClientCertVerifier>,
    /// Checks the certificates of users; none if users show none. The port lets both in.
    pub users: Option<Arc<dyn ClientCertVerifier>>,
    /// Common names that a server in front may have; any if there are none.
    pub names: Vec<String>,
    pub user_headers: Vec<String>,
    pub uid_headers: Vec<String>,
    pub group_headers: Vec<String>,
    pub extra_prefixes: Vec<String>,
}

/// Headers in which servers in front speak of users unless they are told others.
const USUAL: [&str; 3] = ["x-remote-user", "x-remote-uid", "x-remote-group"];
const USUAL_PREFIX: &str = "x-remote-extra-";

/// Removes the headers in which servers in front speak of users: the usual ones, and those that are believed here.
pub(super) fn strip(proxies: Option<&FrontProxies>, headers: &mut HeaderMap) {
    let is_named =
        |names: &[String], name: &str| names.iter().any(|own| own.eq_ignore_ascii_case(name));
    let is_believed = |proxies: &FrontProxies, name: &str| {
        is_named(&proxies.user_headers, name)
            || is_named(&proxies.uid_headers, name)
            || is_named(&proxies.group_headers, name)
            || proxies
                .extra_prefixes
                .iter()
                .any(|prefix| name.starts_with(&prefix.to_ascii_lowercase()))
    };
    let told: Vec<_> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            USUAL.contains(&name)
                || name.starts_with(USUAL_PREFIX)
                || proxies.is_some_and(|proxies| is_believed(proxies, name))
        })
        .cloned()
        .collect();
    for name in told {
        headers.remove(name);
    }
}

/// Whether a certificate was signed by one of those that a verifier believes.
pub(super) fn verify(
    verifier: &dyn ClientCertVerifier,
    certificates: &[CertificateDer<'_>],
) -> Result<(), String> {
    let Some((own, others)) = certificates.split_first() else {
        return Err("there is no certificate".to_owned());
    };
    verifier
        .verify_client_cert(own, others, UnixTime::now())
        .map(drop)
        .map_err(|error| format!("x509: {error}"))
}

impl FrontProxies {
    /// For whom a request is sent; nobody if it says nothing of that.
    ///
    /// # Errors
    ///
    /// Why the one who says it is not believed.
    pub(super) fn identify(
        &self,
        certificates: &[CertificateDer<'_>],
        headers: &HeaderMap,
        now_seconds: i64,
    ) -> Result<Option<User>, String> {
        let name = first(headers, &self.user_headers);
        let (Some(own), false) = (certificates.first(), name.is_empty()) else {
            return Ok(None);
        };
        verify(self.verifier.as_ref(), certificates)?;
        let front = certificate::identify(own, now_seconds)?;
        let front = front.map_or_else(String::new, |front| front.name);
        if !self.names.is_empty() && !self.names.contains(&front) {
            return Err(format!(
                "x509: subject with cn={front} is not in the allowed list"
            ));
        }
        Ok(Some(User {
            name,
            uid: first(headers, &self.uid_headers),
            groups: self
                .group_headers
                .iter()
                .flat_map(|header| values(headers, header))
                .collect(),
            extra: self.extra(headers),
        }))
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for prefix in &self.extra_prefixes {
            for name in headers.keys() {
                let prefix = prefix.to_ascii_lowercase();
                if let Some(key) = name.as_str().strip_prefix(&prefix) {
                    let told = extra.entry(decoded(key)).or_default();
                    told.extend(values(headers, name.as_str()));
                }
            }
        }
        extra
    }
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect()
}

/// The first value that is not empty.
fn first(headers: &HeaderMap, names: &[String]) -> String {
    let all = names.iter().flat_map(|name| values(headers, name));
    all.into_iter()
        .find(|value| !value.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
