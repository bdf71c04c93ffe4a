//! An etcd and an apiserver over it, for one test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apiserver::{Config, Server};
use hyper_util::rt::TokioIo;
use proto::api::objects_client::ObjectsClient;
use proto::api::{Event, Target, WatchResponse};
use proto::etcdserverpb::PutRequest;
use proto::etcdserverpb::kv_client::KvClient;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Streaming;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::stock;

/// Time until everything answers, or a stream tells its next event.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at whether the server is ready.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The processes and files of one test.
pub(crate) struct Cluster {
    server: Server,
    store: String,
    _etcd: stock::Etcd,
    files: TempDir,
}

/// Puts a token into every call.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Interceptor for Token {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        let value = MetadataValue::try_from(format!("Bearer {}", self.0)).unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

impl Cluster {
    pub(crate) async fn start() -> Cluster {
        Cluster::start_with(&[]).await
    }

    /// Starts a server with more flags.
    pub(crate) async fn start_with(flags: &[&str]) -> Cluster {
        Cluster::start_from(flags, &[]).await
    }

    /// Starts a server with more flags, in which `{}` is the folder of some files.
    pub(crate) async fn start_from(flags: &[&str], texts: &[(&str, &str)]) -> Cluster {
        let files = tempfile::tempdir().unwrap();
        let (etcd, client) = stock::start(files.path());
        write_before(&client).await;
        let words = stock::words(files.path(), &client, flags, texts);
        let config = Config::parse_words(words).unwrap();
        let server = Server::start(&config).await.unwrap();
        let registry = server.front.registry.clone();
        let ready = async {
            let feed = &registry.feed;
            while !registry.resources.table().is_whole
                || !feed.is_loaded()
                || !has_default_namespace(feed)
            {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.unwrap();
        Cluster {
            server,
            store: client,
            _etcd: etcd,
            files,
        }
    }

    /// Puts a server over another address of the store in the place of the one that there is, and does not wait until it is ready.
    #[allow(dead_code, reason = "few tests are about starts")]
    pub(crate) async fn start_again(&mut self, store: &str) {
        let words = stock::words(self.files.path(), store, &[], &[]);
        let config = Config::parse_words(words).unwrap();
        let server = Server::start(&config).await.unwrap();
        let before = std::mem::replace(&mut self.server, server);
        before.stop().await.unwrap();
    }

    /// Where the store listens.
    #[allow(dead_code, reason = "few tests look behind the server")]
    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// A connection in which a protocol is spoken, and whose bytes a test writes itself.
    #[allow(dead_code, reason = "tests of gRPC alone need none")]
    pub(crate) async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        secured(&self.tls(protocol), self.server.address)
            .await
            .unwrap()
    }

    /// TLS of our own: tonic's would change how the whole program connects.
    fn tls(&self, protocol: &[u8]) -> TlsConnector {
        let certificate = std::fs::read(self.files.path().join("certs/apiserver.crt")).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&certificate).unwrap())
            .unwrap();
        let mut tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![protocol.to_vec()];
        TlsConnector::from(Arc::new(tls))
    }

    pub(crate) async fn client(
        &self,
        token: &str,
    ) -> ObjectsClient<InterceptedService<Channel, Token>> {
        let (connector, address) = (self.tls(b"h2"), self.server.address);
        let connect = move |_: Uri| {
            let connector = connector.clone();
            async move { std::io::Result::Ok(TokioIo::new(secured(&connector, address).await?)) }
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint
            .connect_with_connector(tower::service_fn(connect))
            .await
            .unwrap();
        ObjectsClient::with_interceptor(channel, Token(token.to_owned()))
    }

    /// Stops the server and gives its files, which are gone when that is dropped.
    pub(crate) async fn stopped(self) -> TempDir {
        self.server.stop().await.unwrap();
        self.files
    }

    pub(crate) async fn stop(self) {
        self.stopped().await;
    }
}

async fn secured(
    connector: &TlsConnector,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    connector.connect(name, stream).await
}

/// Writes to the store what no server has seen, so that there are versions older than what it remembers.
async fn write_before(address: &str) {
    let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
    let writing = async {
        loop {
            if let Ok(channel) = endpoint.connect().await {
                let request = PutRequest {
                    key: "other".into(),
                    ..PutRequest::default()
                };
                if KvClient::new(channel).put(request).await.is_ok() {
                    break;
                }
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, writing).await.unwrap();
}

fn has_default_namespace(feed: &apiserver::cache::Feed) -> bool {
    feed.cache("/namespaces/")
        .is_some_and(|cache| cache.get("default").is_some())
}

pub(crate) fn pods(name: &str) -> Target {
    Target {
        version: "v1".to_owned(),
        resource: "pods".to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        ..Target::default()
    }
}

pub(crate) fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}})
}

/// The next event of a watch.
pub(crate) async fn event(
    stream: &mut Streaming<WatchResponse>,
    waiting: &mut Vec<Event>,
) -> Event {
    while waiting.is_empty() {
        let message = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .unwrap();
        waiting.extend(message.unwrap().unwrap().events);
    }
    waiting.remove(0)
}
