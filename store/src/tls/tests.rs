//! What is read of certificates, lists and flags.

use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};

use super::certificate::{self, Certificate};
use super::{CipherSuite, Version, files, self_signed};

fn params(common_name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "o");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from(0x00ff_u64));
    params
}

fn certificate(common_name: &str, hosts: &[&str]) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let signed = params(common_name, hosts).self_signed(&key).unwrap();
    Certificate::read(signed.der()).unwrap()
}

fn revocation_list(serials: &[u64]) -> rcgen::CertificateRevocationList {
    let mut issuer = params("authority", &[]);
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    issuer.key_usages = vec![KeyUsagePurpose::CrlSign];
    let issuer = CertifiedIssuer::self_signed(issuer, KeyPair::generate().unwrap()).unwrap();
    let day = rcgen::date_time_ymd(2026, 1, 1);
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: day,
        reason_code: None,
        invalidity_date: None,
    });
    let list = CertificateRevocationListParams {
        this_update: day,
        next_update: rcgen::date_time_ymd(2060, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).unwrap()
}

#[test]
fn a_certificate_tells_its_names_and_its_serial_number() {
    let read = certificate("root", &["a.example", "*.b.example", "127.0.0.1", "::1"]);
    assert_eq!(read.common_name, "root");
    assert_eq!(read.serial, [0xff]);
    assert_eq!(read.dns_names, ["a.example", "*.b.example"]);
    let addresses: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    assert_eq!(read.ip_addresses, addresses);
    assert_eq!(Certificate::read(b"no certificate"), None);
}

#[test]
fn a_certificate_is_good_for_the_hosts_it_names() {
    let read = certificate("cn.example", &["A.example", "*.b.example", "127.0.0.1"]);
    for host in ["a.example", "a.example.", "x.B.example", "127.0.0.1"] {
        assert!(read.is_good_for(host), "{host}");
    }
    // Neither the common name, nor two labels for a star, nor none.
    for host in [
        "cn.example",
        "x.y.b.example",
        "b.example",
        ".b.example",
        "127.0.0.2",
        "",
    ] {
        assert!(!read.is_good_for(host), "{host}");
    }
}

#[test]
fn a_revocation_list_tells_serial_numbers() {
    let list = revocation_list(&[1, 0xff, 0x0102_0304_0506]);
    let serials = certificate::revoked(list.der()).unwrap();
    let expected = [vec![1], vec![1, 2, 3, 4, 5, 6], vec![0xff]];
    assert!(serials.iter().eq(&expected), "{serials:?}");
    let empty = certificate::revoked(revocation_list(&[]).der()).unwrap();
    assert!(empty.is_empty());
    let der = list.der();
    assert_eq!(certificate::revoked(&der[..der.len() - 1]), None);
}

#[test]
fn lists_are_read_as_der_and_as_pem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    let (one, two) = (revocation_list(&[1]), revocation_list(&[2]));
    std::fs::write(&path, one.der()).unwrap();
    assert_eq!(files::revoked(&path).unwrap().len(), 1);
    std::fs::write(&path, one.pem().unwrap() + &two.pem().unwrap()).unwrap();
    assert_eq!(files::revoked(&path).unwrap().len(), 2);
    std::fs::write(&path, "nothing").unwrap();
    let error = files::revoked(&path).unwrap_err().to_string();
    assert!(
        error.starts_with("no certificate revocation list in"),
        "{error}"
    );
}

#[test]
fn a_certificate_of_ones_own_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("fixtures/client");
    let hosts = || ["127.0.0.1", "localhost", "localhost"].into_iter();
    let pair = self_signed::pair(&place, hosts(), 1).unwrap();
    let (chain, _key) = pair.load().unwrap();
    let read = Certificate::read(&chain[0]).unwrap();
    assert!(read.is_good_for("127.0.0.1") && read.is_good_for("localhost"));
    let again = self_signed::pair(&place, hosts(), 1).unwrap();
    assert_eq!(again.load().unwrap().0, chain);
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&place), 0o700);
    assert_eq!(mode(&pair.key_file), 0o600);
    let error = self_signed::pair(&place, hosts(), 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "selfSignedCertValidity is invalid,it should be greater than 0"
    );
}

#[test]
fn names_of_versions_and_suites_are_etcds() {
    assert_eq!(Version::parse(""), Ok(None));
    assert_eq!(Version::parse("TLS1.3"), Ok(Some(Version::Tls13)));
    assert_eq!(
        Version::parse("TLS1.1").unwrap_err(),
        "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)"
    );
    let short = CipherSuite::parse("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305").unwrap();
    let long = CipherSuite::parse("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256").unwrap();
    assert!(short.is_some() && short == long);
    assert_eq!(CipherSuite::parse("TLS_AES_128_GCM_SHA256"), Ok(None));
    assert_eq!(
        CipherSuite::parse("x").unwrap_err(),
        "unexpected TLS cipher suite \"x\""
    );
    let weak = CipherSuite::parse("TLS_RSA_WITH_AES_128_CBC_SHA").unwrap_err();
    assert!(weak.contains("too weak to be offered"), "{weak}");
}
