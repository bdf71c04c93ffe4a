//! A server of webhooks for one test: what it answers is said by the path that is asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::crypto::ring;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Longer than any webhook of a test may take.
const SLOW: Duration = Duration::from_secs(20);

/// What was asked: the path, and the `request` of the review.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

pub(crate) struct Hook {
    address: SocketAddr,
    bundle: String,
    asked: Asked,
    task: JoinHandle<()>,
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hook {
    pub(crate) async fn start() -> Hook {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        Hook {
            address,
            bundle: STANDARD.encode(certificate.pem()),
            asked: asked.clone(),
            task: tokio::spawn(accept(listener, acceptor, asked)),
        }
    }

    /// The place of a script, for a configuration.
    pub(crate) fn config(&self, script: &str) -> Value {
        json!({"url": self.url(script), "caBundle": self.bundle})
    }

    pub(crate) fn url(&self, script: &str) -> String {
        format!("https://{}/{script}", self.address)
    }

    /// What was asked since this was asked last.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, asked: Asked) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, asked) = (acceptor.clone(), asked.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| answer(request, asked.clone()));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: http::Request<Incoming>,
    asked: Asked,
) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let script = request.uri().path().trim_start_matches('/').to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let call = (script.clone(), review["request"].clone());
    asked.lock().unwrap().push(call);
    let (code, body) = match script.as_str() {
        "hello" => (200, "hello".to_owned()),
        "broken" => (500, "broken".to_owned()),
        "slow" => {
            tokio::time::sleep(SLOW).await;
            (200, String::new())
        }
        script => (200, script_of(script, &review).to_string()),
    };
    let mut answer = http::Response::new(Full::new(body.into()));
    *answer.status_mut() = code.try_into().unwrap();
    Ok(answer)
}

/// What a webhook makes of objects that are to have another version.
fn converted(script: &str, review: &Value) -> Value {
    let request = &review["request"];
    let version = &request["desiredAPIVersion"];
    let mut objects = request["objects"].as_array().unwrap().clone();
    for object in &mut objects {
        object["apiVersion"] = version.clone();
        let from = if version == "wh.test/v2" {
            "one"
        } else {
            "two"
        };
        let to = if version == "wh.test/v2" {
            "two"
        } else {
            "one"
        };
        let moved = object["spec"][from].take();
        object["spec"] = json!({to: moved});
    }
    let mut result = json!({"status": "Success"});
    match script {
        "convert-not" => result = json!({"status": "Failed", "message": "cannot convert"}),
        "convert-more" => objects.push(json!({})),
        "convert-name" => objects[0]["metadata"]["name"] = json!("other"),
        _ => {}
    }
    json!({
        "apiVersion": review["apiVersion"], "kind": "ConversionReview",
        "response": {"uid": request["uid"], "result": result, "convertedObjects": objects},
    })
}

fn script_of(script: &str, review: &Value) -> Value {
    let request = &review["request"];
    if script.starts_with("convert") {
        return converted(script, review);
    }
    let mut response = json!({"uid": request["uid"], "allowed": true});
    let patch = |patch: Value| json!({"uid": request["uid"], "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string())});
    match script {
        "warn" => response["warnings"] = json!(["be careful"]),
        "deny" => response["allowed"] = json!(false),
        "deny-because" => {
            response["allowed"] = json!(false);
            response["status"] = json!({"reason": "Because"});
        }
        "deny-message" => {
            response["allowed"] = json!(false);
            response["status"] = json!({"message": "no way", "code": 403, "reason": "Forbidden"});
        }
        "pod" => return json!({"apiVersion": "v1", "kind": "Pod"}),
        "absent" => return json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview"}),
        "uid" => response["uid"] = json!("x"),
        "patch" => response = patch(json!([{"op": "add", "path": "/data", "value": {"k": "v"}}])),
        "label" => {
            let labels = request["object"]["metadata"]["labels"].as_object();
            let count = labels.map_or(0, serde_json::Map::len);
            let value = json!({"seen": count.to_string()});
            response =
                patch(json!([{"op": "add", "path": "/metadata/annotations", "value": value}]));
        }
        "labels" => {
            let value = json!({"a": "b"});
            response = patch(json!([{"op": "add", "path": "/metadata/labels", "value": value}]));
        }
        "patch-missing" => {
            response = patch(json!([{"op": "replace", "path": "/nothere/x", "value": 1}]));
        }
        "patch-object" => response = patch(json!([{"op": "add", "path": "/data", "value": 3}])),
        "patch-kind" => {
            response = patch(json!([{"op": "add", "path": "/x", "value": 3}]));
            response["patchType"] = json!("Merge");
        }
        "patch-alone" => response["patchType"] = json!("JSONPatch"),
        _ => {}
    }
    json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response})
}
