//! What keys and values of labels may be, in upstream's words.

use std::sync::LazyLock;

use regex::Regex;

const NAME_LENGTH_MAX: usize = 63;
const SUBDOMAIN_LENGTH_MAX: usize = 253;

const NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

const CHARACTERS: &str = "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

fn is_name(text: &str) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .all(|byte| letter(&byte) || b"-_.".contains(&byte))
        && text.as_bytes().first().is_some_and(letter)
        && text.as_bytes().last().is_some_and(letter)
}

fn is_subdomain(text: &str) -> bool {
    static REGEX: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!("^{SUBDOMAIN}$")).expect("the pattern is fixed"));
    REGEX.is_match(text)
}

/// A list of examples and the expression, as all such messages end.
fn shown(examples: &[&str], expression: &str) -> String {
    let examples: Vec<String> = examples
        .iter()
        .map(|example| format!("'{example}', "))
        .collect();
    format!(
        "(e.g. {}regex used for validation is '{expression}')",
        examples.join(" or ")
    )
}

/// What is wrong with a label's key.
pub(super) fn key_faults(key: &str) -> Vec<String> {
    let examples = shown(&["MyName", "my.name", "123-abc"], NAME);
    let mut faults = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(
                    subdomain_faults(prefix)
                        .iter()
                        .map(|fault| format!("prefix part {fault}")),
                );
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key must {CHARACTERS} {examples} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_LENGTH_MAX {
        faults.push(format!(
            "name part must be no more than {NAME_LENGTH_MAX} bytes"
        ));
    }
    if !is_name(name) {
        faults.push(format!("name part must {CHARACTERS} {examples}"));
    }
    faults
}

fn subdomain_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > SUBDOMAIN_LENGTH_MAX {
        faults.push(format!("must be no more than {SUBDOMAIN_LENGTH_MAX} bytes"));
    }
    if !is_subdomain(text) {
        faults.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character {}",
            shown(&["example.com"], SUBDOMAIN)
        ));
    }
    faults
}

/// What is wrong with a label's value.
pub(super) fn value_faults(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > NAME_LENGTH_MAX {
        faults.push(format!("must be no more than {NAME_LENGTH_MAX} bytes"));
    }
    if !value.is_empty() && !is_name(value) {
        faults.push(format!(
            "a valid label must be an empty string or {CHARACTERS} {}",
            shown(&["MyValue", "my_value", "12345"], &format!("({NAME})?"))
        ));
    }
    faults
}
