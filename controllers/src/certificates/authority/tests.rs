use super::*;
use crate::certificates::samples;

fn terms(life: SignedDuration, now: Timestamp) -> Terms {
    let usages = ["client auth", "digital signature"].map(str::to_owned);
    Terms {
        usages: Usages::new(&usages).unwrap(),
        life,
        now,
        serial: [0xff; SERIAL_BYTES],
    }
}

fn signed(authority: &Authority, life: SignedDuration, now: Timestamp) -> Result<Vec<u8>, String> {
    let pem = samples::request("a", &["b"], &["a.b", "1.2.3.4"]);
    let request = Request::parse(pem.as_bytes()).unwrap();
    authority.sign(&request, &terms(life, now))
}

#[test]
fn a_certificate_holds_what_was_asked_for_and_ends_when_its_time_or_its_authority_does() {
    let (certificate, key) = samples::authority(10);
    let authority = Authority::parse(certificate.as_bytes(), key.as_bytes()).unwrap();
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    for (life, end) in [
        (
            SignedDuration::from_mins(10),
            now + SignedDuration::from_mins(10),
        ),
        (
            SignedDuration::from_hours(9),
            now + SignedDuration::from_hours(9) - BACKDATE,
        ),
        (SignedDuration::from_hours(24 * 365), authority.until),
    ] {
        let der = signed(&authority, life, now).unwrap();
        let found = Certificate::read(&der).unwrap();
        assert_eq!(found.until, end, "{life}");
    }
    let ended = authority.until;
    let fault = signed(&authority, SignedDuration::from_mins(10), ended).unwrap_err();
    assert!(fault.starts_with("the signer has expired"), "{fault}");
}

#[test]
fn rustls_believes_what_an_authority_signs() {
    use rustls::RootCertStore;
    use rustls::pki_types::{CertificateDer, UnixTime};
    use rustls::server::WebPkiClientVerifier;

    let (certificate, key) = samples::authority(10);
    let authority = Authority::parse(certificate.as_bytes(), key.as_bytes()).unwrap();
    let now = Timestamp::now();
    let der = signed(&authority, SignedDuration::from_hours(9), now).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap())
        .unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.into())
        .build()
        .unwrap();
    let seconds = u64::try_from(now.as_second()).unwrap();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier
        .verify_client_cert(&CertificateDer::from(der), &[], at)
        .unwrap();
}

#[test]
fn a_certificate_and_a_key_must_belong_together() {
    let (certificate, _) = samples::authority(1);
    let (_, key) = samples::authority(1);
    for (certificate, key, why) in [
        (
            &*certificate,
            &*key,
            "the key is not that of the certificate",
        ),
        ("", &*key, "there is no certificate"),
        (&*certificate, "", "there is no private key"),
    ] {
        let fault = Authority::parse(certificate.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(fault.contains(why), "{fault}");
    }
}

#[test]
fn times_of_both_forms_are_read_as_they_were_written() {
    for (text, tag) in [
        ("2026-01-02T03:04:05Z", der::UTC_TIME),
        ("2049-12-31T23:59:59Z", der::UTC_TIME),
        ("2050-01-01T00:00:00Z", der::GENERALIZED_TIME),
        ("1999-01-01T00:00:00Z", der::UTC_TIME),
    ] {
        let at: Timestamp = text.parse().unwrap();
        let bytes = written(at);
        let part = Parts(&bytes).next().unwrap();
        assert_eq!((part.tag, read(part)), (tag, Some(at)), "{text}");
    }
}
