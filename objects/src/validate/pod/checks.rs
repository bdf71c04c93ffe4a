//! Checks of texts and numbers that stand in many places of a pod.

use std::net::IpAddr;

use super::{Faults, Spot};
use crate::{
    Value,
    invalid::Invalid,
    validate::names::{self, SUBDOMAIN_LENGTH_MAX},
};

const MODE_MAX: i64 = 0o777;

/// An IP address.
pub(super) fn address(spot: &Spot<'_>, faults: &mut Faults) {
    if !is_address(spot.text()) {
        spot.invalid_text(
            faults,
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        );
    }
}

/// Whether a text is an IP address; the old parser allows zeros before the numbers.
pub(super) fn is_address(text: &str) -> bool {
    let stripped: Vec<&str> = text
        .split('.')
        .map(|part| match part.trim_start_matches('0') {
            "" if !part.is_empty() => "0",
            rest => rest,
        })
        .collect();
    text.parse::<IpAddr>().is_ok()
        || stripped.len() == 4 && stripped.join(".").parse::<IpAddr>().is_ok()
}

/// A domain that names are looked for in, where underscores are allowed.
pub(super) fn search_path(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > SUBDOMAIN_LENGTH_MAX {
        faults.push(names::characters_max(SUBDOMAIN_LENGTH_MAX));
    }
    let label = |label: &str| {
        let rest = label.strip_prefix('_').unwrap_or(label);
        let ends = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let bytes = rest.as_bytes();
        let inner = bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(byte));
        ends(bytes.first()) && ends(bytes.last()) && inner
    };
    if !text.split('.').all(label) {
        faults.push(names::form(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    faults
}

/// The number or the name of a port.
pub(super) fn port(spot: &Spot<'_>, faults: &mut Faults) {
    if let Value::String(name) = spot.value {
        names::check(faults, &spot.path, name, names::port_name);
    } else {
        port_number(spot, faults);
    }
}

pub(super) fn port_number(spot: &Spot<'_>, faults: &mut Faults) {
    let number = spot.number().unwrap_or(0);
    for sentence in names::port_number(number) {
        faults.push(Invalid::value(&spot.path, number, sentence));
    }
}

/// The mode of a file, if it is said.
pub(super) fn mode(spot: &Spot<'_>, faults: &mut Faults) {
    if spot
        .number()
        .is_some_and(|mode| !(0..=MODE_MAX).contains(&mode))
    {
        spot.invalid(
            faults,
            "must be a number between 0 and 0777 (octal), both inclusive",
        );
    }
}

/// A path without `..`; where one is found, it is told once.
pub(super) fn no_steps_back(spot: &Spot<'_>, faults: &mut Faults) {
    if spot.text().split('/').any(|part| part == "..") {
        spot.invalid(faults, "must not contain '..'");
    }
}

/// A path that stays below where it starts.
pub(super) fn descending(spot: &Spot<'_>, faults: &mut Faults) {
    if spot.text().starts_with('/') {
        spot.invalid(faults, "must be a relative path");
    }
    no_steps_back(spot, faults);
}

/// As `descending`, and names with `..` before them are not for users.
pub(super) fn not_reserved(spot: &Spot<'_>, faults: &mut Faults) {
    descending(spot, faults);
    if spot.text().starts_with("..") && !spot.text().starts_with("../") {
        spot.invalid(faults, "must not start with '..'");
    }
}

/// A domain and a path after it: `example.com/controller`.
pub(in crate::validate) fn domain_path(spot: &Spot<'_>, faults: &mut Faults) {
    let text = spot.text();
    if text.is_empty() {
        spot.required(faults, "");
        return;
    }
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    if host.is_empty() || path.is_empty() {
        spot.invalid(
            faults,
            "must be a domain-prefixed path (such as \"acme.io/foo\")",
        );
        return;
    }
    names::check(faults, &spot.path, host, names::subdomain);
    let well = path
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte));
    if !well {
        let words = names::form("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]);
        faults.push(Invalid::value(&spot.path, path, words));
    }
}

/// Some of the fields that are allowed, and only one.
pub(super) fn found<'a>(spot: &Spot<'a>, fields: &[&str]) -> Vec<Spot<'a>> {
    fields.iter().filter_map(|field| spot.find(field)).collect()
}
