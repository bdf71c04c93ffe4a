//! An agent that tells what it was asked, and echoes what is said in other protocols.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

type Answer = Response<Full<bytes::Bytes>>;

/// Ends with its test.
pub(crate) struct Agent {
    pub(crate) port: u16,
    /// How often it was asked what is used.
    pub(crate) summaries: Arc<AtomicUsize>,
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
        let summaries = Arc::new(AtomicUsize::new(0));
        let asked = summaries.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, acceptor.clone(), asked.clone()));
            }
        });
        Agent {
            port,
            summaries,
            task,
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, summaries: Arc<AtomicUsize>) {
    let stream = acceptor.accept(stream).await.unwrap();
    let service = service_fn(|request: Request<Incoming>| {
        if request.uri().path() == "/stats/summary" {
            summaries.fetch_add(1, Ordering::SeqCst);
        }
        async { Ok::<_, Infallible>(answer(request)) }
    });
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
    if let Some((code, object)) = object(request.uri().path(), &told) {
        let mut answer = Response::new(Full::new(object.to_string().into()));
        *answer.status_mut() = code;
        return answer;
    }
    Response::new(Full::new(told.into()))
}

/// The object at a path, if there is one.
fn object(path: &str, told: &str) -> Option<(StatusCode, Value)> {
    let resources = |group: &str, name: &str| {
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": [
            {"name": name, "singularName": "thing", "namespaced": false, "kind": "Thing", "verbs": ["get", "list"]},
        ]})
    };
    let object = match path {
        "/apis/things.example/v1" => resources("things.example/v1", "things"),
        "/apis/metrics.k8s.io/v1beta1" => resources("metrics.k8s.io/v1beta1", "others"),
        "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods" => {
            json!({"items": [{"metadata": {"name": told}}]})
        }
        "/apis/metrics.k8s.io/v1beta1/nodes/n" => json!({"metadata": {"name": told}}),
        "/apis/metrics.k8s.io/v1beta1/nodes/m" => {
            let status = json!({"kind": "Status", "message": "no m"});
            return Some((StatusCode::NOT_FOUND, status));
        }
        "/stats/summary" => summary(),
        _ => return None,
    };
    Some((StatusCode::OK, object))
}

/// What is used on the node, in the words of an agent.
fn summary() -> Value {
    let used = |name: &str, time: &str, nano_cores: u64, bytes: u64| {
        json!({
            "name": name,
            "cpu": {"time": time, "usageNanoCores": nano_cores, "usageCoreNanoSeconds": 1},
            "memory": {"time": time, "workingSetBytes": bytes, "usageBytes": 1},
        })
    };
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z");
    let one = json!([used("a", late, 12_345_678, 1_263_616)]);
    let two = json!([
        used("b", late, 500_000, 3 << 20),
        used("a", early, 1_500_000, 1 << 20)
    ]);
    let pod = |name: &str, containers: Value| json!({"podRef": {"name": name, "namespace": "default"}, "containers": containers});
    json!({"node": used("", late, 250_000_000, 5 << 20), "pods": [pod("one", one), pod("two", two)]})
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
