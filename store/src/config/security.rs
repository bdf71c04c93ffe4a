//! What the TLS flags of one kind of port say, with etcd's checks and etcd's texts.

use std::path::PathBuf;

use super::url::Url;
use super::values::Values;
use crate::tls::{Allowed, CipherSuite, Offer, Pair, Version};

/// The TLS flags of client ports, or of peer ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    pub(crate) own: Option<Pair>,
    /// What is shown to other members; `own` when not given.
    pub(crate) own_as_client: Option<Pair>,
    pub(crate) trusted_ca_file: Option<PathBuf>,
    pub(crate) client_cert_auth: bool,
    pub(crate) crl_file: Option<PathBuf>,
    pub(crate) allowed: Allowed,
    pub(crate) checks_client_host: bool,
    pub(crate) auto_tls: bool,
    pub(crate) self_signed_cert_validity_years: u64,
    pub(crate) offer: Offer,
}

impl Security {
    /// Whether a connection can be secured at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_none() && !self.auto_tls
    }

    /// Whether one that connects has to show a certificate. As with etcd, naming authorities is enough to ask for it.
    pub(crate) fn wants_client_certificate(&self) -> bool {
        self.client_cert_auth || self.trusted_ca_file.is_some()
    }

    /// The flags of client ports.
    pub(super) fn of_clients(values: &mut Values) -> Result<Security, String> {
        let hostnames = list(values.text("client-cert-allowed-hostname"));
        let mut security = read(values, "")?;
        security.crl_file = path(values, "client-crl-file");
        if !hostnames.is_empty() {
            security.allowed = Allowed::Hostnames(hostnames);
        }
        ignore_auto(values, &mut security, "client");
        security.check_rules("")?;
        Ok(security)
    }

    /// Rules for certificates that nobody is asked for would let everyone in.
    fn check_rules(&self, prefix: &str) -> Result<(), String> {
        let has_rules = self.crl_file.is_some() || self.allowed != Allowed::Anyone;
        if has_rules && !self.is_empty() && !self.wants_client_certificate() {
            return Err(format!(
                "a revocation list or a list of allowed names needs --{prefix}trusted-ca-file or \
                 --{prefix}client-cert-auth: certificates are not asked for without"
            ));
        }
        Ok(())
    }

    /// The flags of peer ports.
    pub(super) fn of_peers(values: &mut Values) -> Result<Security, String> {
        let names = list(values.text("peer-cert-allowed-cn"));
        let hostnames = list(values.text("peer-cert-allowed-hostname"));
        let mut security = read(values, "peer-")?;
        security.crl_file = path(values, "peer-crl-file");
        security.checks_client_host = !values.bool("peer-skip-client-san-verification");
        security.allowed = match (names.is_empty(), hostnames.is_empty()) {
            (true, true) => Allowed::Anyone,
            (false, true) => Allowed::CommonNames(names),
            (true, false) => Allowed::Hostnames(hostnames),
            (false, false) => {
                return Err(format!(
                    "AllowedCNs and AllowedHostnames are mutually exclusive (cns={names:?}, hostnames={hostnames:?})"
                ));
            }
        };
        ignore_auto(values, &mut security, "peer");
        if security.auto_tls && security.wants_client_certificate() {
            return Err(
                "--peer-auto-tls makes certificates that nobody has signed: leave out --peer-client-cert-auth and \
                 --peer-trusted-ca-file, or give --peer-cert-file and --peer-key-file"
                    .to_owned(),
            );
        }
        security.check_rules("peer-")?;
        Ok(security)
    }
}

