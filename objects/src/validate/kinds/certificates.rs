//! Requests for certificates: what is asked of whom, and which part of the answer each subresource writes.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::view::{View, same};
use crate::{
    Value,
    invalid::{Faults, Invalid},
    validate::names,
};

const SECONDS_MIN: i64 = 600;
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// Conditions that are true or are not there, and of which the first two are somebody's decision.
const DECISIONS: [&str; 3] = ["Approved", "Denied", "Failed"];

/// Which part of the status an update may write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    None,
    Certificate,
    Decisions,
}

pub(super) fn create(new: &Value, faults: &mut Faults) {
    request(new, None, faults);
}

pub(super) fn update(new: &Value, old: &Value, faults: &mut Faults) {
    change(new, old, Part::None, faults);
}

pub(super) fn status(new: &Value, old: &Value, faults: &mut Faults) {
    change(new, old, Part::Certificate, faults);
}

/// An update of the subresource `approval`.
pub(super) fn approval(new: &Value, old: &Value, faults: &mut Faults) {
    change(new, old, Part::Decisions, faults);
}

fn request(new: &Value, old: Option<&Value>, faults: &mut Faults) {
    let spec = View::root(new).at("spec");
    let blocks = pem_blocks(&decoded(spec.at("request").text()));
    let kind = blocks.as_ref().ok().and_then(|blocks| blocks.first());
    if kind.is_none_or(|block| block.kind != "CERTIFICATE REQUEST") {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        faults.push(spec.at("request").invalid(detail));
    }
    let usages = spec.at("usages");
    usages.require("", faults);
    let known = old.map_or_else(Vec::new, |old| {
        View::root(old).at("spec").at("usages").texts()
    });
    if known.iter().all(|usage| USAGES.contains(usage)) {
        for usage in usages.items() {
            usage.one_of(USAGES, faults);
        }
    }
    let mut seen = BTreeSet::new();
    for usage in usages.items() {
        if !seen.insert(usage.text()) {
            faults.push(usage.duplicate());
        }
    }
    let signer = spec.at("signerName");
    let before = old.map(|old| View::root(old).at("spec").at("signerName").text());
    if signer.text() == LEGACY_SIGNER && before != Some(LEGACY_SIGNER) {
        faults.push(signer.invalid("the legacy signerName is not allowed via this API version"));
    } else {
        signer_name(&signer, faults);
    }
    let seconds = spec.at("expirationSeconds");
    if seconds.is_set() && seconds.number() < SECONDS_MIN {
        faults
            .push(seconds.invalid("may not specify a duration less than 600 seconds (10 minutes)"));
    }
    conditions(&View::root(new).at("status").at("conditions"), faults);
    certificate(new, faults);
}

fn decoded(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap_or_default()
}

/// A domain and a path: `example.com/signer-name`.
fn signer_name(signer: &View<'_>, faults: &mut Faults) {
    if !signer.require("", faults) {
        return;
    }
    let segments: Vec<&str> = signer.text().split('/').collect();
    let [domain, name] = segments[..] else {
        faults.push(signer.invalid(
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
        ));
        return;
    };
    labels(signer, domain, names::label, faults);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        faults.push(Invalid::value(&signer.path, domain, detail));
    }
    labels(signer, name, names::subdomain, faults);
}

/// The parts of a segment between dots, of which the first that is wrong is told of.
fn labels(signer: &View<'_>, segment: &str, rule: names::Rule, faults: &mut Faults) {
    let wrong = segment
        .split('.')
        .map(|label| (label, rule(label)))
        .find(|(_, wrong)| !wrong.is_empty());
    if let Some((label, wrong)) = wrong {
        for detail in wrong {
            let detail = format!("validating label \"{label}\": {detail}");
            faults.push(Invalid::value(&signer.path, segment, detail));
        }
    }
}

