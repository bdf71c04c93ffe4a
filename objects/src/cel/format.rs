//! The named formats that text can be held to: `format.dns1123Label().validate("my-name")`.

use std::sync::LazyLock;

use base64::Engine as _;
use regex::Regex;

use super::{time, url::Url};

/// A format, and how long upstream says its pattern is, which is what a check costs by.
#[derive(Debug)]
pub struct Format {
    pub name: &'static str,
    pub(super) pattern_length: u64,
    check: fn(&str) -> Vec<String>,
}

impl Format {
    /// What is wrong with a text; nothing, and it holds.
    pub(super) fn faults(&self, text: &str) -> Vec<String> {
        (self.check)(text)
    }
}

const fn format(name: &'static str, pattern_length: u64, check: fn(&str) -> Vec<String>) -> Format {
    Format {
        name,
        pattern_length,
        check,
    }
}

/// All formats, by the names of their functions.
static FORMATS: [(&str, Format); 13] = [
    ("dns1123Label", format("DNS1123Label", 30, dns_label)),
    (
        "dns1123Subdomain",
        format("DNS1123Subdomain", 60, dns_subdomain),
    ),
    ("dns1035Label", format("DNS1035Label", 30, dns_1035_label)),
    ("qualifiedName", format("QualifiedName", 60, qualified_name)),
    (
        "dns1123LabelPrefix",
        format("DNS1123LabelPrefix", 30, |text| dns_label(&masked(text))),
    ),
    (
        "dns1123SubdomainPrefix",
        format("DNS1123SubdomainPrefix", 60, |text| {
            dns_subdomain(&masked(text))
        }),
    ),
    (
        "dns1035LabelPrefix",
        format("DNS1035LabelPrefix", 30, |text| {
            dns_1035_label(&masked(text))
        }),
    ),
    ("labelValue", format("LabelValue", 40, label_value)),
    (
        "uri",
        format("URI", 1103, |text| {
            Url::parse(text).err().into_iter().collect()
        }),
    ),
    (
        "uuid",
        format("uuid", 82, |text| {
            unless(UUID.is_match(text), "does not match the UUID format")
        }),
    ),
    (
        "byte",
        format("byte", 84, |text| {
            unless(
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .is_ok(),
                "invalid base64",
            )
        }),
    ),
    (
        "date",
        format("date", 84, |text| {
            unless(time::parse_date(text).is_some(), "invalid date")
        }),
    ),
    (
        "datetime",
        format("datetime", 84, |text| {
            unless(time::parse_openapi(text).is_some(), "invalid datetime")
        }),
    ),
];

pub(super) fn named(name: &str) -> Option<&'static Format> {
    FORMATS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, format)| format)
}

fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("the pattern is a constant")
}

static LABEL: LazyLock<Regex> = LazyLock::new(|| pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"));
static SUBDOMAIN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"));
static LABEL_1035: LazyLock<Regex> = LazyLock::new(|| pattern("^[a-z]([-a-z0-9]*[a-z0-9])?$"));
static NAME: LazyLock<Regex> =
    LazyLock::new(|| pattern("^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$"));
static UUID: LazyLock<Regex> = LazyLock::new(|| {
    pattern("^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$")
});

const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_TEXT: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035_TEXT: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART_TEXT: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE_TEXT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// A prefix that ends with a dash is judged as the name that it may become.
fn masked(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => text.to_owned(),
    }
}

fn unless(holds: bool, complaint: &str) -> Vec<String> {
    if holds {
        Vec::new()
    } else {
        vec![complaint.to_owned()]
    }
}

fn held(text: &str, length_max: usize, holds: bool, complaint: &str) -> Vec<String> {
    let mut faults = unless(
        text.len() <= length_max,
        &format!("must be no more than {length_max} bytes"),
    );
    faults.extend(unless(holds, complaint));
    faults
}

fn dns_label(text: &str) -> Vec<String> {
    let complaint = if SUBDOMAIN.is_match(text) {
        "must not contain dots"
    } else {
        LABEL_TEXT
    };
    held(text, 63, LABEL.is_match(text), complaint)
}

fn dns_subdomain(text: &str) -> Vec<String> {
    held(text, 253, SUBDOMAIN.is_match(text), SUBDOMAIN_TEXT)
}

fn dns_1035_label(text: &str) -> Vec<String> {
    let mut faults = held(text, 63, LABEL_1035.is_match(text), LABEL_1035_TEXT);
    for fault in &mut faults {
        if fault.starts_with("must be no more than") {
            *fault = fault.replace("bytes", "characters");
        }
    }
    faults
}

fn label_value(text: &str) -> Vec<String> {
    held(
        text,
        63,
        text.is_empty() || NAME.is_match(text),
        LABEL_VALUE_TEXT,
    )
}

fn qualified_name(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                let found = dns_subdomain(prefix);
                faults.extend(found.iter().map(|fault| format!("prefix part {fault}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {NAME_PART_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    }
    let found = held(name, 63, NAME.is_match(name), NAME_PART_TEXT);
    faults.extend(found.iter().map(|fault| format!("name part {fault}")));
    faults
}
