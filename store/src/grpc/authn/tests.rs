//! What a request shows of its sender.

use super::*;

fn request(pairs: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for (key, value) in pairs {
        let value = value.parse().expect("metadata of a test");
        request.metadata_mut().insert(*key, value);
    }
    request
}

fn token(pairs: &[(&'static str, &'static str)]) -> Option<String> {
    Credentials::of(&request(pairs)).token
}

#[test]
fn a_token_stands_under_either_key() {
    assert_eq!(token(&[("token", "a.1")]).as_deref(), Some("a.1"));
    assert_eq!(token(&[("authorization", "a.1")]).as_deref(), Some("a.1"));
    let bearer = token(&[("authorization", "Bearer a.1")]);
    assert_eq!(bearer.as_deref(), Some("a.1"));
    let both = token(&[("authorization", "b"), ("token", "a")]);
    assert_eq!(both.as_deref(), Some("a"));
    assert_eq!(token(&[]), None);
}

#[test]
fn a_certificate_names_its_holder_but_not_who_stands_behind_a_gateway() {
    let with_name = |mut request: Request<()>| {
        let name = CertificateCommonName("ann".to_owned());
        request.extensions_mut().insert(name);
        Credentials::of(&request).common_name
    };
    assert_eq!(with_name(request(&[])).as_deref(), Some("ann"));
    let gateway = request(&[("grpcgateway-accept", "application/json")]);
    assert_eq!(with_name(gateway), None);
}

#[test]
fn a_request_that_is_part_of_another_has_its_credentials() {
    let outer = Credentials::of(&request(&[("token", "a.1")]));
    assert_eq!(Credentials::of(&outer.on(())), outer);
}
