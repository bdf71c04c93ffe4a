//! Connections to the members of the store: one is used until it fails, then the next.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use objects::status::Status;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::{ANSWER_TIMEOUT, refusal};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How the end of a connection is noticed while nothing is sent. grpc-go's servers do not want to be asked more often.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a URL without a port.
const ETCD_PORT: u16 = 2379;
/// How often a read goes round all members before it fails.
const READ_ROUNDS_MAX: usize = 2;

/// What one member answered.
type Asked<T> = Result<T, tonic::Status>;

/// The members of the store.
#[derive(Debug, Clone)]
pub struct Endpoints {
    channels: Arc<[Channel]>,
    current: Arc<AtomicUsize>,
}

/// How members are spoken to in TLS; each part is PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    pub ca: Option<Vec<u8>>,
    /// Certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Endpoints {
    /// Members by their URLs. Connections are made when they are first used.
    ///
    /// # Errors
    ///
    /// If there is no URL, or one is none, or the certificates cannot be used.
    pub fn new(urls: &[String], tls: &Tls) -> Result<Endpoints, String> {
        if urls.is_empty() {
            return Err("no etcd server is named; say --etcd-servers=URL[,URL...]".to_owned());
        }
        let client = tls.client()?;
        if client.is_none()
            && let Some(url) = urls.iter().find(|url| url.starts_with("https://"))
        {
            return Err(format!(
                "{url} is spoken to in TLS: say whom to trust with --etcd-cafile"
            ));
        }
        let channels: Result<Vec<Channel>, String> = urls
            .iter()
            .map(|url| channel(url, client.as_ref()))
            .collect();
        Ok(Endpoints {
            channels: channels?.into(),
            current: Arc::new(AtomicUsize::new(0)),
        })
    }

    /// The member in use, and its place in the list.
    pub(super) fn current(&self) -> (usize, Channel) {
        let place = self.current.load(Ordering::Relaxed) % self.channels.len();
        (place, self.channels[place].clone())
    }

    /// Goes on to the next member, unless somebody did so already.
    pub(super) fn leave(&self, place: usize) {
        let next = (place + 1) % self.channels.len();
        // Losing this race means that another one has left the member.
        let _ = self
            .current
            .compare_exchange(place, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A request that may be asked again elsewhere.
    pub(super) async fn read<T, A: Future<Output = Asked<T>> + Send>(
        &self,
        ask: impl Fn(Channel) -> A,
    ) -> Result<T, Status> {
        let mut last = None;
        for _ in 0..self.channels.len() * READ_ROUNDS_MAX {
            match self.attempt(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(status) if is_elsewhere(&status) => last = Some(status),
                Err(status) => return Err(refusal(&status)),
            }
        }
        Err(last.as_ref().map_or_else(
            || Status::internal("no member of the store was asked"),
            refusal,
        ))
    }

    /// A request that may have had an effect: it goes to another member only if it never left this process.
    pub(super) async fn write<T, A: Future<Output = Asked<T>> + Send>(
        &self,
        ask: impl Fn(Channel) -> A,
    ) -> Result<T, Status> {
        let mut last = None;
        for _ in 0..self.channels.len() {
            match self.attempt(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(status) if was_never_sent(&status) => last = Some(status),
                Err(status) => return Err(unclear(&status)),
            }
        }
        Err(last.as_ref().map_or_else(
            || Status::internal("no member of the store was asked"),
            refusal,
        ))
    }

    async fn attempt<T, A: Future<Output = Asked<T>> + Send>(
        &self,
        ask: &impl Fn(Channel) -> A,
    ) -> Asked<T> {
        let (place, channel) = self.current();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, ask(channel)).await;
        let answer = answer.unwrap_or_else(|_elapsed| {
            Err(tonic::Status::deadline_exceeded("no answer from the store"))
        });
        if let Err(status) = &answer
            && is_elsewhere(status)
        {
            tracing::debug!(member = place, error = %status, "a member of the store failed");
            self.leave(place);
        }
        answer
    }
}

/// A write that failed after it was sent. Clients send again by themselves what they are told to try later, so they are told that only
/// where the store refused to look at it.
fn unclear(status: &tonic::Status) -> Status {
    let mut told = refusal(status);
    if status.code() != tonic::Code::ResourceExhausted {
        told.retry_after_seconds = 0;
    }
    told
}

/// Whether another member may be able to do what this one could not.
fn is_elsewhere(status: &tonic::Status) -> bool {
    matches!(
        status.code(),
        tonic::Code::Unavailable | tonic::Code::DeadlineExceeded | tonic::Code::Unknown
    )
}

/// Whether a request failed because there was no connection to send it on.
fn was_never_sent(status: &tonic::Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// A connection to a member, made when it is first used. TLS is done here: the URL that tonic sees is a plain one, for with its own
/// support for TLS it would refuse the connections of others in this program that secure themselves.
fn channel(url: &str, client: Option<&Arc<ClientConfig>>) -> Result<Channel, String> {
    let (scheme, place) = url.split_once("://").unwrap_or(("http", url));
    let place = place.trim_end_matches('/');
    let wrong =
        |why: &dyn std::fmt::Display| format!("{url:?} is not a URL of an etcd server: {why}");
    if !matches!(scheme, "http" | "https") {
        return Err(wrong(&format!("its scheme is {scheme}")));
    }
    let endpoint = Endpoint::from_shared(format!("http://{place}"))
        .map_err(|error| wrong(&error))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .tcp_nodelay(true);
    let Some(client) = client.filter(|_| scheme == "https") else {
        return Ok(endpoint.connect_lazy());
    };
    let connector = TlsConnector::from(client.clone());
    Ok(
        endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: Uri| {
            secured(uri, connector.clone())
        })),
    )
}

async fn secured(uri: Uri, connector: TlsConnector) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = uri.port_u16().unwrap_or(ETCD_PORT);
    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(connector.connect(name, stream).await?))
}

impl Tls {
    /// How a member is connected with in TLS; none if nothing says whom to trust.
    fn client(&self) -> Result<Option<Arc<ClientConfig>>, String> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ca) {
            let root =
                root.map_err(|error| format!("the file of --etcd-cafile is no PEM: {error}"))?;
            roots
                .add(root)
                .map_err(|error| format!("--etcd-cafile: {error}"))?;
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut client = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain: Result<Vec<_>, _> =
                    CertificateDer::pem_slice_iter(certificate).collect();
                let chain = chain
                    .map_err(|error| format!("the file of --etcd-certfile is no PEM: {error}"))?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| format!("the file of --etcd-keyfile is no key: {error}"))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| format!("--etcd-certfile: {error}"))?
            }
        };
        client.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Arc::new(client)))
    }
}
