//! The formats that a CRD may ask of text.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use time::{
    Date, OffsetDateTime, format_description::well_known::Iso8601,
    format_description::well_known::Rfc3339,
};

use crate::{codec::duration, validate::names};

/// Formats that are told apart by an expression.
static EXPRESSIONS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    [
        ("bsonobjectid", "(?i)^[0-9a-f]{24}$"),
        ("email", r#"^[^@\s<>"]+@[^@\s<>"]+$"#),
        ("hexcolor", "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
        ("hostname", r"^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"),
        ("mac", "^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$"),
        ("ssn", r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"),
        ("uri", r"^([a-zA-Z][a-zA-Z0-9+.-]*:\S*|/\S*)$"),
        ("uuid", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"),
        ("uuid3", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$"),
        ("uuid4", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"),
        ("uuid5", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"),
    ]
    .into_iter()
    .map(|(name, text)| (name, Regex::new(text).expect("the expressions of the table are read by a test")))
    .collect()
});

/// The formats that are looked at; all others say nothing.
const KNOWN: [&str; 20] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "date",
    "date-time",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "k8s-long-name",
    "k8s-short-name",
    "mac",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
];

/// The format of a text, if it is one that is looked at.
pub(super) fn known<'a>(kind: &str, format: &'a str) -> Option<&'a str> {
    let is_text = matches!(kind, "" | "string");
    (is_text && (KNOWN.contains(&format) || format == "uuid5")).then_some(format)
}

/// Whether a text is of a format.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "byte" => STANDARD.decode(text).is_ok(),
        "cidr" => is_cidr(text),
        "date" => Date::parse(text, &Iso8601::DATE).is_ok() && text.len() == "2006-01-02".len(),
        "date-time" | "datetime" => OffsetDateTime::parse(text, &Rfc3339).is_ok(),
        "duration" => duration::parse(text).is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "k8s-long-name" => names::subdomain(text).is_empty(),
        "k8s-short-name" => names::label(text).is_empty(),
        _ => EXPRESSIONS
            .iter()
            .find(|(name, _)| *name == format)
            .is_none_or(|(_, expression)| expression.is_match(text)),
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let bits = length
        .parse::<u8>()
        .ok()
        .filter(|_| !length.starts_with('+'));
    match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(_), _) => bits.is_some_and(|bits| bits <= 32),
        (_, Ok(_)) => bits.is_some_and(|bits| bits <= 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn texts_fit_their_formats_and_no_others() {
        for (format, good, bad) in [
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("ipv6", "::1", "10.0.0.1"),
            ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567"),
            ("date", "2024-02-29", "2023-02-29"),
            ("date-time", "2024-02-29T00:00:00Z", "2024-02-29"),
            ("byte", "aGk=", "a"),
            ("duration", "1h5m", "1 parsec"),
            ("uri", "https://example.com", "no uri"),
        ] {
            assert!(fits(format, good), "{format} {good}");
            assert!(!fits(format, bad), "{format} {bad}");
        }
    }
}
