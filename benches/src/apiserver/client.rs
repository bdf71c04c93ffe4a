//! Requests as client-go sends them: over TLS and one HTTP/2 connection, with a bearer token.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::apiserver::servers::TOKEN;

/// Windows as Go's client has them.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

pub const JSON: &str = "application/json";
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub accept: &'static str,
    pub gzip: bool,
    pub content_type: &'static str,
    pub body: Bytes,
}

impl Call {
    pub fn get(path: impl Into<String>) -> Call {
        Call::send(Method::GET, path, JSON, Bytes::new())
    }

    pub fn send(
        method: Method,
        path: impl Into<String>,
        content_type: &'static str,
        body: Bytes,
    ) -> Call {
        Call {
            method,
            path: path.into(),
            accept: JSON,
            gzip: false,
            content_type,
            body,
        }
    }

    pub fn accept(self, accept: &'static str) -> Call {
        Call { accept, ..self }
    }
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// A connection.
#[derive(Clone, Debug)]
pub struct Client {
    sender: http2::SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Client {
    /// As whom the token says.
    pub async fn connect(address: SocketAddr) -> Result<Client> {
        Client::connect_with(address, config()?).await
    }

    /// As whom a certificate says, whose file and whose key's file are these.
    pub async fn connect_as(address: SocketAddr, own: (&Path, &Path)) -> Result<Client> {
        Client::connect_with(address, config_of(own)?).await
    }

    async fn connect_with(address: SocketAddr, config: ClientConfig) -> Result<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        // It ends with the last sender, and what fails on it fails the requests.
        tokio::spawn(connection);
        Ok(Client { sender, address })
    }

    /// Sends a request; the answer's body is still to come.
    pub async fn open(&self, call: Call) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("https://{}{}", self.address, call.path))
            .header(AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(ACCEPT, call.accept);
        if call.gzip {
            request = request.header(ACCEPT_ENCODING, "gzip");
        }
        if !call.body.is_empty() {
            request = request.header(CONTENT_TYPE, call.content_type);
        }
        let mut sender = self.sender.clone();
        sender.ready().await?;
        Ok(sender
            .send_request(request.body(Full::new(call.body))?)
            .await?)
    }

    /// Sends a request and reads the whole answer.
    pub async fn ask(&self, call: Call) -> Result<Answer> {
        let answer = self.open(call).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }

    /// As `ask`; an answer that is no success is an error.
    pub async fn done(&self, call: Call) -> Result<Bytes> {
        let what = format!("{} {}", call.method, call.path);
        let answer = self.ask(call).await.with_context(|| what.clone())?;
        ensure!(
            answer.status.is_success(),
            "{what}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)])
        );
        Ok(answer.body)
    }
}

fn config() -> Result<ClientConfig> {
    Ok(over_http2(trusting()?.with_no_client_auth()))
}

fn config_of((certificate, key): (&Path, &Path)) -> Result<ClientConfig> {
    let certificates = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    Ok(over_http2(
        trusting()?.with_client_auth_cert(certificates, key)?,
    ))
}

fn trusting() -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous();
    Ok(builder.with_custom_certificate_verifier(Arc::new(Anyone(provider))))
}

fn over_http2(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// Takes every certificate: the server was started here, and certified itself.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