fn conditions(conditions: &View<'_>, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for condition in conditions.items() {
        let (kind, state) = (condition.at("type"), condition.at("status"));
        kind.require("", faults);
        let choices: &[&str] = if DECISIONS.contains(&kind.text()) {
            &["True"]
        } else {
            &["False", "True", "Unknown"]
        };
        state.require_one_of(choices, faults);
        let other = match kind.text() {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && seen.contains(other) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            faults.push(Invalid::value(&conditions.path, kind.text(), detail));
        }
        if !seen.insert(kind.text()) {
            faults.push(kind.duplicate());
        }
    }
}

/// A block of a PEM file.
pub(super) struct Block {
    pub(super) kind: String,
    has_headers: bool,
}

/// The blocks of a PEM file; an error names the first that does not end.
pub(super) fn pem_blocks(bytes: &[u8]) -> Result<Vec<Block>, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines().map(str::trim_end) {
        let marker = |start: &str| {
            line.strip_prefix(start)
                .and_then(|rest| rest.strip_suffix("-----"))
        };
        if let Some(kind) = marker("-----BEGIN ") {
            open = Some(Block {
                kind: kind.to_owned(),
                has_headers: false,
            });
        } else if let Some(kind) = marker("-----END ") {
            blocks.extend(open.take().filter(|block| block.kind == kind));
        } else if let Some(block) = &mut open {
            block.has_headers |= line.contains(':');
        }
    }
    open.map_or(Ok(blocks), |block| Err(block.kind))
}

fn certificate(new: &Value, faults: &mut Faults) {
    let certificate = View::root(new).at("status").at("certificate");
    if certificate.is_empty() {
        return;
    }
    let blocks = pem_blocks(&decoded(certificate.text())).unwrap_or_default();
    let detail = if let Some(block) = blocks.iter().find(|block| block.kind != "CERTIFICATE") {
        format!(
            "only CERTIFICATE PEM blocks are allowed, found \"{}\"",
            block.kind
        )
    } else if blocks.iter().any(|block| block.has_headers) {
        "no PEM block headers are permitted".to_owned()
    } else if blocks.is_empty() {
        "must contain at least one CERTIFICATE PEM block".to_owned()
    } else {
        return;
    };
    faults.push(Invalid::value(
        &certificate.path,
        "<certificate data>",
        detail,
    ));
}

fn change(new: &Value, old: &Value, part: Part, faults: &mut Faults) {
    request(new, Some(old), faults);
    let (status, before) = (View::root(new).at("status"), View::root(old).at("status"));
    let conditions = status.at("conditions");
    let of = |status: &View<'_>, kind: &str| -> Vec<Value> {
        let conditions = status.at("conditions");
        let found = conditions
            .list()
            .iter()
            .filter(|condition| crate::meta::text(condition, &["type"]) == kind);
        found.cloned().collect()
    };
    for kind in DECISIONS {
        if of(&status, kind).len() < of(&before, kind).len() {
            faults.push(conditions.forbidden(format!(
                "updates may not remove a condition of type \"{kind}\""
            )));
        }
    }
    for kind in &DECISIONS[..2] {
        let (after, was) = (of(&status, kind), of(&before, kind));
        if part == Part::Decisions || after.len() < was.len() {
            continue;
        }
        if after.len() > was.len() {
            faults.push(conditions.forbidden(format!(
                "updates may not add a condition of type \"{kind}\""
            )));
        } else if !same(&Value::from(after), &Value::from(was)) {
            faults.push(conditions.forbidden(format!(
                "updates may not modify a condition of type \"{kind}\""
            )));
        }
    }
    let (certificate, was) = (status.at("certificate"), before.at("certificate"));
    if certificate.text() != was.text() {
        if part != Part::Certificate {
            faults.push(certificate.forbidden("updates may not set certificate content"));
        } else if !was.is_empty() {
            faults
                .push(certificate.forbidden("updates may not modify existing certificate content"));
        }
    }
}
