//! What names, labels and other short texts may look like; every check gives upstream's sentences, none for text that is well.

use crate::{
    invalid::{Faults, Invalid},
    path::Path,
};

/// A check of a name: its faults in words.
pub type Rule = fn(&str) -> Vec<String>;

pub const LABEL_LENGTH_MAX: usize = 63;
pub const SUBDOMAIN_LENGTH_MAX: usize = 253;
pub const PORT_NAME_LENGTH_MAX: usize = 15;
pub const PORT_MAX: i64 = 65535;

const LABEL_FORM: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FORM: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED_FORM: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_WORDS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// A sentence with examples and the expression that upstream checks by.
#[must_use]
pub fn form(words: &str, expression: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{words} (regex used for validation is '{expression}')");
    }
    let shown: Vec<String> = examples
        .iter()
        .map(|example| format!("'{example}', "))
        .collect();
    format!(
        "{words} (e.g. {}regex used for validation is '{expression}')",
        shown.join(" or ")
    )
}

#[must_use]
pub fn characters_max(length: usize) -> String {
    format!("must be no more than {length} characters")
}

#[must_use]
pub fn bytes_max(length: usize) -> String {
    format!("must be no more than {length} bytes")
}

#[must_use]
pub fn between(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Not empty, made of inner bytes, with ends of their own.
fn shaped(text: &str, first: fn(u8) -> bool, inner: fn(u8) -> bool, last: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [] => false,
        [only] => first(*only),
        [start, middle @ .., end] => {
            first(*start) && last(*end) && middle.iter().all(|byte| inner(*byte))
        }
    }
}

fn is_label(text: &str) -> bool {
    shaped(text, lower, |byte| lower(byte) || byte == b'-', lower)
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_qualified(text: &str) -> bool {
    let ends = |byte: u8| byte.is_ascii_alphanumeric();
    shaped(
        text,
        ends,
        |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte),
        ends,
    )
}

/// A DNS-1123 label.
#[must_use]
pub fn label(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > LABEL_LENGTH_MAX {
        faults.push(characters_max(LABEL_LENGTH_MAX));
    }
    if !is_label(text) {
        if is_subdomain(text) {
            faults.push("must not contain dots".to_owned());
        } else {
            faults.push(form(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                LABEL_FORM,
                &["my-name", "123-abc"],
            ));
        }
    }
    faults
}

/// A DNS-1123 subdomain.
#[must_use]
pub fn subdomain(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > SUBDOMAIN_LENGTH_MAX {
        faults.push(characters_max(SUBDOMAIN_LENGTH_MAX));
    }
    if !is_subdomain(text) {
        faults.push(form(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            SUBDOMAIN_FORM,
            &["example.com"],
        ));
    }
    faults
}

/// A DNS-1123 subdomain after `*.`.
#[must_use]
pub fn wildcard_subdomain(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > SUBDOMAIN_LENGTH_MAX {
        faults.push(characters_max(SUBDOMAIN_LENGTH_MAX));
    }
    if !text.strip_prefix("*.").is_some_and(is_subdomain) {
        faults.push(form(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{SUBDOMAIN_FORM}"),
            &["*.example.com"],
        ));
    }
    faults
}

/// A DNS-1035 label, which begins with a letter.
#[must_use]
pub fn letter_label(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > LABEL_LENGTH_MAX {
        faults.push(characters_max(LABEL_LENGTH_MAX));
    }
    let well = is_label(text) && text.as_bytes()[0].is_ascii_lowercase();
    if !well {
        faults.push(form(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    faults
}

/// Anything that can be one segment of a URL's path.
#[must_use]
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"]
        .iter()
        .filter(|part| text.contains(**part))
        .map(|part| format!("may not contain '{part}'"))
        .collect()
}

/// A name with an optional subdomain and `/` before it: keys of labels, resources, finalizers.
#[must_use]
pub fn qualified(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let words = || {
        form(
            QUALIFIED_WORDS,
            QUALIFIED_FORM,
            &["MyName", "my.name", "123-abc"],
        )
    };
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(prefix_faults(prefix));
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                words()
            )];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_LENGTH_MAX {
        faults.push(format!("name part {}", bytes_max(LABEL_LENGTH_MAX)));
    }
    if !is_qualified(name) {
        faults.push(format!("name part {}", words()));
    }
    faults
}

