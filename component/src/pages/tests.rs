//! Pages as they are read: what each says, who may read it, and over which connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::serving::ServingFlags;
use http_body_util::BodyExt;
use scraper::Scraper;

#[path = "../../tests/common/scraper.rs"]
#[expect(dead_code, reason = "whole processes are looked at elsewhere")]
mod scraper;

fn pages(synced: &Arc<AtomicBool>) -> Pages {
    let synced = synced.clone();
    Pages {
        standing: Standing::default(),
        lease: Some("kube-test".to_owned()),
        checks: vec![Check {
            name: "informer-sync",
            is_of_readiness: true,
            is_well: Box::new(move || synced.load(Ordering::Relaxed)),
        }],
        metrics: Box::new(|page| page.single("own", "Own.", metrics::Kind::Gauge, 7)),
        configuration: ("test.config.k8s.io", json!({"a": 1})),
    }
}

async fn read(pages: &Pages, open: &str, path: &str) -> (u16, String) {
    let flags = ServingFlags {
        authorization_always_allow_paths: vec![open.to_owned()],
        ..ServingFlags::default()
    };
    let access = Access::new(&flags).unwrap();
    let request = Request::get(path).body(()).unwrap();
    let response = pages.answer(&access, &request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn what_is_not_ready_is_alive() {
    let synced = Arc::new(AtomicBool::new(false));
    let pages = pages(&synced);
    for (path, status, text) in [
        ("/healthz", 200, "ok"),
        ("/livez", 200, "ok"),
        ("/livez/ping", 200, "ok"),
        (
            "/readyz",
            500,
            "[+]ping ok\n[+]leaderElection ok\n[-]informer-sync failed: reason withheld\nreadyz check failed\n",
        ),
        ("/readyz?exclude=informer-sync", 200, "ok"),
        (
            "/readyz/informer-sync",
            500,
            "internal server error: informer-sync failed\n",
        ),
        ("/readyz/other", 404, "404 page not found\n"),
        ("/nothing", 404, "404 page not found\n"),
    ] {
        assert_eq!(
            read(&pages, "*", path).await,
            (status, text.to_owned()),
            "{path}"
        );
    }
    synced.store(true, Ordering::Relaxed);
    let text = "[+]ping ok\n[+]leaderElection ok\n[+]informer-sync ok\nreadyz check passed\n";
    assert_eq!(
        read(&pages, "*", "/readyz?verbose").await,
        (200, text.to_owned())
    );
}

#[tokio::test]
async fn metrics_and_the_configuration_are_for_those_who_may_read_them() {
    let pages = pages(&Arc::default());
    let (status, text) = read(&pages, "/healthz", "/metrics").await;
    assert_eq!(status, 403);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["reason"], "Forbidden");
    assert_eq!(read(&pages, "/healthz", "/configz").await.0, 403);
    let (status, text) = read(&pages, "/metrics", "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "own 7\n",
        "leader_election_master_status{name=\"kube-test\"} 0\n",
        "process_resident_memory_bytes ",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let (_, text) = read(&pages, "*", "/configz").await;
    assert_eq!(text, r#"{"test.config.k8s.io":{"a":1}}"#);
}

#[test]
fn a_token_is_taken_from_its_header_alone() {
    for (header, token) in [
        ("Bearer abc", Some("abc")),
        ("bearer  abc ", Some("abc")),
        ("Bearer ", None),
        ("Basic abc", None),
        ("abc", None),
    ] {
        assert_eq!(bearer(header), token, "{header:?}");
    }
}

#[tokio::test]
async fn probes_are_answered_over_tls_with_the_certificate_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let scraper = Scraper::new(folder.path().join("kube-test.crt"));
    let flags = ServingFlags {
        bind_address: [127, 0, 0, 1].into(),
        secure_port: Some(scraper.port),
        cert_dir: Some(folder.path().to_owned()),
        ..ServingFlags::default()
    };
    let serving = flags.bind(("kube-test", 1), pages(&Arc::default())).await;
    let _serving = tokio::spawn(serving.unwrap().unwrap());
    assert_eq!(scraper.get("/livez", "").await, (200, "ok".to_owned()));
    assert_eq!(scraper.get("/metrics", "").await.0, 403);
    let again = flags.bind(("kube-test", 1), pages(&Arc::default())).await;
    let fault = format!("{:#}", again.err().unwrap());
    assert!(fault.contains("--secure-port=0 serves nothing"), "{fault}");
    let none = ServingFlags {
        secure_port: Some(0),
        ..flags
    };
    let none = none.bind(("kube-test", 1), pages(&Arc::default())).await;
    assert!(none.unwrap().is_none());
}
