//! The asking side of a handshake, towards other members.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::files;
use super::reload::Reloaded;
use super::rules::{OfServers, Rules, Unverified};
use super::settings::Settings;

/// Secures connections to other members; clones share what was read from the files.
#[derive(Clone)]
pub(crate) struct Dialer(Arc<Reloaded<ClientConfig>>);

impl Dialer {
    /// Reads the files.
    pub(crate) fn new(settings: Settings) -> anyhow::Result<Dialer> {
        let paths = settings.paths(&settings.own_as_client);
        let build = move || client_config(&settings);
        let config = Reloaded::new("the certificates for other members", paths, build)?;
        Ok(Dialer(config))
    }

    /// Shakes hands. The caller bounds the time.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let config = self.0.current().await;
        TlsConnector::from(config).connect(name, stream).await
    }
}

fn client_config(settings: &Settings) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(settings.offer.provider());
    let verifier: Arc<dyn ServerCertVerifier> = if settings.is_self_signed {
        Arc::new(Unverified::new(&provider))
    } else {
        let roots = Arc::new(files::authorities(settings.trusted_ca_file.as_deref())?);
        let inner =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
        let rules = Rules::load(settings)?;
        Arc::new(OfServers { inner, rules })
    };
    let (chain, key) = settings.own_as_client.load()?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&settings.offer.versions())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
