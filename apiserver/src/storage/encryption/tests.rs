//! Sealing and opening, against values that a kube-apiserver stored, and configurations that are refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;

use super::{Encryption, Source, file, load};

const KEY_A: &str = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";
const KEY_B: &str = "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=";
const SECRET: &[u8] = b"/registry/secrets/default/s";

fn configuration(rules: &str) -> String {
    format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n{rules}"
    )
}

fn encryption(rules: &str) -> Encryption {
    let rules = file::parse(configuration(rules).as_bytes()).unwrap();
    Encryption::with("/registry", rules)
}

/// One rule for secrets with these providers, `KEY` and `OTHER` standing for keys.
fn secrets(providers: &str) -> Encryption {
    let providers = providers.replace("KEY", KEY_A).replace("OTHER", KEY_B);
    encryption(&format!(
        "- resources: [secrets]\n  providers: [{providers}]\n"
    ))
}

fn sealed(by: &Encryption, key: &[u8]) -> Bytes {
    by.seal(key, Bytes::from_static(b"{\"a\":1}")).unwrap()
}

const PROVIDERS: [(&str, &[u8]); 5] = [
    ("identity: {}", b"{\"a\":1}"),
    (
        "aesgcm: {keys: [{name: k, secret: KEY}]}",
        b"k8s:enc:aesgcm:v1:k:",
    ),
    (
        "aescbc: {keys: [{name: k, secret: KEY}]}",
        b"k8s:enc:aescbc:v1:k:",
    ),
    (
        "secretbox: {keys: [{name: k, secret: KEY}]}",
        b"k8s:enc:secretbox:v1:k:",
    ),
    (
        "aesgcm: {keys: [{name: k, secret: YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh}]}",
        b"k8s:enc:aesgcm:v1:k:",
    ),
];

#[test]
fn every_provider_opens_what_it_sealed_and_writes_its_name_in_front() {
    for (provider, front) in PROVIDERS {
        let encryption = secrets(&format!("{{{provider}}}"));
        let stored = sealed(&encryption, SECRET);
        assert!(stored.starts_with(front), "{provider}");
        let opened = encryption.open(SECRET, stored).unwrap();
        assert_eq!(&opened.value[..], b"{\"a\":1}");
        assert!(!opened.is_stale, "{provider}");
    }
}

#[test]
fn what_a_kube_apiserver_sealed_is_opened() {
    let encryption = encryption(&format!(
        "- resources: [secrets]\n  providers: [{{aesgcm: {{keys: [{{name: g1, secret: {KEY_A}}}]}}}}]\n\
         - resources: [configmaps]\n  providers: [{{aescbc: {{keys: [{{name: c1, secret: {KEY_A}}}]}}}}]\n\
         - resources: [\"*.apps\"]\n  providers: [{{secretbox: {{keys: [{{name: s1, secret: {KEY_B}}}]}}}}]\n"
    ));
    for (key, stored, name) in STORED {
        let stored = STANDARD.decode(stored.replace('\n', "")).unwrap();
        let opened = encryption.open(key.as_bytes(), stored.into()).unwrap();
        let object = crate::registry::decode(&opened.value).unwrap();
        assert_eq!(object["metadata"]["name"], name);
    }
}

/// Keys, and what a kube-apiserver 1.36.3 with the configuration above stored under them.
const STORED: [(&str, &str, &str); 3] = include!("stored.in");

#[test]
fn the_first_key_seals_and_what_others_sealed_is_stale() {
    let old = secrets("{aesgcm: {keys: [{name: old, secret: KEY}]}}");
    let stored = sealed(&old, SECRET);
    let rotated = secrets(
        "{aesgcm: {keys: [{name: new, secret: OTHER}, {name: old, secret: KEY}]}}, {identity: {}}",
    );
    let opened = rotated.open(SECRET, stored.clone()).unwrap();
    assert!(opened.is_stale);
    assert!(sealed(&rotated, SECRET).starts_with(b"k8s:enc:aesgcm:v1:new:"));
    let plain = rotated.open(SECRET, Bytes::from_static(b"{}")).unwrap();
    assert!(plain.is_stale);
    let away = secrets("{identity: {}}, {aesgcm: {keys: [{name: old, secret: KEY}]}}");
    assert!(away.open(SECRET, stored).unwrap().is_stale);
    assert_eq!(&sealed(&away, SECRET)[..], b"{\"a\":1}");
}

