//! A client of an apiserver's REST over TLS: one connection, each request made once and never again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, crypto};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Time for a connection and its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for an answer; then nobody knows what came of the request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of one answer, and of one line of a watch.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Who a client is, for apiservers that are started with it.
pub(crate) const TOKEN: &str = "chaos-token";

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// The request never left.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may have arrived.
    #[error("{0}")]
    Lost(String),
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

/// What is asked of a server.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// What the body is, and the body.
    pub(crate) body: Option<(&'static str, Value)>,
}

impl Ask {
    pub(crate) fn get(path: impl Into<String>) -> Ask {
        Ask {
            method: Method::GET,
            path: path.into(),
            body: None,
        }
    }
}

/// Where an apiserver is, and a connection to it while there is one.
#[derive(Debug)]
pub(crate) struct Client {
    port: u16,
    tls: Arc<ClientConfig>,
    connection: Option<SendRequest<Full<Bytes>>>,
    driving: JoinSet<()>,
}

impl Client {
    pub(crate) fn new(port: u16) -> Client {
        Client {
            port,
            tls: trusting(),
            connection: None,
            driving: JoinSet::new(),
        }
    }

    /// Speaks to another server from now on.
    pub(crate) fn turn_to(&mut self, port: u16) {
        *self = Client::new(port);
    }

    /// Asks, and waits for the whole answer.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Result<Answer, NoAnswer> {
        let (code, body) = self.begin(ask).await?;
        let whole = timeout(
            ANSWER_TIMEOUT,
            http_body_util::Limited::new(body, ANSWER_BYTES_MAX).collect(),
        );
        let bytes = match whole.await {
            Ok(Ok(whole)) => whole.to_bytes(),
            Ok(Err(error)) => return Err(self.lose(format!("in the answer: {error}"))),
            Err(_) => return Err(self.lose("the answer does not end".to_owned())),
        };
        // What is no JSON is text of a health check.
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Answer { code, body })
    }

    /// Asks, and leaves the answer's body to be read piece by piece.
    pub(crate) async fn begin(&mut self, ask: Ask) -> Result<(u16, Incoming), NoAnswer> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => self.connect().await.map_err(NoAnswer::NotSent)?,
        };
        if let Err(error) = connection.ready().await {
            return Err(NoAnswer::NotSent(error.to_string()));
        }
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::ACCEPT, "application/json");
        let mut bytes = Bytes::new();
        if let Some((kind, body)) = ask.body {
            request = request.header(header::CONTENT_TYPE, kind);
            bytes = body.to_string().into();
        }
        let request = request
            .body(Full::new(bytes))
            .map_err(|error| NoAnswer::NotSent(error.to_string()))?;
        match timeout(ANSWER_TIMEOUT, connection.send_request(request)).await {
            Ok(Ok(response)) => {
                self.connection = Some(connection);
                Ok((response.status().as_u16(), response.into_body()))
            }
            Ok(Err(error)) => Err(self.lose(error.to_string())),
            Err(_) => Err(self.lose("no answer in time".to_owned())),
        }
    }

    /// Nothing more comes over this connection.
    fn lose(&mut self, why: String) -> NoAnswer {
        self.connection = None;
        self.driving.abort_all();
        NoAnswer::Lost(why)
    }

    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, String> {
        self.driving.abort_all();
        let connecting = async {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").expect("it is a name");
            TlsConnector::from(self.tls.clone())
                .connect(name, stream)
                .await
        };
        let stream = timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_elapsed| "no connection in time".to_owned())?
            .map_err(|error| error.to_string())?;
        let (sender, connection) = timeout(CONNECT_TIMEOUT, handshake(TokioIo::new(stream)))
            .await
            .map_err(|_elapsed| "no handshake in time".to_owned())?
            .map_err(|error| error.to_string())?;
        self.driving.spawn(async move {
            // How it ended shows in the requests.
            connection.await.ok();
        });
        Ok(sender)
    }
}

/// Lines of a watch.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(body: Incoming) -> Lines {
        Lines {
            body,
            rest: Vec::new(),
        }
    }

    /// The next line; none when the stream ends, however it does. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                return Some(self.rest.drain(..=end).collect());
            }
            if self.rest.len() > ANSWER_BYTES_MAX {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(data) = frame.data_ref() {
                self.rest.extend_from_slice(data);
            }
        }
    }
}

/// TLS that takes every certificate: the servers were started here, and are reached on loopback.
fn trusting() -> Arc<ClientConfig> {
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

#[derive(Debug)]
struct Trusting(Arc<crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
