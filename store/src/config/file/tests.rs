//! Configuration files as others write them, and those that are wrong.

use std::time::Duration;

use super::super::{AutoCompaction, Config, build};
use super::*;

fn config(text: &str) -> Result<Config, String> {
    build::config(values(text)?)
}

/// As k3s writes it for the etcd that it carries inside.
const K3S: &str = r#"
advertise-client-urls: https://192.0.2.7:2379
client-transport-security:
  cert-file: /tls/server-client.crt
  client-cert-auth: true
  key-file: /tls/server-client.key
  trusted-ca-file: /tls/server-ca.crt
data-dir: /db/etcd
election-timeout: 5000
experimental-initial-corrupt-check: true
experimental-watch-progress-notify-interval: 5000000000
heartbeat-interval: 500
initial-advertise-peer-urls: https://192.0.2.7:2380
initial-cluster: node-1=https://192.0.2.7:2380
initial-cluster-state: new
listen-client-http-urls: https://127.0.0.1:2382
listen-client-urls: https://127.0.0.1:2379,https://192.0.2.7:2379
listen-metrics-urls: http://127.0.0.1:2381
listen-peer-urls: https://127.0.0.1:2380,https://192.0.2.7:2380
log-outputs:
- stderr
logger: zap
name: node-1
peer-transport-security:
  cert-file: /tls/peer.crt
  client-cert-auth: true
  key-file: /tls/peer.key
  trusted-ca-file: /tls/peer-ca.crt
snapshot-count: 10000
socket-options:
  reuse-address: true
  reuse-port: true
"#;

#[test]
fn the_file_of_k3s_is_read() {
    let config = config(K3S).unwrap();
    config.verify_bootstrap().unwrap();
    assert_eq!(config.name, "node-1");
    assert_eq!(config.election_timeout, Duration::from_secs(5));
    assert_eq!(
        config.watch_progress_notify_interval,
        Duration::from_secs(5)
    );
    assert_eq!(config.listen_client_urls.len(), 2);
    assert!(config.socket_reuse_port);
    assert!(config.client_security.wants_client_certificate());
    let own = config.peer_security.own.unwrap();
    assert_eq!(own.key_file, Path::new("/tls/peer.key"));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn the_file_of_druid_is_read() {
    let text = "
name: etcd-main-0
data-dir: /var/etcd/data/new.etcd
metrics: basic
snapshot-count: 75000
enable-v2: false
enable-grpc-gateway: true
quota-backend-bytes: 8589934592
initial-cluster-token: etcd-cluster
initial-cluster-state: new
initial-cluster: etcd-main-0=https://a.example:2380,etcd-main-0=https://b.example:2380
auto-compaction-mode: periodic
auto-compaction-retention: 30m
listen-peer-urls: https://0.0.0.0:2380
listen-client-urls: https://0.0.0.0:2379
advertise-client-urls: https://a.example:2379,https://b.example:2379
initial-advertise-peer-urls: https://a.example:2380,https://b.example:2380
client-transport-security:
  cert-file: /a.crt
  key-file: /a.key
  client-cert-auth: true
  trusted-ca-file: /ca.crt
  auto-tls: false
peer-transport-security:
  cert-file: /p.crt
  key-file: /p.key
  client-cert-auth: true
  trusted-ca-file: /pca.crt
  auto-tls: false
next-cluster-version-compatible: true
";
    let config = config(text).unwrap();
    config.verify_bootstrap().unwrap();
    assert_eq!(config.quota_bytes, Some(8 << 30));
    let retention = Duration::from_secs(1800);
    assert_eq!(config.auto_compaction, AutoCompaction::Periodic(retention));
    assert_eq!(config.initial_cluster[0].peer_urls.len(), 2);
    let warning = "the configuration file has the key \"next-cluster-version-compatible\", which means nothing";
    assert_eq!(config.warnings, [warning]);
}

#[test]
fn json_is_read_too_and_an_empty_file_has_the_defaults() {
    let config = config(r#"{"name": "x", "pre-vote": false, "auto-compaction-retention": 1}"#);
    let config = config.unwrap();
    assert_eq!(config.name, "x");
    assert!(!config.pre_vote);
    let hour = Duration::from_secs(3600);
    assert_eq!(config.auto_compaction, AutoCompaction::Periodic(hour));
    for text in ["", "# nothing\n", "{}"] {
        assert_eq!(values(text).unwrap().text("name"), "default");
    }
}

#[test]
fn words_that_go_takes_for_true_are_true() {
    let config = config("pre-vote: off\nclient-transport-security:\n  auto-tls: yes\n").unwrap();
    assert!(!config.pre_vote && config.client_security.auto_tls);
}

#[test]
fn what_has_the_wrong_shape_is_refused_and_named() {
    for (text, error) in [
        (
            "heartbeat-interval: 1s",
            "heartbeat-interval: it has to be a whole number, not \"1s\"",
        ),
        (
            "watch-progress-notify-interval: 5s",
            "watch-progress-notify-interval: it has to be a number of nanoseconds, not \"5s\"",
        ),
        ("pre-vote: 1", "pre-vote: it has to be true or false, not 1"),
        (
            "peer-transport-security: x",
            "invalid peer-transport-security",
        ),
        ("[1]", "it has to be a list of keys with their values"),
        (
            "advertise-client-urls: {a: [b]}",
            "advertise-client-urls: it has to be a text, not {\"a\":[\"b\"]}",
        ),
        (
            "listen-client-urls: ftp://a:1",
            "listen-client-urls: URL scheme must be http, https, unix, or unixs: ftp://a:1",
        ),
        (
            "unsafe-no-fsync: true",
            "unsafe-no-fsync: acknowledged writes are always on disk",
        ),
    ] {
        let found = config(text).unwrap_err();
        assert!(found.contains(error), "{text}: {found}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read(Path::new("/nowhere/etcd.yml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration file /nowhere/etcd.yml: No such file or directory (os error 2)"
    );
}

#[test]
fn a_key_that_keeps_somebody_out_is_not_passed_over() {
    let text = "client-transport-security:\n  allowed-cn: app\n";
    let error = values(text).err().unwrap();
    assert!(
        error.starts_with("client-transport-security.allowed-cn is not available"),
        "{error}"
    );
    assert!(values("client-transport-security:\n  allowed-cn:\n").is_ok());
}