/// The flags that both have, the ones of peers with a prefix.
fn read(values: &Values, prefix: &str) -> Result<Security, String> {
    let flag = |name: &str| format!("{prefix}{name}");
    let own = match pair(values, &flag("cert-file"), &flag("key-file")) {
        Ok(own) => own,
        Err((cert, key)) => {
            return Err(format!(
                "KeyFile and CertFile must both be present[key: {key}, cert: {cert}]"
            ));
        }
    };
    let names = (flag("client-cert-file"), flag("client-key-file"));
    let own_as_client = pair(values, &names.0, &names.1).map_err(|(cert, key)| {
        format!(
            "ClientKeyFile and ClientCertFile must both be present or both absent: key: {key}, cert: {cert}]"
        )
    })?;
    Ok(Security {
        own,
        own_as_client,
        trusted_ca_file: path(values, &flag("trusted-ca-file")),
        client_cert_auth: values.bool(&flag("client-cert-auth")),
        auto_tls: values.bool(&flag("auto-tls")),
        self_signed_cert_validity_years: values.unsigned("self-signed-cert-validity"),
        offer: offer(values)?,
        ..Security::default()
    })
}

fn ignore_auto(values: &mut Values, security: &mut Security, kind: &str) {
    if security.auto_tls && security.own.is_some() {
        security.auto_tls = false;
        values
            .warnings
            .push(format!("ignoring {kind} auto TLS since certs given"));
    }
}

fn path(values: &Values, flag: &str) -> Option<PathBuf> {
    Some(values.text(flag))
        .filter(|text| !text.is_empty())
        .map(PathBuf::from)
}

/// Both files or none; the two texts when only one of them is given.
fn pair(values: &Values, cert: &str, key: &str) -> Result<Option<Pair>, (String, String)> {
    match (path(values, cert), path(values, key)) {
        (None, None) => Ok(None),
        (Some(cert_file), Some(key_file)) => Ok(Some(Pair {
            cert_file,
            key_file,
        })),
        _ => Err((values.text(cert).to_owned(), values.text(key).to_owned())),
    }
}

fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn offer(values: &Values) -> Result<Offer, String> {
    let min_version = Version::parse(values.text("tls-min-version"))?;
    let max_version = Version::parse(values.text("tls-max-version"))?;
    let names = list(values.text("cipher-suites"));
    let (least, most) = (
        min_version.unwrap_or(Version::Tls12),
        max_version.unwrap_or(Version::Tls13),
    );
    if least > most {
        return Err(format!(
            "min version ({}) is greater than max version ({})",
            values.text("tls-min-version"),
            values.text("tls-max-version")
        ));
    }
    if least == Version::Tls13 && !names.is_empty() {
        return Err("cipher suites cannot be configured when only TLS1.3 is enabled".to_owned());
    }
    let mut cipher_suites = Vec::new();
    for name in &names {
        if let Some(suite) = CipherSuite::parse(name)?
            && !cipher_suites.contains(&suite)
        {
            cipher_suites.push(suite);
        }
    }
    if most == Version::Tls12 && !names.is_empty() && cipher_suites.is_empty() {
        return Err("--cipher-suites names no suite of TLS1.2, and --tls-max-version allows no other version".to_owned());
    }
    Ok(Offer {
        min_version: least,
        max_version: most,
        cipher_suites: (!names.is_empty()).then_some(cipher_suites),
    })
}

/// What etcd warns about and refuses before it listens. `flag` names the URLs in a warning.
pub(super) fn check_urls(
    values: &mut Values,
    security: &Security,
    (key, urls): (&str, &[Url]),
) -> Result<(), String> {
    let auth_flag = if key == "peer-url" {
        "--peer-client-cert-auth"
    } else {
        "--client-cert-auth"
    };
    for url in urls {
        if url.is_secure() {
            if security.is_empty() {
                return Err(missing(key, url));
            }
            continue;
        }
        if !security.is_empty() {
            values.warnings.push(format!(
                "scheme is http or unix while key and cert files are present; ignoring key and cert files ({key} {url})"
            ));
        }
        if security.client_cert_auth {
            values.warnings.push(format!(
                "scheme is http or unix while {auth_flag} is enabled; ignoring client cert auth for this URL ({key} {url})"
            ));
        }
    }
    Ok(())
}

fn missing(key: &str, url: &Url) -> String {
    if key == "client-url" {
        format!(
            "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with HTTPS scheme"
        )
    } else {
        let address = url.as_str().trim_start_matches("https://");
        format!("cannot listen on TLS for {address}: KeyFile and CertFile are not presented")
    }
}

#[cfg(test)]
mod tests;
