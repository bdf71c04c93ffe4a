//! Texts in the shape in which upstream's messages quote them.

use objects::Value;

/// A text in quotes. Go's escapes are those of JSON for whatever stands in names.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Several texts in brackets, each in quotes, with spaces between.
pub(super) fn quoted_list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(" "))
}
