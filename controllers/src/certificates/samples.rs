//! Keys, requests and authorities for tests.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, PublicKeyData,
};
use time::{Duration, OffsetDateTime};

/// A request with these organizations and other names.
pub(super) fn request(common_name: &str, organizations: &[&str], names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    for organization in organizations {
        // A name of rcgen has one value of each kind; others get a number of their own.
        let kind = if params
            .distinguished_name
            .get(&DnType::OrganizationName)
            .is_none()
        {
            DnType::OrganizationName
        } else {
            DnType::CustomDnType(vec![2, 5, 4, 10])
        };
        params.distinguished_name.push(kind, *organization);
    }
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let key = KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

/// A public key that nobody asks a certificate for.
pub(super) fn other_public_key() -> Vec<u8> {
    KeyPair::generate().unwrap().subject_public_key_info()
}

/// An authority's certificate and key, which ends so many days from now.
pub(super) fn authority(days: i64) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "kubernetes");
    params.not_before = OffsetDateTime::now_utc() - Duration::days(1_000);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}
