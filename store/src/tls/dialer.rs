//! The asking side of a handshake.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::TlsStream;
use super::files::{self, Pair};
use super::reload::Reloaded;
use super::rules::{OfServers, Rules, Unverified};
use super::settings::{Allowed, Settings};
use super::suites::Offer;

/// Whom one that dials believes, and what it shows for itself.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Whether a certificate is looked at at all.
    pub verifies: bool,
    /// Who signs the certificates of others; None for whom the system trusts.
    pub trusted_ca_file: Option<PathBuf>,
    pub own: Option<Pair>,
}

/// Secures connections that are dialled; clones share what was read from the files.
#[derive(Clone)]
pub struct Dialer(Arc<Reloaded<ClientConfig>>);

impl Dialer {
    /// For a client. Reads the files.
    ///
    /// # Errors
    /// When one of them cannot be read, or is not what it should be.
    pub fn of_client(trust: Trust) -> anyhow::Result<Dialer> {
        let mut paths: Vec<PathBuf> = trust.trusted_ca_file.iter().cloned().collect();
        if let Some(own) = &trust.own {
            paths.extend([own.cert_file.clone(), own.key_file.clone()]);
        }
        let build = move || {
            let rules = Rules::load(None, Allowed::Anyone)?;
            client_config(&trust, &Offer::default(), rules)
        };
        let config = Reloaded::new("the certificates of a client", paths, build)?;
        Ok(Dialer(config))
    }

    /// For a member, towards others. Reads the files.
    pub(crate) fn new(settings: Settings) -> anyhow::Result<Dialer> {
        let paths = settings.paths(&settings.own_as_client);
        let trust = Trust {
            verifies: !settings.is_self_signed,
            trusted_ca_file: settings.trusted_ca_file.clone(),
            own: Some(settings.own_as_client.clone()),
        };
        let build = move || client_config(&trust, &settings.offer, settings.rules()?);
        let config = Reloaded::new("the certificates for other members", paths, build)?;
        Ok(Dialer(config))
    }

    /// Shakes hands. The caller bounds the time.
    ///
    /// # Errors
    /// When the connection breaks, or one side does not let the other in.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let config = self.0.current().await;
        TlsConnector::from(config).connect(name, stream).await
    }
}

fn client_config(trust: &Trust, offer: &Offer, rules: Rules) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(offer.provider());
    let verifier: Arc<dyn ServerCertVerifier> = if trust.verifies {
        let roots = Arc::new(files::authorities(trust.trusted_ca_file.as_deref())?);
        let inner =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
        Arc::new(OfServers { inner, rules })
    } else {
        Arc::new(Unverified::new(&provider))
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&offer.versions())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &trust.own {
        Some(own) => {
            let (chain, key) = own.load()?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