#[test]
fn what_cannot_be_opened_says_why() {
    let encryption = secrets(
        "{aesgcm: {keys: [{name: k, secret: KEY}]}}, {secretbox: {keys: [{name: k, secret: KEY}]}}, \
         {aescbc: {keys: [{name: k, secret: KEY}]}}",
    );
    let why = |stored: &[u8]| {
        encryption
            .open(SECRET, Bytes::copy_from_slice(stored))
            .unwrap_err()
    };
    let cases: [(&[u8], &str); 8] = [
        (b"{}", "no matching prefix found"),
        (b"k8s:enc:kms:v2:x:", "no matching prefix found"),
        (
            b"k8s:enc:aesgcm:v1:other:abc",
            "no matching key was found for the provided AES transformer",
        ),
        (
            b"k8s:enc:secretbox:v1:other:abc",
            "no matching key was found for the provided Secretbox transformer",
        ),
        (
            b"k8s:enc:aesgcm:v1:k:abc",
            "the stored data was shorter than the required size",
        ),
        (
            b"k8s:enc:aesgcm:v1:k:0123456789abcdef0123456789abcdef",
            "cipher: message authentication failed",
        ),
        (
            b"k8s:enc:aescbc:v1:k:0123456789abcdef0123",
            "the stored data is not a multiple of the block size",
        ),
        (
            b"k8s:enc:secretbox:v1:k:0123456789abcdef0123456789abcdef0123456789abcdef",
            "output array was not large enough for encryption",
        ),
    ];
    for (stored, text) in cases {
        assert_eq!(why(stored), text);
    }
    let none = Encryption::none("/registry");
    let sealed = Bytes::from_static(b"k8s:enc:aesgcm:v1:k:x");
    assert_eq!(
        none.open(SECRET, sealed).unwrap_err(),
        "identity transformer tried to read encrypted data"
    );
}

#[test]
fn a_value_is_bound_to_its_key() {
    let encryption = secrets("{aesgcm: {keys: [{name: k, secret: KEY}]}}");
    let stored = sealed(&encryption, SECRET);
    assert_eq!(
        encryption
            .open(b"/registry/secrets/default/t", stored)
            .unwrap_err(),
        "cipher: message authentication failed"
    );
}

#[test]
fn rules_are_for_the_resources_that_they_name() {
    let rules = [
        ("secrets", "one"),
        ("\"*.\"", "core"),
        ("\"*.apps\", widgets.example.com", "named"),
        ("\"*.*\"", "all"),
    ];
    let rules = rules.map(|(resources, name)| {
        let key = format!("{{name: {name}, secret: {KEY_A}}}");
        format!("- resources: [{resources}]\n  providers: [{{aesgcm: {{keys: [{key}]}}}}]\n")
    });
    let encryption = encryption(&rules.concat());
    let cases = [
        ("/registry/secrets/a/b", "one"),
        ("/registry/configmaps/a/b", "core"),
        ("/registry/events/a/b", "core"),
        ("/registry/services/specs/a/b", "core"),
        ("/registry/deployments/a/b", "named"),
        ("/registry/example.com/widgets/a/b", "named"),
        ("/registry/example.com/gadgets/a", "all"),
        ("/registry/ingress/a/b", "all"),
        ("/registry/services/claims/x", ""),
        ("/registry/ranges/serviceips", ""),
        ("/registry/masterleases/1.2.3.4", ""),
        ("/registry/mainstay/progress", ""),
        ("compact_rev_key", ""),
    ];
    for (key, name) in cases {
        let stored = sealed(&encryption, key.as_bytes());
        let front = format!("k8s:enc:aesgcm:v1:{name}:");
        let front = if name.is_empty() { "{" } else { &front };
        assert!(stored.starts_with(front.as_bytes()), "{key}");
    }
}

