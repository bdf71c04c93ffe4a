//! An etcd, an apiserver with flags of the test's choice over it, and a plain HTTP client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use apiserver::{Config, Server};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::{CompactionRequest, PutRequest, RangeRequest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::stock;

/// Time until something that is waited for is there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at it.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The processes and files of one test.
pub(crate) struct Cluster {
    server: Server,
    etcd: KvClient<Channel>,
    _etcd: stock::Etcd,
    files: TempDir,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// An answer that was read to its end.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Waits until something is so.
pub(crate) async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap()
}

async fn put(etcd: &KvClient<Channel>, key: &str, value: &[u8]) {
    let request = PutRequest {
        key: key.to_owned().into(),
        value: value.to_vec().into(),
        ..PutRequest::default()
    };
    etcd.clone().put(request).await.unwrap();
}

impl Cluster {
    /// Starts both. `{}` in a flag stands for the folder of `files`, which are written before.
    pub(crate) async fn start(flags: &[&str], files: &[(&str, &str)]) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let (etcd, url) = stock::start(folder.path());
        let words = stock::words(folder.path(), &url, flags, files);
        let endpoint = Endpoint::from_shared(url).unwrap();
        let channel = until(async || endpoint.connect().await.ok()).await;
        let etcd_client = KvClient::new(channel);
        // There is a version older than what the server remembers.
        put(&etcd_client, "other", b"").await;
        let server = Server::start(&Config::parse_words(words).unwrap())
            .await
            .unwrap();
        let registry = server.front.registry.clone();
        until(async || {
            let feed = &registry.feed;
            let namespaces = feed.cache("/namespaces/")?;
            let knows = registry.resources.table().is_whole && feed.is_loaded();
            (knows && namespaces.get("default").is_some()).then_some(())
        })
        .await;
        Cluster {
            server,
            etcd: etcd_client,
            _etcd: etcd,
            files: folder,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// What the store has under a key.
    pub(crate) async fn stored(&self, key: &str) -> Bytes {
        let request = RangeRequest {
            key: key.to_owned().into(),
            ..RangeRequest::default()
        };
        let answer = self.etcd.clone().range(request).await.unwrap();
        answer.into_inner().kvs.remove(0).value
    }

    /// Makes the store forget what is older than now.
    pub(crate) async fn compact(&self) {
        let mut etcd = self.etcd.clone();
        let any = RangeRequest {
            key: "any".into(),
            ..RangeRequest::default()
        };
        let answer = etcd.range(any).await.unwrap().into_inner();
        let now = answer.header.unwrap().revision;
        let request = CompactionRequest {
            revision: now,
            physical: true,
        };
        etcd.compact(request).await.unwrap();
    }

    /// Writes to the store past the server.
    pub(crate) async fn store(&self, key: &str, value: &[u8]) {
        put(&self.etcd, key, value).await;
    }

    /// Sends a request as the administrator, unless it says otherwise, on a connection of its own.
    pub(crate) async fn send(
        &self,
        protocol: Protocol,
        mut request: Request<Full<Bytes>>,
    ) -> Response<Incoming> {
        let headers = request.headers_mut();
        headers
            .entry("authorization")
            .or_insert("Bearer admin-token".parse().unwrap());
        headers
            .entry("user-agent")
            .or_insert("rest-test".parse().unwrap());
        let certificate = std::fs::read(self.file("certs/apiserver.crt")).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&certificate).unwrap())
            .unwrap();
        let mut tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        if protocol == Protocol::Http2 {
            tls.alpn_protocols = vec![b"h2".to_vec()];
        }
        let stream = TcpStream::connect(self.server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(tls));
        let stream = TokioIo::new(connector.connect(name, stream).await.unwrap());
        match protocol {
            Protocol::Http1 => {
                request
                    .headers_mut()
                    .insert("host", "localhost".parse().unwrap());
                let (mut sender, connection) = http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
            Protocol::Http2 => {
                let path = request.uri().to_string();
                *request.uri_mut() = format!("https://localhost{path}").parse().unwrap();
                let executor = TokioExecutor::new();
                let (mut sender, connection) = http2::handshake(executor, stream).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&self, protocol: Protocol, request: Request<Full<Bytes>>) -> Answer {
        let answer = self.send(protocol, request).await;
        let (head, body) = answer.into_parts();
        Answer {
            code: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}

/// A request; the content type is JSON's where there is a body.
pub(crate) fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let body = body.into();
    let mut builder = Request::builder().method(method).uri(path);
    if !body.is_empty() {
        builder = builder.header("content-type", "application/json");
    }
    builder.body(Full::new(body)).unwrap()
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
