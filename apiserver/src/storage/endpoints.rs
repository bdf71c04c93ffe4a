//! Connections to the members of the store: one is used until it fails, then the next.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use objects::status::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{ANSWER_TIMEOUT, refusal};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How the end of a connection is noticed while nothing is sent. grpc-go's servers do not want to be asked more often.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
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
        let channels: Result<Vec<Channel>, String> =
            urls.iter().map(|url| channel(url, tls)).collect();
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

fn channel(url: &str, tls: &Tls) -> Result<Channel, String> {
    let url = if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    };
    let mut endpoint = Endpoint::from_shared(url.clone())
        .map_err(|error| format!("{url:?} is not a URL of an etcd server: {error}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .tcp_nodelay(true);
    if url.starts_with("https://") {
        let mut config = ClientTlsConfig::new();
        if let Some(ca) = &tls.ca {
            config = config.ca_certificate(Certificate::from_pem(ca));
        }
        if let Some((certificate, key)) = &tls.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        endpoint = endpoint
            .tls_config(config)
            .map_err(|error| format!("cannot use the certificates for {url}: {error}"))?;
    }
    Ok(endpoint.connect_lazy())
}
