//! The answering side of a handshake.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::certificate::Certificate;
use super::reload::Reloaded;
use super::rules::OfClients;
use super::settings::Settings;
use super::stream::Stream;
use super::{files, san};

/// The first byte of a TLS connection: a handshake record (RFC 8446, 5.1). No request begins with it.
const HANDSHAKE_RECORD: u8 = 22;

/// What is spoken in TLS, the most wanted first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Secures connections that were accepted; clones share what was read from the files.
#[derive(Clone)]
pub(crate) struct Acceptor {
    config: Arc<Reloaded<ServerConfig>>,
    checks_client_host: bool,
    names_clients: bool,
}

/// A connection that may speak.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    /// Of the client's certificate, which was verified. None without a certificate or a name in it, and where certificates
    /// are no credentials.
    pub(crate) common_name: Option<String>,
}

impl Acceptor {
    /// Reads the files.
    pub(crate) fn new(settings: Settings) -> anyhow::Result<Acceptor> {
        let (checks_client_host, names_clients) =
            (settings.checks_client_host, settings.names_clients);
        let paths = settings.paths(&settings.own);
        let build = move || server_config(&settings);
        let config = Reloaded::new("the certificates of a listener", paths, build)?;
        Ok(Acceptor {
            config,
            checks_client_host,
            names_clients,
        })
    }

    /// Shakes hands. The caller bounds the time.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Accepted> {
        let from = stream.peer_addr()?.ip();
        let config = self.config.current().await;
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates();
        let certificate = match shown.and_then(<[_]>::first) {
            None => None,
            Some(certificate) => Some(Certificate::read(certificate).ok_or_else(|| {
                io::Error::other("a certificate whose names cannot be read was shown")
            })?),
        };
        if let Some(certificate) = &certificate
            && self.checks_client_host
        {
            san::check(certificate, from)
                .await
                .map_err(io::Error::other)?;
        }
        Ok(Accepted {
            stream: Stream::Tls(Box::new(stream)),
            common_name: certificate
                .map(|certificate| certificate.common_name)
                .filter(|name| self.names_clients && !name.is_empty()),
        })
    }
}

/// Sessions are not resumed: a certificate is looked at whenever its owner connects.
fn server_config(settings: &Settings) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(settings.offer.provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&settings.offer.versions())?;
    let builder = if settings.wants_client_certificate {
        let roots = Arc::new(files::authorities(settings.trusted_ca_file.as_deref())?);
        let inner = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
        let rules = settings.rules()?;
        builder.with_client_cert_verifier(Arc::new(OfClients { inner, rules }))
    } else {
        builder.with_no_client_auth()
    };
    let (chain, key) = settings.own.load()?;
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// What a port speaks below HTTP.
#[derive(Clone)]
pub(crate) enum Wire {
    Plain,
    Tls(Acceptor),
    /// Whichever of them the client begins with.
    Both(Acceptor),
}

impl Wire {
    /// Makes a connection ready for its first request. The caller bounds the time.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Accepted> {
        match self {
            Wire::Plain => Ok(plain(stream)),
            Wire::Tls(acceptor) => acceptor.accept(stream).await,
            Wire::Both(acceptor) => {
                let mut first = [0];
                let length = stream.peek(&mut first).await?;
                if first[..length] == [HANDSHAKE_RECORD] {
                    acceptor.accept(stream).await
                } else {
                    Ok(plain(stream))
                }
            }
        }
    }
}

fn plain(stream: TcpStream) -> Accepted {
    Accepted {
        stream: Stream::Plain(stream),
        common_name: None,
    }
}
