//! An agent that tells what it was asked, and echoes what is said in other protocols.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

type Answer = Response<Full<bytes::Bytes>>;

/// Ends with its test.
pub(crate) struct Agent {
    pub(crate) port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agent {
    pub(crate) async fn start() -> Agent {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, acceptor.clone()));
            }
        });
        Agent { port, task }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor) {
    let stream = acceptor.accept(stream).await.unwrap();
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request)) });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // The other side may go at any time.
    let _ = connection.await;
}

fn answer(request: Request<Incoming>) -> Answer {
    let told = told(&request);
    assert!(!request.headers().contains_key("authorization"), "{told}");
    if request.headers().contains_key("upgrade") {
        return echo(request, &told);
    }
    if request.uri().path() == "/apis/things.example/v1" {
        let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "things.example/v1", "resources": [
            {"name": "things", "singularName": "thing", "namespaced": false, "kind": "Thing", "verbs": ["get", "list"]},
        ]});
        return Response::new(Full::new(list.to_string().into()));
    }
    Response::new(Full::new(told.into()))
}

/// What is asked for, and for whom if that is said.
fn told(request: &Request<Incoming>) -> String {
    let told = format!("{} {}", request.method(), request.uri());
    let all = |name: &str| -> Vec<&str> {
        let values = request.headers().get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    };
    match all("x-remote-user")[..] {
        [user] => format!("{told} for {user} of {}", all("x-remote-group").join(",")),
        _ => told,
    }
}

/// Begins the protocol that is asked for, and says in it what it hears.
fn echo(mut request: Request<Incoming>, told: &str) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert("connection", HeaderValue::from_static("Upgrade"));
    headers.insert("upgrade", request.headers()["upgrade"].clone());
    headers.insert("x-told", HeaderValue::from_str(told).unwrap());
    if let Some(protocol) = request.headers().get("x-stream-protocol-version") {
        headers.insert("x-stream-protocol-version", protocol.clone());
    }
    let stream = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(stream.await.unwrap());
        let mut chunk = [0; 1024];
        while let Ok(count) = stream.read(&mut chunk).await {
            if count == 0 || stream.write_all(&chunk[..count]).await.is_err() {
                break;
            }
        }
    });
    answer
}