/// The faults of a prefix of a qualified name, whose length upstream counts in bytes.
fn prefix_faults(prefix: &str) -> Vec<String> {
    subdomain(prefix)
        .into_iter()
        .map(|fault| {
            let fault = if fault == characters_max(SUBDOMAIN_LENGTH_MAX) {
                bytes_max(SUBDOMAIN_LENGTH_MAX)
            } else {
                fault
            };
            format!("prefix part {fault}")
        })
        .collect()
}

/// The value of a label.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > LABEL_LENGTH_MAX {
        faults.push(bytes_max(LABEL_LENGTH_MAX));
    }
    if !text.is_empty() && !is_qualified(text) {
        faults.push(form(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            &format!("({QUALIFIED_FORM})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    faults
}

/// The name of a port (RFC 6335's service name).
#[must_use]
pub fn port_name(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > PORT_NAME_LENGTH_MAX {
        faults.push(characters_max(PORT_NAME_LENGTH_MAX));
    }
    let well = !text.is_empty() && text.bytes().all(|byte| lower(byte) || byte == b'-');
    let checks = [
        (
            !well,
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !text.bytes().any(|byte| byte.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (text.contains("--"), "must not contain consecutive hyphens"),
        (
            text.starts_with('-') || text.ends_with('-'),
            "must not begin or end with a hyphen",
        ),
    ];
    faults.extend(
        checks
            .iter()
            .filter(|(wrong, _)| *wrong)
            .map(|(_, words)| (*words).to_owned()),
    );
    faults
}

/// The number of a port.
#[must_use]
pub fn port_number(number: i64) -> Vec<String> {
    if (1..=PORT_MAX).contains(&number) {
        Vec::new()
    } else {
        vec![between(1, PORT_MAX)]
    }
}

/// A key of a ConfigMap or Secret.
#[must_use]
pub fn config_key(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > SUBDOMAIN_LENGTH_MAX {
        faults.push(characters_max(SUBDOMAIN_LENGTH_MAX));
    }
    let well = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !well {
        faults.push(form(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    if text == "." || text == ".." {
        faults.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        faults.push("must not start with '..'".to_owned());
    }
    faults
}

/// The name of an environment variable: printable ASCII without `=`.
#[must_use]
pub fn environment_variable(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.is_empty() {
        faults.push("environment variable name must be non-empty".to_owned());
    }
    if !text
        .bytes()
        .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
    {
        faults.push("a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned());
    }
    faults
}

/// The name of an HTTP header.
#[must_use]
pub fn http_header(text: &str) -> Vec<String> {
    let well = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if well {
        return Vec::new();
    }
    vec![form(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// Digits before `%`.
#[must_use]
pub fn percent(text: &str) -> Vec<String> {
    let well = text.strip_suffix('%').is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    if well {
        return Vec::new();
    }
    vec![form(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// The check of a prefix to which more text is added: a dash at its end does not count.
#[must_use]
pub fn prefix(rule: Rule, text: &str) -> Vec<String> {
    match text.strip_suffix('-') {
        // Upstream cuts one character more than the dash.
        Some(rest) if !rest.is_empty() => {
            let end = rest.char_indices().next_back().map_or(0, |(at, _)| at);
            rule(&format!("{}a", &rest[..end]))
        }
        _ => rule(text),
    }
}

/// Adds a fault for each sentence that a check has about a text.
pub fn check(faults: &mut Faults, path: &Path, text: &str, rule: Rule) {
    add(faults, path, text, &rule(text));
}

/// Adds a fault with each of the sentences.
pub fn add(faults: &mut Faults, path: &Path, text: &str, sentences: &[String]) {
    faults.extend(
        sentences
            .iter()
            .map(|sentence| Invalid::value(path, text, sentence.as_str())),
    );
}
