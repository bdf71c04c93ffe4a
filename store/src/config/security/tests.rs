//! The TLS flags together, and what of them is refused.

use super::super::tests::{config, error};

#[test]
fn what_cannot_be_secured_is_refused_with_etcds_texts() {
    for (line, text) in [
        (
            "--listen-client-urls=https://127.0.0.1:1 --advertise-client-urls=https://127.0.0.1:1",
            "TLS key/cert (--cert-file, --key-file) must be provided for client url \
             https://127.0.0.1:1 with HTTPS scheme",
        ),
        (
            "--listen-peer-urls=https://127.0.0.1:1",
            "cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not presented",
        ),
        (
            "--listen-metrics-urls=https://127.0.0.1:1",
            "cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not presented",
        ),
        (
            "--cert-file=a.pem",
            "KeyFile and CertFile must both be present[key: , cert: a.pem]",
        ),
        (
            "--peer-client-key-file=a.pem",
            "ClientKeyFile and ClientCertFile must both be present or both absent: key: a.pem, cert: ]",
        ),
        (
            "--tls-min-version=TLS1.0",
            "unexpected TLS version \"TLS1.0\" (must be one of: TLS1.2, TLS1.3)",
        ),
        (
            "--tls-min-version=TLS1.3 --tls-max-version=TLS1.2",
            "min version (TLS1.3) is greater than max version (TLS1.2)",
        ),
        (
            "--tls-min-version=TLS1.3 --cipher-suites=TLS_AES_128_GCM_SHA256",
            "cipher suites cannot be configured when only TLS1.3 is enabled",
        ),
        ("--cipher-suites=x", "unexpected TLS cipher suite \"x\""),
        (
            "--tls-max-version=TLS1.2 --cipher-suites=TLS_AES_128_GCM_SHA256",
            "--cipher-suites names no suite of TLS1.2, and --tls-max-version allows no other version",
        ),
        (
            "--peer-cert-allowed-cn=a,b --peer-cert-allowed-hostname=c",
            "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\", \"b\"], hostnames=[\"c\"])",
        ),
        (
            "--peer-auto-tls --peer-client-cert-auth",
            "--peer-auto-tls makes certificates that nobody has signed: leave out \
             --peer-client-cert-auth and --peer-trusted-ca-file, or give --peer-cert-file and \
             --peer-key-file",
        ),
    ] {
        assert_eq!(error(line), (1, text.to_owned()), "{line}");
    }
}

#[test]
fn secured_urls_and_plain_ones_may_share_a_client_port() {
    let tls = "--cert-file=a --key-file=b";
    let both = "--listen-client-urls=http://127.0.0.1:1,https://127.0.0.1:1 --advertise-client-urls=https://127.0.0.1:1";
    let config = config(&format!("{tls} {both}"));
    assert_eq!(config.listen_client_urls.len(), 2);
    let warning = "scheme is http or unix while key and cert files are present; ignoring key and cert files (client-url http://127.0.0.1:1)";
    assert_eq!(config.warnings, [warning]);
    let peers = "--peer-cert-file=a --peer-key-file=b --listen-peer-urls=http://127.0.0.1:1,https://127.0.0.1:1";
    let refused =
        "https://127.0.0.1:1 stands in --listen-peer-urls and again in --listen-peer-urls";
    assert_eq!(error(peers), (1, refused.to_owned()));
}

#[test]
fn certificates_that_are_given_are_not_made() {
    let read = config("--auto-tls --cert-file=a --key-file=b");
    assert!(!read.client_security.auto_tls);
    assert_eq!(
        read.warnings[0],
        "ignoring client auto TLS since certs given"
    );
    let read = config("--auto-tls --self-signed-cert-validity=3");
    assert!(read.client_security.auto_tls);
    assert_eq!(read.client_security.self_signed_cert_validity_years, 3);
}
