//! Versions and cipher suites by the names that etcd's flags have for them.

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, cipher_suite};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    /// None for an empty name, which leaves the choice to the store. The text is etcd's.
    pub(crate) fn parse(name: &str) -> Result<Option<Version>, String> {
        match name {
            "" => Ok(None),
            "TLS1.2" => Ok(Some(Version::Tls12)),
            "TLS1.3" => Ok(Some(Version::Tls13)),
            _ => Err(format!(
                "unexpected TLS version {name:?} (must be one of: TLS1.2, TLS1.3)"
            )),
        }
    }

    fn supported(self) -> &'static SupportedProtocolVersion {
        match self {
            Version::Tls12 => &version::TLS12,
            Version::Tls13 => &version::TLS13,
        }
    }
}

/// A suite of TLS 1.2 that may be chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CipherSuite(pub(super) SupportedCipherSuite);

/// Suites are told apart by their numbers.
impl Eq for CipherSuite {}

const SUITES: [(&str, SupportedCipherSuite); 8] = [
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Go's names of suites that TLS 1.3 always has, which no flag takes away.
const ALWAYS: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// Ways of Go's older suites, which are not offered here.
const OLD_WAYS: [&str; 4] = ["_CBC_", "_RC4_", "TLS_RSA_WITH_", "_3DES_"];

impl CipherSuite {
    /// None for a suite of TLS 1.3.
    pub(crate) fn parse(name: &str) -> Result<Option<CipherSuite>, String> {
        if ALWAYS.contains(&name) {
            return Ok(None);
        }
        if let Some((_, suite)) = SUITES.iter().find(|(known, _)| *known == name) {
            return Ok(Some(CipherSuite(*suite)));
        }
        if name.starts_with("TLS_") && OLD_WAYS.iter().any(|way| name.contains(way)) {
            return Err(format!(
                "TLS cipher suite {name:?} is too weak to be offered: choose among those with ECDHE and GCM or CHACHA20"
            ));
        }
        Err(format!("unexpected TLS cipher suite {name:?}"))
    }
}

/// What a handshake may agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) min_version: Version,
    pub(crate) max_version: Version,
    /// Of TLS 1.2, the most wanted first; None for all.
    pub(crate) cipher_suites: Option<Vec<CipherSuite>>,
}

impl Default for Offer {
    fn default() -> Self {
        Offer {
            min_version: Version::Tls12,
            max_version: Version::Tls13,
            cipher_suites: None,
        }
    }
}

impl Offer {
    pub(super) fn provider(&self) -> CryptoProvider {
        let mut provider = ring::default_provider();
        if let Some(chosen) = &self.cipher_suites {
            provider
                .cipher_suites
                .retain(|suite| suite.tls13().is_some());
            provider
                .cipher_suites
                .extend(chosen.iter().map(|suite| suite.0));
        }
        provider
    }

    pub(super) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let mut versions = vec![Version::Tls13, Version::Tls12];
        versions.retain(|version| (self.min_version..=self.max_version).contains(version));
        if self.cipher_suites.as_ref().is_some_and(Vec::is_empty) {
            versions.retain(|version| *version == Version::Tls13);
        }
        versions.into_iter().map(Version::supported).collect()
    }
}
