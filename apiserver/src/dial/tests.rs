//! Streams to servers of the test, and the places of services.

use std::net::SocketAddr;
use std::sync::Arc;

use objects::Value;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use super::{Place, Roots, Services, Tls, open};
use crate::objects_view::ObjectsView;

/// A server that shakes hands once, with a certificate that it signed itself for `a.test`.
async fn server(is_authority: bool) -> (SocketAddr, String) {
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
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
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    (address, certificate.pem())
}

fn place(address: SocketAddr) -> Place {
    Place {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

async fn try_open(is_authority: bool, roots: Option<Roots<'_>>, name: &str) -> Result<(), String> {
    let (address, pem) = server(is_authority).await;
    let roots = roots.unwrap_or(Roots::Bundle(pem.as_bytes()));
    let tls = Tls::new(roots, None).unwrap();
    open(&place(address), Some((&tls, name))).await.map(drop)
}

#[tokio::test]
async fn a_server_that_signed_itself_is_believed_by_who_has_its_certificate() {
    assert_eq!(try_open(false, None, "a.test").await, Ok(()));
    assert_eq!(try_open(true, None, "a.test").await, Ok(()));
}

#[tokio::test]
async fn a_server_of_another_name_is_refused() {
    for is_authority in [false, true] {
        assert_eq!(
            try_open(is_authority, None, "b.test").await.unwrap_err(),
            "tls: failed to verify certificate: x509: certificate is valid for a.test, not b.test"
        );
    }
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_refused_unless_everybody_is_believed() {
    let key = KeyPair::generate().unwrap();
    let other = CertificateParams::new(Vec::new()).unwrap();
    let other = other.self_signed(&key).unwrap().pem();
    let roots = Some(Roots::Bundle(other.as_bytes()));
    assert_eq!(
        try_open(false, roots, "a.test").await.unwrap_err(),
        "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    );
    let anybody = Some(Roots::Unverified);
    assert_eq!(try_open(false, anybody, "b.test").await, Ok(()));
}

#[tokio::test]
async fn a_place_where_nobody_listens_is_told_in_gos_words() {
    // Nobody else is given a port that is bound, and nobody listens on it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let place = place(socket.local_addr().unwrap());
    assert_eq!(
        open(&place, None).await.map(drop).unwrap_err(),
        format!("dial tcp {place}: connect: connection refused")
    );
}

struct Fixed(Vec<Value>);

impl ObjectsView for Fixed {
    fn get(&self, _: &str, plural: &str, _: &str, name: &str) -> Option<Arc<Value>> {
        let all = self.list("", plural, None);
        all.into_iter().find(|one| one["metadata"]["name"] == name)
    }

    fn list(&self, _: &str, plural: &str, _: Option<&str>) -> Vec<Arc<Value>> {
        let of = |one: &&Value| one.get("endpoints").is_some() == (plural == "endpointslices");
        self.0.iter().filter(of).cloned().map(Arc::new).collect()
    }

    fn generation(&self, _: &str, _: &str) -> u64 {
        0
    }
}

fn told(spec: &Value, endpoints: &Value) -> String {
    let objects = vec![
        json!({"metadata": {"name": "s"}, "spec": spec}),
        json!({
            "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
            "addressType": "IPv4", "ports": [{"name": "web", "port": 8443}], "endpoints": endpoints,
        }),
    ];
    match Services::new(Arc::new(Fixed(objects))).resolve(("n", "s"), 443) {
        Ok(place) => place.to_string(),
        Err(status) => status.message,
    }
}

#[test]
fn a_service_is_at_a_ready_endpoint_and_else_at_its_own_address() {
    let ports = json!([{"name": "web", "port": 443}]);
    let own = json!({"type": "ClusterIP", "clusterIP": "10.0.0.1", "ports": ports});
    let headless = json!({"type": "ClusterIP", "clusterIP": "None", "ports": ports});
    let ready = json!([
        {"addresses": ["10.1.0.1"], "conditions": {"ready": false}},
        {"addresses": ["10.1.0.2"], "conditions": {"ready": true}},
    ]);
    let cases = [
        (own.clone(), ready.clone(), "10.1.0.2:8443"),
        (own, json!([]), "10.0.0.1:443"),
        (headless.clone(), ready.clone(), "10.1.0.2:8443"),
        (
            headless,
            json!([]),
            "no endpoints available for service \"s\"",
        ),
        (
            json!({"type": "ExternalName", "externalName": "x.test"}),
            ready.clone(),
            "x.test:443",
        ),
        (
            json!({"type": "ClusterIP"}),
            ready,
            "no service port 443 found for service \"s\"",
        ),
    ];
    for (spec, endpoints, expected) in cases {
        assert_eq!(told(&spec, &endpoints), expected, "{spec}");
    }
}