#[test]
fn a_bad_configuration_is_refused_in_upstreams_words() {
    let cases = [
        (
            "",
            "resources: Required value: at least one resources is required",
        ),
        (
            "- resources: [secrets, \"*.\"]\n  providers: [{identity: {}}]",
            "resources[0].resources: Invalid value: [\"secrets\",\"*.\"]: using overlapping resources such as 'secrets' and '*.' \
             in the same resource list is not allowed as they will be masked",
        ),
        (
            "- resources: []\n  providers: []",
            "[resources[0].resources: Required value: at least one resources[0].resources is required, \
             resources[0].providers: Required value: at least one resources[0].providers is required]",
        ),
        (
            "- resources: [secrets]\n  providers: [{aescbc: {keys: []}}, {secretbox: {keys: [{name: b, secret: YWJj}]}}]",
            "[resources[0].providers[0].aescbc.keys: Required value: at least one keys is required, \
             resources[0].providers[1].secretbox.keys[0].secret: Invalid value: \"REDACTED\": secret is not of the expected \
             length, got 3, expected one of [32]]",
        ),
        (
            "- resources: [secrets]\n  providers: [{aesgcm: {keys: [{secret: \"!\"}]}}]",
            "[resources[0].providers[0].aesgcm.keys[0].name: Required value: name is a mandatory field for a key, \
             resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: \"REDACTED\": secrets must be base64 encoded]",
        ),
        (
            "- resources: [\"*.\"]\n  providers: [{identity: {}}]\n- resources: [secrets]\n  providers: [{identity: {}}]",
            "resource \"secrets\" is masked by earlier rule \"*.\"",
        ),
        (
            "- resources: [secrets]\n  foo: 1\n  providers: [{identity: {x: 1}}]",
            "strict decoding error: unknown field \"resources[0].foo\", unknown field \"resources[0].providers[0].identity.x\"",
        ),
        (
            "- resources: [secrets]\n  providers: [{kms: {apiVersion: v2, name: x, endpoint: \"unix:///x\"}}]",
            "resources[0].providers[0].kms: Forbidden: this server speaks to no key management service; use aesgcm, aescbc or \
             secretbox",
        ),
    ];
    for (rules, text) in cases {
        let told = match file::parse(configuration(rules).as_bytes()).unwrap_err() {
            file::Fault::Unreadable(why) | file::Fault::Invalid(why) | file::Fault::Masked(why) => {
                why
            }
        };
        assert_eq!(told, text, "{rules}");
    }
}

#[test]
fn a_changed_file_is_taken_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encryption.yaml");
    let write = |name: &str, key: &str| {
        let rules = format!(
            "- resources: [secrets]\n  providers: [{{aesgcm: {{keys: [{{name: {name}, secret: {key}}}]}}}}]\n"
        );
        std::fs::write(&path, configuration(&rules)).unwrap();
    };
    write("one", KEY_A);
    let (encryption, mut source): (Encryption, Source) =
        Encryption::read("/registry", &path).unwrap();
    let seals_with = |name: &str| {
        let front = format!("k8s:enc:aesgcm:v1:{name}:");
        sealed(&encryption, SECRET).starts_with(front.as_bytes())
    };
    assert!(seals_with("one"));
    write("two", "YWJj");
    encryption.look(&mut source);
    assert!(seals_with("one"));
    write("two", KEY_B);
    encryption.look(&mut source);
    assert!(seals_with("two"));
    std::fs::write(&path, "").unwrap();
    assert!(load(&path).unwrap_err().ends_with("is empty"));
}

proptest! {
    #[test]
    fn no_stored_bytes_and_no_file_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..200), provider in 0..PROVIDERS.len()) {
        let (provider, front) = PROVIDERS[provider];
        let encryption = secrets(&format!("{{{provider}}}"));
        let _ = encryption.open(SECRET, [front, &bytes].concat().into());
        let _ = encryption.open(SECRET, bytes.clone().into());
        let _ = file::parse(&bytes);
        let _ = file::parse(configuration(&String::from_utf8_lossy(&bytes)).as_bytes());
    }
}
