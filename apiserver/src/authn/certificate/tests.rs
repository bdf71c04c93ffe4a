//! Certificates that rcgen makes, and what is read in them.

use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, DnValue, KeyPair, date_time_ymd};

use super::*;

fn certificate(subject: &[(DnType, DnValue)]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 2, 29);
    params.not_after = date_time_ymd(2060, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn utf8(text: &str) -> DnValue {
    DnValue::Utf8String(text.to_owned())
}

/// 2020-02-29 and 2060-01-01, in seconds.
const FROM_SECONDS: i64 = 1_582_934_400;
const TO_SECONDS: i64 = 2_840_140_800;

#[test]
fn the_common_name_is_the_user_and_the_organization_a_group() {
    let uid = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 57683, 2]);
    let der = certificate(&[
        (DnType::OrganizationName, utf8("devs")),
        (
            DnType::CommonName,
            DnValue::PrintableString("alice".try_into().unwrap()),
        ),
        (uid, utf8("u1")),
    ]);
    let user = identify(&der, FROM_SECONDS).unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("alice", "u1"));
    assert_eq!(user.groups, ["devs"]);
    let id = &user.extra["authentication.kubernetes.io/credential-id"][0];
    assert!(id.starts_with("X509SHA256=") && id.len() == "X509SHA256=".len() + 64);
}

#[test]
fn a_certificate_without_a_name_is_nobodys_and_one_out_of_time_is_refused() {
    let nameless = certificate(&[(DnType::OrganizationName, utf8("devs"))]);
    assert_eq!(identify(&nameless, FROM_SECONDS), Ok(None));
    let der = certificate(&[(DnType::CommonName, utf8("ä"))]);
    assert!(identify(&der, TO_SECONDS).is_ok_and(|user| user.is_some()));
    for now in [FROM_SECONDS - 1, TO_SECONDS + 1] {
        assert!(identify(&der, now).is_err());
    }
}

#[test]
fn a_uid_that_is_empty_is_refused() {
    let uid = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 57683, 2]);
    let der = certificate(&[(DnType::CommonName, utf8("a")), (uid, utf8(""))]);
    assert_eq!(
        identify(&der, FROM_SECONDS),
        Err("UID cannot be an empty string".to_owned())
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = identify(&bytes, 0);
    }

    #[test]
    fn a_certificate_with_a_byte_changed_is_read_or_refused(at in 0_usize..200, byte: u8) {
        let mut der = certificate(&[(DnType::CommonName, utf8("alice"))]);
        der[at] = byte;
        let _ = identify(&der, FROM_SECONDS);
    }
}
