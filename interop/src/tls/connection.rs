//! Connections in TLS to a loopback port.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint;

use super::Files;
use crate::client::Client;

/// Time for one whole exchange.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);

/// The newest version that a caller offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    Tls12,
    #[default]
    Tls13,
}

/// Who calls, and whom it trusts.
#[derive(Debug, Clone)]
pub struct Caller {
    pub trusts: PathBuf,
    pub shows: Option<Files>,
    pub version: Version,
}

impl Caller {
    /// Shows no certificate.
    pub fn nobody(trusts: &Path) -> Caller {
        Caller {
            trusts: trusts.to_owned(),
            shows: None,
            version: Version::default(),
        }
    }

    pub fn showing(&self, files: &Files) -> Caller {
        Caller {
            shows: Some(files.clone()),
            ..self.clone()
        }
    }

    pub fn speaking(&self, version: Version) -> Caller {
        Caller {
            version,
            ..self.clone()
        }
    }

    fn config(&self, protocol: &[u8]) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.trusts)? {
            roots.add(certificate?)?;
        }
        let versions = match self.version {
            Version::Tls12 => &[&version::TLS12][..],
            Version::Tls13 => &[&version::TLS12, &version::TLS13][..],
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)?
            .with_root_certificates(roots);
        let mut config = match &self.shows {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let chain: Result<Vec<_>, _> =
                    CertificateDer::pem_file_iter(&files.cert)?.collect();
                builder.with_client_auth_cert(chain?, PrivateKeyDer::from_pem_file(&files.key)?)?
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }

    async fn shake_hands(&self, port: u16, protocol: &[u8]) -> Result<TlsStream<TcpStream>> {
        let config = Arc::new(self.config(protocol)?);
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("localhost")?;
        Ok(TlsConnector::from(config).connect(name, stream).await?)
    }

    /// Asks for a page and gives the whole answer; an error when the caller is not let in.
    pub async fn page(&self, port: u16, path: &str) -> Result<String> {
        let exchange = async {
            let mut stream = self.shake_hands(port, b"http/1.1").await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            match stream.read_to_end(&mut answer).await {
                Ok(_) => {}
                // Some servers close without a word in TLS.
                Err(error)
                    if error.kind() == io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
                Err(error) => return Err(error.into()),
            }
            anyhow::ensure!(!answer.is_empty(), "closed without an answer");
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        tokio::time::timeout(EXCHANGE_TIMEOUT, exchange)
            .await
            .context("no answer")?
    }

    /// What the server shows for itself, as DER.
    pub async fn server_certificate(&self, port: u16) -> Result<Vec<u8>> {
        let stream = self.shake_hands(port, b"http/1.1").await?;
        let shown = stream.get_ref().1.peer_certificates();
        let first = shown.and_then(<[_]>::first).context("no certificate")?;
        Ok(first.to_vec())
    }

    /// A client of the gRPC services, which connects when it is first used.
    pub fn client(&self, port: u16) -> Result<Client> {
        let caller = self.clone();
        let connect = move |_uri| {
            let caller = caller.clone();
            async move {
                let stream = caller.shake_hands(port, b"h2").await;
                stream
                    .map(hyper_util::rt::TokioIo::new)
                    .map_err(io::Error::other)
            }
        };
        let endpoint = Endpoint::from_shared(format!("http://localhost:{port}"))?;
        let channel = endpoint.connect_with_connector_lazy(tower::service_fn(connect));
        Ok(Client::over(channel))
    }
}
