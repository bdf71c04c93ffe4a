//! What secures one kind of port, with every file found.

use std::path::{Path, PathBuf};

use super::files::{self, Pair};
use super::rules::Rules;
use super::self_signed;
use super::suites::Offer;
use crate::config::{Security, Url};

/// Whose verified certificate is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Allowed {
    #[default]
    Anyone,
    /// Whose subject has one of these common names.
    CommonNames(Vec<String>),
    /// Whose certificate is good for one of these hosts.
    Hostnames(Vec<String>),
}

/// What secures one kind of port.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(super) own: Pair,
    /// What is shown to others when they are dialled.
    pub(super) own_as_client: Pair,
    /// Who signs the certificates of others; None for whom the system trusts.
    pub(super) trusted_ca_file: Option<PathBuf>,
    pub(super) wants_client_certificate: bool,
    /// The common name of a client's certificate says who it is.
    pub(super) names_clients: bool,
    pub(super) crl_file: Option<PathBuf>,
    pub(super) allowed: Allowed,
    /// A client certificate that names hosts is good only from one of them.
    pub(super) checks_client_host: bool,
    /// Certificates are made by each member for itself, so that nobody can verify another's.
    pub(super) is_self_signed: bool,
    pub(super) offer: Offer,
}

impl Settings {
    /// None when nothing is to be secured. Makes a certificate in `folder` when there is to be one of its own.
    pub(crate) fn prepare(
        security: &Security,
        urls: &[&Url],
        folder: &Path,
    ) -> anyhow::Result<Option<Settings>> {
        let (own, is_self_signed) = match &security.own {
            Some(own) => (own.clone(), false),
            None if security.auto_tls => {
                let hosts = urls.iter().map(|url| url.host());
                let years = security.self_signed_cert_validity_years;
                (self_signed::pair(folder, hosts, years)?, true)
            }
            None => return Ok(None),
        };
        Ok(Some(Settings {
            own_as_client: security
                .own_as_client
                .clone()
                .unwrap_or_else(|| own.clone()),
            own,
            trusted_ca_file: security.trusted_ca_file.clone(),
            wants_client_certificate: security.wants_client_certificate(),
            names_clients: security.client_cert_auth,
            crl_file: security.crl_file.clone(),
            allowed: security.allowed.clone(),
            checks_client_host: security.checks_client_host,
            is_self_signed,
            offer: security.offer.clone(),
        }))
    }

    /// The bundle that others are verified with.
    pub(super) fn authorities(&self) -> Option<PathBuf> {
        self.trusted_ca_file.clone().or_else(files::system_bundle)
    }

    /// Who of those with a good certificate is let in.
    pub(super) fn rules(&self) -> anyhow::Result<Rules> {
        Rules::load(self.crl_file.as_deref(), self.allowed.clone())
    }

    /// Every file that a handshake rests on.
    pub(super) fn paths(&self, own: &Pair) -> Vec<PathBuf> {
        let mut paths = vec![own.cert_file.clone(), own.key_file.clone()];
        paths.extend(self.authorities());
        paths.extend(self.crl_file.clone());
        paths
    }
}
